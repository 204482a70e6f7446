//! The keys by which `tls_server_config` says who the clients must be.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use super::client_certificate::ClientCertificates;
use crate::yaml::{Field, Section, quoted};

/// What is asked of clients, as Go's `ClientAuthType` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientPolicy {
    None,
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

impl ClientPolicy {
    fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }
}

/// The policy of the section; `None` where a problem is reported.
pub(super) fn read(section: &Section<'_>) -> Option<ClientPolicy> {
    let policy = match section.field("client_auth_type") {
        None => ClientPolicy::None,
        Some(field) => match field.text()? {
            "" | "NoClientCert" => ClientPolicy::None,
            "RequestClientCert" => ClientPolicy::Request,
            // The second is an old name that the toolkit still reads.
            "RequireAnyClientCert" | "RequireClientCert" => ClientPolicy::RequireAny,
            "VerifyClientCertIfGiven" => ClientPolicy::VerifyIfGiven,
            "RequireAndVerifyClientCert" => ClientPolicy::RequireAndVerify,
            name => {
                let hint = "there are NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven \
                            and RequireAndVerifyClientCert";
                field.refuse_with_hint(format!("unknown policy: {}", quoted(name)), hint);
                return None;
            }
        },
    };
    if let Some(field) = section.field("client_allowed_sans").filter(|_| !policy.requires()) {
        // A client without a certificate would have no name to look at.
        field.refuse_with_hint("names are looked at only where a certificate is required", REMEDY);
    }
    Some(policy)
}

/// Who the clients must be. `None` where they aren't asked, and where a problem is reported. `authority` is what the
/// section names as one.
pub(super) fn verifier(
    section: &Section<'_>,
    policy: ClientPolicy,
    authority: Option<(Field<'_>, Vec<CertificateDer<'static>>)>,
    provider: &Arc<CryptoProvider>,
) -> Option<ClientCertificates> {
    let names = allowed_names(section);
    let certificates = match policy {
        ClientPolicy::None => {
            if let Some((field, _)) = authority {
                field.refuse_with_hint(
                    "this file has no effect, because clients are not asked for certificates",
                    REMEDY,
                );
            }
            return None;
        }
        ClientPolicy::Request | ClientPolicy::RequireAny => {
            ClientCertificates::of_anybody(provider.clone(), policy.requires())
        }
        ClientPolicy::VerifyIfGiven | ClientPolicy::RequireAndVerify => {
            // As in Go, where none is named: the authorities that the system trusts.
            let of_system = || Some((section.field("client_auth_type")?, system_authorities()));
            let (field, issuers) = authority.or_else(of_system)?;
            let verified = ClientCertificates::issued_by(issuers, provider.clone(), policy.requires());
            verified
                .map_err(|error| field.refuse(format!("cannot verify clients by it: {error}")))
                .ok()?
        }
    };
    Some(certificates.allowing(names))
}

/// The names of which a client's certificate must have one; any will do where there is no list.
fn allowed_names(section: &Section<'_>) -> Option<Vec<String>> {
    let items = section.field("client_allowed_sans")?.list()?;
    Some(items.iter().filter_map(|item| item.text().map(str::to_owned)).collect())
}

/// Those that can be used: a system's store may well hold some that can't.
fn system_authorities() -> Vec<CertificateDer<'static>> {
    let certificates = rustls_native_certs::load_native_certs().certs;
    let usable = |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    certificates.into_iter().filter(usable).collect()
}

const REMEDY: &str = "set `client_auth_type` to RequireAndVerifyClientCert";
