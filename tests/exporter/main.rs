//! The real binary against the simulated GREEN-API, seen from outside: HTTP, standard output, logs and exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alerting;
mod certificates;
mod commands;
mod dashboards;
mod documents;
mod durability;
mod fetching;
mod harness;
mod healthcheck;
mod memory;
mod operations;
mod prometheus;
mod proxies;
mod publisher;
mod reloading;
mod rules;
mod scraping;
mod secrets;
mod securing;
mod serving;
mod soak;
mod vocabulary;
mod web_config;
