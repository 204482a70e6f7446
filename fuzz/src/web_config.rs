//! No web configuration makes its reader panic or shows a secret.

#[path = "../../tests/exporter/certificates.rs"]
#[expect(dead_code, reason = "this needs only some of them")]
mod certificates;

use std::fs;
use std::sync::OnceLock;

use certificates::{Authority, this_machine};
use greenapi_exporter::web::WebConfig;
use tempfile::TempDir;

use crate::marker::{folder, marked, must_not_be_in};

pub fn check(text: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let path = folder(&FOLDER, |folder| {
        let authority = Authority::new("authority");
        authority.issue(folder.path(), "server", &this_machine());
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    })
    .join("web.yml");
    fs::write(&path, marked(text)).unwrap();
    if let Err(error) = WebConfig::open(&path) {
        must_not_be_in(&format!("{error}\n{error:?}"));
    }
}
