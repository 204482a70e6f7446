//! Flags and commands. Every flag has an environment variable: `GREENAPI_EXPORTER_` and its name.

mod value;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::Environment;
use crate::telemetry::{LogFormat, LogLevel};

use self::value::{
    parse_listen_address, parse_offset, parse_ordinal, parse_since, parse_speed, parse_telemetry_path, whole_number,
};

/// Prometheus exporter for GREEN-API's WhatsApp statuses.
#[derive(Debug, Parser)]
#[command(
    name = "greenapi-exporter",
    display_name = "greenapi-exporter,",
    version = VERSION,
    override_usage = "greenapi-exporter [OPTIONS]\n       greenapi-exporter <COMMAND>",
    after_help = "Without a command, it serves metrics. An account can also be set in the environment: GREENAPI_ID_INSTANCE, \
        GREENAPI_API_TOKEN or GREENAPI_API_TOKEN_FILE, GREENAPI_API_URL. Without an account, try `greenapi-exporter demo`."
)]
pub struct Cli {
    /// What to do; to serve, where none is given.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of the default command.
    #[command(flatten)]
    pub serve: Serve,
    /// What to log, whatever the command.
    #[command(flatten)]
    pub log: Log,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve metrics to Prometheus (the default)
    Serve(Serve),
    /// Check the configuration, including its secret files, and print it without secrets
    CheckConfig(CheckConfig),
    /// Collect once and print the metrics; exit 1 if an instance is not up
    Once(Once),
    /// Print the journal's history as OpenMetrics with timestamps, for promtool
    Backfill(Backfill),
    /// Serve a simulated GREEN-API
    Simulate(Simulate),
    /// Serve metrics of a simulated GREEN-API, to see it work without an account
    Demo(Demo),
    /// Ask the exporter of this machine whether it is alive; for containers, where there is no curl
    Healthcheck(Healthcheck),
}

/// Flags of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// What to export.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Where the ledger is kept.
    #[command(flatten)]
    pub storage: Storage,
    /// Which of the instances to serve.
    #[command(flatten)]
    pub shard: ShardFlags,
    /// Where and how to serve.
    #[command(flatten)]
    pub web: Web,
}

/// Flags of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfig {
    /// What to check.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Where the ledger is kept.
    #[command(flatten)]
    pub storage: Storage,
}

/// Flags of `once`.
#[derive(Debug, Args)]
pub struct Once {
    /// What to export.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Only the instance with this id or name
    #[arg(long, value_name = "ID_OR_NAME", env = "GREENAPI_EXPORTER_TARGET")]
    pub target: Option<String>,
}

/// Flags of `backfill`.
#[derive(Debug, Args)]
#[command(after_help = BACKFILL_HELP)]
pub struct Backfill {
    /// What to read.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The instance with this id or name
    #[arg(long, value_name = "ID_OR_NAME", env = "GREENAPI_EXPORTER_TARGET")]
    pub target: String,
    /// How far to go back: up to 30d, which is as long as the API remembers
    #[arg(
        long,
        value_name = "DURATION",
        env = "GREENAPI_EXPORTER_SINCE",
        default_value = "30d",
        value_parser = parse_since
    )]
    pub since: Duration,
}

/// Flags of `simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Address to serve the API on
    #[arg(
        long = "web.listen-address",
        value_name = "ADDR",
        env = "GREENAPI_EXPORTER_WEB_LISTEN_ADDRESS",
        default_value = "127.0.0.1:8466",
        value_parser = parse_listen_address
    )]
    pub listen_address: SocketAddr,
    /// How many instances to simulate; every tenth fails, each in a different way
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        env = "GREENAPI_EXPORTER_INSTANCES",
        default_value_t = 12,
        value_parser = whole_number(0..=1_000_000_u32)
    )]
    pub instances: u32,
    /// How the simulation goes.
    #[command(flatten)]
    pub world: WorldFlags,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where and how to serve.
    #[command(flatten)]
    pub web: Web,
    /// How the simulation goes.
    #[command(flatten)]
    pub world: WorldFlags,
}

/// Flags of `healthcheck`.
#[derive(Debug, Args)]
pub struct Healthcheck {
    /// Address that the exporter serves on; the first of several is asked
    #[arg(
        long = "web.listen-address",
        value_name = "ADDR",
        env = "GREENAPI_EXPORTER_WEB_LISTEN_ADDRESS",
        value_delimiter = ',',
        default_value = ":10466",
        value_parser = parse_listen_address
    )]
    pub listen_addresses: Vec<SocketAddr>,
}

/// Which configuration to load.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Configuration file (YAML); without it, one instance comes from the environment
    #[arg(long = "config.file", value_name = "PATH", env = "GREENAPI_EXPORTER_CONFIG_FILE")]
    pub config_file: Option<PathBuf>,
}

/// Where the ledger is kept.
#[derive(Debug, Args)]
pub struct Storage {
    /// Existing directory to keep the ledger in; without it, counters start from zero at every start
    #[arg(long = "storage.path", value_name = "DIR", env = "GREENAPI_EXPORTER_STORAGE_PATH")]
    pub path: Option<PathBuf>,
}

/// Where and how to serve.
#[derive(Debug, Args)]
pub struct Web {
    /// Address to serve on; repeatable; `:PORT` means all interfaces, IPv6 included
    #[arg(
        long = "web.listen-address",
        value_name = "ADDR",
        env = "GREENAPI_EXPORTER_WEB_LISTEN_ADDRESS",
        value_delimiter = ',',
        default_value = ":10466",
        value_parser = parse_listen_address
    )]
    pub listen_addresses: Vec<SocketAddr>,
    /// File with TLS, client certificates, users and limits, in the format of Prometheus' exporter-toolkit
    #[arg(
        long = "web.config.file",
        value_name = "PATH",
        env = "GREENAPI_EXPORTER_WEB_CONFIG_FILE"
    )]
    pub web_config_file: Option<PathBuf>,
    /// Path of the metrics
    #[arg(
        long = "web.telemetry-path",
        value_name = "PATH",
        env = "GREENAPI_EXPORTER_WEB_TELEMETRY_PATH",
        default_value = "/metrics",
        value_parser = parse_telemetry_path
    )]
    pub telemetry_path: String,
    /// Maximum number of scrapes to answer at the same time; any more are answered 503
    #[arg(
        long = "web.max-requests",
        value_name = "N",
        allow_negative_numbers = true,
        env = "GREENAPI_EXPORTER_WEB_MAX_REQUESTS",
        default_value_t = 40,
        value_parser = whole_number(1..=u16::MAX)
    )]
    pub max_requests: u16,
    /// Serve on the sockets passed by systemd, instead of --web.listen-address
    #[arg(long = "web.systemd-socket", env = "GREENAPI_EXPORTER_WEB_SYSTEMD_SOCKET", value_parser = BoolishValueParser::new())]
    pub systemd_socket: bool,
    /// Add `_created` series to OpenMetrics: the time each counter started; only for a Prometheus that uses them
    #[arg(long = "web.openmetrics-created", env = "GREENAPI_EXPORTER_WEB_OPENMETRICS_CREATED", value_parser = BoolishValueParser::new())]
    pub openmetrics_created: bool,
    /// Time subtracted from the scraper's timeout, so that the answer arrives in time
    #[arg(
        long = "scrape.timeout-offset",
        value_name = "DURATION",
        env = "GREENAPI_EXPORTER_SCRAPE_TIMEOUT_OFFSET",
        default_value = "0.5s",
        value_parser = parse_offset
    )]
    pub timeout_offset: Duration,
}

/// Which of the instances to serve.
#[derive(Debug, Args)]
pub struct ShardFlags {
    /// This replica's number, from 0; a StatefulSet pod's name, such as `greenapi-exporter-3`, works too
    #[arg(
        long = "shard.ordinal",
        value_name = "N",
        allow_negative_numbers = true,
        env = "GREENAPI_EXPORTER_SHARD_ORDINAL",
        default_value = "0",
        value_parser = parse_ordinal
    )]
    pub ordinal: u32,
    /// How many replicas share the instances
    #[arg(
        long = "shard.total",
        value_name = "M",
        allow_negative_numbers = true,
        env = "GREENAPI_EXPORTER_SHARD_TOTAL",
        default_value_t = 1,
        value_parser = whole_number(1..=u32::MAX)
    )]
    pub total: u32,
}

/// How the simulation goes.
#[derive(Debug, Args)]
pub struct WorldFlags {
    /// Random seed; the same seed gives the same statuses
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        env = "GREENAPI_EXPORTER_SEED",
        default_value_t = 1,
        value_parser = whole_number(0..=u64::MAX)
    )]
    pub seed: u64,
    /// How many times faster than real time the statuses progress
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true, env = "GREENAPI_EXPORTER_SPEED", default_value_t = 1.0, value_parser = parse_speed)]
    pub speed: f64,
}

/// What to log.
#[derive(Debug, Args)]
pub struct Log {
    /// Least severe level to log
    #[arg(
        long = "log.level",
        global = true,
        value_name = "LEVEL",
        env = "GREENAPI_EXPORTER_LOG_LEVEL",
        value_enum,
        ignore_case = true,
        default_value = "info"
    )]
    pub level: LogLevel,
    /// Format of log lines
    #[arg(
        long = "log.format",
        global = true,
        value_name = "FORMAT",
        env = "GREENAPI_EXPORTER_LOG_FORMAT",
        value_enum,
        ignore_case = true,
        default_value = "logfmt"
    )]
    pub format: LogFormat,
}

impl Cli {
    /// Reads the arguments of the process. A flag is not given if its environment variable is empty, as it is where a compose file
    /// passes on what isn't set.
    ///
    /// The error is what to tell people, which may be the help that they asked for.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: Environment<'_>,
    ) -> Result<Self, clap::Error> {
        let is_empty = |variable: &OsStr| {
            variable
                .to_str()
                .and_then(environment)
                .is_some_and(|value| value.is_empty())
        };
        let without_empty = |argument: Arg| {
            if argument.get_env().is_some_and(is_empty) {
                argument.env(None::<&'static str>)
            } else {
                argument
            }
        };
        let command = Self::command().mut_args(without_empty);
        let mut command = command.mut_subcommands(|command| command.mut_args(without_empty));
        let matches = command.try_get_matches_from_mut(arguments)?;
        if let Some((name, _)) = matches.subcommand()
            && let Some(flag) = flag_of_serve(&command, &matches)
        {
            let message = format!(
                "`{flag}` cannot stand before the command `{name}`\n  hint: the flags of a command come after it"
            );
            return Err(command.error(ErrorKind::ArgumentConflict, message));
        }
        Self::from_arg_matches(&matches)
    }
}

/// A flag given before a command that only the default command has.
fn flag_of_serve<'a>(command: &'a clap::Command, matches: &ArgMatches) -> Option<&'a Arg> {
    let is_given = |argument: &&Arg| matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine);
    let mut own = command.get_arguments().filter(|argument| !argument.is_global_set());
    own.find(is_given)
}

const BACKFILL_HELP: &str = "\
Prints greenapi_outgoing_statuses_total and greenapi_outgoing_status_transitions_total, a sample every 4 minutes:

  greenapi-exporter backfill --target shop-berlin --since 30d > history.om
  sed -i 's/{/{job=\"greenapi\",instance=\"localhost:10466\",/' history.om
  promtool tsdb create-blocks-from openmetrics history.om /var/lib/prometheus

Exact: how many statuses of each kind there are in the journal, and how far each has got.
Approximate: when. The journal has only the time of a status' last action. At that time the status is counted as first seen
and in every state up to its present one. Statuses last acted on before the period, or gone from the journal, are not counted.
The series lack the labels that a scrape adds: the second command adds those that dashboards select by; replace them with yours.
Start scraping after the backfill, so that the two don't overlap. Beside a running exporter, the request may be rate limited: try
again. For a busy instance, 30 days can be over a million lines (200 MB), which take promtool minutes.";

/// In the format of Prometheus' own: clap puts the display name before it.
const VERSION: &str = concat!(
    "version ",
    env!("CARGO_PKG_VERSION"),
    " (revision: ",
    env!("BUILD_REVISION"),
    ")\n  rustc version:    ",
    env!("BUILD_RUSTC"),
    "\n  platform:         ",
    env!("BUILD_TARGET"),
);
