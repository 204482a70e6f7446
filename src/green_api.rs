//! GREEN-API: how its answers are read.

pub mod wire;
