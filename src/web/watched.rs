//! Files that are read again when they change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::file;

/// Files that were read, and how each was marked just before.
#[derive(Default)]
pub(super) struct Watched(Vec<(PathBuf, Option<Mark>)>);

/// What is different once a file is written anew, or another one is put or linked in its place.
#[derive(PartialEq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watched {
    /// Reads the file at `path` and watches it from here on, whether or not it could be read.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        // Marked before it is read: what is written in between shows as a change.
        self.0.push((path.to_owned(), mark(path)));
        file::read(path, SIZE_LIMIT)
    }

    /// Whether any of the files is another than the one that was read.
    pub(super) fn changed(&self) -> bool {
        self.0.iter().any(|(path, seen)| mark(path) != *seen)
    }
}

/// `None` where there is no such file.
fn mark(path: &Path) -> Option<Mark> {
    let metadata = fs::metadata(path).ok()?;
    Some(Mark {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// More than any bundle of certificates.
const SIZE_LIMIT: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn whatever_happens_to_a_file_is_a_change_and_nothing_else_is() {
        let check = |happens: fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in [("a", "old"), ("b", "new")] {
                fs::write(folder.path().join(name), text).unwrap();
            }
            let link = folder.path().join("link");
            symlink(folder.path().join("a"), &link).unwrap();
            let mut watched = Watched::default();
            assert_eq!(watched.read(&link).unwrap(), b"old");
            assert!(watched.read(&folder.path().join("missing")).is_err());
            assert!(!watched.changed());
            happens(folder.path());
            assert!(watched.changed());
        };
        check(|folder| fs::write(folder.join("a"), "longer").unwrap());
        check(|folder| fs::rename(folder.join("b"), folder.join("a")).unwrap());
        check(|folder| fs::remove_file(folder.join("a")).unwrap());
        check(|folder| fs::write(folder.join("missing"), "").unwrap());
        // As Kubernetes does it.
        check(|folder| {
            symlink(folder.join("b"), folder.join("next")).unwrap();
            fs::rename(folder.join("next"), folder.join("link")).unwrap();
        });
    }
}
