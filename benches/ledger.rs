//! What the ledger costs: `cargo bench --bench ledger`.
//!
//! The CPU of an instance that didn't change is measured many times over. A fleet of 10,000 instances with 100 statuses each is built
//! once, and printed with its memory and the time of each of its steps on this disk.

#![expect(clippy::print_stdout, reason = "the figures are printed")]

use std::path::Path;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use greenapi_exporter::account::InstanceId;
use greenapi_exporter::journal::{Journal, Record, SendByApi, StatusId, StatusMessage, TypeMessage};
use greenapi_exporter::ledger::{Changes, Ledger};
use greenapi_exporter::store::{FILE, Store};

const CREATED: u64 = 1_700_000_000;
const INSTANCES: u64 = 10_000;
const STATUSES: u64 = 100;

fn journal(instance: u64, status_message: StatusMessage) -> Journal {
    let record = |index| Record {
        id: StatusId::of(format!("{instance} {index}")),
        timestamp: CREATED - 10 * index,
        participants: 20,
        status_message,
        type_message: [TypeMessage::Image, TypeMessage::Video, TypeMessage::ExtendedText][(index % 3) as usize],
        send_by_api: SendByApi::True,
    };
    Journal::new((0..STATUSES).map(record).collect(), 0)
}

fn unchanged_instance(criterion: &mut Criterion) {
    let journal = journal(1, StatusMessage::Sent);
    let mut ledger = Ledger::new(CREATED);
    ledger.apply(&journal, CREATED);
    criterion.bench_function("an instance of 100 statuses, unchanged", |bencher| {
        bencher.iter(|| {
            let changes = ledger.changes(&journal, CREATED + 60);
            assert!(changes.is_empty());
            ledger.commit(changes);
        });
    });
}

fn fleet(_: &mut Criterion) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fleet");
    let _ = std::fs::remove_dir_all(&directory);
    let made = std::fs::create_dir_all(&directory).map_err(|error| error.to_string());
    if let Err(error) = made.and_then(|()| steps(&directory).map_err(|error| error.to_string())) {
        println!("fleet: {error}");
    }
}

fn steps(directory: &Path) -> Result<(), greenapi_exporter::store::StoreError> {
    println!(
        "fleet of {INSTANCES} instances with {STATUSES} statuses each; {}",
        memory()
    );
    let (mut store, _) = Store::open(directory)?;
    let mut ledgers: Vec<(InstanceId, Ledger)> = (1..=INSTANCES)
        .map(|id| (InstanceId::from(id), Ledger::new(CREATED)))
        .collect();
    scrape("baseline", &mut store, &mut ledgers, CREATED, |_| {
        StatusMessage::Pending
    })?;
    scrape("unchanged", &mut store, &mut ledgers, CREATED + 30, |_| {
        StatusMessage::Pending
    })?;
    for round in 1..4 {
        let state = |id: u64| [StatusMessage::Pending, StatusMessage::Sent][usize::from(id % 100 < round)];
        scrape(
            "1% of the instances changed wholly",
            &mut store,
            &mut ledgers,
            CREATED + 30 + round,
            state,
        )?;
    }
    let later = CREATED + 700;
    scrape("only the time of success", &mut store, &mut ledgers, later, |_| {
        StatusMessage::Pending
    })?;
    drop((store, ledgers));
    let start = Instant::now();
    let (_store, ledgers) = Store::open(directory)?;
    let entries: usize = ledgers.values().map(|ledger| ledger.entries().len()).sum();
    println!(
        "  {entries} entries loaded in {} ms; {}",
        start.elapsed().as_millis(),
        memory()
    );
    let file = std::fs::metadata(directory.join(FILE)).map_or(0, |file| file.len());
    println!("  file of {} MB", file >> 20);
    Ok(())
}

/// One scrape, of whose journals only one is in memory at a time.
fn scrape(
    what: &str,
    store: &mut Store,
    ledgers: &mut [(InstanceId, Ledger)],
    now: u64,
    state: impl Fn(u64) -> StatusMessage,
) -> Result<(), greenapi_exporter::store::StoreError> {
    let changes = ledgers.iter().map(|(id, ledger)| {
        let number = u64::from(*id);
        (*id, ledger.changes(&journal(number, state(number)), now))
    });
    let changes: Vec<(InstanceId, Changes)> = changes.collect();
    let rows: usize = changes.iter().map(|(_, changes)| changes.entries().len()).sum();
    let start = Instant::now();
    store.write(&changes)?;
    let written = start.elapsed();
    for ((_, ledger), (_, changes)) in ledgers.iter_mut().zip(changes) {
        ledger.commit(changes);
    }
    println!(
        "  {what}: {rows} entries written in {} ms; {}",
        written.as_millis(),
        memory()
    );
    Ok(())
}

/// The memory of this process, now and at its greatest.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.map_or_else(|| "unknown".to_owned(), |kilobytes| format!("{} MB", kilobytes >> 10))
    };
    format!("resident {}, peak {}", value("VmRSS:"), value("VmHWM:"))
}

criterion_group!(benches, fleet, unchanged_instance);
criterion_main!(benches);
