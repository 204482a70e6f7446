//! What each command does: build everything that can fail, then run it.

mod exporter;
mod healthcheck;

use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use greenapi_exporter::account::{Account, AccountError, Credentials};
use greenapi_exporter::books::AllBooks;
use greenapi_exporter::cli::{Backfill, CheckConfig, Demo, Once, Serve, ShardFlags, Simulate};
use greenapi_exporter::clock::{Clock, unix_seconds};
use greenapi_exporter::collector::Collector;
use greenapi_exporter::config::{Config, Environment, Instance, Settings, TokenSource};
use greenapi_exporter::fleet::Fleet;
use greenapi_exporter::green_api::{Client, Connector, JournalMethod, Proxies};
use greenapi_exporter::journal::Journal;
use greenapi_exporter::label::LabelValue;
use greenapi_exporter::ledger::minutes_covering;
use greenapi_exporter::pages::LONGEST_SCRAPE;
use greenapi_exporter::shard::Shard;
use greenapi_exporter::simulator::{Login, Simulator, World};
use greenapi_exporter::snapshot::Snapshot;
use greenapi_exporter::store::StoreError;
use greenapi_exporter::telemetry::capture::Captures;
use greenapi_exporter::yaml::Refusal;
use greenapi_exporter::{backfill, exposition};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing::{info, warn};

use self::exporter::{Exporter, authority, bind};
pub(crate) use self::healthcheck::healthcheck;

/// Serves metrics until told to stop.
pub(crate) async fn serve(
    flags: Serve,
    environment: Environment<'static>,
    captures: Captures,
    clock: Clock,
) -> anyhow::Result<ExitCode> {
    // It is waited for from the start: without this, SIGHUP would end a process that is still reading its ledger.
    let hangup = signal(SignalKind::hangup())?;
    let ShardFlags { ordinal, total } = flags.shard;
    let shard = Shard::new(ordinal, total);
    let shard = shard.with_context(|| {
        format!("there is no shard `{ordinal}` of {total}\n  hint: `--shard.ordinal` counts from 0")
    })?;
    let load = Arc::new(move || load(flags.config.config_file.as_deref(), environment));
    let config = load()?;
    let (version, revision) = (env!("CARGO_PKG_VERSION"), env!("BUILD_REVISION"));
    info!(version, revision, instances = config.instances.len(), "starting");
    let books = open_books(flags.storage.path.as_deref())?;
    let connector = Connector::new(Proxies::of(environment))?;
    let fleet = Fleet::new(config, shard, books, connector, clock.clone());
    fleet.forget_abandoned();
    fleet.settle(Instant::now() + LONGEST_START).await;
    let exporter = Exporter::new(fleet, load, flags.web, captures, environment, clock)?;
    // Until here, where a disk may hang, the system ends the process at once.
    let stop = stop_signal()?;
    exporter.run(hangup, stop).await
}

/// Says whether the configuration can be used, and what it amounts to.
pub(crate) fn check_config(flags: &CheckConfig, environment: Environment<'_>) -> anyhow::Result<ExitCode> {
    let config = load(flags.config.config_file.as_deref(), environment)?;
    print(config.effective().as_bytes())?;
    if let Some(directory) = &flags.storage.path {
        check_ledgers(directory)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says whether the ledgers in `directory` can be opened, unless a running exporter has them open.
fn check_ledgers(directory: &Path) -> Result<(), StoreError> {
    match AllBooks::check(directory) {
        Ok(Some(statuses)) => info!(path = %directory.display(), statuses, "the ledger can be opened"),
        Ok(None) => info!(path = %directory.display(), "there is no ledger yet; one can be made"),
        Err(StoreError::InUse { path }) => {
            warn!(path = %path.display(), "the ledger is not checked: an exporter has it open");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Collects once.
pub(crate) async fn once(flags: &Once, environment: Environment<'_>, clock: Clock) -> anyhow::Result<ExitCode> {
    let config = load(flags.config.config_file.as_deref(), environment)?;
    let connector = Connector::new(Proxies::of(environment))?;
    let fleet = Fleet::new(config, Shard::ONLY, AllBooks::default(), connector, clock);
    let deadline = Instant::now() + LONGEST_SCRAPE;
    let instances = match &flags.target {
        None => fleet.collect(deadline).await,
        Some(target) => {
            let instance = fleet.collect_one(target, deadline).await;
            vec![instance.with_context(|| no_instance(target, fleet.unready()))?]
        }
    };
    if instances.is_empty() && fleet.unready().is_none() {
        return Err(anyhow!("there is no instance to collect"));
    }
    let is_complete = flags.target.is_some() || fleet.unready().is_none();
    let all_up = is_complete && instances.iter().all(|instance| instance.up() == Some(true));
    let snapshot = Arc::new(Snapshot {
        instances,
        exporter: None,
    });
    for block in exposition::render(snapshot, None, None, exposition::Options::default())?.body {
        print(&block?)?;
    }
    Ok(ExitCode::from(u8::from(!all_up)))
}

/// Prints the history of an instance's journal.
pub(crate) async fn backfill(flags: &Backfill, environment: Environment<'_>, clock: Clock) -> anyhow::Result<ExitCode> {
    let config = load(flags.config.config_file.as_deref(), environment)?;
    let connector = Connector::new(Proxies::of(environment))?;
    let client = Client::new(connector.clone(), config.max_response_bytes, 1, clock.clone());
    let fleet = Fleet::new(config, Shard::ONLY, AllBooks::default(), connector, clock.clone());
    if fleet.find(&flags.target).is_none() {
        // It may be one of a partner account. If that can't be listed, the log says why.
        fleet.list(Instant::now() + LONGEST_SCRAPE).await;
    }
    let instance = fleet.find(&flags.target);
    let instance = instance.with_context(|| no_instance(&flags.target, fleet.unready()))?;
    let end = unix_seconds(clock.now());
    let mut records = Vec::new();
    let (id, credentials) = (instance.account.id, &instance.credentials);
    let (method, minutes) = (JournalMethod::Outgoing, minutes_covering(flags.since));
    let journal = client.journal(method, id, credentials, minutes, LONGEST_SCRAPE, |_, record| {
        records.push(record);
    });
    let malformed = journal.await.map_err(|failure| {
        let hint = failure.result.explanation();
        anyhow!("cannot read the journal: {failure}\n  hint: {hint}")
    })?;
    let journal = Journal::new(records, malformed);
    info!(statuses = journal.records().len(), malformed, "read the journal");
    let period = (end.saturating_sub(flags.since.as_secs()), end);
    let mut output = BufWriter::new(io::stdout().lock());
    let written = backfill::write(journal.records(), id, period, &mut output).and_then(|()| output.flush());
    printed(written)?;
    Ok(ExitCode::SUCCESS)
}

/// Serves the simulated API until told to stop.
pub(crate) async fn simulate(flags: &Simulate, clock: &Clock) -> anyhow::Result<ExitCode> {
    let simulator = Simulator::new(World::fleet(
        flags.world.seed,
        flags.instances,
        clock.accelerated(flags.world.speed),
    ));
    let (listeners, addresses) = bind(&[flags.listen_address])?;
    let stop = stop_signal()?;
    let url = format!("http://{}", authority(&addresses));
    print(simulator.describe(&url).as_bytes())?;
    simulator.serve(listeners, stop).await;
    Ok(ExitCode::SUCCESS)
}

/// Serves metrics of a simulated API until told to stop.
pub(crate) async fn demo(
    flags: Demo,
    environment: Environment<'static>,
    captures: Captures,
    clock: &Clock,
) -> anyhow::Result<ExitCode> {
    let hangup = signal(SignalKind::hangup())?;
    let simulator = Simulator::new(World::demo(flags.world.seed, clock.accelerated(flags.world.speed)));
    let (listeners, addresses) = bind(&[SocketAddr::from(([127, 0, 0, 1], 0))])?;
    let config = demo_config(&simulator, &format!("http://{}", authority(&addresses)))?;
    let load = Arc::new({
        let config = config.clone();
        move || Ok(config.clone())
    });
    let connector = Connector::new(Proxies::of(environment))?;
    let fleet = Fleet::new(config, Shard::ONLY, AllBooks::default(), connector, clock.clone());
    let exporter = Exporter::new(fleet, load, flags.web, captures, environment, clock.clone())?;
    let stop = stop_signal()?;
    print(exporter.introduction().as_bytes())?;
    // The landing page has something to show before anything scrapes.
    let fleet = exporter.fleet.clone();
    tokio::spawn(async move { fleet.collect(Instant::now() + LONGEST_SCRAPE).await });
    let (running, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = async {
        let code = exporter.run(hangup, stop).await;
        // The exporter's connections are gone with it, so that the simulation has nothing to wait for.
        drop(running);
        code
    };
    let (code, ()) = tokio::join!(serving, simulator.serve(listeners, async { _ = stopped.await }));
    code
}

/// The configuration of an exporter whose instances are all simulated.
fn demo_config(simulator: &Simulator, api_url: &str) -> Result<Config, AccountError> {
    let settings = Arc::new(Settings {
        collectors: Collector::ALL.iter().copied().collect(),
        ..Settings::default()
    });
    let instance = |login: &Login| {
        Ok(Arc::new(Instance {
            account: Account {
                id: login.id,
                name: login.name.clone().into(),
            },
            credentials: Credentials {
                api_url: api_url.parse()?,
                token: login.token.parse()?,
            },
            token_source: TokenSource::Inline,
            settings: settings.clone(),
        }))
    };
    let instances: Result<Vec<_>, _> = simulator.logins().iter().map(instance).collect();
    Ok(Config {
        instances: instances?,
        ..Config::default()
    })
}

/// The ledgers in `directory` of published and of incoming statuses, or ones that start from zero.
fn open_books(directory: Option<&Path>) -> Result<AllBooks, StoreError> {
    let Some(directory) = directory else {
        info!("counters start from zero at every start: no --storage.path is given");
        return Ok(AllBooks::default());
    };
    let books = AllBooks::open(directory)?;
    info!(path = %directory.display(), statuses = books.entries(), "opened the ledger");
    Ok(books)
}

fn load(file: Option<&Path>, environment: Environment<'_>) -> Result<Config, Refusal> {
    let config = Config::load(file, environment)?;
    for warning in config.warnings() {
        warn!(warning, "the configuration can be improved");
    }
    for variable in Proxies::unusable(environment) {
        // Its value may hold a password.
        let hint = "name a proxy as `http://host:port` or `https://host:port`";
        warn!(variable, hint, "the environment names a proxy that cannot be used");
    }
    Ok(config)
}

/// That there is no instance `target`, as far as is known; `unknown` says why that may be wrong.
fn no_instance(target: &str, unknown: Option<&str>) -> String {
    match unknown {
        Some(reason) => format!("cannot tell whether an instance has the id or name `{target}`: {reason}"),
        None => format!(
            "no instance has the id or name `{target}`\n  \
             hint: `greenapi-exporter check-config` lists those of the configuration, `/sd` those of a partner account, too"
        ),
    }
}

/// Completes when the process is told to stop.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "stopping");
    })
}

/// Writes to standard output.
fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    printed(output.write_all(text).and_then(|()| output.flush()))
}

/// What came of writing to standard output. A reader who has hung up, as `head` does, is no error.
pub(crate) fn printed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}

/// How long the start waits for the disk, whose writes go on.
const LONGEST_START: Duration = Duration::from_secs(1);
