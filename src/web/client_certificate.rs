//! Which certificates of clients are accepted: the five policies of Go's `ClientAuthType`, and the names allowed.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What is asked of a client's certificate. That the client holds its key is proven in any case.
#[derive(Debug)]
pub(super) struct ClientCertificates {
    provider: Arc<CryptoProvider>,
    /// Whether a client without one is refused.
    required: bool,
    /// Who must have issued it; anybody where absent.
    issuers: Option<Issuers>,
    /// One of which it must be for; any where absent.
    allowed_names: Option<Vec<String>>,
}

#[derive(Debug)]
struct Issuers {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCertificates {
    /// Accepts any certificate.
    pub(super) fn of_anybody(provider: Arc<CryptoProvider>, required: bool) -> Self {
        Self {
            provider,
            required,
            issuers: None,
            allowed_names: None,
        }
    }

    /// Accepts only certificates that lead to one of `issuers`.
    pub(super) fn issued_by(
        issuers: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
        required: bool,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &issuers {
            roots.add(certificate.clone())?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let issuers = Issuers {
            certificates: issuers,
            verifier,
        };
        Ok(Self {
            issuers: Some(issuers),
            ..Self::of_anybody(provider, required)
        })
    }

    /// Accepts only certificates for one of `names`, if they are given: a DNS name, e-mail address, IP address or URI, letter by letter.
    /// A client without a certificate has none of them, so that it is refused then, as by the toolkit.
    pub(super) fn allowing(self, names: Option<Vec<String>>) -> Self {
        Self {
            required: self.required || names.is_some(),
            allowed_names: names,
            ..self
        }
    }
}

impl Issuers {
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let verified = self.verifier.verify_client_cert(certificate, intermediates, now);
        match verified {
            Ok(_) => Ok(()),
            // A client's self-signed certificate that is itself listed: `openssl req -x509` makes it an authority's, which
            // the path building refuses for a client. Go accepts it, and it is no less certain who it is.
            Err(_) if self.certificates.contains(certificate) && is_valid_at(certificate, now)? => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        let verifier = self.issuers.as_ref().map(|issuers| &issuers.verifier);
        verifier.map_or(&[], |verifier| verifier.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(issuers) = &self.issuers {
            issuers.verify(certificate, intermediates, now)?;
        }
        if let Some(allowed) = &self.allowed_names {
            let names = names(certificate)?;
            if !names.iter().any(|name| allowed.contains(name)) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<bool, Error> {
    let certificate = parse(certificate)?;
    let validity = certificate.tbs_certificate().validity();
    let [from, until] = [&validity.not_before, &validity.not_after].map(|time| time.to_unix_duration().as_secs());
    Ok((from..=until).contains(&now.as_secs()))
}

/// The alternative names of the certificate's subject.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let certificate = parse(certificate)?;
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let Some((_, SubjectAltName(names))) = extension.map_err(bad_encoding)? else {
        return Ok(Vec::new());
    };
    let name = |name: &GeneralName| match name {
        GeneralName::DnsName(name) | GeneralName::Rfc822Name(name) | GeneralName::UniformResourceIdentifier(name) => {
            Some(name.to_string())
        }
        GeneralName::IpAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(octets.as_bytes()).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(octets.as_bytes()).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|address| address.to_string())
        }
        _ => None,
    };
    Ok(names.iter().filter_map(name).collect())
}

fn parse(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(bad_encoding)
}

fn bad_encoding(error: x509_cert::der::Error) -> Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}
