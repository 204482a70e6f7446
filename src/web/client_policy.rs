//! The keys by which `tls_server_config` says who the clients must be.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

use super::client_certificate::ClientCertificates;
use crate::yaml::{Field, Reported, Section, all, quoted};

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
    /// Whether a certificate must be an authority's.
    pub(super) fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Whether a client without a certificate is refused.
    pub(super) fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }
}

/// The policy of the section.
pub(super) fn read(section: &Section<'_>) -> Result<ClientPolicy, Reported> {
    let policy = section.optional("client_auth_type", |field| match field.text()? {
        "" | "NoClientCert" => Ok(ClientPolicy::None),
        "RequestClientCert" => Ok(ClientPolicy::Request),
        // The second is an old name that the toolkit still reads.
        "RequireAnyClientCert" | "RequireClientCert" => Ok(ClientPolicy::RequireAny),
        "VerifyClientCertIfGiven" => Ok(ClientPolicy::VerifyIfGiven),
        "RequireAndVerifyClientCert" => Ok(ClientPolicy::RequireAndVerify),
        name => {
            let hint = "supported: NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, \
                        RequireAndVerifyClientCert";
            Err(field.refuse_with_hint(format!("unknown policy: {}", quoted(name)), hint))
        }
    });
    Ok(policy?.unwrap_or(ClientPolicy::None))
}

/// The names of which a client's certificate must have one; any will do where there is no list.
pub(super) fn allowed_names(section: &Section<'_>, policy: ClientPolicy) -> Result<Option<Vec<String>>, Reported> {
    section.optional("client_allowed_sans", |field| {
        let names = all(field.list()?.iter().map(|item| Ok(item.text()?.to_owned())));
        if policy == ClientPolicy::None {
            let message = "this list has no effect, because clients are not asked for certificates";
            return Err(field.refuse_with_hint(message, REMEDY));
        }
        names
    })
}

/// Who the clients must be; `None` where they aren't asked. `authority` is what the section names as one.
pub(super) fn verifier(
    section: &Section<'_>,
    policy: ClientPolicy,
    authority: Option<(Field<'_>, Vec<CertificateDer<'static>>)>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<ClientCertificates>, Reported> {
    let verifier = match policy {
        ClientPolicy::None => match authority {
            None => return Ok(None),
            Some((field, _)) => {
                let message = "this file has no effect, because clients are not asked for certificates";
                return Err(field.refuse_with_hint(message, REMEDY));
            }
        },
        ClientPolicy::Request | ClientPolicy::RequireAny => {
            ClientCertificates::of_anybody(provider.clone(), policy.requires())
        }
        ClientPolicy::VerifyIfGiven | ClientPolicy::RequireAndVerify => {
            // As in Go, where none is named: the authorities that the system trusts.
            let of_system = || (section.first_of(&["client_auth_type"]), system_authorities());
            let (field, issuers) = authority.unwrap_or_else(of_system);
            ClientCertificates::issued_by(issuers, provider.clone(), policy.requires())
                .map_err(|error| field.refuse(format!("cannot verify clients against it: {error}")))?
        }
    };
    Ok(Some(verifier))
}

/// Those that can be used: a system's store may well hold some that can't.
fn system_authorities() -> Vec<CertificateDer<'static>> {
    let certificates = rustls_native_certs::load_native_certs().certs;
    let usable = |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    certificates.into_iter().filter(usable).collect()
}

const REMEDY: &str = "set `client_auth_type` to RequireAndVerifyClientCert";
