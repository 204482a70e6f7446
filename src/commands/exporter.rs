//! The exporter, from bound sockets to the last answer.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use greenapi_exporter::cli::Web;
use greenapi_exporter::clock::Clock;
use greenapi_exporter::config::Environment;
use greenapi_exporter::exposition;
use greenapi_exporter::fleet::Fleet;
use greenapi_exporter::pages::{Options, Pages};
use greenapi_exporter::reload::{Load, Reloader};
use greenapi_exporter::systemd::{self, Notifier};
use greenapi_exporter::telemetry::capture::Captures;
use greenapi_exporter::web::{self, WebConfig};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tracing::info;

/// The exporter, bound to its addresses and not yet serving.
pub(super) struct Exporter {
    pub(super) fleet: Arc<Fleet>,
    pages: Arc<Pages>,
    reloader: Arc<Reloader>,
    notifier: Notifier,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    telemetry_path: String,
    web_config: Option<Arc<WebConfig>>,
}

impl Exporter {
    pub(super) fn new(
        fleet: Fleet,
        load: Load,
        web: Web,
        captures: Captures,
        environment: Environment<'_>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let web_config = web.web_config_file.as_deref().map(WebConfig::open).transpose()?;
        let (listeners, addresses) = if web.systemd_socket {
            with_addresses(systemd::sockets()?)?
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
            pages: Arc::new(Pages::new(fleet.clone(), reloader.clone(), captures, options, clock)),
            fleet,
            reloader,
            notifier,
            listeners,
            addresses,
            telemetry_path: web.telemetry_path,
            web_config: web_config.map(Arc::new),
        })
    }

    pub(super) async fn run(self, mut hangup: Signal, stop: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
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
        self.fleet.close().await;
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    }

    fn is_tls(&self) -> bool {
        self.web_config.as_ref().is_some_and(|web_config| web_config.is_tls())
    }

    /// What to look at first.
    pub(super) fn introduction(&self) -> String {
        let authority = authority(&self.addresses);
        let (mut scheme, mut settings) = ("http", String::new());
        if self.is_tls() {
            scheme = "https";
            settings.push_str("      scheme: https\n");
        }
        if self.telemetry_path != "/metrics" {
            settings = format!("{settings}      metrics_path: {}\n", self.telemetry_path);
        }
        let base = format!("{scheme}://{authority}");
        format!(
            "A simulated GREEN-API and its exporter are running. Open\n\n  \
               {base}/  the instances, their state and the reason for it\n  \
               {base}{path}  the metrics\n\n\
             or ask\n\n  curl -s {base}{path} | grep greenapi_forbidden\n\n\
             or let Prometheus scrape it:\n\n  \
               scrape_configs:\n    - job_name: greenapi\n{settings}      static_configs:\n        - targets: [\"{authority}\"]\n\n\
             Stop it with Ctrl-C.\n",
            path = self.telemetry_path
        )
    }
}

/// Listens on `addresses`; tells which they are, where the system chose the port.
pub(super) fn bind(addresses: &[SocketAddr]) -> anyhow::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let bind = |address: &SocketAddr| web::bind(*address).with_context(|| format!("cannot listen on `{address}`"));
    let listeners: anyhow::Result<Vec<_>> = addresses.iter().map(bind).collect();
    with_addresses(listeners?)
}

fn with_addresses(listeners: Vec<TcpListener>) -> anyhow::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let addresses: Result<Vec<_>, _> = listeners.iter().map(TcpListener::local_addr).collect();
    Ok((listeners, addresses?))
}

/// Host and port under which people reach the first of `addresses` from this machine.
pub(super) fn authority(addresses: &[SocketAddr]) -> String {
    match addresses.first() {
        Some(address) if address.ip().is_unspecified() => format!("localhost:{}", address.port()),
        Some(address) => address.to_string(),
        None => String::new(),
    }
}
