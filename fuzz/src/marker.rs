//! A secret that can be told from everything else, to be looked for in what is shown.

use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;

use tempfile::TempDir;

/// Letters and digits in a row, as a token and the better part of a hash are.
const SECRET: &str = "d75b3a66374942c5b3c019c698abc2067e151558acbb41";

/// The input with the secret wherever there is a `$`, so that no mutation cuts it into pieces that might be shown.
pub(crate) fn marked(input: &[u8]) -> Vec<u8> {
    let pieces: Vec<&[u8]> = input.split(|byte| *byte == b'$').collect();
    pieces.join(SECRET.as_bytes())
}

/// Panics if so much of the secret is in `shown` that it is one.
pub(crate) fn must_not_be_in(shown: &str) {
    // Seeds hold it spelled out too, and what is left of it after a mutation may well be shown.
    let is_shown = || {
        let mut parts = SECRET.as_bytes().windows(33).map(str::from_utf8);
        parts.any(|part| shown.contains(part.unwrap()))
    };
    assert!(
        !shown.contains(&SECRET[13..33]) || !is_shown(),
        "a secret is shown:\n{shown}"
    );
}

/// The environment of a configuration: one variable is set well, another to nothing.
pub(crate) fn environment(name: &str) -> Option<String> {
    match name {
        "SHOP_HAMBURG_TOKEN" | "PARTNER_TOKEN" => Some(SECRET.to_owned()),
        "EMPTY_TOKEN" => Some(String::new()),
        _ => None,
    }
}

/// A folder of this process, made by `fill` once.
pub(crate) fn folder(made: &'static OnceLock<TempDir>, fill: fn(&TempDir)) -> PathBuf {
    let folder = made.get_or_init(|| {
        let folder = TempDir::new_in(env::temp_dir()).unwrap();
        fill(&folder);
        folder
    });
    folder.path().to_owned()
}
