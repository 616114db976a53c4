// Telegraf's serializer as a peer of bench/encoders.pl: the metrics are made
// beforehand, which is not timed.
package main

import (
	"os"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/plugins/serializers/influx"
)

func main() {
	requests := readRequests(os.Args[1])
	metrics := make([]telegraf.Metric, 0, len(requests))
	for _, r := range requests {
		m := metric.New("raw-requests", map[string]string{
			"hostname": "web1", "method": r.method, "process": "web1:3",
			"server": "www.example.org", "status": r.status,
		}, nil, time.Unix(0, r.end))
		m.AddField("request_time", r.request)
		m.AddField("application_time", r.application)
		m.AddField("bytes_sent", r.bytes)
		metrics = append(metrics, m)
	}
	s := &influx.Serializer{}
	check(s.Init())
	serve(len(requests), func() []byte {
		text, err := s.SerializeBatch(metrics)
		check(err)
		return text
	})
}
