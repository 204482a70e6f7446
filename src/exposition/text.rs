//! The two text formats: Prometheus 0.0.4 and OpenMetrics 1.0.0.
//!
//! Both are lines of `name{labels} value`; they differ in the lines about a family and in how a bucket's bound is spelled.

use std::{iter, ptr};

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
    let mut lines = Lines::new(dialect);
    let mut end: Option<&[u8]> = (dialect != Dialect::Prometheus).then_some(b"# EOF\n");
    // A small page stays within its first block, which starts small: space that is not needed costs time, too.
    let mut capacity = PROBE;
    iter::from_fn(move || {
        let mut block = Vec::with_capacity(capacity);
        capacity = BLOCK + BLOCK / 2;
        while block.len() < BLOCK {
            let Some((family, part)) = parts.next() else {
                block.extend_from_slice(end.take().unwrap_or_default());
                break;
            };
            // Many families have no samples, and so no head.
            part.samples(family, |sample| lines.sample(family, sample, &mut block));
        }
        (!block.is_empty()).then_some(block)
    })
}

/// Bytes gathered before they are passed on: a compressor that is handed single words is slow.
const BLOCK: usize = 64 * 1024;

/// What the page of one instance needs, as a rule.
const PROBE: usize = 16 * 1024;

/// Few enough that a block barely exceeds [`BLOCK`].
const INSTANCES: usize = 8;

/// How the lines of a family are written, one family after the other.
struct Lines {
    dialect: Dialect,
    /// The family whose lines these are.
    family: Option<&'static Family>,
    /// What stands before each label's value, from the end of the value before it.
    openings: Pieces,
    /// What stands after the last label's value, up to the number.
    closing: &'static str,
    /// The same with `le`, for each bucket of a histogram.
    buckets: Pieces,
    /// The labels of a sample, spelled once for all its lines.
    labels: Vec<u8>,
}

impl Lines {
    fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            family: None,
            openings: Pieces::default(),
            closing: "",
            buckets: Pieces::default(),
            labels: Vec::new(),
        }
    }

    /// The lines of one sample, after those that tell what the family is, if it is the family's first.
    fn sample(&mut self, family: &'static Family, sample: Sample<'_>, block: &mut Vec<u8>) {
        if self.family.is_none_or(|before| !ptr::eq(before, family)) {
            self.turn_to(family);
            self.head(family, block);
        }
        self.spell_labels(sample);
        let mut line = |names: [&str; 2], closing: &[u8], number: Number| {
            for piece in names {
                block.extend_from_slice(piece.as_bytes());
            }
            block.extend_from_slice(&self.labels);
            block.extend_from_slice(closing);
            push_number(number, block);
            block.push(b'\n');
        };
        let closing = self.closing.as_bytes();
        match sample.value {
            Value::Gauge(number) | Value::Counter { total: number, .. } => line([family.name, ""], closing, number),
            Value::Histogram { counts, sum, .. } => {
                let mut cumulative = 0;
                for (bucket, count) in self.buckets.iter().zip(counts) {
                    cumulative += count;
                    line([family.name, "_bucket"], bucket, cumulative.into());
                }
                line([family.name, "_sum"], closing, sum);
                line([family.name, "_count"], closing, cumulative.into());
            }
        }
        if let (Dialect::OpenMetrics { created: true }, Some(created)) = (self.dialect, sample.value.created()) {
            line([family.stem(), "_created"], closing, created.into());
        }
    }

    /// Writes the lines of this family from now on.
    fn turn_to(&mut self, family: &'static Family) {
        self.family = Some(family);
        self.openings.clear();
        let mut before = "{";
        for name in family.all_labels() {
            self.openings.push(&[before, name, "=\""]);
            before = "\",";
        }
        let has_labels = before != "{";
        self.closing = if has_labels { "\"} " } else { " " };
        self.buckets.clear();
        if let MetricType::Histogram { bounds } = family.metric_type {
            let mut buffer = zmij::Buffer::new();
            for bound in bounds {
                let bound = match self.dialect {
                    Dialect::Prometheus => spelled(*bound, &mut buffer),
                    // OpenMetrics compares bounds as texts and wants them to be those of numbers with a point.
                    Dialect::OpenMetrics { .. } => buffer.format(*bound),
                };
                self.buckets.push(&[before, "le=\"", bound, "\"} "]);
            }
            self.buckets.push(&[before, "le=\"+Inf\"} "]);
        }
    }

    /// The lines that tell what the family is.
    fn head(&self, family: &Family, block: &mut Vec<u8>) {
        let name = match self.dialect {
            Dialect::Prometheus => family.name,
            Dialect::OpenMetrics { .. } => family.stem(),
        };
        let metric_type = family.metric_type.as_str();
        let help = family.help;
        for piece in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", metric_type, "\n"] {
            block.extend_from_slice(piece.as_bytes());
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

/// Texts that are kept one after the other.
#[derive(Default)]
struct Pieces {
    text: Vec<u8>,
    /// Where in the text each ends.
    ends: Vec<usize>,
}

impl Pieces {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Keeps one more, which is given in parts.
    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.extend_from_slice(part.as_bytes());
        }
        self.ends.push(self.text.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends
            .iter()
            .map(move |end| &self.text[std::mem::replace(&mut start, *end)..*end])
    }
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
        Number::Float(float) => block.extend_from_slice(spelled(float, &mut zmij::Buffer::new()).as_bytes()),
    }
}

/// The shortest decimal number that is read back as the same double.
fn spelled(float: f64, buffer: &mut zmij::Buffer) -> &str {
    if float.is_infinite() {
        return if float > 0.0 { "+Inf" } else { "-Inf" };
    }
    let spelled = buffer.format(float);
    spelled.strip_suffix(".0").unwrap_or(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_spelled_as_briefly_as_it_can_be_read_back() {
        let check = |float: f64, expected: &str| assert_eq!(spelled(float, &mut zmij::Buffer::new()), expected);
        check(0.0, "0");
        check(0.1, "0.1");
        check(-2.5, "-2.5");
        check(86_400.0, "86400");
        check(1e300, "1e+300");
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
