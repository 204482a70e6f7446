//! What is no ledger is refused, with a sentence that says what to do, and left as it is.

use std::fs;
use std::path::{Path, PathBuf};

use greenapi_exporter::store::{FILE, Store};
use redb::{Database, TableDefinition, WriteTransaction};

use crate::fleet::directory;

/// Opens the store in `directory` and compares the error with `expected`, in which `DIR` stands for the directory.
#[track_caller]
fn check_refused(directory: &Path, expected: &str) {
    let before = fs::read(directory.join(FILE)).ok();
    let error = Store::open(directory).expect_err("not opened").to_string();
    assert_eq!(error.replace(&directory.display().to_string(), "DIR"), expected);
    assert_eq!(fs::read(directory.join(FILE)).ok(), before, "the file is left as it is");
}

/// A directory with these bytes as its ledger.
fn holding(name: &str, bytes: &[u8]) -> PathBuf {
    let directory = directory(name);
    fs::write(directory.join(FILE), bytes).unwrap();
    directory
}

const FOREIGN: &str = "cannot open the ledger `DIR/ledger.redb`: it is not a ledger of greenapi-exporter\n  \
    hint: name another `--storage.path`, or move the file away to start a new ledger, whose counters begin at 0";

#[test]
fn a_directory_that_is_none_is_refused() {
    let hint = "hint: `--storage.path` names a directory that exists and that the exporter's user may write to";
    let missing = directory("missing").join("nothing");
    check_refused(
        &missing,
        &format!("cannot use the storage directory `DIR`: No such file or directory (os error 2)\n  {hint}"),
    );
    let file = directory("a file").join("file");
    fs::write(&file, "").unwrap();
    check_refused(
        &file,
        &format!("cannot use the storage directory `DIR`: Not a directory (os error 20)\n  {hint}"),
    );
}

#[test]
fn a_file_that_is_no_ledger_is_refused() {
    check_refused(&holding("text", b"shopping list: milk, eggs"), FOREIGN);
    check_refused(&holding("zeros", &vec![0; 100_000]), FOREIGN);
    check_refused(&holding("empty", b""), FOREIGN);
    let other = directory("other");
    drop(Database::create(other.join(FILE)).unwrap());
    let error = Store::open(&other).expect_err("not opened").to_string();
    assert_eq!(error.replace(&other.display().to_string(), "DIR"), FOREIGN);
}

#[test]
fn a_ledger_of_another_version_is_refused() {
    let directory = directory("newer");
    drop(Store::open(&directory).unwrap());
    let database = Database::create(directory.join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let format = TableDefinition::<&str, u64>::new("greenapi_exporter_ledger");
    transaction.open_table(format).unwrap().insert("version", 3).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Store::open(&directory).expect_err("not opened").to_string();
    assert_eq!(
        error.replace(&directory.display().to_string(), "DIR"),
        "cannot open the ledger `DIR/ledger.redb`: it has format version 3, and this greenapi-exporter reads version 2\n  \
         hint: run the greenapi-exporter that wrote it, or name another `--storage.path`"
    );
}

#[test]
fn a_row_that_no_ledger_has_is_damage() {
    let check = |name: &str, write: fn(&WriteTransaction)| {
        let directory = directory(name);
        drop(Store::open(&directory).unwrap());
        let database = Database::create(directory.join(FILE)).unwrap();
        let transaction = database.begin_write().unwrap();
        write(&transaction);
        transaction.commit().unwrap();
        drop(database);
        let error = Store::open(&directory).expect_err("not opened").to_string();
        assert_eq!(
            error.replace(&directory.display().to_string(), "DIR"),
            "cannot use the ledger `DIR/ledger.redb`: it is damaged: a row can't be read\n  \
             hint: restore it from a backup, or move it away to start a new ledger, whose counters begin at 0",
            "{name}"
        );
    };
    check("a summary of another length", |transaction| {
        let summaries = TableDefinition::<u64, &[u8]>::new("summaries");
        let mut summaries = transaction.open_table(summaries).unwrap();
        summaries.insert(1101, [7; 9].as_slice()).unwrap();
    });
    check("an entry without a summary", |transaction| {
        let entries = TableDefinition::<(u64, u128), [u8; 16]>::new("entries");
        let mut entries = transaction.open_table(entries).unwrap();
        entries.insert((1101, 7), [0; 16]).unwrap();
    });
}
