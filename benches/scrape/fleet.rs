//! A fleet behind an API of some latency, scraped again and again while nothing changes.

use std::thread;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::exporter;
use crate::journals::{SMALL, journal};
use crate::program::Program;
use crate::secure::SecureApi;

const LATENCY: Duration = Duration::from_millis(50);

pub(crate) fn print(api: &Api) {
    println!("\nA fleet that doesn't change, durable, page compressed, {LATENCY:?} of latency");
    println!(
        "{:>9} {:>8} {:>11} {:>8} | {:>15} {:>7} {:>8} {:>15} {:>7}",
        "instances",
        "statuses",
        "concurrency",
        "over",
        "us per instance",
        "wall s",
        "ideal s",
        "KB per instance",
        "sockets"
    );
    api.answer("[]", Duration::ZERO);
    let program = exporter::serve(1, api.address, 64);
    scrape(&program);
    let alone = program.resident();
    drop(program);
    for (instances, statuses, concurrency) in [
        (1_000, 3, 64),
        (1_000, 100, 64),
        (10_000, 3, 256),
        (10_000, 100, 256),
        (10_000, 3, 1_024),
    ] {
        api.answer(&journal(statuses, &SMALL), LATENCY);
        let program = exporter::serve(instances, api.address, concurrency);
        measure(&program, alone, "", (instances, statuses, concurrency));
    }
    for (name, http2) in [("TLS", false), ("TLS, h2", true)] {
        let secure = SecureApi::start(journal(3, &SMALL), LATENCY, http2);
        for (instances, concurrency) in [(1_000, 64), (10_000, 256)] {
            let program = exporter::serve_secure(instances, &secure, concurrency);
            measure(&program, alone, name, (instances, 3, concurrency));
        }
    }
}

fn measure(program: &Program, alone: u64, name: &str, (instances, statuses, concurrency): (usize, usize, usize)) {
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
    println!(
        "{instances:>9} {statuses:>8} {concurrency:>11} {name:>8} | {:>15.1} {:>7.2} {:>8.2} {:>15.2} {sockets:>7}",
        1e6 * best.as_secs_f64() / each,
        wall.as_secs_f64(),
        LATENCY.as_secs_f64() * each / concurrency as f64,
        program.resident().saturating_sub(alone) as f64 / each / 1024.0,
    );
}

fn scrape(program: &Program) {
    program.get("/metrics", "Accept-Encoding: gzip\r\n");
}

const ROUNDS: usize = 4;
