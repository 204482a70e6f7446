//! The table of contents: flags, logs, and the command.

mod commands;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use greenapi_exporter::cli::{Cli, Command};
use greenapi_exporter::clock::Clock;
use greenapi_exporter::telemetry::{self, LogFormat};

fn main() -> ExitCode {
    let (format, outcome) = match Cli::read(std::env::args_os(), &environment) {
        Ok(cli) => (cli.log.format, run(cli)),
        Err(usage) => (LogFormat::Logfmt, show(&usage)),
    };
    outcome.unwrap_or_else(|error| {
        let error = format!("{error:#}");
        match format {
            // Where nobody listens there is nobody to tell.
            LogFormat::Logfmt => _ = writeln!(io::stderr(), "greenapi-exporter: {error}"),
            // Whoever reads a JSON log reads no other lines.
            LogFormat::Json => tracing::error!(error, "greenapi-exporter ends"),
        }
        ExitCode::FAILURE
    })
}

/// Shows what was asked for, such as help, or what is wrong with the flags.
fn show(usage: &clap::Error) -> anyhow::Result<ExitCode> {
    let code = ExitCode::from(u8::from(usage.use_stderr()));
    commands::printed(usage.print().and_then(|()| io::stdout().flush()))?;
    Ok(code)
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    keep_freed_memory();
    // The usual limit is for programs that use select(2). Where it can't be raised, the lower one may do.
    _ = rlimit::increase_nofile_limit(u64::MAX);
    let captures = telemetry::start(cli.log.level, cli.log.format)?;
    let clock = Clock::system();
    // One thread: a second one costs more than it gains, since almost all of the work is waiting.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve(cli.serve)) {
            Command::Serve(flags) => commands::serve(flags, &environment, captures, clock).await,
            Command::CheckConfig(flags) => commands::check_config(&flags, &environment),
            Command::Once(flags) => commands::once(&flags, &environment, clock).await,
            Command::Backfill(flags) => commands::backfill(&flags, &environment, clock).await,
            Command::Simulate(flags) => commands::simulate(&flags, &clock).await,
            Command::Demo(flags) => commands::demo(flags, &environment, captures, &clock).await,
            Command::Healthcheck(flags) => commands::healthcheck(&flags).await,
        }
    });
    // Lets a write of the ledger end, but doesn't wait for ever on a disk that has gone away.
    runtime.shutdown_timeout(Duration::from_secs(5));
    code
}

/// Makes glibc keep freed memory for the next scrape: up to twice the size of the block allocated here.
///
/// By default it returns whatever is free beyond 128 KiB at the end of the heap, and getting that back takes a seventh of a scrape's time.
/// Freeing a block that was large enough to be mapped by itself raises the limit to twice its size (mallopt(3), `M_MMAP_THRESHOLD`).
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1024 * 1024)));
}

fn environment(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "our own code reads the environment here and nowhere else"
    )]
    std::env::var(name).ok()
}
