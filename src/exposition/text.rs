//! The two text formats: Prometheus 0.0.4 and OpenMetrics 1.0.0.
//!
//! Both are lines of `name{labels} value`; they differ in the lines about a family and in how a bucket's bound is spelled.

use std::iter;

use super::{Page, Sample};
use crate::catalogue::{Family, MetricType, Number, Value};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Prometheus 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics {
        /// Whether series tell since when others count.
        created: bool,
    },
}

/// The bytes of the page.
pub(super) fn blocks(page: Page, dialect: Dialect) -> impl Iterator<Item = Vec<u8>> {
    let mut parts = page
        .families()
        .iter()
        .flat_map(move |family| page.parts(family, INSTANCES).map(move |part| (family, part)));
    let mut lines: Option<Lines> = None;
    let mut end: Option<&[u8]> = (dialect != Dialect::Prometheus).then_some(b"# EOF\n");
    // A small page stays within its first block, which starts small: space that is not needed costs time, too.
    let mut capacity = 0;
    iter::from_fn(move || {
        let mut block = Vec::with_capacity(capacity);
        capacity = BLOCK + BLOCK / 2;
        while block.len() < BLOCK {
            let Some((family, part)) = parts.next() else {
                block.extend_from_slice(end.take().unwrap_or_default());
                break;
            };
            lines = lines.take().filter(|lines| lines.family.name == family.name);
            part.samples(family, |sample| {
                // Many families have no samples, and so no head.
                let lines = lines.get_or_insert_with(|| {
                    let lines = Lines::new(family, dialect);
                    lines.head(&mut block);
                    lines
                });
                lines.sample(sample, &mut block);
            });
        }
        (!block.is_empty()).then_some(block)
    })
}

/// Bytes gathered before they are passed on: a compressor that is handed single words is slow.
const BLOCK: usize = 64 * 1024;

/// So few instances that a block becomes little longer than it should.
const INSTANCES: usize = 8;

/// How the lines of one family are written. A probe's page has few lines of each, so whatever is not needed isn't made.
struct Lines {
    family: &'static Family,
    dialect: Dialect,
    openings: Openings,
    /// What stands after the last label's value, up to the number.
    closing: &'static str,
    /// The same with `le`, for each bucket of a histogram.
    buckets: Vec<String>,
    /// The names that are not the family's own.
    suffixed: Suffixed,
    /// The labels of a sample, spelled once for all its lines.
    labels: Vec<u8>,
}

impl Lines {
    fn new(family: &'static Family, dialect: Dialect) -> Self {
        let label_names = family.all_labels();
        let (before_le, closing) = if label_names.is_empty() {
            ("{", " ")
        } else {
            ("\",", "\"} ")
        };
        let bucket = |bound: &str| [before_le, "le=\"", bound, "\"} "].concat();
        let spelled = |bound: &f64| match dialect {
            Dialect::Prometheus => spell(*bound),
            // OpenMetrics compares bounds as texts and wants them to be those of numbers with a point.
            Dialect::OpenMetrics { .. } => format!("{bound:?}"),
        };
        let mut suffixed = Suffixed::default();
        let mut buckets = Vec::new();
        if let MetricType::Histogram { bounds } = family.metric_type {
            buckets.extend(bounds.iter().map(|bound| bucket(&spelled(bound))));
            buckets.push(bucket("+Inf"));
            suffixed.bucket = [family.name, "_bucket"].concat();
            suffixed.sum = [family.name, "_sum"].concat();
            suffixed.count = [family.name, "_count"].concat();
        }
        if dialect == (Dialect::OpenMetrics { created: true }) {
            suffixed.created = [family.stem(), "_created"].concat();
        }
        Self {
            family,
            dialect,
            openings: Openings::new(&label_names),
            closing,
            buckets,
            suffixed,
            labels: Vec::new(),
        }
    }

    /// The lines that tell what the family is.
    fn head(&self, block: &mut Vec<u8>) {
        let (name, help) = match self.dialect {
            Dialect::Prometheus => (self.family.name, self.family.help),
            Dialect::OpenMetrics { .. } => (self.family.stem(), self.family.help),
        };
        let metric_type = self.family.metric_type.as_str();
        for piece in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", metric_type, "\n"] {
            block.extend_from_slice(piece.as_bytes());
        }
    }

    /// The lines of one sample.
    fn sample(&mut self, sample: Sample<'_>, block: &mut Vec<u8>) {
        self.spell_labels(sample);
        let mut line = |name: &str, closing: &str, number: Number| {
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(&self.labels);
            block.extend_from_slice(closing.as_bytes());
            push_number(number, block);
            block.push(b'\n');
        };
        match sample.value {
            Value::Gauge(number) | Value::Counter { total: number, .. } => line(self.family.name, self.closing, number),
            Value::Histogram { counts, sum, .. } => {
                let mut cumulative = 0;
                for (bucket, count) in self.buckets.iter().zip(counts) {
                    cumulative += count;
                    line(&self.suffixed.bucket, bucket, cumulative.into());
                }
                line(&self.suffixed.sum, self.closing, sum);
                line(&self.suffixed.count, self.closing, cumulative.into());
            }
        }
        if let (Dialect::OpenMetrics { created: true }, Some(created)) = (self.dialect, sample.value.created()) {
            line(&self.suffixed.created, self.closing, created.into());
        }
    }

    /// Makes the labels of this sample those of the lines that follow.
    fn spell_labels(&mut self, sample: Sample<'_>) {
        self.labels.clear();
        let mut openings = self.openings.iter();
        // An id is digits, of which none is special.
        if let Some(id_instance) = sample.id_instance
            && let Some(opening) = openings.next()
        {
            self.labels.extend_from_slice(opening);
            self.labels.extend_from_slice(id_instance.as_bytes());
        }
        for (opening, value) in openings.zip(sample.labels) {
            self.labels.extend_from_slice(opening);
            push_label_value(value, &mut self.labels);
        }
    }
}

/// What stands before each label's value, from the end of the value before it.
struct Openings {
    text: Vec<u8>,
    /// Where in the text each ends.
    ends: Vec<usize>,
}

impl Openings {
    fn new(label_names: &[&str]) -> Self {
        let (mut text, mut ends) = (Vec::with_capacity(128), Vec::with_capacity(label_names.len()));
        for name in label_names {
            let before = if text.is_empty() { "{" } else { "\"," };
            for piece in [before, name, "=\""] {
                text.extend_from_slice(piece.as_bytes());
            }
            ends.push(text.len());
        }
        Self { text, ends }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends
            .iter()
            .map(move |end| &self.text[std::mem::replace(&mut start, *end)..*end])
    }
}

/// The name of a family with what is put after it, where that is needed.
#[derive(Default)]
struct Suffixed {
    bucket: String,
    sum: String,
    count: String,
    created: String,
}

/// Nearly every value can be copied as it stands.
fn push_label_value(value: &str, block: &mut Vec<u8>) {
    // Values are short: to look at all of one, without a branch, is quicker than to search it.
    let special = |byte: u8| matches!(byte, b'\\' | b'\n' | b'"');
    if value.bytes().fold(false, |found, byte| found | special(byte)) {
        block.extend_from_slice(escaped(value).as_bytes());
    } else {
        block.extend_from_slice(value.as_bytes());
    }
}

/// Puts a backslash before each special character.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | '\n' | '"') {
            escaped.push('\\');
        }
        escaped.push(if character == '\n' { 'n' } else { character });
    }
    escaped
}

fn push_number(number: Number, block: &mut Vec<u8>) {
    match number {
        Number::Integer(integer) => block.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes()),
        Number::Float(float) => block.extend_from_slice(spell(float).as_bytes()),
    }
}

/// The shortest decimal number that is read back as the same double.
fn spell(float: f64) -> String {
    if float.is_infinite() {
        return if float > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // `Debug` turns to exponents where `Display` would write hundreds of zeros.
    let mut spelled = format!("{float:?}");
    if spelled.ends_with(".0") {
        spelled.truncate(spelled.len() - 2);
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_spelled_as_briefly_as_it_can_be_read_back() {
        let check = |float: f64, expected: &str| assert_eq!(spell(float), expected);
        check(0.0, "0");
        check(0.1, "0.1");
        check(-2.5, "-2.5");
        check(86_400.0, "86400");
        check(1e300, "1e300");
        check(5e-324, "5e-324");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        check(f64::NAN, "NaN");
    }

    #[test]
    fn what_would_end_a_line_or_a_value_is_escaped() {
        assert_eq!(escaped("a\\b \"c\"\nd é"), "a\\\\b \\\"c\\\"\\nd é");
    }
}
