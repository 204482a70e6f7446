//! Snapshots of every kind, with names as nasty as people can make them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use greenapi_exporter::account::{Account, InstanceId};
use greenapi_exporter::collector::{Collected, ContactType, Run, Setting, StateInstance};
use greenapi_exporter::journal::{Journal, Record, SendByApi, StatusId, StatusMessage, Tally, TypeMessage};
use greenapi_exporter::label::LabelValue;
use greenapi_exporter::ledger::Ledger;
use greenapi_exporter::shard::Shard;
use greenapi_exporter::snapshot::{
    Build, Exporter, Fetch, FetchCounters, Fetched, Instance, LedgerView, Process, Snapshot,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Any snapshot of a few instances.
pub(crate) fn snapshot() -> impl Strategy<Value = Arc<Snapshot>> {
    let instances = btree_map(any::<u64>(), instance(), 0..4);
    (instances, option::of(exporter())).prop_map(|(instances, exporter)| {
        let with_id = |(id, mut instance): (u64, Instance)| {
            instance.account.id = InstanceId::from(id);
            instance
        };
        Arc::new(Snapshot {
            instances: instances.into_iter().map(with_id).collect(),
            exporter,
        })
    })
}

fn instance() -> impl Strategy<Value = Instance> {
    let name = prop_oneof!["[\"\\\\\n\r{}=, #\u{e9}\u{1f600}]{0,12}", any::<String>()];
    let known = (
        option::of((label(), duration())),
        option::of(time()),
        vec(record(), 0..20),
    );
    let counted = (vec(label(), 0..30), any::<[u64; 3]>());
    (name, duration(), time(), known, counted, collected()).prop_map(
        |(name, window, created, known, counted, collected)| {
            let account = Account {
                id: InstanceId::from(0),
                name: name.into(),
            };
            let (latest, last_success, records) = known;
            let (results, [malformed_records, unknown_status_messages, unknown_type_messages]) = counted;
            let mut counters = FetchCounters::default();
            counters.malformed_records = malformed_records;
            counters.unknown_status_messages = unknown_status_messages;
            counters.unknown_type_messages = unknown_type_messages;
            // Whatever is in it counts: the baseline is an empty journal.
            let mut ledger = Ledger::new(0);
            ledger.apply(&Journal::default(), 0);
            ledger.apply(&Journal::new(records.clone(), 0), 40 * 86_400);
            for result in results {
                counters.count_fetch(result);
            }
            let fetched = Fetched {
                created,
                latest: latest.map(|(result, duration)| Fetch { result, duration }),
                last_success,
                tally: Tally::new(&records, &Tally::default()),
                counters,
            };
            Instance {
                fetched: Arc::new(fetched),
                ledger: Arc::new(LedgerView::of(&ledger)),
                collected,
                ..Instance::new(account, window, created)
            }
        },
    )
}

fn collected() -> impl Strategy<Value = Collected> {
    (
        run(btree_map(label::<TypeMessage>(), any::<u64>(), 0..8)),
        run(label::<StateInstance>()),
        run(btree_map(label::<Setting>(), any::<bool>(), 0..4)),
        run(btree_map(label::<StatusMessage>(), any::<u64>(), 0..6)),
        run(btree_map((label::<ContactType>(), any::<bool>()), any::<u64>(), 0..6)),
        run(any::<u64>()),
    )
        .prop_map(|(incoming, state, settings, statistic, contacts, queue)| Collected {
            incoming,
            state,
            settings,
            statistic,
            contacts,
            queue,
        })
}

fn run<T: std::fmt::Debug + Clone>(found: impl Strategy<Value = T>) -> impl Strategy<Value = Option<Box<Run<T>>>> {
    option::of((option::of(found), duration()).prop_map(|(found, duration)| Box::new(Run { found, duration })))
}

fn record() -> impl Strategy<Value = Record> {
    let labels = (label(), label::<TypeMessage>(), label::<SendByApi>());
    (any::<u16>(), any::<u64>(), 0..200_u32, labels).prop_map(|(id, timestamp, participants, labels)| Record {
        id: StatusId::of(id.to_string()),
        timestamp,
        participants,
        status_message: labels.0,
        type_message: labels.1,
        send_by_api: labels.2,
    })
}

fn exporter() -> impl Strategy<Value = Exporter> {
    let requests = btree_map(
        (prop::sample::select(&["/", "/metrics", "other"][..]), 200..600_u16),
        any::<u64>(),
        0..5,
    );
    (time(), any::<bool>(), time(), requests, process(), any::<[u64; 3]>()).prop_map(
        |(started, successful, success, http_requests, process, [instances, ledger_entries, ledger_errors])| Exporter {
            started,
            build: Build {
                version: "1.0.0",
                revision: "a\\b",
                rustc: "rustc \"nightly\"\n",
            },
            config_last_reload_successful: successful,
            config_last_reload_success: success,
            instances,
            ledger_entries,
            ledger_errors,
            shard: Shard::ONLY,
            http_requests,
            process,
        },
    )
}

fn process() -> impl Strategy<Value = Process> {
    let count = || option::of(any::<u64>());
    let counts = (count(), count(), count(), count(), count(), count(), count());
    (option::of(0.0..1e9), option::of(time()), counts).prop_map(|(cpu_seconds, start_time, counts)| Process {
        cpu_seconds,
        open_fds: counts.0,
        max_fds: counts.1,
        virtual_memory_bytes: counts.2,
        virtual_memory_max_bytes: counts.3,
        resident_memory_bytes: counts.4,
        start_time,
        network_receive_bytes: counts.5,
        network_transmit_bytes: counts.6,
    })
}

fn label<L: LabelValue + std::fmt::Debug>() -> impl Strategy<Value = L> {
    prop::sample::select(L::ALL)
}

fn duration() -> impl Strategy<Value = Duration> {
    (0..4_000_000_000_000_u64).prop_map(Duration::from_micros)
}

fn time() -> impl Strategy<Value = SystemTime> {
    (0..5_000_000_000_000_u64).prop_map(|milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
}
