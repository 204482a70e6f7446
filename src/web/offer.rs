//! The keys by which `tls_server_config` says what is offered in a handshake: versions, cipher suites and curves.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

use crate::yaml::{Field, Reported, Section, all, quoted};

type Version = &'static SupportedProtocolVersion;

/// The protocol versions.
pub(super) fn versions(section: &Section<'_>) -> Result<Vec<Version>, Reported> {
    let (least, most) = (
        section.optional("min_version", version),
        section.optional("max_version", version),
    );
    let (least, most) = (least?.unwrap_or(&TLS12), most?.unwrap_or(&TLS13));
    let mut versions = vec![&TLS12, &TLS13];
    versions.retain(|version| (number(least)..=number(most)).contains(&number(version)));
    if versions.is_empty() {
        let field = section.first_of(&["max_version", "min_version"]);
        return Err(field.refuse("no version is left between `min_version` and `max_version`"));
    }
    Ok(versions)
}

fn version(field: &Field<'_>) -> Result<Version, Reported> {
    let message = match field.text()? {
        "TLS12" => return Ok(&TLS12),
        "TLS13" => return Ok(&TLS13),
        name @ ("TLS10" | "TLS11") => format!("`{name}` is insecure and not supported"),
        name => format!("unknown version: {}", quoted(name)),
    };
    Err(field.refuse_with_hint(message, "use TLS12 or TLS13"))
}

fn number(version: Version) -> u16 {
    version.version.into()
}

/// The cipher suites and curves, in their order, of which some must do for `versions`.
pub(super) fn provider(
    section: &Section<'_>,
    versions: &Result<Vec<Version>, Reported>,
) -> Result<Arc<CryptoProvider>, Reported> {
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
    let (suites, curves) = (suites?, curves?);

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
    if !versions.as_ref()?.iter().any(is_left) {
        let field = section.first_of(&["cipher_suites"]);
        return Err(field.refuse("all of these are of TLS 1.3, which `max_version` excludes"));
    }
    Ok(Arc::new(provider))
}

/// The suite's name in the registry of TLS and in Go. rustls puts the version before those of TLS 1.3.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replace("TLS13_", "TLS_")
}

/// What the list behind `key` names. Empty without a list.
fn chosen<T>(
    section: &Section<'_>,
    key: &str,
    kind: &str,
    find: impl Fn(&str) -> Option<T>,
    known: impl Fn() -> Vec<String>,
) -> Result<Vec<T>, Reported> {
    let chosen = |item: Field<'_>| {
        let text = item.text()?;
        find(text).ok_or_else(|| {
            let message = format!("this {kind} is unknown or not supported: {}", quoted(text));
            item.refuse_with_hint(message, format!("supported: {}", known().join(", ")))
        })
    };
    let list = section.optional(key, Field::list)?.unwrap_or_default();
    all(list.into_iter().map(chosen))
}

/// The curves that both Go and rustls have, as Go names them.
const CURVES: [(&str, NamedGroup); 3] = [
    ("X25519", NamedGroup::X25519),
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
];
