//! How fast a journal is folded, next to only passing over its bytes, and to reading it with `serde_json` (performance.md).
//!
//! One journal, such as the typical: `cargo bench --bench fold -- typical`.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "its journals are known"
)]

mod journals;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greenapi_exporter::green_api::wire::Fold;
use greenapi_exporter::journal::Journal;
use journals::{Shape, Status, journal};

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = folding
}
criterion_main!(benches);

/// What a body is read in.
const CHUNK: usize = 64 * 1024;

fn folding(criterion: &mut Criterion) {
    for (name, statuses, shape) in &journals::ALL {
        measure(criterion, name, *statuses, shape);
    }
}

fn measure(criterion: &mut Criterion, name: &str, statuses: usize, shape: &Shape) {
    let body = journal(statuses, shape);
    let body = body.as_bytes();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("scan", |bencher| {
        bencher.iter(|| memchr::memchr2(0, 1, black_box(body)));
    });
    group.bench_function("fold", |bencher| {
        bencher.iter(|| {
            let mut fold = Fold::default();
            let mut records = Vec::new();
            for chunk in black_box(body).chunks(CHUNK) {
                fold.feed(chunk, &mut |_, record| records.push(record)).unwrap();
            }
            Journal::new(records, fold.finish().unwrap())
        });
    });
    group.bench_function("structs", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Vec<Status>>(black_box(body)).unwrap().len());
    });
    group.finish();
}
