//! Answers as they were recorded: headers, error bodies, and the pages of the proxy before the API (api.md 3 and 4).

use std::hash::Hasher;

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, SERVER, VARY};
use hyper::{Response, StatusCode};
use serde::Serialize;
use siphasher::sip::SipHasher13;

use super::body::{broken_off, json_bytes};
use super::calendar::date_and_time;
use crate::web::{Body, full};

/// An answer of the API proper.
pub(super) fn api_answer(code: u16, body: Vec<u8>) -> Response<Body> {
    let mut hasher = SipHasher13::new();
    hasher.write(&body);
    let etag = format!("W/\"{:x}-{:016x}\"", body.len(), hasher.finish());
    let mut answer = api_stream(full(body));
    *answer.status_mut() = status(code);
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        answer.headers_mut().insert(ETAG, etag);
    }
    answer
}

/// A successful answer of the API proper whose body isn't known yet.
pub(super) fn api_stream(body: Body) -> Response<Body> {
    let mut answer = nginx_answer(200, "application/json; charset=utf-8", body);
    let headers = answer.headers_mut();
    for _ in 0..3 {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    for (name, value) in RECORDED_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

/// An answer with an empty body, such as that of a deletion.
pub(super) fn api_empty(code: u16) -> Response<Body> {
    let mut answer = api_stream(full(""));
    *answer.status_mut() = status(code);
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

/// An error of the API proper. It repeats the path, and with it the token.
pub(super) fn api_error(code: u16, target: &str, now: u64, message: &str) -> Response<Body> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ErrorAnswer<'a> {
        status_code: u16,
        timestamp: String,
        path: &'a str,
        message: &'a str,
    }
    let timestamp = format!("{}.000Z", date_and_time(now));
    let error = ErrorAnswer {
        status_code: code,
        timestamp,
        path: target,
        message,
    };
    api_answer(code, json_bytes(&error))
}

/// An answer that has passed the gateway, which has `remaining` of `per_second` calls left in this second.
pub(super) fn limited(mut answer: Response<Body>, remaining: u32, per_second: u32) -> Response<Body> {
    let headers = answer.headers_mut();
    headers.insert("x-ratelimit-remaining", remaining.into());
    headers.insert("x-ratelimit-replenish-rate", per_second.into());
    answer
}

/// The answer to one call too many within a second: nothing but headers, and no word on when to come back unless asked for.
pub(super) fn too_many_requests(per_second: u32, retry_after: Option<u64>) -> Response<Body> {
    let mut answer = limited(nginx_answer(429, "", full("")), 0, per_second);
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

/// The answer once a monthly quota is used up. `method` is written in lower case.
pub(super) fn quota_exceeded(method: &str) -> Response<Body> {
    let body = serde_json::json!({"invokeStatus": {
        "method": method.to_lowercase(),
        "used": 100,
        "total": 100,
        "status": "QUOTE_EXCEEDED",
        "description": "Monthly quota has been exceeded. Please go to your personal account and change the tariff to business https://console.green-api.com",
    }});
    api_answer(466, json_bytes(&body))
}

/// A page of the proxy itself.
pub(super) fn nginx_page(code: u16, reason: &str) -> Response<Body> {
    let title = format!("{code} {reason}");
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body bgcolor=\"white\">\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>{NGINX}</center>\r\n</body>\r\n</html>\r\n"
    );
    nginx_answer(code, "text/html", full(page))
}

/// A redirect of the proxy.
pub(super) fn redirect(location: &'static str) -> Response<Body> {
    let mut answer = nginx_page(302, "Found");
    answer
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static(location));
    answer
}

/// No answer: the connection is closed.
pub(super) fn no_answer() -> Response<Body> {
    Response::new(broken_off(None))
}

/// The first `sent` bytes of an answer that announces more.
pub(super) fn cut_off(sent: &'static [u8]) -> Response<Body> {
    let mut answer = api_stream(broken_off(Some(sent.into())));
    let length = HeaderValue::from(sent.len() + 1000);
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer
}

/// Any answer that passes the proxy.
pub(super) fn nginx_answer(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status(code);
    answer.headers_mut().insert(SERVER, HeaderValue::from_static(NGINX));
    if !content_type.is_empty() {
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    answer
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The proxy, as its header and its pages name it.
const NGINX: &str = "nginx/1.14.0 (Ubuntu)";

/// Headers of every recorded answer that say nothing about it.
const RECORDED_HEADERS: [(&str, &str); 10] = [
    ("access-control-allow-origin", "*"),
    ("content-security-policy", "default-src 'self'"),
    ("x-dns-prefetch-control", "off"),
    ("expect-ct", "max-age=0"),
    ("x-frame-options", "SAMEORIGIN"),
    ("strict-transport-security", "max-age=15552000; includeSubDomains"),
    ("x-download-options", "noopen"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-xss-protection", "0"),
];
