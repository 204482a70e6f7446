//! greenapi-exporter
pub mod account;
pub mod catalogue;
pub mod clock;
pub mod collector;
pub mod exposition;
pub mod fetch;
pub mod journal;
pub mod label;
pub mod process;
pub mod snapshot;
pub mod web;
