//! Logs, to standard error: logfmt in the looks of Prometheus' own, or JSON.
//!
//! Only this program's own events are written, at any level: a library's might hold a URL, and with it a token.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, registry};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Writes logs of `level` and above from now on. The error says that somebody else already does.
pub fn start(level: LevelFilter, format: LogFormat) -> Result<(), TryInitError> {
    let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let layer = layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = match format {
        LogFormat::Logfmt => layer.event_format(Logfmt).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    registry().with(layer.with_filter(own)).try_init()
}

struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writer.write_str("time=")?;
        SystemTime.format_time(&mut writer)?;
        let metadata = event.metadata();
        write!(writer, " level={} source={}", metadata.level(), metadata.target())?;
        let mut pairs = Pairs {
            message: String::new(),
            others: String::new(),
        };
        event.record(&mut pairs);
        writer.write_str(" msg=")?;
        write_value(&mut writer, &pairs.message)?;
        writeln!(writer, "{}", pairs.others)
    }
}

/// The message, which comes first, and the other fields as they will be written.
struct Pairs {
    message: String,
    others: String,
}

impl Visit for Pairs {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
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
        write!(writer, "{value:?}")
    }
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
        check("\u{1b}[31mred", r#""\u{1b}[31mred""#);
    }
}
