// What the peers in Go share (bench/encoders.pl): the requests, and the commands
// "bytes" and "run".
package main

import (
	"bufio"
	"fmt"
	"os"
	"time"
)

const passes = 20

type request struct {
	method, status       string
	request, application float64
	bytes, end           int64
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readRequests(path string) (all []request) {
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r request
		_, err := fmt.Sscan(lines.Text(), &r.method, &r.status, &r.request,
			&r.application, &r.bytes, &r.end)
		check(err)
		all = append(all, r)
	}
	return all
}

// serve calls encode for one pass over all requests.
func serve(count int, encode func() []byte) {
	out := bufio.NewWriter(os.Stdout)
	for commands := bufio.NewScanner(os.Stdin); commands.Scan(); out.Flush() {
		text := encode()
		if commands.Text() == "bytes" {
			fmt.Fprintln(out, len(text))
			out.Write(text)
			continue
		}
		start := time.Now()
		for i := 0; i < passes; i++ {
			encode()
		}
		ns := float64(time.Since(start).Nanoseconds())
		fmt.Fprintf(out, "%.2f\n", ns/passes/float64(count))
	}
}
