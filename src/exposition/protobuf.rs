//! The protobuf format: each family a `MetricFamily` message with its length before it.
//!
//! prometheus-client carries the samples into the messages; it leaves out since when they count, which is added here.

use std::fmt;
use std::io;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_protobuf::encode;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics;
use prometheus_client::registry::Registry;
use prost::Message;

use super::{Page, Sample};
use crate::catalogue::{Family, MetricType, Number, Value};

/// The bytes of the page, a block for each family.
pub(super) fn blocks(page: Page) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    let families = page.families().iter();
    families.filter_map(move |family| block(&page, family).transpose())
}

/// The message of a family, with its length before it; `None` where it has no samples.
///
/// The bytes of two messages, one after the other, are those of one message with the elements of both. It is made in parts,
/// because as messages, samples take ten times the space of their bytes.
fn block(page: &Page, family: &'static Family) -> io::Result<Option<Vec<u8>>> {
    let mut encoded = Vec::new();
    for part in page.parts(family, INSTANCES) {
        let Some(mut message) = message(&part, family)? else {
            continue;
        };
        if !encoded.is_empty() {
            // What the family is has been said.
            message = MetricFamily {
                metric: message.metric,
                ..MetricFamily::default()
            };
        }
        message.encode(&mut encoded)?;
    }
    if encoded.is_empty() {
        return Ok(None);
    }
    let mut block = Vec::with_capacity(encoded.len() + 10);
    prost::encode_length_delimiter(encoded.len(), &mut block)?;
    block.extend_from_slice(&encoded);
    Ok(Some(block))
}

/// The message of a page of one family; `None` where it has no samples.
fn message(page: &Page, family: &Family) -> io::Result<Option<MetricFamily>> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page.clone()));
    let Some(mut message) = encode(&registry).map_err(io::Error::other)?.pop() else {
        return Ok(None);
    };
    let mut metrics = message.metric.iter_mut();
    page.samples(family, |sample| {
        let start = sample.value.created().map(Into::into);
        let Some(metric) = metrics.next() else { return };
        if let Some(counter) = &mut metric.counter {
            counter.start_timestamp = start;
        } else if let Some(histogram) = &mut metric.histogram {
            histogram.start_timestamp = start;
        }
    });
    Ok(Some(message))
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.families {
            let mut empty = true;
            self.samples(family, |_| empty = false);
            if empty {
                continue;
            }
            let metric_type = match family.metric_type {
                MetricType::Counter => metrics::MetricType::Counter,
                MetricType::Gauge => metrics::MetricType::Gauge,
                MetricType::Histogram { .. } => metrics::MetricType::Histogram,
            };
            let mut metrics = encoder.encode_descriptor(family.stem(), family.help, None, metric_type)?;
            let names = family.all_labels();
            let mut result = Ok(());
            self.samples(family, |sample| {
                if result.is_ok() {
                    result = encode_sample(family, &names, sample, &mut metrics);
                }
            });
            result?;
        }
        Ok(())
    }
}

fn encode_sample(family: &Family, names: &[&str], sample: Sample<'_>, metrics: &mut MetricEncoder<'_>) -> fmt::Result {
    let labels: Vec<(&str, &str)> = names.iter().copied().zip(sample.label_values()).collect();
    if labels.is_empty() {
        encode_value(family, sample.value, metrics)
    } else {
        encode_value(family, sample.value, &mut metrics.encode_family(&labels)?)
    }
}

fn encode_value(family: &Family, value: Value<'_>, metric: &mut MetricEncoder<'_>) -> fmt::Result {
    match value {
        Value::Gauge(Number::Integer(integer)) => metric.encode_gauge(&integer),
        Value::Gauge(Number::Float(float)) => metric.encode_gauge(&float),
        Value::Counter { total, .. } => match total {
            Number::Integer(integer) => metric.encode_counter::<NoLabelSet, _, f64>(&integer, None),
            Number::Float(float) => metric.encode_counter::<NoLabelSet, _, f64>(&float, None),
        },
        Value::Histogram { counts, sum, .. } => {
            let MetricType::Histogram { bounds } = family.metric_type else {
                return Err(fmt::Error);
            };
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
            let count = counts.iter().sum();
            metric.encode_histogram::<NoLabelSet>(sum.as_f64(), count, &buckets, None)
        }
    }
}

/// How many instances' samples are messages at the same time.
const INSTANCES: usize = 500;
