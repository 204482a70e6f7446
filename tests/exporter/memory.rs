//! Memory does not grow with the journal.

use std::fs;

use greenapi_exporter::simulator::Behaviour;

use crate::harness::{Exporter, config, gauge, simulate};

#[tokio::test]
async fn a_journal_of_300_megabytes_leaves_the_process_under_32() {
    let (simulator, url) = simulate(&[Behaviour::Huge(300_000_000)]);
    let config = config(&simulator, &url, "timeout: 1m");
    let exporter = Exporter::start(&format!("{config}max_response_bytes: 400000000\n"), &[]).await;
    let page = exporter.metrics().await;
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(1.0));
    let status = fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 32 * 1024, "{peak} kB");
}
