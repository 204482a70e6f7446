//! The section `tls_server_config`: from what is written there to what rustls serves with.
//!
//! The file format is Go's, so there are values that rustls has no counterpart of. Each is an error: what is served is
//! never weaker than what is written, and never silently something else.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error, ServerConfig};

use super::watched::Watched;
use super::{client_policy, offer, settings};
use crate::yaml::{Field, Section, quoted};

/// The keys of the section.
pub(super) const KEYS: [&str; 13] = [
    "cert",
    "key",
    "client_ca",
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "cipher_suites",
    "curve_preferences",
    "min_version",
    "max_version",
    "prefer_server_cipher_suites",
    "client_allowed_sans",
];

/// What to serve TLS with. `None` where the section asks for none, and where a problem is reported. Files that it names
/// count from `folder`.
pub(super) fn read(section: &Section<'_>, folder: &Path, files: &mut Watched) -> Option<ServerConfig> {
    let mut pem = |keys| read_pem(section, keys, folder, files);
    let (certificate, key, authority) = (pem(CERTIFICATE), pem(KEY), pem(AUTHORITY));
    let policy = client_policy::read(section);
    let versions = offer::versions(section);
    let provider = offer::provider(section, versions.as_deref());
    let prefer_own_order = match section.field("prefer_server_cipher_suites") {
        Some(field) => settings::boolean(&field),
        None => Some(true),
    };

    let mentioned = [CERTIFICATE, KEY, AUTHORITY, ["client_auth_type"; 2]].concat();
    if mentioned.iter().all(|key| written(section, key).is_none()) {
        return None;
    }
    for keys in [CERTIFICATE, KEY] {
        if keys.iter().all(|key| written(section, key).is_none()) {
            let message = format!("one of `{}` and `{}` is missing", keys[0], keys[1]);
            section.missing(&keys, section.path(), &message, None);
        }
    }
    let authority = authority.and_then(certificates);
    let chain = certificate.and_then(certificates);
    let key = key.and_then(private_key);
    let provider = provider?;
    let clients = client_policy::verifier(section, policy?, authority, &provider);

    let ((certificate, chain), (key, private_key)) = (chain?, key?);
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions?);
    let builder = builder.map_err(|error| certificate.refuse(error.to_string())).ok()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(Arc::new(clients)),
    };
    let refuse = |error| match error {
        Error::InconsistentKeys(_) => key.refuse("the private key does not match the certificate"),
        Error::InvalidCertificate(_) => certificate.refuse(format!("the certificate cannot be used: {error}")),
        _ => key.refuse("the private key cannot be used: RSA of 2048 bits and more, ECDSA and Ed25519 can"),
    };
    let mut config = builder.with_single_cert(chain, private_key).map_err(refuse).ok()?;
    config.ignore_client_order = prefer_own_order?;
    Some(config)
}

/// The value of `key`, unless it is missing or empty, which Go does not tell apart.
fn written<'a>(section: &Section<'a>, key: &str) -> Option<(Field<'a>, &'a str)> {
    let field = section.field(key)?;
    let text = field.peek().filter(|text| !text.is_empty())?;
    Some((field, text))
}

/// What stands behind the first of `keys`, or in the file that the second names, which the toolkit prefers.
fn read_pem<'a>(
    section: &Section<'a>,
    keys: [&str; 2],
    folder: &Path,
    files: &mut Watched,
) -> Option<(Field<'a>, Vec<u8>)> {
    for field in keys.iter().filter_map(|key| section.field(key)) {
        // Reports what is no text at all.
        field.text();
    }
    let [inline, file] = keys.map(|key| written(section, key));
    let Some((field, name)) = file else {
        return inline.map(|(field, text)| (field, text.as_bytes().to_vec()));
    };
    let path = folder.join(name);
    let read = files.read(&path).map_err(|error| {
        let path = quoted(&path.display().to_string());
        field.refuse(format!("cannot read {path}: {error}"));
    });
    Some((field, read.ok()?))
}

/// The certificates in a PEM text; none where a problem is reported.
fn certificates((field, pem): (Field<'_>, Vec<u8>)) -> Option<(Field<'_>, Vec<CertificateDer<'static>>)> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    // The reader's errors quote what they stumble on.
    let certificates = certificates.unwrap_or_default();
    if certificates.is_empty() {
        field.refuse("no certificate in PEM form");
        return None;
    }
    Some((field, certificates))
}

fn private_key((field, pem): (Field<'_>, Vec<u8>)) -> Option<(Field<'_>, PrivateKeyDer<'static>)> {
    let Ok(key) = PrivateKeyDer::from_pem_slice(&pem) else {
        field.refuse_with_hint("no private key in PEM form", "one with a password cannot be used");
        return None;
    };
    Some((field, key))
}

const CERTIFICATE: [&str; 2] = ["cert", "cert_file"];
const KEY: [&str; 2] = ["key", "key_file"];
const AUTHORITY: [&str; 2] = ["client_ca", "client_ca_file"];
