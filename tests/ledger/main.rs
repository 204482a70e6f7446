//! The ledger, as the specification has it (section 7): each rule by example, and the laws that hold for whatever may happen.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod absence;
mod laws;
mod rules;
mod truth;
