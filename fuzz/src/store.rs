//! A ledger is what was written or an error, whatever happened to its file; and no file at all makes its reader panic.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::journal::{Journal, Record, SendByApi, StatusId, StatusMessage, TypeMessage};
use greenapi_exporter::ledger::Ledger;
use greenapi_exporter::store::{FILE, Store};
use tempfile::TempDir;

use crate::marker::folder;

/// The first byte says what the others are: after `k` they are damages to the file that a kill left, after `c` to one that was closed
/// properly. After any other byte they are the file itself.
pub fn check(input: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    let folder = folder(&FOLDER, |_| ());
    let written = WRITTEN.get_or_init(Written::new);
    let (intact, rest) = match input {
        [b'k', damages @ ..] => (Some(&written.killed), damages),
        [b'c', damages @ ..] => (Some(&written.closed), damages),
        [_, file @ ..] => (None, file),
        [] => (None, input),
    };
    let file = intact.map_or_else(|| rest.to_vec(), |intact| damaged(intact, rest));
    fs::write(folder.join(FILE), file).unwrap();
    if let Ok((_, ledgers)) = Store::open(&folder)
        && intact.is_some()
    {
        assert_eq!(shown(&ledgers), written.shown);
    }
}

/// Files of a store and what they hold.
struct Written {
    killed: Vec<u8>,
    closed: Vec<u8>,
    shown: String,
}

impl Written {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        let id = InstanceId::from(1101);
        let mut ledger = Ledger::new(CREATED);
        for (number, state) in (0..).zip([StatusMessage::Pending, StatusMessage::Sent, StatusMessage::Read]) {
            let now = CREATED + number * 60;
            let record = |index: u64| Record {
                id: StatusId::of(format!("status {index}")),
                timestamp: now,
                participants: 7,
                status_message: state,
                type_message: TypeMessage::Video,
                send_by_api: SendByApi::True,
            };
            let changes = ledger.changes(&Journal::new((0..number * 2).map(record).collect(), 0), now);
            store.write(&[(id, changes.clone())]).unwrap();
            ledger.commit(changes);
        }
        let read = |path: &Path| fs::read(path.join(FILE)).unwrap();
        let killed = read(folder.path());
        drop(store);
        Self {
            killed,
            closed: read(folder.path()),
            shown: shown(&BTreeMap::from([(id, ledger)])),
        }
    }
}

/// The file after damages of six bytes each: what is done, where (three bytes), and two that say with what.
fn damaged(file: &[u8], damages: &[u8]) -> Vec<u8> {
    let mut damaged = file.to_vec();
    for damage in damages.chunks_exact(6) {
        let length = damaged.len();
        if length == 0 {
            break;
        }
        let place = usize::from(damage[1]) << 16 | usize::from(damage[2]) << 8 | usize::from(damage[3]);
        let (what, more) = (damage[4], usize::from(damage[5]));
        let start = place % length;
        match damage[0] % 8 {
            // The header of redb's is where most depends on a byte.
            0 => damaged[start % 320.min(length)] ^= what,
            1 | 2 => damaged[start] ^= what,
            3 => damaged[start..length.min(start + more)].fill(what),
            4 => damaged[start & !511..length.min((start | 511) + 1)].fill(what),
            5 => damaged.truncate(start),
            6 => {
                let page = start & !4095;
                let end = length.min(page + 4096);
                damaged.copy_within(page..end, (more * 4096) % (length - (end - page) + 1));
            }
            _ => damaged.extend_from_within(start..length.min(start + 512)),
        }
    }
    damaged
}

fn shown(ledgers: &BTreeMap<InstanceId, Ledger>) -> String {
    let line = |(id, ledger): (&InstanceId, &Ledger)| format!("{id}: {:?} {:?}\n", ledger.summary(), ledger.entries());
    ledgers.iter().map(line).collect()
}

const CREATED: u64 = 1_700_000_000;
