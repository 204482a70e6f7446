//! The real binary against the simulated GREEN-API, seen from outside: HTTP, standard output, logs and exit codes.

mod commands;
mod documents;
mod fetching;
mod harness;
mod memory;
mod prometheus;
mod scraping;
mod secrets;
mod serving;
