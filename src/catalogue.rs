//! What a page says: every family of metrics, and how its samples are read from what is known.
//!
//! It knows the names and their meaning, not how a page is spelled. README, dashboards and rules are checked against it.

mod collected;
mod exporter;
mod instance;
mod ledger;
mod process;

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

pub use ledger::{STATUSES, TRANSITIONS};

use crate::label::LabelValue;
use crate::snapshot::{Exporter, Instance};

/// All families of metrics, in order of their names.
pub static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let mut families = [
        collected::FAMILIES,
        exporter::FAMILIES,
        instance::FAMILIES,
        ledger::FAMILIES,
        process::FAMILIES,
    ]
    .concat();
    families.sort_unstable_by_key(|family| family.name);
    families
});

/// The label that tells the instances apart: the first of every sample of an instance.
pub const ID_INSTANCE: &str = "id_instance";

/// The series of one name.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The name; that of a counter ends in `_total`.
    pub name: &'static str,
    /// What its values are.
    pub metric_type: MetricType,
    /// What its values mean, in a sentence without characters that any format escapes.
    pub help: &'static str,
    /// The names of its labels; those of an instance carry [`ID_INSTANCE`] before them.
    pub labels: &'static [&'static str],
    /// How its samples are read.
    pub read: Read,
}

/// What a family's values are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricType {
    /// Only rises, from 0.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts observations by their size.
    Histogram {
        /// The greatest observation that each bucket takes, ascending; one more bucket, without a bound, takes the rest.
        bounds: &'static [f64],
    },
}

/// How the samples of a family are read: of every instance, or once of the exporter itself.
///
/// Samples come in the order of their label values. What is not known has no sample.
#[derive(Debug, Clone, Copy)]
pub enum Read {
    /// From what is known of an instance.
    Instance(fn(&Instance, &mut Samples<'_>)),
    /// From what is known of the exporter.
    Exporter(fn(&Exporter, &mut Samples<'_>)),
}

/// Takes a sample: the values of the family's labels, in their order, and what was measured.
pub type Samples<'a> = dyn FnMut(&[&str], Value<'_>) + 'a;

/// What a sample says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Of a gauge.
    Gauge(Number),
    /// Of a counter.
    Counter {
        /// How much was counted.
        total: Number,
        /// Since when; absent where nobody knows.
        created: Option<SystemTime>,
    },
    /// Of a histogram.
    Histogram {
        /// Observations in each bucket alone, not in those below it: one number more than the family has bounds.
        counts: &'a [u64],
        /// The sum of all observations.
        sum: Number,
        /// Since when they are counted; absent where nobody knows.
        created: Option<SystemTime>,
    },
}

/// A number, kept whole where it is, because whole numbers are quicker to write and exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number.
    Integer(u64),
    /// Any other.
    Float(f64),
}

impl Family {
    /// The names of all labels of its samples.
    pub fn all_labels(&self) -> Vec<&'static str> {
        let first = match self.read {
            Read::Instance(_) => Some(ID_INSTANCE),
            Read::Exporter(_) => None,
        };
        first.into_iter().chain(self.labels.iter().copied()).collect()
    }

    /// The name that its series' names begin with: that of a counter without `_total`.
    pub fn stem(&self) -> &'static str {
        match self.metric_type {
            MetricType::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            MetricType::Gauge | MetricType::Histogram { .. } => self.name,
        }
    }
}

impl MetricType {
    /// The word for it in a `# TYPE` line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram { .. } => "histogram",
        }
    }
}

impl Value<'_> {
    /// The value of a counter that has counted `total` since `created`, which is `None` where nobody knows.
    pub fn counter(total: impl Into<Number>, created: impl Into<Option<SystemTime>>) -> Self {
        Self::Counter {
            total: total.into(),
            created: created.into(),
        }
    }

    /// Since when it counts; `None` for a gauge, or where nobody knows.
    pub fn created(&self) -> Option<SystemTime> {
        match self {
            Self::Gauge(_) => None,
            Self::Counter { created, .. } | Self::Histogram { created, .. } => *created,
        }
    }
}

impl Number {
    /// The number as the protocols carry it; whole numbers are exact up to 2^53.
    #[expect(clippy::cast_precision_loss, reason = "every sample is a double in the end")]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }
}

impl From<u64> for Number {
    fn from(integer: u64) -> Self {
        Self::Integer(integer)
    }
}

impl From<bool> for Number {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl From<f64> for Number {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}

impl From<Duration> for Number {
    /// Seconds.
    fn from(duration: Duration) -> Self {
        if duration.subsec_nanos() == 0 {
            Self::Integer(duration.as_secs())
        } else {
            Self::Float(duration.as_secs_f64())
        }
    }
}

impl From<SystemTime> for Number {
    /// Seconds since 1970, in whole milliseconds: a double could tell shorter times apart, but no clock here is that good.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (seconds, milliseconds) = (since.as_secs(), since.subsec_millis());
        if milliseconds == 0 {
            return Self::Integer(seconds);
        }
        // One division of two exact numbers gives the double that is nearest to the decimal number, so that it is
        // written with three digits; a sum of seconds and a fraction would not.
        let all = Self::Integer(seconds * 1000 + u64::from(milliseconds));
        Self::Float(all.as_f64() / 1000.0)
    }
}

/// The only sample of a gauge without labels, if the fact is known.
fn gauge(fact: Option<impl Into<Number>>, samples: &mut Samples<'_>) {
    if let Some(fact) = fact {
        samples(&[], Value::Gauge(fact.into()));
    }
}

/// A closed set of label values in the order in which a page shows them: that of their texts.
fn in_text_order<L: LabelValue>() -> Vec<L> {
    let mut values = L::ALL.to_vec();
    values.sort_unstable_by_key(|value| value.as_str());
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_in_order_and_their_series_cannot_be_mistaken_for_one_another() {
        // OpenMetrics tells families apart by their stems: `x` and `x_total` would be one.
        let mut stems: Vec<&str> = FAMILIES.iter().map(Family::stem).collect();
        assert!(FAMILIES.is_sorted_by_key(|family| family.name));
        stems.sort_unstable();
        assert!(stems.windows(2).all(|pair| pair[0] != pair[1]), "{stems:?}");
    }

    #[test]
    fn a_counter_and_nothing_else_is_called_total() {
        // The spec's name for how many shards there are: a total, but no count.
        let is_ordinary = |family: &&Family| family.name != "greenapi_exporter_shard_total";
        for family in FAMILIES.iter().filter(is_ordinary) {
            let counter = family.metric_type == MetricType::Counter;
            assert_eq!(family.name.ends_with("_total"), counter, "{}", family.name);
        }
    }

    #[test]
    fn names_are_plain_and_labels_are_none_of_the_reserved() {
        let plain = |name: &str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_'));
        for family in &*FAMILIES {
            let mut names = vec![family.name];
            names.extend(family.all_labels());
            assert!(names.iter().all(|name| plain(name)), "{names:?}");
            let reserved = ["le", "quantile", "job", "instance", ID_INSTANCE];
            assert!(!family.labels.iter().any(|label| reserved.contains(label)), "{names:?}");
        }
    }

    #[test]
    fn help_is_a_sentence_that_no_format_escapes() {
        for family in &*FAMILIES {
            let help = family.help;
            assert!(help.ends_with('.') && help.len() > 10, "{help}");
            assert!(help.is_ascii() && !help.contains(['\\', '"', '\n']), "{help}");
            assert!(!help.contains("  "), "{help}");
        }
    }

    #[test]
    fn numbers_are_whole_where_they_can_be_and_times_have_milliseconds() {
        let after = |duration| Number::from(SystemTime::UNIX_EPOCH + duration);
        assert_eq!(Number::from(Duration::from_hours(1)), Number::Integer(3_600));
        assert_eq!(Number::from(Duration::from_millis(1_500)), Number::Float(1.5));
        assert_eq!(
            after(Duration::from_secs(1_795_400_000)),
            Number::Integer(1_795_400_000)
        );
        assert_eq!(
            after(Duration::from_micros(1_795_400_000_123_999)),
            Number::Float(1_795_400_000.123)
        );
        assert_eq!(Number::from(true), Number::Integer(1));
    }
}
