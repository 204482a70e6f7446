//! What the exporter costs before it has done anything.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::api::Api;
use crate::exporter;

pub(crate) fn print(api: &Api) {
    println!("\nIdle");
    let starts = (0..10).map(|_| {
        let start = Instant::now();
        let program = exporter::serve(1, api.address, 64);
        program.get("/-/healthy", "");
        (start.elapsed(), program.resident())
    });
    let (start, resident) = starts.min().unwrap();
    println!("start to first answer {:.1} ms", 1000.0 * start.as_secs_f64());
    println!("resident memory       {:.1} MB", resident as f64 / 1e6);
    // The benchmark's own build keeps the symbols that a profiler needs.
    let stripped = format!("{}.stripped", exporter::BINARY);
    let status = Command::new("strip").args(["-o", &stripped, exporter::BINARY]).status();
    assert!(status.unwrap().success());
    println!(
        "binary                {:.1} MB",
        fs::metadata(stripped).unwrap().len() as f64 / 1e6
    );
}
