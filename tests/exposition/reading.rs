//! Reads pages back, and shares no code with what writes them: a text, or messages, into series.

use std::fmt::Write as _;
use std::io::{Read, Write};

use flate2::read::GzDecoder;
use greenapi_exporter::catalogue::{Family, MetricType, Value};
use greenapi_exporter::exposition::{Page, Sample};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model as model;
use prost::Message;

/// A series and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl Series {
    fn new(name: &str, labels: &[(String, String)], value: f64) -> Self {
        Self {
            name: name.to_owned(),
            labels: labels.to_vec(),
            value,
        }
    }

    fn of_bucket(name: &str, labels: &[(String, String)], bound: f64, value: f64) -> Self {
        let spelled = if bound.is_infinite() {
            "+Inf".to_owned()
        } else {
            bound.to_string()
        };
        let labels = [labels, &[("le".to_owned(), spelled)]].concat();
        Self::new(&format!("{name}_bucket"), &labels, value)
    }
}

/// The series of a page in a text format, without those about when others began.
pub(crate) fn of_text(page: &str) -> Vec<Series> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(parse_line).collect()
}

fn parse_line(line: &str) -> Series {
    let labels_at = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(labels_at);
    let mut labels = Vec::new();
    while let Some(label) = rest.strip_prefix(['{', ',']) {
        let (name, quoted) = label.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        rest = loop {
            match characters.next().unwrap() {
                (end, '"') => break &quoted[end + 1..],
                (_, '\\') => value.push(match characters.next().unwrap().1 {
                    'n' => '\n',
                    itself => itself,
                }),
                (_, character) => value.push(character),
            }
        };
        labels.push((name.to_owned(), value));
    }
    let value = rest.trim_start_matches('}').strip_prefix(' ').unwrap();
    Series::new(name, &labels, value.parse().unwrap())
}

/// The messages of a page in the protobuf format.
pub(crate) fn messages(mut page: &[u8]) -> Vec<model::MetricFamily> {
    let mut messages = Vec::new();
    while !page.is_empty() {
        messages.push(model::MetricFamily::decode_length_delimited(&mut page).unwrap());
    }
    messages
}

/// A message that doesn't say since when its metrics count.
pub(crate) fn without_starts(mut family: model::MetricFamily) -> model::MetricFamily {
    for metric in &mut family.metric {
        if let Some(counter) = &mut metric.counter {
            counter.start_timestamp = None;
        }
        if let Some(histogram) = &mut metric.histogram {
            histogram.start_timestamp = None;
        }
    }
    family
}

fn labels_of(metric: &model::Metric) -> Vec<(String, String)> {
    let labels = metric.label.iter();
    labels.map(|label| (label.name.clone(), label.value.clone())).collect()
}

/// The series of a page in the protobuf format.
pub(crate) fn of_protobuf(page: &[u8]) -> Vec<Series> {
    let mut series = Vec::new();
    for family in messages(page) {
        for metric in &family.metric {
            of_metric(&family.name, metric, &mut series);
        }
    }
    series
}

#[expect(clippy::cast_precision_loss, reason = "as in a text, every value is a double")]
fn of_metric(name: &str, metric: &model::Metric, series: &mut Vec<Series>) {
    let labels = labels_of(metric);
    if let Some(gauge) = &metric.gauge {
        series.push(Series::new(name, &labels, gauge.value));
    }
    if let Some(counter) = &metric.counter {
        series.push(Series::new(name, &labels, counter.value));
    }
    if let Some(histogram) = &metric.histogram {
        for bucket in &histogram.bucket {
            let count = bucket.cumulative_count as f64;
            series.push(Series::of_bucket(name, &labels, bucket.upper_bound, count));
        }
        series.push(Series::new(&format!("{name}_sum"), &labels, histogram.sample_sum));
        series.push(Series::new(
            &format!("{name}_count"),
            &labels,
            histogram.sample_count as f64,
        ));
    }
}

/// A page in the protobuf format as a text for people: each family, its metrics, and since when each counts.
pub(crate) fn spelled(page: &[u8]) -> String {
    let mut text = String::new();
    for family in messages(page) {
        writeln!(text, "{} {:?} {}", family.name, family.r#type(), family.help).unwrap();
        for metric in &family.metric {
            let mut series = Vec::new();
            of_metric("", metric, &mut series);
            let counter = metric.counter.as_ref().and_then(|counter| counter.start_timestamp);
            let histogram = metric
                .histogram
                .as_ref()
                .and_then(|histogram| histogram.start_timestamp);
            for Series { name, labels, value } in series {
                write!(text, "    {name}{labels:?} {value}").unwrap();
                if let Some(start) = counter.or(histogram) {
                    write!(text, " since {start}").unwrap();
                }
                text.push('\n');
            }
        }
    }
    text
}

/// The series that a page is to have.
pub(crate) fn of_page(page: &Page) -> Vec<Series> {
    let mut series = Vec::new();
    for family in page.families() {
        page.samples(family, |sample| of_sample(family, sample, &mut series));
    }
    series
}

#[expect(clippy::cast_precision_loss, reason = "as in a text, every value is a double")]
fn of_sample(family: &Family, sample: Sample<'_>, series: &mut Vec<Series>) {
    let names = family.all_labels().into_iter().map(str::to_owned);
    let labels: Vec<_> = names.zip(sample.label_values().map(str::to_owned)).collect();
    match (sample.value, family.metric_type) {
        (Value::Gauge(number), MetricType::Gauge) | (Value::Counter { total: number, .. }, MetricType::Counter) => {
            series.push(Series::new(family.name, &labels, number.as_f64()));
        }
        (Value::Histogram { counts, sum, .. }, MetricType::Histogram { bounds }) => {
            assert_eq!(counts.len(), bounds.len() + 1, "buckets of {}", family.name);
            for (index, bound) in bounds.iter().chain(&[f64::INFINITY]).enumerate() {
                let count = counts[..=index].iter().sum::<u64>() as f64;
                series.push(Series::of_bucket(family.name, &labels, *bound, count));
            }
            let count = counts.iter().sum::<u64>() as f64;
            series.push(Series::new(&format!("{}_sum", family.name), &labels, sum.as_f64()));
            series.push(Series::new(&format!("{}_count", family.name), &labels, count));
        }
        (value, metric_type) => panic!("{} is a {metric_type:?} but has {value:?}", family.name),
    }
    assert_eq!(labels.len(), family.all_labels().len(), "labels of {}", family.name);
}

/// What was compressed.
pub(crate) fn gunzip(compressed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut plain).unwrap();
    plain
}

/// Hands `input` to a program that must be content with it and have nothing to say.
pub(crate) fn approves(program: &str, package: &str, arguments: &[&str], input: &[u8]) {
    use std::process::{Command, Stdio};

    let missing = format!("{package} is missing: run `make test-programs`");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(&missing);
    // A program that gives up early doesn't read its input; what it says matters then.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!said.contains("ModuleNotFoundError"), "{missing}");
    assert!(output.status.success() && said.is_empty(), "{program} says: {said}");
}

/// A page in OpenMetrics with the bounds of its buckets spelled as in the other formats.
pub(crate) fn with_short_bounds(page: &str) -> String {
    let is_bucket = |line: &str| line.split('{').next().is_some_and(|name| name.ends_with("_bucket"));
    let lines = page.split_inclusive('\n').map(|line| {
        if is_bucket(line) {
            line.replace(".0\"} ", "\"} ")
        } else {
            line.to_owned()
        }
    });
    lines.collect()
}
