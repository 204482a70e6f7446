//! greenapi-exporter
pub mod account;
pub mod clock;
pub mod collector;
pub mod fetch;
pub mod green_api;
pub mod journal;
pub mod label;
pub mod snapshot;
pub mod web;
