//! Makes certificates.

use std::ops::Range;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd};
use tempfile::TempDir;

/// Issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let params = authority_params(name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes `NAME.pem` and `NAME.key` into `folder`: a certificate for `names`, and its key.
    pub(crate) fn issue(&self, folder: &Path, name: &str, names: &[SanType]) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// What a server on this machine is called.
pub(crate) fn this_machine() -> Vec<SanType> {
    vec![
        SanType::DnsName("localhost".try_into().unwrap()),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ]
}

/// A folder with what a server on this machine has, `server.pem` and `server.key`, and `ca.pem`, which its clients have to trust.
pub(crate) fn of_server() -> TempDir {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("authority");
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    authority.issue(folder.path(), "server", &this_machine());
    folder
}

/// What `openssl req -x509` makes of a client's key: an authority of its own, from the first day of one year to that of another.
pub(crate) fn self_signed(folder: &Path, name: &str, valid: Range<i32>) {
    let key = KeyPair::generate().unwrap();
    let mut params = authority_params(name);
    [params.not_before, params.not_after] = [valid.start, valid.end].map(|year| date_time_ymd(year, 1, 1));
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}
