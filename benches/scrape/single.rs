//! One scrape of one journal, next to other programs that are given the same bytes.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::api::Api;
use crate::exporter;
use crate::journals::{ALL, journal};
use crate::program::Program;
use crate::secure::SecureApi;

/// What a scrape costs.
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    peak: u64,
}

pub(crate) fn print(api: &Api) {
    println!("One scrape: CPU in ms, and peak memory in MB; `x` is ours by curl's, `y` Python's by ours");
    println!(
        "{:21} {:>8} | {:>9} {:>9} {:>9} {:>9} | {:>5} {:>5} | {:>6} {:>6} {:>6} {:>6}",
        "journal", "KB", "curl", "ours", "structs", "python", "x", "y", "curl", "ours", "struct", "python"
    );
    for (name, times) in JOURNALS {
        let body = named(name);
        api.answer(&body, Duration::ZERO);
        let costs = [curl(api, times), ours(api, times)];
        row(name, &body, &costs, Some(&[structs(api, times), python(api, times)]));
    }
    let body = named("small");
    api.answer(&body, Duration::ZERO);
    let costs = [curl(api, 100), ours_at_once(api, 100)];
    row("small, 100 at once", &body, &costs, None);
    for (name, times) in JOURNALS {
        secure_row(api, name, times, false);
    }
    secure_row(api, "typical", 10, true);
}

/// The same over TLS, as the API is reached.
fn secure_row(api: &Api, name: &str, times: usize, http2: bool) {
    let body = named(name);
    let secure = SecureApi::start(body.clone(), Duration::ZERO, http2);
    let curl = curl_by(api, &format!("https://{}", secure.address), Some(&secure.roots), times);
    let ours = serving(&exporter::serve_secure(times, &secure, 4), &probes(times));
    let over = if http2 { "TLS, h2" } else { "TLS" };
    row(&format!("{name}, {over}"), &body, &[curl, ours], None);
}

fn named(name: &str) -> String {
    let (_, statuses, shape) = ALL.iter().find(|(known, ..)| *known == name).unwrap();
    journal(*statuses, shape)
}

fn row(name: &str, body: &str, [curl, ours]: &[Cost; 2], others: Option<&[Cost; 2]>) {
    let milliseconds = |cost: &Cost| 1000.0 * cost.cpu.as_secs_f64();
    let megabytes = |cost: &Cost| cost.peak as f64 / 1e6;
    let of_others = |figure: fn(f64) -> String, of: &dyn Fn(&Cost) -> f64| {
        let figures = others
            .as_ref()
            .map(|others| others.each_ref().map(|cost| figure(of(cost))));
        figures.unwrap_or_default()
    };
    let [structs, python] = of_others(|figure| format!("{figure:.3}"), &milliseconds);
    let [structs_peak, python_peak] = of_others(|figure| format!("{figure:.1}"), &megabytes);
    let [_, by_python] = of_others(|figure| format!("{figure:.0}"), &|cost| {
        cost.cpu.as_secs_f64() / ours.cpu.as_secs_f64()
    });
    println!(
        "{name:21} {:>8} | {:>9.3} {:>9.3} {structs:>9} {python:>9} | {:>5.2} {by_python:>5} | {:>6.1} {:>6.1} {structs_peak:>6} {python_peak:>6}",
        body.len() / 1000,
        milliseconds(curl),
        milliseconds(ours),
        ours.cpu.as_secs_f64() / curl.cpu.as_secs_f64(),
        megabytes(curl),
        megabytes(ours),
    );
}

/// The best round of a program that asks for `/mark` before and after each. There it is made to rest for as long as the exporter must,
/// since whoever has just run runs faster.
pub(crate) fn marking(api: &Api, times: usize, command: &mut Command) -> Cost {
    let program = Program::start(command);
    let mut before = rested(api, || program.cpu());
    let mut best = Duration::MAX;
    let mut peak = 0;
    for _ in 0..ROUNDS {
        let after = rested(api, || {
            peak = program.peak();
            program.cpu()
        });
        best = best.min(after.saturating_sub(before));
        before = after;
    }
    Cost {
        cpu: best / times as u32,
        peak,
    }
}

/// What is seen when `/mark` is asked for, which is answered after a rest.
fn rested<T>(api: &Api, look: impl FnOnce() -> T) -> T {
    api.marked(|| {
        let seen = look();
        thread::sleep(SPACING);
        seen
    })
}

/// The URLs of all rounds, with the marks between them.
fn urls(api: &Api, journals: &str, times: usize) -> Vec<String> {
    let mark = format!("http://{}/mark", api.address);
    let mut urls = vec![mark.clone()];
    for _ in 0..ROUNDS {
        urls.extend((0..times).map(|_| format!("{journals}/journal")));
        urls.push(mark.clone());
    }
    urls
}

fn curl(api: &Api, times: usize) -> Cost {
    curl_by(api, &format!("http://{}", api.address), None, times)
}

fn curl_by(api: &Api, journals: &str, roots: Option<&Path>, times: usize) -> Cost {
    let mut curl = Command::new("curl");
    curl.arg("-s");
    if let Some(roots) = roots {
        curl.arg("--cacert").arg(roots);
    }
    for url in urls(api, journals, times) {
        curl.args(["-o", "/dev/null", &url]);
    }
    marking(api, times, &mut curl)
}

fn structs(api: &Api, times: usize) -> Cost {
    let mut naive = Command::new(std::env::current_exe().unwrap());
    marking(
        api,
        times,
        naive
            .arg("naive")
            .args(urls(api, &format!("http://{}", api.address), times)),
    )
}

/// The best round of a server that is asked for each of `paths`.
fn serving(program: &Program, paths: &[String]) -> Cost {
    let mut best = Duration::MAX;
    for round in 0..=ROUNDS {
        let before = program.cpu();
        for path in paths {
            program.get(path, "");
        }
        // What only the first round costs, such as connections and a ledger's baseline, is not the price of a scrape.
        if round > 0 {
            best = best.min(program.cpu().saturating_sub(before));
        }
        thread::sleep(SPACING);
    }
    Cost {
        cpu: best / paths.len() as u32,
        peak: program.peak(),
    }
}

fn ours(api: &Api, times: usize) -> Cost {
    serving(&exporter::serve(times, api.address, 4), &probes(times))
}

/// The same, where one scrape asks for all of so many instances: the cost of each.
fn ours_at_once(api: &Api, times: usize) -> Cost {
    let cost = serving(&exporter::serve(times, api.address, 4), &["/metrics".to_owned()]);
    Cost {
        cpu: cost.cpu / times as u32,
        ..cost
    }
}

/// The paths under which each of so many instances is probed.
fn probes(times: usize) -> Vec<String> {
    (0..times)
        .map(|index| format!("/probe?target={}", exporter::id(index)))
        .collect()
}

fn python(api: &Api, times: usize) -> Cost {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-python/bin/python");
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/python/exporter.py"));
    let program = Program::serve(command.arg(format!("http://{}/journal", api.address)));
    serving(&program, &vec!["/metrics".to_owned(); times])
}

/// The journals that are asked for, and how many times in a round.
const JOURNALS: [(&str, usize); 6] = [
    ("small", 100),
    ("typical", 10),
    ("typical-indented", 10),
    ("typical-odd", 10),
    ("text", 3),
    ("huge", 1),
];

const ROUNDS: usize = 8;

/// An instance's journal is asked for once a second at most.
const SPACING: Duration = Duration::from_millis(1_010);
