//! What a page costs: 10,000 instances of 60 series each, in every format.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use greenapi_exporter::account::{Account, InstanceId};
use greenapi_exporter::exposition::{Options, render};
use greenapi_exporter::fetch::FetchResult;
use greenapi_exporter::journal::{Record, SendByApi, StatusId, StatusMessage, Tally, TypeMessage};
use greenapi_exporter::snapshot::{Fetch, Fetched, Instance, Snapshot};

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn page(criterion: &mut Criterion) {
    let fleet = fleet();
    let mut group = criterion.benchmark_group("page of 10,000 instances");
    group.sample_size(10);
    for (name, accept, accept_encoding) in [
        ("text", None, None),
        ("openmetrics", Some(OPENMETRICS), None),
        ("openmetrics gzip", Some(OPENMETRICS), Some("gzip")),
        ("protobuf", Some(PROTOBUF), None),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let rendered = render(fleet.clone(), accept, accept_encoding, Options::default());
                rendered.map_or(0, |rendered| rendered.body.flatten().map(|block| block.len()).sum())
            });
        });
    }
}

/// Instances that are up, each with 29 kinds of statuses beside the 31 series that every such instance has.
fn fleet() -> Arc<Snapshot> {
    let instances = (0..10_000).map(instance);
    Arc::new(Snapshot {
        instances: instances.collect(),
        exporter: None,
    })
}

fn instance(number: u64) -> Instance {
    let account = Account {
        id: InstanceId::from(1_101_000_000 + number),
        name: format!("instance {number}").into(),
    };
    let started = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_400_000_123 + number);
    let mut instance = Instance::new(account, Duration::from_hours(24), started);
    let mut fetched = Fetched {
        latest: Some(Fetch {
            result: FetchResult::Ok,
            duration: Duration::from_micros(50_000 + number),
        }),
        last_success: Some(started),
        tally: Tally::new(&records(number), &Tally::default()),
        ..Fetched::nothing(started)
    };
    fetched.counters.count_fetch(FetchResult::Ok);
    instance.fetched = Arc::new(fetched);
    instance
}

/// Statuses of 29 kinds.
fn records(number: u64) -> Vec<Record> {
    use StatusMessage::{Delivered, Pending, Read, Sent};
    use TypeMessage::{Audio, ExtendedText, Image, Video};
    let states = [Pending, Sent, Delivered, Read].into_iter();
    let kinds = states.flat_map(|state| [Audio, ExtendedText, Image, Video].map(|kind| (state, kind)));
    let all = kinds.flat_map(|kind| [SendByApi::True, SendByApi::False].map(|send_by_api| (kind, send_by_api)));
    let record = |((status_message, type_message), send_by_api)| Record {
        id: StatusId::of(""),
        timestamp: 1_795_300_000 + number,
        participants: 0,
        status_message,
        type_message,
        send_by_api,
    };
    all.map(record).take(29).collect()
}

criterion_group!(benches, page);
criterion_main!(benches);
