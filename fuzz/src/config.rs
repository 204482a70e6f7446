//! No configuration makes its reader panic or shows a secret.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::OnceLock;

use greenapi_exporter::config::Config;
use tempfile::TempDir;

use crate::marker::{environment, folder, marked, must_not_be_in};

pub fn check(text: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let path = folder(&FOLDER, |folder| {
        let secrets = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/config/secrets");
        symlink(secrets, folder.path().join("secrets")).unwrap();
    })
    .join("exporter.yml");
    fs::write(&path, marked(text)).unwrap();
    match Config::load(Some(&path), &environment) {
        Ok(config) => {
            must_not_be_in(&config.effective());
            must_not_be_in(&config.warnings().join("\n"));
        }
        Err(error) => must_not_be_in(&format!("{error}\n{error:?}")),
    }
}
