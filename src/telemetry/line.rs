//! A log line, as `key=value` pairs or as a JSON object. Both have the keys of Prometheus' own.

use std::fmt::{self, Write};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;

/// What is logged at once.
pub(super) struct Line {
    metadata: &'static Metadata<'static>,
    message: String,
    /// The fields but the message, as they came.
    fields: Vec<(&'static str, Value)>,
}

impl Line {
    /// The line of an event.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut line = Self {
            metadata: event.metadata(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// The name of the instance that it is about.
    pub(super) fn instance(&self) -> Option<&str> {
        let (_, instance) = self.fields.iter().find(|(key, _)| *key == "instance")?;
        instance.as_str()
    }

    /// Writes it, with the time that it is now.
    pub(super) fn write(&self, format: LogFormat, writer: &mut impl Write) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let (level, source) = (self.metadata.level(), self.metadata.target());
        match format {
            LogFormat::Logfmt => {
                write!(writer, "time={time} level={level} source={source} msg=")?;
                write_value(writer, &self.message)?;
                for (key, value) in &self.fields {
                    write!(writer, " {key}=")?;
                    match value {
                        Value::String(text) => write_value(writer, text)?,
                        other => write!(writer, "{other}")?,
                    }
                }
                writeln!(writer)
            }
            LogFormat::Json => {
                let message = Value::from(&*self.message);
                write!(
                    writer,
                    r#"{{"time":"{time}","level":"{level}","source":"{source}","msg":{message}"#
                )?;
                for (key, value) in &self.fields {
                    write!(writer, r#","{key}":{value}"#)?;
                }
                writeln!(writer, "}}")
            }
        }
    }
}

impl<S, N> FormatEvent<S, N> for LogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        Line::of(event).write(*self, &mut writer)
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            key => self.fields.push((key, value.into())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), value.into()));
    }
}

/// Writes a logfmt value: quoted where it is not a plain word, and always on one line.
fn write_value(writer: &mut impl Write, value: &str) -> fmt::Result {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(is_plain) {
        writer.write_str(value)
    } else {
        write_quoted(writer, value)
    }
}

/// Escapes as JSON does: readers of logfmt know no other escapes.
fn write_quoted(writer: &mut impl Write, value: &str) -> fmt::Result {
    writer.write_char('"')?;
    for c in value.chars() {
        match c {
            '"' | '\\' => write!(writer, "\\{c}")?,
            '\n' => writer.write_str("\\n")?,
            '\r' => writer.write_str("\\r")?,
            '\t' => writer.write_str("\\t")?,
            c if c.is_control() => write!(writer, "\\u{:04x}", u32::from(c))?,
            c => writer.write_char(c)?,
        }
    }
    writer.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_on_one_line_and_in_one_piece() {
        let check = |value, expected: &str| {
            let mut written = String::new();
            write_value(&mut written, value).unwrap();
            assert_eq!(written, expected);
        };
        check("shop-berlin", "shop-berlin");
        check("Café", "Café");
        check("two words", r#""two words""#);
        check("", r#""""#);
        check("a=b", r#""a=b""#);
        check("he said \"no\"\nlevel=ERROR", r#""he said \"no\"\nlevel=ERROR""#);
        check("tab\tand\rreturn", r#""tab\tand\rreturn""#);
        check(r"C:\logs", r#""C:\\logs""#);
        check("\u{1b}[31mred", r#""\u001b[31mred""#);
        check("👩\u{200d}🍳 Cafe\u{301}", "\"👩\u{200d}🍳 Cafe\u{301}\"");
    }
}
