//! From a file to what is read off it, with everything that is wrong with it: the way of every configuration file.

use std::io;
use std::path::Path;

use super::file;
use super::problem::{ConfigError, Problems};
use super::section::Entry;

/// What `interpret` makes of the YAML in `bytes`, which were read from `path`. It returns `None` only after it has
/// reported why.
pub(crate) fn read<T>(
    path: &Path,
    bytes: io::Result<Vec<u8>>,
    interpret: impl FnOnce(&Entry<'_>) -> Option<T>,
) -> Result<T, ConfigError> {
    let problems = Problems::default();
    let text = bytes
        .map_err(|error| format!("cannot read the file: {error}"))
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "cannot read the file: it is not UTF-8".to_owned()));
    let tree = text
        .map_err(|message| (None, message))
        .and_then(|text| file::parse(&text));
    let value = match &tree {
        Ok(root) => interpret(&Entry::root(root, &problems)),
        Err((at, message)) => {
            problems.add(*at, "", message, None);
            None
        }
    };
    problems.or(Some(path.display().to_string()), value)
}
