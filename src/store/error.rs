//! Why a ledger can't be opened or written, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store can't be opened or written. The second line of its text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory is missing, or is none, or may not be looked into.
    #[error(
        "cannot use the storage directory `{}`: {reason}\n  \
         hint: `--storage.path` names a directory that exists and that the exporter's user may write to", path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process has it open.
    #[error(
        "cannot open the ledger `{}`: another process has it open\n  \
         hint: each exporter needs a `--storage.path` of its own; stop the other one, or name another directory", path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Not written by this program, or cut off before its first byte.
    #[error(
        "cannot open the ledger `{}`: it is not a ledger of greenapi-exporter\n  \
         hint: name another `--storage.path`, or move the file away to start a new ledger, whose counters begin at 0", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version of this program.
    #[error(
        "cannot open the ledger `{}`: it has format version {found}, and this greenapi-exporter reads version {}\n  \
         hint: run the greenapi-exporter that wrote it, or name another `--storage.path`", path.display(), super::VERSION
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u64,
    },
    /// Its contents are not what was written.
    #[error(
        "cannot use the ledger `{}`: it is damaged: {reason}\n  \
         hint: restore it from a backup, or move it away to start a new ledger, whose counters begin at 0", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It can't be given its name, which is done by a hard link.
    #[error(
        "cannot make the ledger `{}`: {reason}\n  \
         hint: `--storage.path` must be on a file system that has hard links", path.display()
    )]
    NotLinked {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It was removed or replaced, or another process wrote to it while this one had lost it after an error.
    #[error(
        "cannot write the ledger `{}`: it was removed, or another process has written to it\n  \
         hint: put it back, or stop the other exporter, which needs a `--storage.path` of its own; then restart this one", path.display()
    )]
    Overtaken {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses: no permission, read-only, no space left.
    #[error(
        "cannot open or write the ledger `{}`: {reason}\n  \
         hint: see that the disk has space and is writable, and that the file belongs to the exporter's user", path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl StoreError {
    /// What an error of redb means for the ledger at `path`.
    pub(super) fn new(path: &Path, error: impl Into<redb::Error>) -> Self {
        let path = path.to_owned();
        match error.into() {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse { path },
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Self::Foreign { path },
            redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Damaged {
                path,
                reason: "its end is missing".to_owned(),
            },
            redb::Error::Io(error) => Self::Io {
                path,
                reason: error.to_string(),
            },
            redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableDoesNotExist(_)
            | redb::Error::UpgradeRequired(_) => Self::Foreign { path },
            redb::Error::Corrupted(reason) => Self::Damaged { path, reason },
            other => Self::Io {
                path,
                reason: other.to_string(),
            },
        }
    }
}
