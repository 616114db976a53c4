// influxdata/line-protocol as a peer of bench/encoders.pl: with what it checks
// of names and values, and without (lax).
package main

import (
	"os"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

func main() {
	requests := readRequests(os.Args[1])
	var e lineprotocol.Encoder
	e.SetPrecision(lineprotocol.Nanosecond)
	e.SetLax(len(os.Args) > 2)
	serve(len(requests), func() []byte {
		e.Reset()
		for i := range requests {
			r := &requests[i]
			e.StartLine("raw-requests")
			e.AddTag("hostname", "web1")
			e.AddTag("method", r.method)
			e.AddTag("process", "web1:3")
			e.AddTag("server", "www.example.org")
			e.AddTag("status", r.status)
			total, _ := lineprotocol.FloatValue(r.request)
			e.AddField("request_time", total)
			application, _ := lineprotocol.FloatValue(r.application)
			e.AddField("application_time", application)
			e.AddField("bytes_sent", lineprotocol.IntValue(r.bytes))
			e.EndLine(time.Unix(0, r.end))
		}
		check(e.Err())
		return e.Bytes()
	})
}
