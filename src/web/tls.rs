//! The section `tls_server_config`: from what is written there to what rustls serves with.
//!
//! The file format is Go's, so there are values that rustls has no counterpart of. Each is an error: what is served is
//! never weaker than what is written, and never silently something else.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, ServerConfig};

use super::watched::Watched;
use super::{client_policy, offer};
use crate::yaml::{Field, Reported, Section, quoted};

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

/// What to serve TLS with; `None` where the section asks for none. Files that it names count from `folder`. What clients must prove is
/// added to `demands`.
pub(super) fn read(
    section: &Section<'_>,
    folder: &Path,
    files: &mut Watched,
    demands: &mut Vec<&'static str>,
) -> Result<Option<ServerConfig>, Reported> {
    let mut pem = |keys| read_pem(section, keys, folder, files);
    let (certificate, key, authority) = (pem(CERTIFICATE), pem(KEY), pem(AUTHORITY));
    let policy = client_policy::read(section);
    let names = policy.and_then(|policy| client_policy::allowed_names(section, policy));
    let versions = offer::versions(section);
    let provider = offer::provider(section, &versions);
    let prefer_own_order = section.optional("prefer_server_cipher_suites", Field::boolean);

    let policy_is_written = section
        .field("client_auth_type")
        .is_some_and(|field| field.peek() != Some(""));
    if let (Ok(None), Ok(None), Ok(None), false) = (&certificate, &key, &authority, policy_is_written) {
        return names.and(provider).and(prefer_own_order).and(Ok(None));
    }
    let missing = |keys: [&'static str; 2]| {
        let message = format!("one of `{}` and `{}` is missing", keys[0], keys[1]);
        section.missing(&keys, section.path(), &message, None)
    };
    let chain = certificate.and_then(|pem| certificates(pem.ok_or_else(|| missing(CERTIFICATE))?));
    let key = key.and_then(|pem| private_key(pem.ok_or_else(|| missing(KEY))?));
    let authority = authority.and_then(|pem| pem.map(certificates).transpose());
    let (policy, provider) = (policy?, provider?);
    let names_authority = matches!(&authority, Ok(Some(_)));
    let clients = authority.and_then(|authority| client_policy::verifier(section, policy, authority, &provider));

    let ((certificate, chain), (key, private_key)) = (chain?, key?);
    let identity = CertifiedKey::from_der(chain, private_key, &provider).map_err(|error| match error {
        Error::InconsistentKeys(_) => key.refuse("the private key does not match the certificate"),
        Error::InvalidCertificate(_) => certificate.refuse(format!("the certificate cannot be used: {error}")),
        _ => key.refuse("the private key cannot be used: RSA of 2048 bits and more, ECDSA and Ed25519 can"),
    });
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions?);
    let builder = builder.map_err(|error| certificate.refuse(error.to_string()))?;
    let (clients, names) = (clients?, names?);
    let of_clients = [
        ("the need of a certificate (`client_auth_type`)", policy.requires()),
        (
            "the verification of certificates (`client_auth_type`)",
            policy.verifies(),
        ),
        ("`client_ca_file`", names_authority && policy.verifies()),
        ("`client_allowed_sans`", names.is_some()),
    ];
    demands.extend(
        of_clients
            .iter()
            .filter(|(_, is_made)| *is_made)
            .map(|(demand, _)| *demand),
    );
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(Arc::new(clients.allowing(names))),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity?)));
    // A session that is resumed is not verified again: a certificate that has expired since would do for ever.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.ignore_client_order = prefer_own_order?.unwrap_or(true);
    Ok(Some(config))
}

/// What stands after the first of `keys`, or in the file that the second names, which the toolkit prefers.
fn read_pem<'a>(
    section: &Section<'a>,
    keys: [&str; 2],
    folder: &Path,
    files: &mut Watched,
) -> Result<Option<(Field<'a>, Vec<u8>)>, Reported> {
    let [inline, file] = keys.map(|key| section.optional(key, |field| Ok((field.clone(), field.text()?))));
    // Go does not tell what is empty from what is missing.
    let [inline, file] = [inline?, file?].map(|given| given.filter(|(_, text)| !text.is_empty()));
    let Some((field, name)) = file else {
        return Ok(inline.map(|(field, text)| (field, text.as_bytes().to_vec())));
    };
    let path = folder.join(name);
    let bytes = files.read(&path).map_err(|error| {
        let path = quoted(&path.display().to_string());
        field.refuse(format!("cannot read {path}: {error}"))
    })?;
    Ok(Some((field, bytes)))
}

fn certificates((field, pem): (Field<'_>, Vec<u8>)) -> Result<(Field<'_>, Vec<CertificateDer<'static>>), Reported> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    // The reader's errors quote what they stumble on.
    let certificates = certificates.unwrap_or_default();
    if certificates.is_empty() {
        return Err(field.refuse("no certificate in PEM form"));
    }
    Ok((field, certificates))
}

fn private_key((field, pem): (Field<'_>, Vec<u8>)) -> Result<(Field<'_>, PrivateKeyDer<'static>), Reported> {
    let Ok(key) = PrivateKeyDer::from_pem_slice(&pem) else {
        return Err(field.refuse_with_hint("no private key in PEM form", "one with a password cannot be used"));
    };
    Ok((field, key))
}

const CERTIFICATE: [&str; 2] = ["cert", "cert_file"];
const KEY: [&str; 2] = ["key", "key_file"];
const AUTHORITY: [&str; 2] = ["client_ca", "client_ca_file"];
