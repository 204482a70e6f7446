//! YAML files: from bytes to what is read off them, with everything that is wrong with them.
//!
//! A file is read key by key, instead of into a type, so that all its problems are told at once. What the keys mean is
//! for others to say. A reader that fails returns a `Reported`, which can only be had by reporting a problem: so `None`
//! always means that nothing is asked for, never that something is wrong.

mod field;
mod problem;
mod tree;

use std::io;
use std::path::Path;

pub(crate) use field::{Field, Section};
pub use problem::Refusal;
pub(crate) use problem::{Problems, Reported, all, closest, may_hold_secret, quoted};

/// What `interpret` makes of the YAML in `bytes`, which were read from `path`.
pub(crate) fn read<T>(
    path: &Path,
    bytes: io::Result<Vec<u8>>,
    interpret: impl FnOnce(&Field<'_>) -> Result<T, Reported>,
) -> Result<T, Refusal> {
    let problems = Problems::default();
    let text = bytes
        .map_err(|error| format!("cannot read the file: {error}"))
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "cannot read the file: it is not UTF-8".to_owned()));
    let tree = text
        .map_err(|message| (None, message))
        .and_then(|text| tree::parse(&text));
    let value = match &tree {
        Ok(root) => interpret(&Field::root(root, &problems)),
        Err((at, message)) => Err(problems.add(*at, "", message, None)),
    };
    problems.or(Some(path.display().to_string()), value)
}
