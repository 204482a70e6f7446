//! `greenapi-exporter`: GREEN-API's journal of WhatsApp statuses as Prometheus metrics. This page is the map.
//!
//! # A scrape
//!
//! ```text
//!  Prometheus ──GET /metrics──▶ web ──▶ pages ──▶ fleet ──▶ collect (each instance) ──▶ flight (one at a time)
//!                                                                                          │
//!                                                     GREEN-API ◀───hyper─── green_api ◀───┘
//!                                                         │
//!                        body, chunk by chunk ──▶ wire (fold) ──▶ journal ──▶ ledger ──▶ store (commit)
//!                                                                                │
//!  Prometheus ◀── text, OpenMetrics or protobuf ◀── exposition ◀── catalogue ◀── snapshot
//! ```
//!
//! It goes one way. [`pages`] asks [`fleet`] for what is known of every instance by a deadline. Each instance's requests
//! that are due are made by [`collect`], one of a kind at a time, whoever asks ([`flight`]). [`green_api`] folds the body
//! into a [`journal`] while it arrives; the [`ledger`] turns successive journals into counters, which are in the [`store`]
//! before they are shown ([`books`]). What is known then is a [`snapshot`], and a page is a function of that: [`catalogue`]
//! says which metrics there are, [`exposition`] writes them.
//!
//! # Invariants
//!
//! Each is tested.
//!
//! - **The core is pure.** [`label`], [`duration`], [`lock`], [`account`], [`fetch`], [`journal`], [`collector`], [`ledger`],
//!   [`shard`], [`snapshot`], [`catalogue`], [`exposition`] and [`backfill`] know no I/O, no clock and no task. Imports go
//!   from the shell to the edges to the core, never back, and within the core and the shell to modules named before.
//! - **Nothing that can be printed holds a secret.** A token leaves [`account`] only inside the URL of a request.
//!   Errors hold no URL, logs are our own, bodies of error answers are looked at and dropped.
//! - **Texts and phone numbers end in the fold.** What leaves [`green_api::wire`] is an id, a time and a few classes.
//! - **Counters are exact.** A status counts once, over scrapes, restarts and kills; the [`ledger`] has laws, the [`store`] is
//!   written before a scrape is shown.
//! - **Absent is absent.** A fact that isn't known has no series. Nothing is made up.
//! - **One instance never hurts another.** A page is always complete at its deadline; an instance that is late is shown as late.
//! - **No input causes a panic.** A release ends at once if there is one nevertheless: what was shown is in the store, and whatever
//!   supervises the process starts it anew.
//! - **What guards the page fails closed.** A web configuration that can't be served to the letter is an error; a change
//!   that breaks it isn't used.
//!
//! # Reading order
//!
//! `main.rs`, [`journal`], [`ledger`], [`fetch`], [`snapshot`], [`catalogue`], [`green_api::wire`], [`flight`],
//! [`collect`], [`books`], [`fleet`], [`pages`]. The [`simulator`] is a GREEN-API to try all this against.
//!
//! Comments cite `api.md` and the spec by section. These are the project's notes on GREEN-API and on what the exporter is to do;
//! they are kept beside the repository.

pub mod account;
pub mod backfill;
pub mod books;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod collector;
pub mod config;
pub mod discovery;
pub mod duration;
pub mod exposition;
pub mod fetch;
pub mod file;
pub mod fleet;
pub mod flight;
pub mod green_api;
pub mod journal;
pub mod label;
pub mod ledger;
pub mod lock;
pub mod pages;
pub mod process;
pub mod reload;
pub mod shard;
pub mod simulator;
pub mod snapshot;
pub mod store;
pub mod systemd;
pub mod telemetry;
pub mod web;
pub mod yaml;
