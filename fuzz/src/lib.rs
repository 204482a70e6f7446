//! What must hold whatever comes in: each module has a law as a function of bytes, which panics where it is broken.
//!
//! libFuzzer looks for such bytes by coverage (`fuzz_targets/`), the mill by numbers (`src/bin/mill.rs`).

pub mod accept;
pub mod authorization;
pub mod config;
pub mod exposition;
pub mod fold;
mod marker;
pub mod store;
pub mod web_config;

// The source of the users, which `authorization` takes in, looks for it here.
use greenapi_exporter::lock;

/// A law: it panics where the input breaks it.
pub type Law = fn(&[u8]);

/// Every law by its name.
pub const LAWS: [(&str, Law); 7] = [
    ("accept", accept::check),
    ("authorization", authorization::check),
    ("config", config::check),
    ("exposition", exposition::check),
    ("fold", fold::check),
    ("store", store::check),
    ("web_config", web_config::check),
];
