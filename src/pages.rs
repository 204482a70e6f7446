//! What is answered under which path.

mod landing;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::config;
use crate::exposition;
use crate::fleet::Fleet;
use crate::label::{LabelValue, label_values};
use crate::lock::locked;
use crate::process;
use crate::reload::Reloader;
use crate::snapshot::{Build, Exporter, Instance, Snapshot};
use crate::telemetry::capture::Captures;
use crate::web::{self, Body, text};

label_values! {
    /// A page by its path, which is its name in `greenapi_exporter_http_requests_total`: a closed set.
    PageName {
        /// All instances and the exporter; always of this name, wherever `--web.telemetry-path` has it served.
        Metrics => "/metrics",
        /// One instance.
        Probe => "/probe",
        /// The instances, for Prometheus' service discovery.
        ServiceDiscovery => "/sd",
        /// The effective configuration.
        Config => "/config",
        /// Whether the process lives.
        Healthy => "/-/healthy",
        /// Whether scrapes show all that is configured.
        Ready => "/-/ready",
        /// Loads the configuration anew: the only page that changes anything.
        Reload => "/-/reload",
        /// The landing page, for people.
        Landing => "/",
        /// No page.
        Other => "other",
    }
}

impl PageName {
    /// The page that is always at `path`.
    pub fn at(path: &str) -> Option<Self> {
        Self::spelled(path).filter(|name| !matches!(name, Self::Metrics | Self::Other))
    }

    /// The methods that it answers, and their names.
    fn methods(self) -> (&'static [Method], &'static str) {
        match self {
            Self::Reload => (&[Method::POST, Method::PUT], "POST, PUT"),
            _ => (&[Method::GET, Method::HEAD], "GET, HEAD"),
        }
    }
}

/// What is wrong with a request.
type Complaint = &'static str;

/// The exporter as it is seen over HTTP.
pub struct Pages {
    fleet: Arc<Fleet>,
    reloader: Arc<Reloader>,
    captures: Captures,
    options: Options,
    /// One for each scrape that may be answered at the same time.
    scrapes: Arc<Semaphore>,
    clock: Clock,
    started: SystemTime,
    http_requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

/// What the operator decides of the pages.
pub struct Options {
    /// Where the metrics are.
    pub telemetry_path: String,
    /// How long before the scraper's timeout an answer is given.
    pub timeout_offset: Duration,
    /// How many scrapes are answered at the same time.
    pub max_requests: usize,
    /// How a page of metrics is written.
    pub exposition: exposition::Options,
}

impl Pages {
    /// The pages of a fleet.
    pub fn new(fleet: Arc<Fleet>, reloader: Arc<Reloader>, captures: Captures, options: Options, clock: Clock) -> Self {
        Self {
            fleet,
            reloader,
            captures,
            scrapes: Arc::new(Semaphore::new(options.max_requests)),
            options,
            started: clock.now(),
            clock,
            http_requests: Mutex::default(),
        }
    }

    /// Answers a request.
    pub async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Response<Body> {
        let path = request.uri().path();
        let page = if path == self.options.telemetry_path {
            PageName::Metrics
        } else {
            PageName::at(path).unwrap_or(PageName::Other)
        };
        let answer = self.answer_page(page, &request).await;
        let mut answer = answer.unwrap_or_else(|complaint| text(StatusCode::BAD_REQUEST, complaint));
        let headers = answer.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let counted = (page.as_str(), answer.status().as_u16());
        *locked(&self.http_requests).entry(counted).or_default() += 1;
        answer
    }

    async fn answer_page<B>(&self, page: PageName, request: &Request<B>) -> Result<Response<Body>, Complaint> {
        let (allowed, names) = page.methods();
        if page != PageName::Other && !allowed.contains(request.method()) {
            let complaint = format!("only {names} are allowed here\n");
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, complaint);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(names));
            return Ok(answer);
        }
        Ok(match page {
            PageName::Metrics => match self.permit() {
                Some(permit) => self.metrics(request.headers(), permit).await?,
                None => too_many_scrapes(),
            },
            PageName::Probe => self.probe(request).await?,
            PageName::ServiceDiscovery => self.service_discovery(request.headers()).await?,
            PageName::Config => text(StatusCode::OK, self.fleet.effective_config()),
            PageName::Healthy => text(StatusCode::OK, "healthy\n"),
            PageName::Ready => self.ready().await,
            PageName::Reload => self.reload().await,
            PageName::Landing => self.landing(),
            PageName::Other => text(StatusCode::NOT_FOUND, "no such page\n"),
        })
    }

    /// Allows a scrape to be answered, unless too many are under way. A page of several blocks counts until it is sent, for it takes memory
    /// until then.
    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.scrapes.clone().try_acquire_owned().ok()
    }

    async fn metrics(&self, headers: &HeaderMap, permit: OwnedSemaphorePermit) -> Result<Response<Body>, Complaint> {
        let instances = self.fleet.collect(self.deadline(headers)?).await;
        let reload = self.reloader.outcome();
        let http_requests = locked(&self.http_requests).clone();
        let exporter = Exporter {
            started: self.started,
            build: BUILD,
            config_last_reload_successful: reload.successful,
            config_last_reload_success: reload.last_success,
            instances: instances.len() as u64,
            ledger_entries: self.fleet.ledger_entries(),
            ledger_errors: self.fleet.ledger_errors(),
            shard: self.fleet.shard(),
            http_requests,
            process: process::read(),
        };
        Ok(self.render(headers, instances, Some(exporter), permit))
    }

    /// Answers with one instance. A probe that waits for the API takes next to nothing, and there may be one for each instance of a fleet:
    /// only what there is to show has to be permitted.
    async fn probe<B>(&self, request: &Request<B>) -> Result<Response<Body>, Complaint> {
        let query = Probe::parse(request.uri().query().unwrap_or_default()).ok_or(
            "exactly one `target` is needed: the id or the name of an instance\n  hint: `/sd` lists the instances\n",
        )?;
        let deadline = self.deadline(request.headers())?;
        if !query.debug {
            let Some(instance) = self.fleet.collect_one(&query.target, deadline).await else {
                return self.unknown_target();
            };
            let Some(permit) = self.permit() else {
                return Ok(too_many_scrapes());
            };
            return Ok(self.render(request.headers(), vec![instance], None, permit));
        }
        if self.fleet.find(&query.target).is_none() {
            // It may be one of a partner account, which is only known once that is listed.
            self.fleet.list(deadline).await;
        }
        let Some(config) = self.fleet.find(&query.target) else {
            return self.unknown_target();
        };
        let capture = self.captures.open(&config.account.name);
        let Some(instance) = self.fleet.collect_one(&query.target, deadline).await else {
            return self.unknown_target();
        };
        let Some(_permit) = self.permit() else {
            return Ok(too_many_scrapes());
        };
        Ok(self.render_debug(&capture.text(), instance, config))
    }

    /// Says that there is no such instance, unless it may be one of those that are not known yet.
    fn unknown_target(&self) -> Result<Response<Body>, Complaint> {
        match self.fleet.unready() {
            None => Err("no instance has this id or name\n  hint: `/sd` lists the instances\n"),
            Some(reason) => Ok(text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))),
        }
    }

    /// A probe for people: its log, what it would have answered, and the configuration of the instance.
    fn render_debug(&self, log: &str, instance: Instance, config: Arc<config::Instance>) -> Response<Body> {
        let page = self.page(None, None, vec![instance], None);
        let blocks: io::Result<Vec<_>> = page.and_then(|page| page.body.collect());
        let metrics = match &blocks {
            Ok(blocks) => String::from_utf8_lossy(&blocks.concat()).into_owned(),
            Err(error) => return cannot_render(error),
        };
        let config = self.fleet.effective_config_of(config);
        let page = format!(
            "Logs of the probe:\n{log}\n\nMetrics that would have been returned:\n{metrics}\n\nConfiguration:\n{config}"
        );
        text(StatusCode::OK, page)
    }

    /// The instances for Prometheus' HTTP service discovery. Where they are probed is up to its relabelling.
    ///
    /// While not all are known, it is refused: Prometheus then goes on with those that it was told of before.
    async fn service_discovery(&self, headers: &HeaderMap) -> Result<Response<Body>, Complaint> {
        self.fleet.list(self.deadline(headers)?).await;
        if let Some(reason) = self.fleet.unready() {
            return Ok(text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")));
        }
        let group = |instance: Instance| {
            let id = instance.account.id.to_string();
            serde_json::json!({
                "targets": [id],
                "labels": { "__meta_greenapi_id_instance": id, "__meta_greenapi_name": *instance.account.name },
            })
        };
        let groups: Vec<_> = self.fleet.known().into_iter().map(group).collect();
        let groups = serde_json::Value::from(groups).to_string();
        Ok(typed("application/json", groups))
    }

    async fn reload(&self) -> Response<Body> {
        match self.reloader.reload().await {
            Ok(()) => text(StatusCode::OK, "reloaded\n"),
            Err(error) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("cannot reload the configuration: {error}\n"),
            ),
        }
    }

    /// Asking starts the listing that readiness waits for: nobody else may be sending requests yet.
    async fn ready(&self) -> Response<Body> {
        self.fleet.list(Instant::now()).await;
        match self.fleet.unready() {
            None => text(StatusCode::OK, "ready\n"),
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    }

    fn landing(&self) -> Response<Body> {
        let unready = self.fleet.unready();
        let is_outdated = !self.reloader.outcome().successful;
        let outdated = is_outdated
            .then_some("the configuration could not be reloaded: the one before is in use, and the log says why");
        let troubles: Vec<&str> = unready.into_iter().chain(outdated).collect();
        let page = landing::render(
            &self.fleet.known(),
            &troubles,
            &self.options.telemetry_path,
            &BUILD,
            self.clock.now(),
        );
        let mut answer = typed("text/html; charset=utf-8", page);
        // The page has its style within and needs nothing else.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
        let policy = HeaderValue::from_static(policy);
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        answer
    }

    /// When the scrape must be answered: the offset before the scraper's timeout, or at the timeout itself if the offset leaves no time.
    fn deadline(&self, headers: &HeaderMap) -> Result<Instant, Complaint> {
        let Some(timeout) = headers.get("x-prometheus-scrape-timeout-seconds") else {
            return Ok(Instant::now() + LONGEST_SCRAPE);
        };
        let seconds = timeout.to_str().ok().and_then(|text| text.trim().parse().ok());
        let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let timeout = timeout
            .filter(|timeout| !timeout.is_zero())
            .ok_or("the header X-Prometheus-Scrape-Timeout-Seconds is not a positive number of seconds\n")?;
        let patience = timeout
            .checked_sub(self.options.timeout_offset)
            .filter(|rest| !rest.is_zero());
        Ok(Instant::now() + patience.unwrap_or(timeout).min(LONGEST_SCRAPE))
    }

    fn render(
        &self,
        headers: &HeaderMap,
        instances: Vec<Instance>,
        exporter: Option<Exporter>,
        permit: OwnedSemaphorePermit,
    ) -> Response<Body> {
        let [accept, accept_encoding] = [ACCEPT, ACCEPT_ENCODING].map(|name| list(headers, name));
        let page = self.page(accept.as_deref(), accept_encoding.as_deref(), instances, exporter);
        let mut answer = match page.and_then(|page| answer_with(page, permit)) {
            Ok(answer) => answer,
            Err(error) => return cannot_render(&error),
        };
        answer
            .headers_mut()
            .insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        answer
    }

    fn page(
        &self,
        accept: Option<&str>,
        accept_encoding: Option<&str>,
        instances: Vec<Instance>,
        exporter: Option<Exporter>,
    ) -> io::Result<exposition::Rendered> {
        let snapshot = Arc::new(Snapshot { instances, exporter });
        exposition::render(snapshot, accept, accept_encoding, self.options.exposition)
    }
}

/// What `/probe` is asked for.
struct Probe {
    target: String,
    debug: bool,
}

impl Probe {
    /// Reads a query with exactly one target.
    fn parse(query: &str) -> Option<Self> {
        let parameters = || url::form_urlencoded::parse(query.as_bytes());
        let mut targets = parameters().filter(|(name, _)| name == "target");
        let (Some((_, target)), None) = (targets.next(), targets.next()) else {
            return None;
        };
        Some(Self {
            target: target.into_owned(),
            debug: parameters().any(|(name, value)| name == "debug" && value == "true"),
        })
    }
}

/// Answers with a page of metrics: at once if it is short, and block by block, keeping the permit, if it isn't.
fn answer_with(page: exposition::Rendered, permit: OwnedSemaphorePermit) -> io::Result<Response<Body>> {
    let mut blocks = page.body;
    let first = blocks.next().transpose()?.unwrap_or_default();
    let body = match blocks.next().transpose()? {
        None => web::full(first),
        Some(second) => {
            let blocks = [first, second].map(Ok).into_iter().chain(blocks);
            // The permit is dropped with what makes the blocks.
            web::streamed(blocks.inspect(move |_| _ = &permit))
        }
    };
    let mut answer = web::with_body(StatusCode::OK, page.content_type, body);
    if let Some(encoding) = page.content_encoding {
        let encoding = HeaderValue::from_static(encoding);
        answer.headers_mut().insert(CONTENT_ENCODING, encoding);
    }
    Ok(answer)
}

/// A header that is a list, which may be spread over several lines.
fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn too_many_scrapes() -> Response<Body> {
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many scrapes are in progress\n  hint: raise `--web.max-requests` to allow more\n",
    )
}

fn cannot_render(error: &io::Error) -> Response<Body> {
    let complaint = format!("cannot render the page: {error}\n");
    text(StatusCode::INTERNAL_SERVER_ERROR, complaint)
}

fn typed(content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    web::with_body(StatusCode::OK, content_type, web::full(body))
}

/// What this program was built from.
const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    revision: env!("BUILD_REVISION"),
    rustc: env!("BUILD_RUSTC"),
};

/// The timeout of a scraper that doesn't name one, and the longest that is granted.
pub const LONGEST_SCRAPE: Duration = Duration::from_mins(2);
