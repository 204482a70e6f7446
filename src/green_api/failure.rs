//! Why a request failed: a closed set of reasons, and a text that can hold neither URL nor token.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::fetch::FetchResult;
use crate::green_api::wire::InvalidJson;
use crate::label::LabelValue;

/// A request that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {cause}", .result.as_str())]
pub struct Failure {
    /// The reason, as metrics tell it.
    pub result: FetchResult,
    /// The details, for the log.
    pub cause: String,
    /// How long the answer asked to wait.
    pub retry_after: Option<Duration>,
    /// Whether asking once more may help: the gateway was at fault, or a kept-alive connection broke.
    pub is_passing: bool,
}

impl Failure {
    /// An answer whose status code is not 200. Its body stays out: it repeats the token (api.md 3).
    pub fn of_status(result: FetchResult, code: u16, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            is_passing: matches!(code, 502..=504),
            ..Self::new(result, format!("the API answered {code}"))
        }
    }

    /// No answer at all.
    pub fn of_request(error: reqwest::Error) -> Self {
        let result = if error.is_timeout() {
            FetchResult::Timeout
        } else if causes(&error).any(<dyn Error>::is::<rustls::Error>)
            || error.is_connect() && causes(&error).any(is_broken_connection)
        {
            FetchResult::Tls
        } else if error.is_connect() {
            FetchResult::Connect
        } else {
            FetchResult::Interrupted
        };
        // An answer that is no HTTP is no connection that broke.
        let is_malformed = causes(&error).any(|cause| cause.downcast_ref().is_some_and(hyper::Error::is_parse));
        Self {
            is_passing: result == FetchResult::Interrupted && !is_malformed,
            ..Self::new(result, root_cause(error))
        }
    }

    /// An answer that broke off.
    pub fn of_body(error: reqwest::Error) -> Self {
        let result = if error.is_timeout() {
            FetchResult::Timeout
        } else {
            FetchResult::Interrupted
        };
        Self::new(result, root_cause(error))
    }

    /// An answer longer than is read.
    pub fn too_large() -> Self {
        Self::new(FetchResult::TooLarge, "the answer is too long".to_owned())
    }

    /// No complete answer within `timeout`.
    pub fn timeout(timeout: Duration) -> Self {
        Self::new(FetchResult::Timeout, format!("no complete answer within {timeout:?}"))
    }

    /// A 200 whose body is not what the API documents.
    pub fn invalid_json(cause: String) -> Self {
        Self::new(FetchResult::InvalidJson, cause)
    }

    fn new(result: FetchResult, cause: String) -> Self {
        Self {
            result,
            cause,
            retry_after: None,
            is_passing: false,
        }
    }
}

impl From<InvalidJson> for Failure {
    fn from(error: InvalidJson) -> Self {
        Self::invalid_json(error.to_string())
    }
}

/// Whether a connection that there was has ended. While one is made, that can only happen in the handshake of TLS.
fn is_broken_connection(cause: &(dyn Error + 'static)) -> bool {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
    )
}

/// The innermost cause. The outer ones only say that a request failed; reqwest's own would name the URL.
fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let root: &dyn Error = causes(&error).last().unwrap_or(&error);
    root.to_string()
}

/// The causes of `error`, from the outermost on, without `error` itself.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    fn next<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        // Asked for its source, an I/O error skips the error that it wraps and gives that one's source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped))
    }
    std::iter::successors(error.source(), |error| next(*error))
}
