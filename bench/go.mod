module mod_influx_metrics/bench

go 1.21

require github.com/codesenberg/bombardier v1.2.6
