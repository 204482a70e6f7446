//! The web configuration file while it is served from: read again when it changes, and asked about every request.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use rustls::ServerConfig;
use tokio::time::Instant;
use tracing::{error, info};

use super::rate_limit::Admitted;
use super::settings::Settings;
use super::users::Credentials;
use super::watched::Watched;
use super::{Body, text};
use crate::lock::locked;
use crate::yaml::Refusal;

/// How the exporter is served and to whom, as a file says that may change meanwhile.
///
/// The file and those it names are looked at before every connection and every request, which takes microseconds, and
/// read when one of them is another than before. A change that can't be used is logged, and what was good stays.
pub struct WebConfig {
    path: PathBuf,
    state: Mutex<State>,
    admitted: Mutex<Admitted>,
}

struct State {
    settings: Arc<Settings>,
    files: Watched,
}

impl WebConfig {
    /// Reads the file at `path` and those it names. An error holds everything that is wrong with them.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        let mut files = Watched::default();
        let settings = Arc::new(Settings::read(path, &mut files)?);
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(State { settings, files }),
            admitted: Mutex::default(),
        })
    }

    /// Whether it is served by TLS. That doesn't change while it is served.
    pub fn is_tls(&self) -> bool {
        locked(&self.state).settings.tls.is_some()
    }

    /// What the next connection is served with; `None` in the clear.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current().tls.clone()
    }

    /// The answer of `handler`, if the client may have it.
    pub(super) async fn answer<B, F: Future<Output = Response<Body>>>(
        &self,
        request: Request<B>,
        handler: impl Fn(Request<B>) -> F,
    ) -> Response<Body> {
        let settings = self.current();
        let mut answer = if !self.is_within_limit(&settings) {
            text(StatusCode::TOO_MANY_REQUESTS, "too many requests\n")
        } else if is_admitted(&settings, &request).await {
            handler(request).await
        } else {
            let mut answer = text(StatusCode::UNAUTHORIZED, "a user and a password are needed\n");
            let challenge = HeaderValue::from_static("Basic realm=\"greenapi-exporter\", charset=\"UTF-8\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            answer
        };
        for (name, value) in &settings.headers {
            answer.headers_mut().insert(name, value.clone());
        }
        answer
    }

    /// The settings as of now.
    fn current(&self) -> Arc<Settings> {
        let mut state = locked(&self.state);
        if state.files.changed() {
            let mut files = Watched::default();
            let read = Settings::read(&self.path, &mut files);
            // Whatever came of it, it is not read again before the next change.
            state.files = files;
            let path = self.path.display();
            match read.map(|settings| (needs_restart(&state.settings, &settings), settings)) {
                Ok((None, settings)) => {
                    if settings.rate_limit != state.settings.rate_limit {
                        *locked(&self.admitted) = Admitted::default();
                    }
                    state.settings = Arc::new(settings);
                    info!(%path, "the web configuration has changed and is used");
                }
                Ok((Some(error), _)) => {
                    error!(%path, error, "cannot use the changed web configuration; the previous one stays in use");
                }
                Err(error) => error!(%error, "cannot use the changed web configuration; the previous one stays in use"),
            }
        }
        state.settings.clone()
    }

    fn is_within_limit(&self, settings: &Settings) -> bool {
        let mut admitted = locked(&self.admitted);
        settings
            .rate_limit
            .is_none_or(|limit| admitted.admit(&limit, Instant::now()))
    }
}

/// Why a change is only used after a restart, if so.
fn needs_restart(before: &Settings, after: &Settings) -> Option<String> {
    if before.tls.is_some() != after.tls.is_some() {
        return Some("TLS is switched on or off only by a restart".to_owned());
    }
    // While a file is being written its end is missing, and clients would be let in whom that keeps out.
    let lifted = before.demands.iter().find(|demand| !after.demands.contains(demand))?;
    Some(format!("{lifted} is lifted only by a restart"))
}

async fn is_admitted<B>(settings: &Settings, request: &Request<B>) -> bool {
    let header = request.headers().get(AUTHORIZATION);
    let credentials = || header.and_then(|header| Credentials::read(header.as_bytes()));
    settings.users.is_empty()
        || match credentials() {
            Some(credentials) => settings.users.admit(credentials).await,
            None => false,
        }
}
