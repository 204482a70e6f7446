//! Keeps ledgers on disk, in one file of redb's, so that no status is lost or counted twice whenever the program dies.
//!
//! Only what changed is written, and all that changed in one scrape in one transaction, which is on disk before the scrape is shown.
//!
//! redb keeps its two latest commits. If it can't read the later one, it takes it for cut short by a loss of power and goes back to the
//! one before. But if the later one was damaged only after it had been shown, counters would fall. So each transaction is followed by
//! an empty one: both commits then hold all that was shown, and damage to either is harmless or an error.
//!
//! On opening, redb verifies the checksum of every page before anything is read, so that damage is an error and not a panic.

mod error;
mod file;
mod rows;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use crate::account::InstanceId;
use crate::ledger::{Changes, Ledger};

pub use self::error::StoreError;

/// The file in the storage directory.
pub const FILE: &str = "ledger.redb";

/// The version of the file's format: of its tables and of the spelling of their rows.
pub const VERSION: u64 = 2;

/// The summaries by instance.
const SUMMARIES: TableDefinition<u64, &[u8]> = TableDefinition::new("summaries");

/// The entries by instance and status.
const ENTRIES: TableDefinition<(u64, u128), rows::EntryRow> = TableDefinition::new("entries");

/// The ledgers on disk. Whoever has it is the only one to write to them.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Absent after an error until the next attempt, which opens it again: redb refuses everything once a write has failed.
    database: Option<Database>,
    /// The mark that this opening left in the file.
    opening: u64,
    /// Which file it is, whatever has its name later.
    identity: file::Identity,
}

impl Store {
    /// Opens the ledgers in `directory`, with a new file if there is none, and reads all of them.
    ///
    /// # Errors
    /// Where the directory can't be used, another process has the file open, or it is not a whole and intact ledger of a known
    /// version. A file that is there is never replaced.
    pub fn open(directory: &Path) -> Result<(Self, BTreeMap<InstanceId, Ledger>), StoreError> {
        let path = directory.join(FILE);
        look_into(directory)?;
        let (database, identity) = match file::open(&path)? {
            Some(opened) => opened,
            None => file::create(&path)?,
        };
        let ledgers = load_intact(&database, &path)?;
        let opening = file::mark_opening(&database).map_err(|error| StoreError::new(&path, error))?;
        let store = Self {
            database: Some(database),
            opening,
            identity,
            path,
        };
        Ok((store, ledgers))
    }

    /// Says whether the ledgers in `directory` can be opened, and how many statuses they know; `None` where there are none, but can be made. No
    /// file is left behind, and no ledger changes; the file of an exporter that was killed is repaired.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn check(directory: &Path) -> Result<Option<usize>, StoreError> {
        let path = directory.join(FILE);
        look_into(directory)?;
        let Some((database, _)) = file::open(&path)? else {
            file::try_creating(&path)?;
            return Ok(None);
        };
        let ledgers = load_intact(&database, &path)?;
        Ok(Some(ledgers.values().map(|ledger| ledger.entries().len()).sum()))
    }

    /// Writes the changes of one scrape, all or none of them. They are on disk when this returns; it blocks until then.
    ///
    /// Where nothing changes it does nothing. After an error nothing is known to be written, and the same or later changes can be
    /// tried again: they are values, not differences.
    ///
    /// # Errors
    /// Where the system refuses, such as on a full disk.
    pub fn write(&mut self, changes: &[(InstanceId, Changes)]) -> Result<(), StoreError> {
        if changes.iter().all(|(_, changes)| changes.is_empty()) {
            return Ok(());
        }
        self.commit(|transaction| {
            let mut summaries = transaction.open_table(SUMMARIES)?;
            let mut entries = transaction.open_table(ENTRIES)?;
            for (id, changes) in changes {
                let id = u64::from(*id);
                if let Some(summary) = changes.summary() {
                    summaries.insert(id, rows::summary_row(summary).as_slice())?;
                }
                for entry in changes.forgotten() {
                    entries.remove((id, entry.id().into()))?;
                }
                for entry in changes.entries() {
                    entries.insert((id, entry.id().into()), rows::entry_row(entry))?;
                }
            }
            Ok(())
        })
    }

    /// Removes the ledgers of these instances, all or none; to remove one that isn't there is no error.
    ///
    /// # Errors
    /// As for [`Store::write`].
    pub fn forget(&mut self, ids: &[InstanceId]) -> Result<(), StoreError> {
        self.commit(|transaction| {
            let mut summaries = transaction.open_table(SUMMARIES)?;
            let mut entries = transaction.open_table(ENTRIES)?;
            for id in ids {
                let id = u64::from(*id);
                summaries.remove(id)?;
                entries.retain_in(all_of(id), |_, _| false)?;
            }
            Ok(())
        })
    }

    fn commit(&mut self, write: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>) -> Result<(), StoreError> {
        // What is written to a file that was removed or replaced is lost.
        let is_in_place = file::identity(&self.path) == Some(self.identity);
        let database = match self.database.take().filter(|_| is_in_place) {
            Some(database) => database,
            None => self.reopen()?,
        };
        file::commit(&database, write).map_err(|error| StoreError::new(&self.path, error))?;
        self.database = Some(database);
        Ok(())
    }

    /// Opens the file once more, if nobody else has had it open since.
    fn reopen(&mut self) -> Result<Database, StoreError> {
        let path = self.path.clone();
        let Some((database, identity)) = file::open(&path)? else {
            return Err(StoreError::Overtaken { path });
        };
        match file::latest_opening(&database) {
            Ok(Some(latest)) if latest == self.opening => {
                self.identity = identity;
                Ok(database)
            }
            Ok(_) => Err(StoreError::Overtaken { path }),
            Err(error) => Err(StoreError::new(&path, error)),
        }
    }
}

/// Makes the directory `name` within `directory` if it isn't there. A loss of power doesn't undo that.
///
/// # Errors
/// Where the system refuses.
pub fn make_directory(directory: &Path, name: &str) -> Result<PathBuf, StoreError> {
    let path = directory.join(name);
    let made = match fs::create_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| File::open(directory)?.sync_all()),
    };
    made.map_err(|error| unusable(&path, &error))?;
    Ok(path)
}

/// The directory `name` within `directory`; `None` where it isn't there, but can be made. None is left behind.
///
/// # Errors
/// Where it could not be made.
pub fn existing_directory(directory: &Path, name: &str) -> Result<Option<PathBuf>, StoreError> {
    let path = directory.join(name);
    // Also a link that leads nowhere is in the way.
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = file::try_making_directory(directory);
            made.map_err(|error| unusable(&path, &error))?;
            Ok(None)
        }
        _ => Ok(Some(path)),
    }
}

fn look_into(directory: &Path) -> Result<(), StoreError> {
    let readable = fs::read_dir(directory);
    readable.map(drop).map_err(|error| unusable(directory, &error))
}

fn unusable(directory: &Path, error: &io::Error) -> StoreError {
    StoreError::Directory {
        path: directory.to_owned(),
        reason: error.to_string(),
    }
}

/// All ledgers in the file at `path`.
fn load_intact(database: &Database, path: &Path) -> Result<BTreeMap<InstanceId, Ledger>, StoreError> {
    let ledgers = load(database).map_err(|error| StoreError::new(path, error))?;
    ledgers.ok_or_else(|| StoreError::Damaged {
        path: path.to_owned(),
        reason: "a row can't be read".to_owned(),
    })
}

/// All ledgers; `None` where a row is not one of ours.
fn load(database: &Database) -> Result<Option<BTreeMap<InstanceId, Ledger>>, redb::Error> {
    let transaction = database.begin_read()?;
    let all_entries = transaction.open_table(ENTRIES)?;
    let mut ledgers = BTreeMap::new();
    let mut read = 0;
    for row in transaction.open_table(SUMMARIES)?.iter()? {
        let (key, value) = row?;
        let id = key.value();
        let mut entries = Vec::new();
        for row in all_entries.range(all_of(id))? {
            let (key, value) = row?;
            let Some(entry) = rows::entry(key.value().1.into(), value.value()) else {
                return Ok(None);
            };
            entries.push(entry);
        }
        read += entries.len() as u64;
        let Some(summary) = rows::summary(value.value()) else {
            return Ok(None);
        };
        ledgers.insert(InstanceId::from(id), Ledger::restore(summary, entries));
    }
    // Every entry belongs to a ledger: one that doesn't would be lost in silence.
    Ok((read == all_entries.len()?).then_some(ledgers))
}

/// The keys of an instance's entries.
fn all_of(id: u64) -> RangeInclusive<(u64, u128)> {
    (id, u128::MIN)..=(id, u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, Record, StatusMessage};
    use crate::ledger::entry::Entry;

    #[test]
    fn nothing_is_written_to_a_file_that_was_removed_or_replaced_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join(FILE), folder.path().join("aside"));
        let (mut store, _) = Store::open(folder.path()).unwrap();
        let mut write = || {
            let changes = Ledger::new(7).changes(&Journal::default(), 8);
            let written = store.write(&[(InstanceId::from(1101), changes)]);
            written.map_err(|error| error.to_string())
        };
        write().unwrap();
        fs::rename(&path, &aside).unwrap();
        for _ in 0..2 {
            assert!(write().unwrap_err().contains("it was removed"));
        }
        // Another process makes a ledger anew, and opens it as often as this one.
        drop(Store::open(folder.path()).unwrap());
        assert!(write().unwrap_err().contains("another process has written to it"));
        fs::write(&path, "another").unwrap();
        write().unwrap_err();
        fs::rename(&aside, &path).unwrap();
        write().unwrap();
        write().unwrap();
    }

    #[test]
    fn an_entry_that_belongs_to_no_ledger_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(directory.path()).unwrap();
        let entry = Entry::new(&Record::example(7, StatusMessage::Sent), 8);
        let stray = store.commit(|transaction| {
            let mut entries = transaction.open_table(ENTRIES)?;
            entries.insert((1101, entry.id().into()), rows::entry_row(&entry))?;
            Ok(())
        });
        stray.unwrap();
        drop(store);
        let refused = Store::open(directory.path()).map(|_| ()).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    }

    /// Checks what comes of a write to a store that has closed its file, as it does after an error, and of what happened `meanwhile`.
    fn check_after_an_error(meanwhile: impl FnOnce(&Path), expected: Result<(), &str>) {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let (mut store, _) = Store::open(directory).unwrap();
        store.database = None;
        meanwhile(directory);
        let changes = Ledger::new(7).changes(&Journal::default(), 8);
        let written = store.write(&[(InstanceId::from(1101), changes)]);
        drop(store);
        let written = written.map_err(|error| error.to_string());
        let held = Store::open(directory)
            .map(|(_, ledgers)| ledgers.len())
            .unwrap_or_default();
        match expected {
            Ok(()) => assert_eq!((written, held), (Ok(()), 1)),
            Err(text) => assert!(written.unwrap_err().contains(text)),
        }
    }

    #[test]
    fn after_an_error_the_next_scrape_writes_again() {
        check_after_an_error(|_| (), Ok(()));
    }

    #[test]
    fn after_an_error_nothing_is_written_over_what_another_process_wrote_meanwhile() {
        check_after_an_error(
            |directory| drop(Store::open(directory).unwrap()),
            Err("it was removed, or another process has written to it"),
        );
        check_after_an_error(
            |directory| fs::remove_file(directory.join(FILE)).unwrap(),
            Err("it was removed, or another process has written to it"),
        );
    }
}
