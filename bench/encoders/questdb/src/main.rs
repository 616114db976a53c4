// questdb-rs as a peer of bench/encoders.pl: a line of text (version 1 of its
// protocol) for each request, into its buffer.
use questdb::ingress::{Buffer, ColumnName, ProtocolVersion, TableName, TimestampNanos};
use std::io::{BufRead, Write};
use std::time::Instant;

const PASSES: u32 = 20;

struct Request {
    method: String,
    status: String,
    request: f64,
    application: f64,
    bytes: i64,
    end: i64,
}

struct Names<'a> {
    table: TableName<'a>,
    tags: [ColumnName<'a>; 5],
    fields: [ColumnName<'a>; 3],
}

fn names<'a>() -> questdb::Result<Names<'a>> {
    Ok(Names {
        table: TableName::new("raw-requests")?,
        tags: [
            ColumnName::new("hostname")?,
            ColumnName::new("method")?,
            ColumnName::new("process")?,
            ColumnName::new("server")?,
            ColumnName::new("status")?,
        ],
        fields: [
            ColumnName::new("request_time")?,
            ColumnName::new("application_time")?,
            ColumnName::new("bytes_sent")?,
        ],
    })
}

fn encode(buffer: &mut Buffer, names: &Names, requests: &[Request]) -> questdb::Result<()> {
    buffer.clear();
    for r in requests {
        buffer
            .table(names.table)?
            .symbol(names.tags[0], "web1")?
            .symbol(names.tags[1], &r.method)?
            .symbol(names.tags[2], "web1:3")?
            .symbol(names.tags[3], "www.example.org")?
            .symbol(names.tags[4], &r.status)?
            .column_f64(names.fields[0], r.request)?
            .column_f64(names.fields[1], r.application)?
            .column_i64(names.fields[2], r.bytes)?
            .at(TimestampNanos::new(r.end))?;
    }
    Ok(())
}

fn read_requests(path: &str) -> Vec<Request> {
    let text = std::fs::read_to_string(path).expect("the file of requests");
    text.lines()
        .map(|line| {
            let w: Vec<&str> = line.split(' ').collect();
            Request {
                method: w[0].to_string(),
                status: w[1].to_string(),
                request: w[2].parse().unwrap(),
                application: w[3].parse().unwrap(),
                bytes: w[4].parse().unwrap(),
                end: w[5].parse().unwrap(),
            }
        })
        .collect()
}

fn main() -> questdb::Result<()> {
    let path = std::env::args().nth(1).expect("the file of requests");
    let requests = read_requests(&path);
    let names = names()?;
    let mut buffer = Buffer::new(ProtocolVersion::V1);
    let mut out = std::io::stdout();
    for command in std::io::stdin().lock().lines() {
        encode(&mut buffer, &names, &requests)?;
        if command.unwrap() == "bytes" {
            writeln!(out, "{}", buffer.as_bytes().len()).unwrap();
            out.write_all(buffer.as_bytes()).unwrap();
        } else {
            let start = Instant::now();
            for _ in 0..PASSES {
                encode(&mut buffer, &names, &requests)?;
            }
            let ns = start.elapsed().as_nanos() as f64;
            writeln!(out, "{:.2}", ns / f64::from(PASSES) / requests.len() as f64).unwrap();
        }
        out.flush().unwrap();
    }
    Ok(())
}
