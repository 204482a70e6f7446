//! A log line as `key=value` pairs, in the format of Prometheus' own.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

/// Formats events as lines.
pub(super) struct Logfmt;

/// An event.
pub(super) struct Line {
    metadata: &'static Metadata<'static>,
    message: String,
    /// The fields but the message, as they will be written.
    others: String,
    /// The name of the instance that it is about.
    pub(super) instance: Option<String>,
}

impl Line {
    /// The line of an event.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut line = Self {
            metadata: event.metadata(),
            message: String::new(),
            others: String::new(),
            instance: None,
        };
        event.record(&mut line);
        line
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("time=")?;
        SystemTime.format_time(&mut Writer::new(formatter))?;
        write!(
            formatter,
            " level={} source={} msg=",
            self.metadata.level(),
            self.metadata.target()
        )?;
        write_value(formatter, &self.message)?;
        writeln!(formatter, "{}", self.others)
    }
}

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "{}", Line::of(event))
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => {
                value.clone_into(&mut self.message);
                return;
            }
            "instance" => self.instance = Some(value.to_owned()),
            _ => {}
        }
        // Writing to a string cannot fail.
        _ = write!(self.others, " {}=", field.name());
        _ = write_value(&mut self.others, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
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
