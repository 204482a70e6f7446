//! What the exporter costs, next to curl, to what a user would write, and to its targets (performance.md): `make bench`.
//!
//! Every program is a process of its own that asks the same thread of this one for the same bytes over loopback. Its CPU time, without
//! its start, and its memory are what the system says of it. The times belong to the machine; what is to be compared are the ratios of one run.
//! Each figure is the best of some rounds, as whatever else the machine does can only make a round slower.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "it prints its figures, and a figure that can't be had ends it"
)]

mod api;
mod bare;
mod exporter;
mod fleet;
mod idle;
#[path = "../journals/mod.rs"]
mod journals;
mod naive;
mod program;
mod secure;
mod single;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words {
        ["naive", ref urls @ ..] => return alone(naive::run(urls)),
        ["bare", times, concurrency, mark, journal] => return alone(bare::run([times, concurrency, mark, journal])),
        _ => {}
    }
    let wanted = |name: &str| {
        let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
        names.is_empty() || names.iter().any(|wanted| *wanted == name)
    };
    let api = api::Api::start();
    if wanted("single") {
        single::print(&api);
    }
    if wanted("fleet") {
        fleet::print(&api);
    }
    if wanted("idle") {
        idle::print(&api);
    }
}

/// Runs a program that this one is compared with, in a process of its own.
fn alone(program: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(program);
}
