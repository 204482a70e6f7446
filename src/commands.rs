//! What each command does: build everything that can fail, then run it.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use greenapi_exporter::account::{Account, AccountError, Credentials};
use greenapi_exporter::books::Books;
use greenapi_exporter::cli::{Backfill, CheckConfig, Demo, Healthcheck, Once, Serve, ShardFlags, Simulate, Web};
use greenapi_exporter::clock::{Clock, unix_seconds};
use greenapi_exporter::collector::Collector;
use greenapi_exporter::config::{Config, Instance, Settings, Source, TokenSource};
use greenapi_exporter::fleet::Fleet;
use greenapi_exporter::green_api::failure::Failure;
use greenapi_exporter::green_api::{Client, JournalMethod};
use greenapi_exporter::journal::{Journal, minutes};
use greenapi_exporter::label::LabelValue;
use greenapi_exporter::pages::{Options, Pages};
use greenapi_exporter::reload::{Load, Reloader};
use greenapi_exporter::shard::Shard;
use greenapi_exporter::simulator::{Login, Simulator, World};
use greenapi_exporter::snapshot::Snapshot;
use greenapi_exporter::store::Store;
use greenapi_exporter::systemd::Notifier;
use greenapi_exporter::telemetry::capture::Captures;
use greenapi_exporter::web::{self, WebConfig};
use greenapi_exporter::{backfill, exposition};
use listenfd::ListenFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing::{info, warn};

/// Tells the value of an environment variable.
type Environment = fn(&str) -> Option<String>;

/// Serves metrics until told to stop.
pub(crate) async fn serve(
    flags: Serve,
    environment: Environment,
    captures: Captures,
    clock: Clock,
) -> anyhow::Result<ExitCode> {
    let ShardFlags { ordinal, total } = flags.shard;
    let shard = Shard::new(ordinal, total);
    let shard =
        shard.with_context(|| format!("there is no replica `{ordinal}` of {total}: they are counted from 0"))?;
    let file = flags.config.config_file;
    let config = load(file.clone(), environment)?;
    let source = source(file);
    let load = Arc::new(move || Config::load(&source, &environment));
    let books = open_books(flags.storage.path.as_deref())?;
    let fleet = Fleet::new(config, shard, Arc::new(books), clock.clone()).context("cannot set up TLS")?;
    let exporter = Exporter::new(fleet, load, flags.web, captures, environment, clock)?;
    exporter.run(stop_signal()?).await
}

/// Says whether the configuration can be used, and what it amounts to.
pub(crate) fn check_config(flags: &CheckConfig, environment: Environment) -> anyhow::Result<ExitCode> {
    let config = load(flags.config.config_file.clone(), environment)?;
    print(config.effective().as_bytes())?;
    if let Some(directory) = &flags.storage.path {
        let statuses = Store::check(directory)?;
        info!(path = %directory.display(), statuses, "the ledger can be opened");
    }
    Ok(ExitCode::SUCCESS)
}

/// Collects once.
pub(crate) async fn once(flags: &Once, environment: Environment, clock: Clock) -> anyhow::Result<ExitCode> {
    let config = load(flags.config.config_file.clone(), environment)?;
    let fleet = Fleet::new(config, Shard::ONLY, Arc::default(), clock).context("cannot set up TLS")?;
    let deadline = Instant::now() + ONCE_TIMEOUT;
    let instances = match &flags.target {
        None => fleet.collect(deadline).await,
        Some(target) => {
            let instance = fleet.collect_one(target, deadline).await;
            vec![instance.with_context(|| no_instance(target))?]
        }
    };
    let all_up = !instances.is_empty() && instances.iter().all(|instance| instance.up() == Some(true));
    let snapshot = Arc::new(Snapshot {
        instances,
        exporter: None,
    });
    print(&exposition::render(snapshot, None, None, exposition::Options::default())?.body)?;
    Ok(ExitCode::from(u8::from(!all_up)))
}

/// Prints the history of an instance's journal.
pub(crate) async fn backfill(flags: &Backfill, environment: Environment, clock: Clock) -> anyhow::Result<ExitCode> {
    let config = load(flags.config.config_file.clone(), environment)?;
    let instance = config.find(&flags.target).with_context(|| no_instance(&flags.target))?;
    let client = Client::new(config.max_response_bytes, 1, clock.clone()).context("cannot set up TLS")?;
    let end = unix_seconds(clock.now());
    let mut records = Vec::new();
    let (id, credentials) = (instance.account.id, &instance.credentials);
    let journal = client.journal(
        JournalMethod::Outgoing,
        id,
        credentials,
        minutes(flags.since),
        |_, record| {
            records.push(record);
        },
    );
    let malformed = tokio::time::timeout(ONCE_TIMEOUT, journal)
        .await
        .unwrap_or_else(|_| Err(Failure::timeout(ONCE_TIMEOUT)))
        .map_err(|failure| {
            let hint = failure.result.explanation();
            anyhow!("cannot read the journal: {failure}\n  hint: {hint}")
        })?;
    let journal = Journal::new(records, malformed);
    let mut history = Vec::new();
    let period = (end.saturating_sub(flags.since.as_secs()), end);
    backfill::write(journal.records(), id, period, &mut history)?;
    info!(statuses = journal.records().len(), malformed, "read the journal");
    print(&history)?;
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
    print(simulator.describe(&base_url(&addresses)).as_bytes())?;
    simulator.serve(listeners, stop).await;
    Ok(ExitCode::SUCCESS)
}

/// Serves metrics of a simulated API until told to stop.
pub(crate) async fn demo(
    flags: Demo,
    environment: Environment,
    captures: Captures,
    clock: &Clock,
) -> anyhow::Result<ExitCode> {
    let simulator = Simulator::new(World::demo(flags.world.seed, clock.accelerated(flags.world.speed)));
    let (listeners, addresses) = bind(&[SocketAddr::from(([127, 0, 0, 1], 0))])?;
    let config = demo_config(&simulator, &base_url(&addresses))?;
    let load = Arc::new({
        let config = config.clone();
        move || Ok(config.clone())
    });
    let fleet = Fleet::new(config, Shard::ONLY, Arc::default(), clock.clone()).context("cannot set up TLS")?;
    let exporter = Exporter::new(fleet, load, flags.web, captures, environment, clock.clone())?;
    let stop = stop_signal()?;
    print(exporter.introduction().as_bytes())?;
    let (running, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = async {
        let code = exporter.run(stop).await;
        // The exporter's connections are gone with it, so that the simulation has nothing to wait for.
        drop(running);
        code
    };
    let (code, ()) = tokio::join!(serving, simulator.serve(listeners, async { _ = stopped.await }));
    code
}

/// Asks the exporter of this machine whether it is alive.
pub(crate) async fn healthcheck(flags: &Healthcheck) -> anyhow::Result<ExitCode> {
    let mut address = *flags.listen_addresses.first().context("no address is given")?;
    address.set_ip(match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    });
    let answer = tokio::time::timeout(HEALTHCHECK_TIMEOUT, ask_health(address))
        .await
        .map_err(|_| anyhow!("no answer from `{address}` within {HEALTHCHECK_TIMEOUT:?}"))?
        .with_context(|| format!("no answer from `{address}`"))?;
    // An exporter that asks for a password (401) or for TLS (400, to a request that is not at fault) is alive; no secret is
    // needed to find that out.
    let is_alive = matches!(&answer, b"HTTP/1.1 200" | b"HTTP/1.1 400" | b"HTTP/1.1 401");
    let no_exporter = || anyhow!("`{address}` is served by something else");
    is_alive.then_some(ExitCode::SUCCESS).ok_or_else(no_exporter)
}

/// The first bytes of the answer of the exporter at `address`; as many as there are, padded with zeros.
async fn ask_health(address: SocketAddr) -> io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /-/healthy HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 12];
    let mut length = 0;
    while length < answer.len() {
        match stream.read(&mut answer[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    Ok(answer)
}

/// The configuration of an exporter whose instances are all simulated.
fn demo_config(simulator: &Simulator, api_url: &str) -> Result<Config, AccountError> {
    let instance = |login: &Login| {
        Ok(Instance {
            account: Account {
                id: login.id,
                name: login.name.clone().into(),
            },
            credentials: Credentials {
                api_url: api_url.parse()?,
                token: login.token.parse()?,
            },
            token_source: TokenSource::Inline,
            settings: Settings {
                collectors: Collector::ALL.iter().copied().collect(),
                ..Settings::default()
            },
        })
    };
    let instances: Result<Vec<_>, _> = simulator.logins().iter().map(instance).collect();
    Ok(Config {
        instances: instances?,
        ..Config::default()
    })
}

/// The exporter, bound to its addresses and not yet serving.
struct Exporter {
    pages: Arc<Pages>,
    reloader: Arc<Reloader>,
    notifier: Notifier,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    telemetry_path: String,
    web_config: Option<Arc<WebConfig>>,
}

impl Exporter {
    fn new(
        fleet: Fleet,
        load: Load,
        web: Web,
        captures: Captures,
        environment: Environment,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let web_config = web.web_config_file.as_deref().map(WebConfig::open).transpose()?;
        let (listeners, addresses) = if web.systemd_socket {
            from_systemd()?
        } else {
            bind(&web.listen_addresses)?
        };
        let options = Options {
            telemetry_path: web.telemetry_path.clone(),
            timeout_offset: web.timeout_offset,
            max_requests: web.max_requests.into(),
            exposition: exposition::Options {
                openmetrics_created: web.openmetrics_created,
            },
        };
        let fleet = Arc::new(fleet);
        let notifier = Notifier::new(environment("NOTIFY_SOCKET").as_deref());
        let reloader = Reloader::new(load, fleet.clone(), notifier.clone(), clock.clone());
        Ok(Self {
            pages: Arc::new(Pages::new(fleet, reloader.clone(), captures, options, clock)),
            reloader,
            notifier,
            listeners,
            addresses,
            telemetry_path: web.telemetry_path,
            web_config: web_config.map(Arc::new),
        })
    }

    async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
        let mut hangup = signal(SignalKind::hangup())?;
        let reloader = self.reloader.clone();
        let reloading = tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                // It logs what came of it.
                _ = reloader.reload().await;
            }
        });
        for address in &self.addresses {
            info!(%address, path = self.telemetry_path, tls = self.is_tls(), "serving metrics");
        }
        self.notifier.ready();
        let stop = async {
            stop.await;
            self.notifier.stopping();
        };
        let pages = self.pages;
        let handler = move |request| pages.clone().answer(request);
        match self.web_config {
            None => web::serve(self.listeners, handler, stop).await,
            Some(web_config) => web::serve_configured(self.listeners, web_config, handler, stop).await,
        }
        reloading.abort();
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    }

    fn is_tls(&self) -> bool {
        self.web_config.as_ref().is_some_and(|web_config| web_config.is_tls())
    }

    /// What to look at first.
    fn introduction(&self) -> String {
        let base = base_url(&self.addresses);
        let base = if self.is_tls() {
            base.replacen("http://", "https://", 1)
        } else {
            base
        };
        let port = self.addresses.first().map_or(0, SocketAddr::port);
        format!(
            "A simulated GREEN-API and its exporter are running. Open\n\n  \
               {base}/  the instances, their state and the reason of it\n  \
               {base}{path}  the metrics\n\n\
             or ask\n\n  curl -s {base}{path} | grep greenapi_forbidden\n\n\
             or let Prometheus scrape it:\n\n  \
               scrape_configs:\n    - job_name: greenapi\n      static_configs:\n        - targets: [\"localhost:{port}\"]\n\n\
             Stop it with Ctrl-C.\n",
            path = self.telemetry_path
        )
    }
}

/// The ledgers in `directory`, or ones that start anew.
fn open_books(directory: Option<&Path>) -> anyhow::Result<Books> {
    let Some(directory) = directory else {
        info!("counters start anew at each start: no --storage.path is given");
        return Ok(Books::default());
    };
    let books = Books::open(directory)?;
    info!(path = %directory.display(), statuses = books.entries(), "opened the ledger");
    Ok(books)
}

fn source(file: Option<PathBuf>) -> Source {
    file.map_or(Source::Environment, Source::File)
}

fn load(file: Option<PathBuf>, environment: Environment) -> anyhow::Result<Config> {
    let config = Config::load(&source(file), &environment)?;
    for warning in config.warnings() {
        warn!(warning, "the configuration can be improved");
    }
    Ok(config)
}

fn no_instance(target: &str) -> String {
    let hint = "`greenapi-exporter check-config` lists the instances";
    format!("no instance has the id or name `{target}`\n  hint: {hint}")
}

fn bind(addresses: &[SocketAddr]) -> anyhow::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let bind = |address: &SocketAddr| {
        let listener = web::bind(*address).with_context(|| format!("cannot listen on `{address}`"))?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    let bound: anyhow::Result<Vec<_>> = addresses.iter().map(bind).collect();
    Ok(bound?.into_iter().unzip())
}

/// The sockets that systemd passed on.
fn from_systemd() -> anyhow::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let mut passed = ListenFd::from_env();
    let mut bound = (Vec::new(), Vec::new());
    for index in 0..passed.len() {
        if let Some(listener) = passed.take_tcp_listener(index)? {
            listener.set_nonblocking(true)?;
            bound.1.push(listener.local_addr()?);
            bound.0.push(TcpListener::from_std(listener)?);
        }
    }
    if bound.0.is_empty() {
        bail!("systemd has passed no socket\n  hint: --web.systemd-socket is for a service with a socket unit");
    }
    Ok(bound)
}

/// The URL under which people reach the first of `addresses` from this machine.
fn base_url(addresses: &[SocketAddr]) -> String {
    match addresses.first() {
        Some(address) if address.ip().is_unspecified() => format!("http://localhost:{}", address.port()),
        Some(address) => format!("http://{address}"),
        None => String::new(),
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

/// Writes to standard output. A reader who has hung up, as `head` does, is no error.
fn print(text: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// How long a live exporter takes to say so, at most.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one collection may take: the longest of a scrape.
const ONCE_TIMEOUT: Duration = Duration::from_mins(2);
