//! The simulator over HTTP: what was recorded of GREEN-API, as sentences.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod behaviours;
mod calls;
mod controls;
mod limits;
mod publishing;
mod queue;
mod refusals;
mod scene;
mod sdk;
mod traffic;
