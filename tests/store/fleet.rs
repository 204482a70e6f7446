//! A few instances whose ledgers are kept in a store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::journal::{Journal, Record, SendByApi, StatusId, StatusMessage, TypeMessage};
use greenapi_exporter::ledger::{Changes, Ledger};
use greenapi_exporter::store::Store;

pub(super) const CREATED: u64 = 1_700_000_000;

/// An empty directory of this name.
pub(super) fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("store").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A fleet of three, whose journals move from one answer to the next.
pub(super) struct Fleet {
    pub(super) store: Store,
    pub(super) ledgers: BTreeMap<InstanceId, Ledger>,
}

impl Fleet {
    pub(super) fn open(directory: &Path) -> Self {
        let (store, mut ledgers) = Store::open(directory).unwrap();
        for id in [1101, 1102, 7103].map(InstanceId::from) {
            ledgers.entry(id).or_insert_with(|| Ledger::new(CREATED));
        }
        Self { store, ledgers }
    }

    /// One scrape, a minute after the one before.
    pub(super) fn scrape(&mut self, number: u64) {
        self.answer(&journal(number), CREATED + number * 60);
    }

    pub(super) fn answer(&mut self, journal: &Journal, now: u64) {
        let changes = self.changes(journal, now);
        self.store.write(&changes).unwrap();
        for (id, changes) in changes {
            self.ledgers.get_mut(&id).unwrap().commit(changes);
        }
    }

    pub(super) fn changes(&self, journal: &Journal, now: u64) -> Vec<(InstanceId, Changes)> {
        let ledgers = self.ledgers.iter();
        ledgers
            .map(|(id, ledger)| (*id, ledger.changes(journal, now)))
            .collect()
    }
}

/// Forty statuses, each of which gets further from one number to the next.
pub(super) fn journal(number: u64) -> Journal {
    let states = [
        StatusMessage::Pending,
        StatusMessage::Sent,
        StatusMessage::Other,
        StatusMessage::Read,
    ];
    let record = |index: u64| Record {
        id: StatusId::of(format!("status {index}")),
        timestamp: CREATED + number * 60 + index,
        participants: u32::try_from(index * index).unwrap(),
        status_message: states[((number + index) % 4) as usize],
        type_message: TypeMessage::Audio,
        send_by_api: SendByApi::True,
    };
    Journal::new((number..number + 40).map(record).collect(), 0)
}

/// All that a ledger has on record.
pub(super) fn shown(ledgers: &BTreeMap<InstanceId, Ledger>) -> String {
    let line = |(id, ledger): (&InstanceId, &Ledger)| format!("{id}: {:?} {:?}\n", ledger.summary(), ledger.entries());
    ledgers.iter().map(line).collect()
}
