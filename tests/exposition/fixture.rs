//! A small fleet made by hand, in which everything that can happen to an instance has happened to one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use greenapi_exporter::account::{Account, InstanceId};
use greenapi_exporter::catalogue::{Family, MetricType, Number, Read, Value};
use greenapi_exporter::collector::{Collected, ContactType, Run, Setting, StateInstance};
use greenapi_exporter::fetch::FetchResult;
use greenapi_exporter::journal::{
    Audience, Journal, Kind, Labels, Record, SendByApi, StatusId, StatusMessage, Tally, TypeMessage,
};
use greenapi_exporter::ledger::Ledger;
use greenapi_exporter::shard::Shard;
use greenapi_exporter::snapshot::{
    Build, Exporter, Fetch, FetchCounters, Fetched, Instance, LedgerView, Process, Snapshot,
};

/// The time at which the exporter of the fixture started, and `milliseconds` later.
fn after_start(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_400_000_000 + milliseconds)
}

/// The fleet and the exporter.
pub(crate) fn snapshot() -> Arc<Snapshot> {
    Arc::new(Snapshot {
        instances: vec![up(), forbidden(), unauthorized(), timed_out(), never_fetched()],
        exporter: Some(exporter()),
    })
}

/// An instance of which nothing is known.
pub(crate) fn never_fetched() -> Instance {
    instance(7_103_000_005, "never fetched")
}

/// A ledger that has read three journals: the first is its baseline, and 31 days passed before the last.
fn ledger() -> Ledger {
    let created = 1_795_400_000;
    let record = |id: &str, timestamp, status_message, participants| Record {
        id: StatusId::of(id),
        timestamp,
        participants,
        status_message,
        type_message: TypeMessage::Image,
        send_by_api: SendByApi::True,
    };
    let mut ledger = Ledger::new(created);
    let old = record("old", created - 60, StatusMessage::Sent, 0);
    ledger.apply(&Journal::new(vec![old], 0), created);
    let new = record("new", created + 5, StatusMessage::Pending, 30);
    ledger.apply(&Journal::new(vec![old, new], 0), created + 10);
    let read = record("new", created + 130, StatusMessage::Read, 30);
    let failed = Record {
        type_message: TypeMessage::ExtendedText,
        ..record("failed", created + 140, StatusMessage::Other, 0)
    };
    ledger.apply(&Journal::new(vec![old, read, failed], 0), created + 31 * 86_400);
    ledger
}

/// An instance whose journal was read, and of which all optional collectors but one found something out.
pub(crate) fn up() -> Instance {
    let mut counters = FetchCounters::default();
    (0..41).for_each(|_| counters.count_fetch(FetchResult::Ok));
    counters.count_fetch(FetchResult::RateLimited);
    counters.malformed_records = 3;
    counters.unknown_type_messages = 2;
    let labels = |status_message, type_message, send_by_api, audience| Labels {
        status_message,
        kind: Kind {
            type_message,
            send_by_api,
            audience,
        },
    };
    let fetched = Fetched {
        latest: Some(fetch(FetchResult::Ok, 187)),
        last_success: Some(after_start(61_250)),
        tally: Tally {
            counts: vec![
                (
                    labels(
                        StatusMessage::Pending,
                        TypeMessage::Other,
                        SendByApi::False,
                        Audience::UpTo10,
                    ),
                    0,
                ),
                (
                    labels(
                        StatusMessage::Pending,
                        TypeMessage::Video,
                        SendByApi::True,
                        Audience::Over100,
                    ),
                    1,
                ),
                (
                    labels(
                        StatusMessage::Read,
                        TypeMessage::ExtendedText,
                        SendByApi::True,
                        Audience::Everyone,
                    ),
                    17,
                ),
            ],
            newest: Some(1_795_399_990),
            oldest_pending: Some(1_795_313_600),
        },
        counters,
        ..nothing()
    };
    Instance {
        fetched: Arc::new(fetched),
        ledger: Arc::new(LedgerView::of(&ledger())),
        incoming_ledger: Some(Arc::new(LedgerView::of(&ledger()))),
        collected: Collected {
            incoming: Some(found([(TypeMessage::Text, 4), (TypeMessage::Image, 9)].into(), 80).into()),
            state: Some(found(StateInstance::Authorized, 45).into()),
            settings: Some(
                found(
                    [
                        (Setting::OutgoingWebhook, true),
                        (Setting::OutgoingApiMessageWebhook, false),
                    ]
                    .into(),
                    50,
                )
                .into(),
            ),
            statistic: Some(found([(StatusMessage::Delivered, 120), (StatusMessage::Read, 77)].into(), 900).into()),
            contacts: Some(Box::new(Run {
                found: None,
                duration: Duration::from_secs(10),
            })),
            queue: Some(found(0, 30).into()),
        },
        ..instance(1_101_000_001, "shop")
    }
}

/// An instance without access, whose name needs escaping.
pub(crate) fn forbidden() -> Instance {
    Instance {
        fetched: failed(FetchResult::Forbidden, 95),
        collected: Collected {
            contacts: Some(
                found(
                    [
                        ((ContactType::User, true), 250),
                        ((ContactType::User, false), 31),
                        ((ContactType::Group, true), 12),
                    ]
                    .into(),
                    2_000,
                )
                .into(),
            ),
            ..Collected::default()
        },
        ..instance(1_101_000_002, "Ольга \"VIP\" C:\\shop\n2nd line")
    }
}

/// An instance whose token is wrong.
pub(crate) fn unauthorized() -> Instance {
    Instance {
        fetched: failed(FetchResult::Unauthorized, 88),
        ..instance(7_103_000_003, "wrong token")
    }
}

/// An instance that was up until its latest fetch.
pub(crate) fn timed_out() -> Instance {
    let mut was_up = up();
    was_up.account = instance(7_103_000_004, "slow").account;
    was_up.collected = Collected::default();
    was_up.fetched = Arc::new(was_up.fetched.overdue(Duration::from_millis(9_500)));
    was_up
}

fn instance(id: u64, name: &str) -> Instance {
    let account = Account {
        id: InstanceId::from(id),
        name: name.into(),
    };
    Instance::new(account, Duration::from_hours(24), nothing().created)
}

fn nothing() -> Fetched {
    Fetched::nothing(after_start(1_500))
}

fn failed(result: FetchResult, milliseconds: u64) -> Arc<Fetched> {
    Arc::new(Fetched {
        latest: Some(fetch(result, milliseconds)),
        ..nothing()
    })
}

fn fetch(result: FetchResult, milliseconds: u64) -> Fetch {
    let duration = Duration::from_millis(milliseconds);
    Fetch { result, duration }
}

fn found<T>(found: T, milliseconds: u64) -> Run<T> {
    Run {
        found: Some(found),
        duration: Duration::from_millis(milliseconds),
    }
}

fn exporter() -> Exporter {
    Exporter {
        started: after_start(1_000),
        build: Build {
            version: "0.1.0",
            revision: "unknown",
            rustc: "1.95.0",
        },
        config_last_reload_successful: false,
        config_last_reload_success: after_start(1_125),
        instances: 5,
        ledger_entries: 3,
        ledger_errors: 1,
        shard: Shard::new(2, 3).unwrap(),
        http_requests: [(("/metrics", 200), 61), (("/probe", 400), 1)].into(),
        process: Process {
            cpu_seconds: Some(2.75),
            open_fds: Some(12),
            max_fds: Some(524_288),
            virtual_memory_bytes: Some(18_874_368),
            virtual_memory_max_bytes: None,
            resident_memory_bytes: Some(6_291_456),
            start_time: Some(after_start(990)),
            network_receive_bytes: Some(123_456_789),
            network_transmit_bytes: Some(9_876_543),
        },
    }
}

/// Families of what no family of the catalogue has yet: histograms, and a counter of parts.
pub(crate) static HISTOGRAMS: [Family; 3] = [
    Family {
        name: "test_delay_seconds",
        metric_type: MetricType::Histogram {
            bounds: &[0.25, 1.0, 15.0, 86_400.0],
        },
        help: "A histogram with labels and a known beginning.",
        labels: &["name"],
        read: Read::Instance(|instance, samples| {
            let histogram = Value::Histogram {
                counts: &[1, 0, instance.fetched.counters.malformed_records, 0, 4],
                sum: Number::Float(345_678.5),
                created: Some(instance.fetched.created),
            };
            samples(&[&instance.account.name], histogram);
        }),
    },
    Family {
        name: "test_participants",
        metric_type: MetricType::Histogram { bounds: &[1.0, 5.0] },
        help: "A histogram without labels, of an unknown beginning.",
        labels: &[],
        read: Read::Exporter(|_, samples| {
            let histogram = Value::Histogram {
                counts: &[0, 0, 0],
                sum: Number::Integer(0),
                created: None,
            };
            samples(&[], histogram);
        }),
    },
    Family {
        name: "test_seconds_total",
        metric_type: MetricType::Counter,
        help: "A counter of parts.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| {
            samples(&[], Value::counter(0.1, exporter.started));
        }),
    },
];
