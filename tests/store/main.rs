//! The durable ledger: what is written is there again, and what can't be trusted is refused.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::journal::Journal;
use greenapi_exporter::store::{FILE, Store};

use crate::fleet::{CREATED, Fleet, directory, journal, shown};

mod damage;
mod fleet;
mod processes;
mod refusals;

const DAY: u64 = 86_400;

#[test]
fn what_is_written_is_there_after_every_scrape_even_if_the_store_is_never_closed() {
    let directory = directory("written");
    let crashed = self::directory("crashed");
    let mut fleet = Fleet::open(&directory);
    for number in 0..20 {
        fleet.scrape(number);
        // The file as a kill leaves it: redb has not put it in order for the next start.
        fs::copy(directory.join(FILE), crashed.join(FILE)).unwrap();
        let (_, ledgers) = Store::open(&crashed).unwrap();
        assert_eq!(shown(&ledgers), shown(&fleet.ledgers));
    }
    drop(fleet.store);
    let (_, ledgers) = Store::open(&directory).unwrap();
    assert_eq!(shown(&ledgers), shown(&fleet.ledgers));
}

#[test]
fn what_was_forgotten_is_gone_and_the_totals_stay() {
    let directory = directory("forgotten");
    let mut fleet = Fleet::open(&directory);
    fleet.scrape(0);
    // It has entries by now, which would be damage if they were left behind.
    fleet.store.forget(&[7103, 9].map(InstanceId::from)).unwrap();
    fleet.ledgers.remove(&InstanceId::from(7103));
    fleet.answer(&Journal::default(), CREATED + 40 * DAY);
    drop(fleet.store);
    let (_, ledgers) = Store::open(&directory).unwrap();
    let ids: Vec<String> = ledgers.keys().map(InstanceId::to_string).collect();
    assert_eq!(ids, ["1101", "1102"]);
    for (id, ledger) in &ledgers {
        assert!(ledger.entries().is_empty());
        assert_eq!(ledger.totals().statuses, fleet.ledgers[id].totals().statuses);
        assert_eq!(ledger.totals().gaps, 1);
    }
}

#[test]
fn a_scrape_that_changes_nothing_writes_nothing() {
    let directory = directory("unchanged");
    let mut fleet = Fleet::open(&directory);
    fleet.scrape(0);
    let before = fs::read(directory.join(FILE)).unwrap();
    let changes = fleet.changes(&journal(0), CREATED + 60);
    fleet.store.write(&changes).unwrap();
    assert_eq!(fs::read(directory.join(FILE)).unwrap(), before);
}

#[test]
fn the_file_is_alone_in_its_directory_and_its_owners_only() {
    let directory = directory("alone");
    let _store = Store::open(&directory).unwrap();
    let names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(names, [FILE]);
    let mode = fs::metadata(directory.join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
