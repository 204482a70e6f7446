//! What is answered under which path.

mod landing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::exposition;
use crate::fleet::Fleet;
use crate::process;
use crate::snapshot::{Build, Exporter, HttpRequests, Snapshot};
use crate::web::{self, Body};

/// The exporter as it is seen over HTTP.
pub struct Pages {
    fleet: Fleet,
    /// The effective configuration, without secrets.
    effective_config: String,
    telemetry_path: String,
    timeout_offset: Duration,
    exposition: exposition::Options,
    clock: Clock,
    started: SystemTime,
    http_requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

/// What the pages are made with.
pub struct Options {
    /// Where the metrics are.
    pub telemetry_path: String,
    /// How long before the scraper loses patience an answer is given.
    pub timeout_offset: Duration,
    /// How a page of metrics is written.
    pub exposition: exposition::Options,
    /// Tells the time.
    pub clock: Clock,
}

impl Pages {
    /// The pages of a fleet, with its effective configuration as `/config` shows it.
    pub fn new(fleet: Fleet, effective_config: String, options: Options) -> Self {
        Self {
            fleet,
            effective_config,
            telemetry_path: options.telemetry_path,
            timeout_offset: options.timeout_offset,
            exposition: options.exposition,
            started: options.clock.now(),
            clock: options.clock,
            http_requests: Mutex::default(),
        }
    }

    /// Answers a request.
    pub async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Response<Body> {
        let (handler, mut answer) = self.route(&request).await;
        let headers = answer.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let mut counts = self.http_requests.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((handler, answer.status().as_u16())).or_default() += 1;
        answer
    }

    /// The answer, and the page's name in `greenapi_exporter_http_requests_total`: of a closed set.
    async fn route<B>(&self, request: &Request<B>) -> (&'static str, Response<Body>) {
        let path = request.uri().path();
        let handler = match path {
            _ if path == self.telemetry_path => METRICS,
            "/probe" => "/probe",
            "/config" => "/config",
            "/-/healthy" => "/-/healthy",
            "/-/ready" => "/-/ready",
            "/" => "/",
            _ => return ("other", text(StatusCode::NOT_FOUND, "no such page\n")),
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return (handler, answer);
        }
        let answer = match handler {
            METRICS => self.metrics(request.headers()).await,
            "/probe" => self.probe(request).await,
            "/config" => text(StatusCode::OK, self.effective_config.clone()),
            "/-/healthy" => text(StatusCode::OK, "healthy\n"),
            "/-/ready" => self.ready(),
            _ => self.landing(),
        };
        (handler, answer)
    }

    async fn metrics(&self, headers: &HeaderMap) -> Response<Body> {
        let deadline = match self.deadline(headers) {
            Ok(deadline) => deadline,
            Err(answer) => return *answer,
        };
        let instances = self.fleet.collect(deadline).await;
        let exporter = Exporter {
            started: self.started,
            build: BUILD,
            config_last_reload_successful: true,
            config_last_reload_success: self.started,
            ledger_entries: self.fleet.books().entries(),
            ledger_errors: self.fleet.books().errors(),
            http_requests: self.http_requests(),
            process: process::read(),
        };
        self.render(headers, instances, Some(exporter))
    }

    async fn probe<B>(&self, request: &Request<B>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default();
        let mut targets = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "target");
        let (Some((_, target)), None) = (targets.next(), targets.next()) else {
            let complaint = "one parameter `target` is needed: the id or the name of an instance\n";
            return text(StatusCode::BAD_REQUEST, complaint);
        };
        let deadline = match self.deadline(request.headers()) {
            Ok(deadline) => deadline,
            Err(answer) => return *answer,
        };
        let Some(instance) = self.fleet.collect_one(&target, deadline).await else {
            let complaint = "no instance has this id or name\nhint: `/` lists the instances\n";
            return text(StatusCode::BAD_REQUEST, complaint);
        };
        self.render(request.headers(), vec![instance], None)
    }

    fn ready(&self) -> Response<Body> {
        match self.fleet.unready() {
            None => text(StatusCode::OK, "ready\n"),
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        }
    }

    fn landing(&self) -> Response<Body> {
        let page = landing::render(&self.fleet.known(), &self.telemetry_path, &BUILD, self.clock.now());
        let mut answer = typed(StatusCode::OK, "text/html; charset=utf-8", page);
        // The page has its style within and needs nothing else.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
        let policy = HeaderValue::from_static(policy);
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        answer
    }

    /// When the scrape must be answered: before the scraper's patience ends, by the offset where that leaves any time.
    fn deadline(&self, headers: &HeaderMap) -> Result<Instant, Box<Response<Body>>> {
        let Some(timeout) = headers.get("x-prometheus-scrape-timeout-seconds") else {
            return Ok(Instant::now() + DEFAULT_SCRAPE_TIMEOUT);
        };
        let seconds = timeout.to_str().ok().and_then(|text| text.trim().parse().ok());
        let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero()) else {
            let complaint = "the header X-Prometheus-Scrape-Timeout-Seconds is not a positive number of seconds\n";
            return Err(Box::new(text(StatusCode::BAD_REQUEST, complaint)));
        };
        let patience = timeout.checked_sub(self.timeout_offset).filter(|rest| !rest.is_zero());
        Ok(Instant::now() + patience.unwrap_or(timeout).min(DEFAULT_SCRAPE_TIMEOUT))
    }

    fn render(
        &self,
        headers: &HeaderMap,
        instances: Vec<Arc<crate::snapshot::Instance>>,
        exporter: Option<Exporter>,
    ) -> Response<Body> {
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let snapshot = Arc::new(Snapshot { instances, exporter });
        let (accept, accept_encoding) = (header(ACCEPT), header(ACCEPT_ENCODING));
        let page = match exposition::render(snapshot, accept, accept_encoding, self.exposition) {
            Ok(page) => page,
            Err(error) => {
                return text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("cannot render the page: {error}\n"),
                );
            }
        };
        let mut answer = typed(StatusCode::OK, page.content_type, page.body);
        let headers = answer.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if let Some(encoding) = page.content_encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        answer
    }

    fn http_requests(&self) -> Vec<HttpRequests> {
        let counts = self.http_requests.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = counts
            .iter()
            .map(|(&(handler, code), &count)| HttpRequests { handler, code, count });
        requests.collect()
    }
}

fn text(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut answer = Response::new(web::full(body));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// What this program was built from.
pub const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    revision: env!("BUILD_REVISION"),
    rustc: env!("BUILD_RUSTC"),
};

/// The metrics page's name in metrics, wherever it is served.
const METRICS: &str = "/metrics";

/// How long a scraper waits that doesn't say how long it waits.
const DEFAULT_SCRAPE_TIMEOUT: Duration = Duration::from_mins(2);
