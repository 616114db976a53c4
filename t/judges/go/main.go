// Reads lines of line protocol from standard input with InfluxData's own
// decoder (Telegraf's upstream parser is it) and writes what it found; see
// ../README.md for the form.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

func judge(out *bufio.Writer, raw []byte) error {
	d := lineprotocol.NewDecoderWithBytes(raw)
	for d.Next() {
		measurement, err := d.Measurement()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "M %x\n", measurement)
		for {
			key, value, err := d.NextTag()
			if err != nil {
				return err
			}
			if key == nil {
				break
			}
			fmt.Fprintf(out, "T %x %x\n", key, value)
		}
		for {
			key, value, err := d.NextField()
			if err != nil {
				return err
			}
			if key == nil {
				break
			}
			switch v := value.Interface().(type) {
			case int64:
				fmt.Fprintf(out, "i %x %d\n", key, v)
			case uint64:
				fmt.Fprintf(out, "u %x %d\n", key, v)
			case float64:
				fmt.Fprintf(out, "f %x %.17g\n", key, v)
			case bool:
				n := 0
				if v {
					n = 1
				}
				fmt.Fprintf(out, "b %x %d\n", key, n)
			case string:
				fmt.Fprintf(out, "s %x %x\n", key, v)
			}
		}
		t, err := d.Time(lineprotocol.Nanosecond, time.Time{})
		if err != nil {
			return err
		}
		if !t.IsZero() {
			fmt.Fprintf(out, "t %d\n", t.UnixNano())
		}
	}
	return nil
}

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, raw := range bytes.SplitAfter(input, []byte("\n")) {
		if len(raw) == 0 {
			continue
		}
		fmt.Fprintf(out, "L %x\n", raw)
		if err := judge(out, raw); err != nil {
			fmt.Fprintf(out, "E %x\n", err.Error())
		}
	}
}
