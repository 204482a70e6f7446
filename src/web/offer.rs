//! The keys by which `tls_server_config` says what is offered in a handshake: versions, cipher suites and curves.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

use crate::yaml::{Field, Section, quoted};

type Version = &'static SupportedProtocolVersion;

/// The protocol versions; `None` where a problem is reported.
pub(super) fn versions(section: &Section<'_>) -> Option<Vec<Version>> {
    let version = |key: &str, default| match section.field(key) {
        None => Some(default),
        Some(field) => version(&field),
    };
    let (least, most) = (version("min_version", &TLS12), version("max_version", &TLS13));
    match (number(least?), number(most?)) {
        (least, most) if least <= most => {
            let mut versions = vec![&TLS12, &TLS13];
            versions.retain(|version| (least..=most).contains(&number(version)));
            Some(versions)
        }
        _ => {
            let field = section.field("max_version").or_else(|| section.field("min_version"))?;
            field.refuse("no version is left between `min_version` and `max_version`");
            None
        }
    }
}

fn version(field: &Field<'_>) -> Option<Version> {
    match field.text()? {
        "TLS12" => return Some(&TLS12),
        "TLS13" => return Some(&TLS13),
        name @ ("TLS10" | "TLS11") => {
            let message = format!("rustls does not speak `{name}`, which is broken");
            field.refuse_with_hint(message, "use TLS12 or TLS13");
        }
        name => field.refuse_with_hint(format!("unknown version: {}", quoted(name)), "use TLS12 or TLS13"),
    }
    None
}

fn number(version: Version) -> u16 {
    version.version.into()
}

/// The cipher suites and curves, in their order; `None` where a problem is reported.
pub(super) fn provider(section: &Section<'_>, versions: Option<&[Version]>) -> Option<Arc<CryptoProvider>> {
    let mut provider = aws_lc_rs::default_provider();
    let find_suite = |text: &str| {
        let suites = provider.cipher_suites.iter();
        suites.copied().find(|suite| suite_name(suite) == text)
    };
    let suite_names = || provider.cipher_suites.iter().map(suite_name).collect();
    let suites = chosen(section, "cipher_suites", "cipher suite", find_suite, suite_names);
    let find_curve = |text: &str| {
        let (_, wanted) = CURVES.iter().find(|(name, _)| *name == text)?;
        provider.kx_groups.iter().copied().find(|group| group.name() == *wanted)
    };
    let curve_names = || CURVES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let curves = chosen(section, "curve_preferences", "curve", find_curve, curve_names);

    if !suites.is_empty() {
        // As in Go, the list is of TLS 1.2; the suites of TLS 1.3 are always offered, since all are strong.
        let of_tls12 = suites.into_iter().filter(|suite| suite.tls13().is_none());
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        provider.cipher_suites.extend(of_tls12);
    }
    if !curves.is_empty() {
        provider.kx_groups = curves;
    }
    let is_left = |version: &Version| {
        let mut suites = provider.cipher_suites.iter();
        suites.any(|suite| suite.version() == *version)
    };
    if !versions?.iter().any(is_left) {
        let field = section.field("cipher_suites")?;
        field.refuse("all of these are of TLS 1.3, which `max_version` excludes");
        return None;
    }
    Some(Arc::new(provider))
}

/// The suite's name in the registry of TLS and in Go. rustls puts the version before those of TLS 1.3.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replace("TLS13_", "TLS_")
}

/// What the list behind `key` names. Empty without a list; problems are reported.
fn chosen<T>(
    section: &Section<'_>,
    key: &str,
    kind: &str,
    find: impl Fn(&str) -> Option<T>,
    known: impl Fn() -> Vec<String>,
) -> Vec<T> {
    let items = section.field(key).and_then(|field| field.list()).unwrap_or_default();
    let chosen = |item: &Field<'_>| {
        let text = item.text()?;
        let found = find(text);
        if found.is_none() {
            let message = format!("this {kind} is unknown or not offered by rustls: {}", quoted(text));
            item.refuse_with_hint(message, format!("there are {}", known().join(", ")));
        }
        found
    };
    items.iter().filter_map(chosen).collect()
}

/// The curves that both Go and rustls have, as Go names them.
const CURVES: [(&str, NamedGroup); 3] = [
    ("X25519", NamedGroup::X25519),
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
];
