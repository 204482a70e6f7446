//! Why a request failed: a closed set of reasons, and a text that can hold neither URL nor token.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper::http::uri::InvalidUri;
use hyper_util::client::legacy;
use serde::Deserialize;

use crate::fetch::FetchResult;
use crate::green_api::connector::ProxyError;
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
    pub is_transient: bool,
}

impl Failure {
    /// An answer whose status code is not 200, with its text, and how long it asked to wait.
    ///
    /// The text is looked at for the reason of a 400 and not kept: it repeats the token (api.md 3).
    pub fn of_answer(code: u16, text: &[u8], retry_after: Option<Duration>) -> Self {
        let result = match code {
            400 => reason_of_bad_request(text),
            401 => FetchResult::Unauthorized,
            403 => FetchResult::Forbidden,
            404 => FetchResult::NotFound,
            429 => FetchResult::RateLimited,
            466 => FetchResult::QuotaExceeded,
            500..=599 => FetchResult::ServerError,
            _ => FetchResult::UnexpectedStatus,
        };
        Self {
            retry_after,
            is_transient: matches!(code, 502..=504),
            ..Self::new(result, format!("the API answered {code}"))
        }
    }

    /// No answer at all to a request.
    pub(super) fn of_request(error: &legacy::Error) -> Self {
        let has = |is: fn(&(dyn Error + 'static)) -> bool| causes(error).any(is);
        let is_of_tls = has(<dyn Error>::is::<rustls::Error>) || error.is_connect() && has(is_broken_connection);
        let result = if is_of_tls && !has(<dyn Error>::is::<ProxyError>) {
            FetchResult::Tls
        } else if error.is_connect() {
            FetchResult::Connect
        } else {
            FetchResult::Interrupted
        };
        // A malformed answer is not a broken connection.
        let is_malformed = causes(error).any(|cause| cause.downcast_ref().is_some_and(hyper::Error::is_parse));
        Self {
            is_transient: result == FetchResult::Interrupted && !is_malformed,
            ..Self::new(result, root_cause(error))
        }
    }

    /// An answer that broke off.
    pub(super) fn of_body(error: &hyper::Error) -> Self {
        Self::new(FetchResult::Interrupted, root_cause(error))
    }

    /// No answer, or only a part of it, within the `timeout` of its request.
    pub(super) fn timeout(timeout: Duration) -> Self {
        Self::new(FetchResult::Timeout, format!("no complete answer within {timeout:?}"))
    }

    /// A request that can't be made, since its URL can't be a request's, such as one of 64 KB.
    pub(super) fn of_url(error: &InvalidUri) -> Self {
        Self::new(FetchResult::Connect, error.to_string())
    }

    /// An answer longer than is read.
    pub fn too_large() -> Self {
        Self::new(FetchResult::TooLarge, "the answer is too long".to_owned())
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
            is_transient: false,
        }
    }
}

impl From<InvalidJson> for Failure {
    fn from(error: InvalidJson) -> Self {
        Self::invalid_json(error.to_string())
    }
}

/// Tells the reasons of a 400 apart by the text, in every wording on record (api.md 3).
fn reason_of_bad_request(text: &[u8]) -> FetchResult {
    #[derive(Deserialize)]
    struct ErrorAnswer {
        message: String,
    }
    // The rest of a JSON answer, such as its echo of the path, says nothing of the reason.
    let message = serde_json::from_slice(text).map_or_else(
        |_| String::from_utf8_lossy(text).into_owned(),
        |answer: ErrorAnswer| answer.message,
    );
    let message = message.to_ascii_lowercase();
    let says = |words: &str| message.contains(words);
    // "starting or not authorized" is not authorized: it says what to look at.
    if says("not authorized") {
        FetchResult::NotAuthorized
    } else if says("starting") {
        FetchResult::Starting
    } else if says("expired") {
        FetchResult::Expired
    } else if says("deleted") {
        FetchResult::Deleted
    } else {
        FetchResult::BadRequest
    }
}

/// Whether a connection that there was has ended. While one is made, that happens in the handshake of TLS.
fn is_broken_connection(cause: &(dyn Error + 'static)) -> bool {
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
    )
}

/// The innermost cause, and whether it is the proxy's. The outer ones only say that a request failed.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let root = causes(error).last().unwrap_or(error);
    if let Some(reason) = root.downcast_ref().and_then(h2::Error::reason) {
        // The error would repeat what the server says on closing the connection, which may be the URL.
        return format!("HTTP/2: {}", reason.description());
    }
    match causes(error).find(|cause| cause.is::<ProxyError>()) {
        Some(proxy) => format!("{proxy}: {root}"),
        None => root.to_string(),
    }
}

/// The causes of `error`, from the outermost on, without `error` itself.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    fn next<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        // Asked for its source, an I/O error skips the error that it wraps and gives that one's source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map_or_else(|| error.source(), |wrapped| Some(wrapped))
    }
    std::iter::successors(error.source(), |error| next(*error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_400_is_told_apart_by_its_message_alone_or_by_its_text_where_it_has_none() {
        let check = |body: &[u8], expected| {
            let failure = Failure::of_answer(400, body, None);
            assert_eq!(failure.result, expected, "{}", String::from_utf8_lossy(body));
        };
        check(
            br#"{"message":"Instance is deleted","path":"/x"}"#,
            FetchResult::Deleted,
        );
        check(br#"{"message":"x","path":"/deleted"}"#, FetchResult::BadRequest);
        check(br#"{"error":"instance is deleted"}"#, FetchResult::Deleted);
        check(b"INSTANCE IS EXPIRED", FetchResult::Expired);
        check(b"instance is starting", FetchResult::Starting);
        check(b"instance is starting or not authorized", FetchResult::NotAuthorized);
        check(b"\xff deleted", FetchResult::Deleted);
        check(b"", FetchResult::BadRequest);
    }

    #[test]
    fn any_other_answer_is_told_by_its_code_whatever_its_text() {
        let check = |code, expected| {
            let failure = Failure::of_answer(code, b"deleted", None);
            assert_eq!(failure.result, expected, "{code}");
        };
        check(401, FetchResult::Unauthorized);
        check(403, FetchResult::Forbidden);
        check(404, FetchResult::NotFound);
        check(429, FetchResult::RateLimited);
        check(466, FetchResult::QuotaExceeded);
        for code in [500, 599] {
            check(code, FetchResult::ServerError);
        }
        for code in [100, 201, 204, 302, 399, 402, 499, 600] {
            check(code, FetchResult::UnexpectedStatus);
        }
    }
}
