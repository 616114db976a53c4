//! Reads lines of line protocol from standard input with InfluxDB 3's own
//! parser and writes what it found; see ../README.md for the form.
use influxdb_line_protocol::{parse_lines, FieldValue};
use std::fmt::Write as _;
use std::io::{Read, Write};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn main() -> std::io::Result<()> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let mut out = std::io::BufWriter::new(std::io::stdout());
    for raw in input.split_inclusive(|&byte| byte == b'\n') {
        writeln!(out, "L {}", hex(raw))?;
        let text = match std::str::from_utf8(raw) {
            Ok(text) => text,
            Err(e) => {
                writeln!(out, "E {}", hex(e.to_string().as_bytes()))?;
                continue;
            }
        };
        for line in parse_lines(text) {
            let line = match line {
                Ok(line) => line,
                Err(e) => {
                    writeln!(out, "E {}", hex(e.to_string().as_bytes()))?;
                    continue;
                }
            };
            writeln!(out, "M {}", hex(line.series.measurement.as_bytes()))?;
            for (key, value) in line.series.tag_set.iter().flatten() {
                writeln!(out, "T {} {}", hex(key.as_bytes()),
                         hex(value.as_bytes()))?;
            }
            for (key, value) in &line.field_set {
                let key = hex(key.as_bytes());
                match value {
                    FieldValue::I64(v) => writeln!(out, "i {key} {v}"),
                    FieldValue::U64(v) => writeln!(out, "u {key} {v}"),
                    FieldValue::F64(v) => writeln!(out, "f {key} {v:?}"),
                    FieldValue::Boolean(v) => {
                        writeln!(out, "b {key} {}", i32::from(*v))
                    }
                    FieldValue::String(v) => {
                        writeln!(out, "s {key} {}", hex(v.as_bytes()))
                    }
                }?;
            }
            if let Some(time) = line.timestamp {
                writeln!(out, "t {time}")?;
            }
        }
    }
    out.flush()
}
