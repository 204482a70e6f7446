//! What a web configuration file says: the format of Prometheus' exporter-toolkit, key by key.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use rustls::ServerConfig;

use super::rate_limit::{GoDuration, RateLimit};
use super::tls;
use super::users::{Cost, Users};
use super::watched::Watched;
use crate::yaml::{self, Field, Refusal, Section, quoted};

/// How it is served, and to whom.
pub(super) struct Settings {
    /// `None` serves in the clear.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Go with every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Users,
    pub(super) rate_limit: Option<RateLimit>,
}

impl Settings {
    /// Reads the file at `path` and those it names, all of which are watched in `files`.
    pub(super) fn read(path: &Path, files: &mut Watched) -> Result<Self, Refusal> {
        let bytes = files.read(path);
        let folder = path.parent().unwrap_or(Path::new(""));
        yaml::read(path, bytes, |root| {
            if root.is_nothing() {
                return settings(root, None, folder, files);
            }
            settings(root, Some(&root.section(&ROOT)?), folder, files)
        })
    }
}

/// The settings in `section`, if the file has anything in it at all. Readers of a part return nothing where nothing is
/// asked for and where they report a problem, which fails the whole.
fn settings(root: &Field<'_>, section: Option<&Section<'_>>, folder: &Path, files: &mut Watched) -> Option<Settings> {
    let field = |key| section.and_then(|section| section.field(key));
    let tls_section = field("tls_server_config").and_then(|field| field.section(&tls::KEYS));
    let mut tls = tls_section.and_then(|section| tls::read(&section, folder, files));
    let http = match field("http_server_config") {
        None => Some((true, Vec::new())),
        Some(field) => field.section(&["http2", "headers"]).and_then(|section| http(&section)),
    };
    let rate_limit = field("rate_limit").and_then(|field| rate_limit(&field));
    let users = match field("basic_auth_users") {
        None => Some(BTreeMap::new()),
        Some(field) => users(&field),
    };
    let users = Users::new(users?)
        .map_err(|_| root.refuse_file("the system gives no random numbers"))
        .ok()?;
    let (http2, headers) = http?;
    if let Some(tls) = &mut tls {
        let protocols: &[&[u8]] = if http2 { &[H2, b"http/1.1"] } else { &[b"http/1.1"] };
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    }
    Some(Settings {
        tls: tls.map(Arc::new),
        headers,
        users,
        rate_limit,
    })
}

/// Whether HTTP/2 is offered, and the headers.
fn http(section: &Section<'_>) -> Option<(bool, Vec<(HeaderName, HeaderValue)>)> {
    let http2 = match section.field("http2") {
        None => Some(true),
        Some(field) => boolean(&field),
    };
    let headers = match section.field("headers") {
        None => Some(Vec::new()),
        Some(field) => headers(&field),
    };
    Some((http2?, headers?))
}

fn headers(field: &Field<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let section = field.section(&HEADERS.map(|(name, ..)| name))?;
    let header = |(key, name, values): &(&str, HeaderName, &[&str])| {
        let field = section.field(key)?;
        let text = field.text()?;
        if !values.is_empty() && !values.contains(&text) {
            let hint = format!("the value is one of {}", values.join(", "));
            field.refuse_with_hint(format!("not a value of this header: {}", quoted(text)), hint);
            return None;
        }
        let value =
            HeaderValue::from_str(text).map_err(|_| field.refuse("not a header's value: it has control characters"));
        // A header without a value is not sent.
        Some((name.clone(), value.ok().filter(|value| !value.is_empty())?))
    };
    Some(HEADERS.iter().filter_map(header).collect())
}

fn users(field: &Field<'_>) -> Option<BTreeMap<Vec<u8>, (String, Cost)>> {
    let user = |(name, field): (&str, Field<'_>)| {
        let hash = field.text()?;
        let hint = "`htpasswd -nBC 10 NAME` asks for a password and prints its hash";
        let cost = Cost::of(hash)
            .map_err(|error| field.refuse_with_hint(error, hint))
            .ok()?;
        Some((name.as_bytes().to_vec(), (hash.to_owned(), cost)))
    };
    // All of them, so that one that is wrong doesn't hide the next.
    let users: Vec<Option<_>> = field.fields()?.into_iter().map(user).collect();
    users.into_iter().collect()
}

/// The limit. `None` where there is none, and where a problem is reported.
fn rate_limit(field: &Field<'_>) -> Option<RateLimit> {
    let section = field.section(&["interval", "burst"])?;
    let interval = section.field("interval").and_then(|field| field.parse::<GoDuration>());
    let burst = section.field("burst").map_or(Some(0), |field| {
        let burst = field.text()?.parse::<u32>();
        burst
            .map_err(|_| field.refuse("a whole number is expected: 0 or more"))
            .ok()
    });
    let GoDuration(interval) = interval.filter(|GoDuration(interval)| !interval.is_zero())?;
    if burst? == 0 {
        let message = "without a `burst` no request would be answered";
        let hint = "with `burst: 1`, one may come each interval".to_owned();
        section.missing(&["burst"], section.path(), message, Some(hint));
        return None;
    }
    Some(RateLimit {
        interval,
        burst: burst?,
    })
}

/// A boolean as YAML 1.1 has them, which Go's reader of these files speaks.
pub(super) fn boolean(field: &Field<'_>) -> Option<bool> {
    match field.text()?.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => {
            field.refuse("`true` or `false` is expected");
            None
        }
    }
}

/// HTTP/2's name in the TLS handshake.
pub(super) const H2: &[u8] = b"h2";

const ROOT: [&str; 4] = [
    "tls_server_config",
    "http_server_config",
    "rate_limit",
    "basic_auth_users",
];

/// The headers that can be set, and the values of those that have only some.
const HEADERS: [(&str, HeaderName, &[&str]); 5] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY, &[]),
    ("X-Frame-Options", X_FRAME_OPTIONS, &["deny", "sameorigin"]),
    ("X-Content-Type-Options", X_CONTENT_TYPE_OPTIONS, &["nosniff"]),
    ("X-XSS-Protection", X_XSS_PROTECTION, &[]),
    ("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY, &[]),
];
