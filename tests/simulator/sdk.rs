//! GREEN-API's own client for Python as a second opinion: it was not written with this simulator in mind.

use std::path::Path;
use std::process::Command;

use crate::scene::Scene;

#[tokio::test]
async fn official_sdk_for_python_publishes_reads_and_deletes() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    assert!(
        python.exists(),
        "`{}` is missing: run `make test-programs`",
        python.display()
    );
    let scene = Scene::new();
    // A proxy from the environment would be asked for this machine's own address.
    let mut script = Command::new(python);
    script
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/sdk.py"))
        .args([
            &scene.url,
            &scene.id.to_string(),
            &scene.token,
            scene.simulator.partner_token(),
        ])
        .env("NO_PROXY", "*");
    let output = tokio::task::spawn_blocking(move || script.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
