//! A fleet behind an API of some latency, scraped again and again while nothing changes.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::exporter;
use crate::journals::{SMALL, journal};
use crate::program::Program;
use crate::secure::SecureApi;
use crate::single::marking;

const LATENCY: Duration = Duration::from_millis(50);

pub(crate) fn print(api: &Api) {
    println!("\nA fleet that doesn't change, durable, page compressed, {LATENCY:?} of latency");
    println!(
        "{:>9} {:>8} {:>11} {:>8} | {:>15} {:>7} {:>7} {:>8} {:>7} {:>15} {:>7}",
        "instances",
        "statuses",
        "concurrency",
        "over",
        "us per instance",
        "bare us",
        "wall s",
        "ideal s",
        "MB",
        "KB per instance",
        "sockets"
    );
    for (statuses, concurrency) in [(3, 64), (100, 64), (3, 256), (100, 256), (3, 1_024)] {
        api.answer(&journal(statuses, &SMALL), LATENCY);
        let serve = |instances| exporter::serve(instances, api.address, concurrency);
        let bare = bare(api, &format!("http://{}", api.address), None, concurrency);
        measure(serve, "", (statuses, concurrency), bare);
    }
    for (name, http2) in [("TLS", false), ("TLS, h2", true)] {
        let secure = SecureApi::start(journal(3, &SMALL), LATENCY, http2);
        let serve = |instances| exporter::serve_secure(instances, &secure, 256);
        let bare = bare(api, &format!("https://{}", secure.address), Some(&secure.roots), 256);
        measure(serve, name, (3, 256), bare);
    }
}

/// What a request alone takes of the CPU, by reqwest and as many at once.
fn bare(api: &Api, journals: &str, roots: Option<&Path>, concurrency: usize) -> Duration {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mark = format!("http://{}/mark", api.address);
    command.args([
        "bare",
        &BARE.to_string(),
        &concurrency.to_string(),
        &mark,
        &format!("{journals}/journal"),
    ]);
    if let Some(roots) = roots {
        command.env("SSL_CERT_FILE", roots);
    }
    marking(api, BARE, &mut command).cpu
}

/// Measures a small fleet and a large one. What an instance takes is by how much they differ: what connections take, both have.
fn measure(serve: impl Fn(usize) -> Program, name: &str, (statuses, concurrency): (usize, usize), bare: Duration) {
    let [small, large] = [1_000, 10_000];
    let before = measure_one(&serve(small), name, (small, statuses, concurrency), bare, None);
    let other = Some((small, before));
    measure_one(&serve(large), name, (large, statuses, concurrency), bare, other);
}

/// Measures a fleet, next to one of so many instances and so much memory, and tells its memory.
fn measure_one(
    program: &Program,
    name: &str,
    (instances, statuses, concurrency): (usize, usize, usize),
    bare: Duration,
    other: Option<(usize, u64)>,
) -> u64 {
    // The first scrape opens connections, the second still finds counters that appear.
    for _ in 0..2 {
        scrape(program);
        thread::sleep(Duration::from_millis(1_010));
    }
    let (mut best, mut wall, mut sockets) = (Duration::MAX, Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let (before, start) = (program.cpu(), Instant::now());
        scrape(program);
        wall = wall.min(start.elapsed());
        best = best.min(program.cpu().saturating_sub(before));
        sockets = sockets.max(program.sockets());
        thread::sleep(Duration::from_millis(1_010));
    }
    let each = instances as f64;
    let resident = program.resident();
    let per_instance = other.map(|(others, memory)| {
        let more = resident.saturating_sub(memory) as f64;
        format!("{:.2}", more / (instances - others) as f64 / 1024.0)
    });
    println!(
        "{instances:>9} {statuses:>8} {concurrency:>11} {name:>8} | {:>15.1} {:>7.1} {:>7.2} {:>8.2} {:>7.1} {:>15} {sockets:>7}",
        1e6 * best.as_secs_f64() / each,
        1e6 * bare.as_secs_f64(),
        wall.as_secs_f64(),
        LATENCY.as_secs_f64() * each / concurrency as f64,
        resident as f64 / 1e6,
        per_instance.unwrap_or_default(),
    );
    resident
}

fn scrape(program: &Program) {
    program.get("/metrics", "Accept-Encoding: gzip\r\n");
}

const ROUNDS: usize = 4;

/// So many requests alone make a round.
const BARE: usize = 2_000;
