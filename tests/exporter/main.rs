//! The real binary against the simulated GREEN-API, seen from outside: HTTP, standard output, logs and exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod certificates;
mod commands;
mod documents;
mod durability;
mod fetching;
mod harness;
mod memory;
mod operations;
mod prometheus;
mod publisher;
mod scraping;
mod secrets;
mod securing;
mod serving;
mod soak;
mod web_config;
