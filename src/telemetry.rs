//! Logs, to standard error, in the formats of Prometheus' own.
//!
//! Only this program's own events are written, at any level: a library's might hold a URL, and with it a token.

pub mod capture;
mod line;

use tracing::Metadata;
use tracing::subscriber::Interest;
use tracing_subscriber::filter::{LevelFilter, Targets, dynamic_filter_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, registry};

use self::capture::Captures;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Which events are logged: those that are at least so severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// What keeps the exporter from its work.
    Error,
    /// Problems that need attention.
    Warn,
    /// Rare events.
    Info,
    /// What happens at each scrape.
    Debug,
    /// Everything.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Writes logs of `level` and above from now on, and lets them be captured. The error says that somebody else already does.
pub fn start(level: LogLevel, format: LogFormat) -> Result<Captures, TryInitError> {
    let own = Targets::new().with_target(OWN, LevelFilter::from(level));
    let layer = layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .event_format(format);
    let captures = Captures::default();
    let open = captures.clone();
    let is_own = |metadata: &Metadata<'_>| metadata.target().starts_with(OWN);
    let wanted = dynamic_filter_fn(move |metadata, _| open.is_open() && is_own(metadata));
    // Libraries' events are told to be unwanted for good: HTTP/2 has some for each frame.
    let wanted = wanted.with_callsite_filter(move |metadata| {
        if is_own(metadata) {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    });
    let capturing = captures.clone().with_filter(wanted);
    registry().with(layer.with_filter(own)).with(capturing).try_init()?;
    Ok(captures)
}

/// What the targets of all our events begin with.
const OWN: &str = env!("CARGO_CRATE_NAME");
