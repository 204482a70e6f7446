//! greenapi-exporter
pub mod account;
pub mod clock;
pub mod collector;
pub mod fetch;
pub mod journal;
pub mod label;
pub mod ledger;
pub mod snapshot;
pub mod store;
pub mod web;
