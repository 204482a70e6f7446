//! The protobuf format: each family a `MetricFamily` message with its length before it.
//!
//! prometheus-client declares the messages. They are filled in here, because its encoder leaves out since when counters count.

use std::io;

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as model;
use prost::Message;

use super::{Page, Sample};
use crate::catalogue::{Family, MetricType, Value};

/// The bytes of the page, a block for each family.
pub(super) fn blocks(page: Page) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    let families = page.families().iter();
    let messages = families.map(move |family| message(&page, family));
    messages.filter(|message| !message.is_empty()).map(delimited)
}

/// The message of a family; empty where it has no samples.
///
/// The bytes of two messages, one after the other, are those of one message with the elements of both. Each sample is written as a
/// message of its own, because as messages, samples take ten times the space of their bytes.
fn message(page: &Page, family: &Family) -> Vec<u8> {
    let names = family.all_labels();
    let metric_type = match family.metric_type {
        MetricType::Counter => model::MetricType::Counter,
        MetricType::Gauge => model::MetricType::Gauge,
        MetricType::Histogram { .. } => model::MetricType::Histogram,
    };
    let mut message = model::MetricFamily {
        name: family.name.to_owned(),
        help: family.help.to_owned(),
        r#type: metric_type.into(),
        ..model::MetricFamily::default()
    };
    let mut encoded = Vec::new();
    page.samples(family, |sample| {
        message.metric.push(metric(family, &names, sample));
        encoded.append(&mut message.encode_to_vec());
        // What the family is has been said.
        message = model::MetricFamily::default();
    });
    encoded
}

/// A message with its length before it.
fn delimited(mut message: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(message.len() + 10);
    prost::encode_length_delimiter(message.len(), &mut block)?;
    block.append(&mut message);
    Ok(block)
}

fn metric(family: &Family, names: &[&str], sample: Sample<'_>) -> model::Metric {
    let labels = names.iter().zip(sample.label_values());
    let label = |(name, value): (&&str, &str)| model::LabelPair {
        name: (*name).to_owned(),
        value: value.to_owned(),
    };
    let mut metric = model::Metric {
        label: labels.map(label).collect(),
        ..model::Metric::default()
    };
    let start_timestamp = sample.value.created().map(Into::into);
    match sample.value {
        Value::Gauge(number) => metric.gauge = Some(model::Gauge { value: number.as_f64() }),
        Value::Counter { total, .. } => {
            metric.counter = Some(model::Counter {
                value: total.as_f64(),
                start_timestamp,
                ..model::Counter::default()
            });
        }
        Value::Histogram { counts, sum, .. } => {
            metric.histogram = Some(model::Histogram {
                sample_count: counts.iter().sum(),
                sample_sum: sum.as_f64(),
                bucket: buckets(family, counts),
                start_timestamp,
                ..model::Histogram::default()
            });
        }
    }
    metric
}

fn buckets(family: &Family, counts: &[u64]) -> Vec<model::Bucket> {
    let MetricType::Histogram { bounds } = family.metric_type else {
        return Vec::new();
    };
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let mut cumulative_count = 0;
    let bucket = |(upper_bound, count): (f64, &u64)| {
        cumulative_count += count;
        model::Bucket {
            cumulative_count,
            upper_bound,
            ..model::Bucket::default()
        }
    };
    bounds.zip(counts).map(bucket).collect()
}
