//! The real binary, serving instances of an API.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::Program;
use crate::secure::SecureApi;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_greenapi-exporter");

/// The id of the `index`th instance.
pub(crate) fn id(index: usize) -> usize {
    1_101_000_000 + index
}

/// Serves so many instances of an API in the clear, with an empty ledger on disk.
pub(crate) fn serve(instances: usize, api: SocketAddr, concurrency: usize) -> Program {
    serve_by(instances, &format!("http://{api}"), None, concurrency)
}

/// The same of an API over TLS.
pub(crate) fn serve_secure(instances: usize, api: &SecureApi, concurrency: usize) -> Program {
    serve_by(
        instances,
        &format!("https://{}", api.address),
        Some(&api.roots),
        concurrency,
    )
}

fn serve_by(instances: usize, api_url: &str, roots: Option<&Path>, concurrency: usize) -> Program {
    let folder = folder();
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("ledger")).unwrap();
    let mut config = format!(
        "max_concurrent_requests: {concurrency}\nmax_response_bytes: 1000000000\ndefaults:\n  \
         api_url: {api_url}\n  min_interval: 0s\n  timeout: 1m\ninstances:\n"
    );
    for index in 0..instances {
        writeln!(config, "  - id_instance: {}\n    api_token: token{index}", id(index)).unwrap();
    }
    let file = folder.join("exporter.yml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["serve", "--web.listen-address", "127.0.0.1:0", "--config.file"]);
    if let Some(roots) = roots {
        command.env("SSL_CERT_FILE", roots);
    }
    Program::serve(command.arg(file).arg("--storage.path").arg(folder.join("ledger")))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("scrape")
}
