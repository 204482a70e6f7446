//! Reads files that people write: configurations, tokens and certificates.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads the file at `path`, unless it has more than `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(io::Error::other(format!("it is larger than {} KiB", limit / 1024)))
    }
}
