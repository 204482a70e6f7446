//! What prometheus-client's own encoders make of a page.

use std::fmt;

use greenapi_exporter::catalogue::{Family, MetricType, Number, Value};
use greenapi_exporter::exposition::{Page, Sample};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_protobuf, text};
use prometheus_client::metrics;
use prometheus_client::registry::Registry;

/// The page in OpenMetrics.
pub(crate) fn openmetrics(page: &Page) -> String {
    let mut openmetrics = String::new();
    text::encode(&mut openmetrics, &registry(page)).unwrap();
    openmetrics
}

/// The messages of the page in the protobuf format, which don't say since when counters count.
pub(crate) fn messages(page: &Page) -> Vec<MetricFamily> {
    prometheus_protobuf::encode(&registry(page)).unwrap()
}

fn registry(page: &Page) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Official(page.clone())));
    registry
}

/// A page as prometheus-client collects it.
#[derive(Debug)]
struct Official(Page);

impl Collector for Official {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.families() {
            let mut empty = true;
            self.0.samples(family, |_| empty = false);
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
            self.0.samples(family, |sample| {
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
