//! The file of the ledgers: how it comes into being, is recognised and written.

use std::fs::{File, Metadata, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase, TableDefinition, WriteTransaction};

use super::{ENTRIES, FILE, SUMMARIES, StoreError, VERSION};

/// Marks the file as ours: its format version, and which opening was the latest.
const FORMAT: TableDefinition<&str, u64> = TableDefinition::new("greenapi_exporter_ledger");
const FORMAT_VERSION: &str = "version";
const FORMAT_OPENING: &str = "opening";

/// Memory for pages of the file. The ledgers are in memory anyway; this only helps to find where to write.
const CACHE_BYTES: usize = 2 << 20;

/// A file's device and number, which no other file has while it is open.
pub(super) type Identity = (u64, u64);

/// Which file has the name `path`; `None` where there is none, or nobody can tell.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|metadata| identity_of(&metadata))
}

fn identity_of(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Opens the file and sees that it is a ledger of our version; `None` where there is none.
pub(super) fn open(path: &Path) -> Result<Option<(Database, Identity)>, StoreError> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::new(path, redb::Error::Io(error))),
    };
    let failed = |error| StoreError::new(path, error);
    let metadata = file.metadata().map_err(|error| failed(error.into()))?;
    // redb would make a new database of an empty file.
    if metadata.len() == 0 {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    let database = database(file).map_err(failed)?;
    match format(&database, FORMAT_VERSION).map_err(failed)? {
        Some(VERSION) => Ok(Some((database, identity_of(&metadata)))),
        Some(found) => Err(StoreError::OtherVersion {
            path: path.to_owned(),
            found,
        }),
        None => Err(StoreError::Foreign { path: path.to_owned() }),
    }
}

/// Makes an empty ledger.
pub(super) fn create(path: &Path) -> Result<(Database, Identity), StoreError> {
    create_as(path, path)
}

/// Sees whether the ledger at `path` could be made, and leaves nothing behind.
pub(super) fn try_creating(path: &Path) -> Result<(), StoreError> {
    let name = unused_name(path);
    create_as(&name, path)?;
    std::fs::remove_file(name).map_err(|error| StoreError::new(path, redb::Error::Io(error)))
}

/// Makes an empty ledger under another name and gives it the name `name` when it is complete, so that no crash leaves half of one. Errors
/// speak of the ledger at `path`, which is in the same directory.
fn create_as(name: &Path, path: &Path) -> Result<(Database, Identity), StoreError> {
    let failed = |error: redb::Error| StoreError::new(path, error);
    let draft = unused_name(path);
    let file = new_file(&draft).map_err(|error| failed(error.into()))?;
    let made = fill(file).map_err(failed).and_then(|made| {
        // Unlike a new name, a second one can't take the place of another process' ledger.
        std::fs::hard_link(&draft, name).map_err(|error| not_linked(path, &error))?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed(error.into()))?;
        Ok(made)
    });
    // What is left of a failure is as useless as what is left of a success.
    let removed = std::fs::remove_file(&draft).map_err(|error| failed(error.into()));
    made.and_then(|made| removed.map(|()| made))
}

/// Sees whether a directory could be made within this one, and leaves nothing behind.
pub(super) fn try_making_directory(directory: &Path) -> io::Result<()> {
    let name = unused_name(&directory.join(FILE));
    std::fs::create_dir(&name)?;
    std::fs::remove_dir(name)
}

fn not_linked(path: &Path, error: &io::Error) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::AlreadyExists => StoreError::InUse { path },
        _ => StoreError::NotLinked {
            path,
            reason: error.to_string(),
        },
    }
}

/// A name beside `path` that no file has.
fn unused_name(path: &Path) -> PathBuf {
    path.with_file_name(format!("{FILE}.{:016x}", unique()))
}

/// A number that nobody else has. That of the process would not do: in containers it is the same everywhere.
fn unique() -> u64 {
    RandomState::new().hash_one(FILE)
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true);
    options.mode(0o600).open(path)
}

/// Makes an empty ledger of an empty file.
fn fill(file: File) -> Result<(Database, Identity), redb::Error> {
    let identity = identity_of(&file.metadata()?);
    let database = database(file)?;
    commit(&database, |transaction| {
        transaction.open_table(SUMMARIES)?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(FORMAT)?.insert(FORMAT_VERSION, VERSION)?;
        Ok(())
    })?;
    Ok((database, identity))
}

fn database(file: File) -> Result<Database, redb::Error> {
    let backend = FileBackend::new(file)?;
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    Ok(builder.create_with_backend(backend)?)
}

/// Commits what `write` does, twice, so that neither of redb's two latest commits is without it.
pub(super) fn commit(
    database: &Database,
    write: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    write(&transaction)?;
    transaction.commit()?;
    database.begin_write()?.commit()?;
    Ok(())
}

fn format(database: &Database, key: &str) -> Result<Option<u64>, redb::Error> {
    let table = database.begin_read()?.open_table(FORMAT)?;
    Ok(table.get(key)?.map(|value| value.value()))
}

/// The mark of the latest opening.
pub(super) fn latest_opening(database: &Database) -> Result<Option<u64>, redb::Error> {
    format(database, FORMAT_OPENING)
}

/// Marks the file with a number that no other opening has, and finds out at once whether it can be written.
pub(super) fn mark_opening(database: &Database) -> Result<u64, redb::Error> {
    let mark = unique();
    commit(database, |transaction| {
        transaction.open_table(FORMAT)?.insert(FORMAT_OPENING, mark)?;
        Ok(())
    })?;
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_ledger_that_cannot_be_given_its_name() {
        let check = |name: &str, expected: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("another's"), "").unwrap();
            let [name_of_it, path] = [name, FILE].map(|name| folder.path().join(name));
            let refusal = create_as(&name_of_it, &path).unwrap_err();
            assert!(refusal.to_string().contains(expected), "{refusal}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{name}");
        };
        check("another's", "another process has it open");
        check("nowhere/ledger.redb", "must be on a file system that has hard links");
    }
}
