//! What a web configuration file says: the format of Prometheus' exporter-toolkit, key by key.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use rustls::ServerConfig;

use super::rate_limit::RateLimit;
use super::tls;
use super::users::{Cost, Users};
use super::watched::Watched;
use crate::duration::GoDuration;
use crate::yaml::{self, Field, Refusal, Reported, all, quoted};

/// How it is served, and to whom.
pub(super) struct Settings {
    /// `None` serves in the clear.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Go with every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Users,
    /// What keeps out clients who don't prove who they are.
    pub(super) demands: Vec<&'static str>,
    pub(super) rate_limit: Option<RateLimit>,
}

impl Settings {
    /// Reads the file at `path` and those it names, all of which are watched in `files`.
    pub(super) fn read(path: &Path, files: &mut Watched) -> Result<Self, Refusal> {
        let bytes = files.read(path);
        let folder = path.parent().unwrap_or(Path::new(""));
        yaml::read(path, bytes, |root| settings(root, folder, files))
    }
}

fn settings(root: &Field<'_>, folder: &Path, files: &mut Watched) -> Result<Settings, Reported> {
    let section = (!root.is_nothing()).then(|| root.section(&ROOT)).transpose()?;
    let field = |key| section.as_ref()?.field(key);
    let mut demands = Vec::new();
    let tls = field("tls_server_config");
    let tls = tls.map(|field| tls::read(&field.section(&tls::KEYS)?, folder, files, &mut demands));
    let http = field("http_server_config").map(|field| http(&field));
    let rate_limit = field("rate_limit").map(|field| rate_limit(&field));
    let users = field("basic_auth_users").map(|field| users(&field));

    let users = Users::new(users.transpose()?.unwrap_or_default())
        .map_err(|_| root.refuse_file("cannot get random numbers from the system"))?;
    let (http2, headers) = http.transpose()?.unwrap_or((true, Vec::new()));
    if !users.is_empty() {
        demands.push("`basic_auth_users`");
    }
    let tls = tls.transpose()?.flatten().map(|mut config| {
        let protocols: &[&[u8]] = if http2 { &[H2, b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    });
    Ok(Settings {
        tls,
        headers,
        users,
        demands,
        rate_limit: rate_limit.transpose()?.flatten(),
    })
}

/// Whether HTTP/2 is offered, and the headers.
fn http(field: &Field<'_>) -> Result<(bool, Vec<(HeaderName, HeaderValue)>), Reported> {
    let section = field.section(&["http2", "headers"])?;
    let http2 = section.optional("http2", Field::boolean);
    let headers = section.optional("headers", headers);
    Ok((http2?.unwrap_or(true), headers?.unwrap_or_default()))
}

fn headers(field: &Field<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, Reported> {
    let section = field.section(&HEADERS.map(|(name, ..)| name))?;
    let header = |(key, name, values): &(&str, HeaderName, &[&str])| {
        let header = |field: Field<'_>| {
            let text = if field.is_nothing() { "" } else { field.text()? };
            if !values.is_empty() && !values.contains(&text) {
                let hint = format!("the value is one of {}", values.join(", "));
                return Err(field.refuse_with_hint(format!("not a value of this header: {}", quoted(text)), hint));
            }
            let value = HeaderValue::from_str(text);
            let value = value.map_err(|_| field.refuse("not a header's value: it has control characters"))?;
            // A header without a value is not sent.
            Ok((!value.is_empty()).then(|| (name.clone(), value)))
        };
        section.written(key).map(header).transpose()
    };
    let headers: Vec<_> = all(HEADERS.iter().map(header))?;
    Ok(headers.into_iter().flatten().flatten().collect())
}

fn users(field: &Field<'_>) -> Result<BTreeMap<Vec<u8>, (String, Cost)>, Reported> {
    let user = |(name, field): (&str, Field<'_>)| {
        let hash = field.text()?;
        let hint = "`htpasswd -nBC 10 NAME` asks for a password and prints its hash";
        let cost = Cost::of(hash).map_err(|error| field.refuse_with_hint(error, hint))?;
        Ok((name.as_bytes().to_vec(), (hash.to_owned(), cost)))
    };
    all(field.fields()?.into_iter().map(user))
}

/// The limit; `None` where an interval of zero sets none.
fn rate_limit(field: &Field<'_>) -> Result<Option<RateLimit>, Reported> {
    let section = field.section(&["interval", "burst"])?;
    let interval = section.optional("interval", Field::parse::<GoDuration>);
    let burst = section.optional("burst", |field| {
        let burst = field.text()?.parse::<u32>().ok();
        let burst = burst.filter(|_| !field.is_quoted());
        burst.ok_or_else(|| field.refuse("a whole number is expected: 0 or more"))
    });
    let (interval, burst) = (interval?, burst?.unwrap_or_default());
    let Some(GoDuration(interval)) = interval.filter(|GoDuration(interval)| !interval.is_zero()) else {
        return Ok(None);
    };
    if burst == 0 {
        let message = "without a `burst` no request would be answered";
        let hint = "with `burst: 1`, one may come each interval".to_owned();
        return Err(section.missing(&["burst"], section.path(), message, Some(hint)));
    }
    Ok(Some(RateLimit { interval, burst }))
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
