//! What a page says of what an instance's ledger has counted.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::MetricType::{self, Counter};
use super::{Family, Number, Read, Samples, Value};
use crate::journal::{Labels, StatusMessage};
use crate::label::LabelValue;
use crate::ledger::totals::{DELAY_SECONDS, Histogram, PARTICIPANTS};

/// The counter of statuses, by kind.
pub const STATUSES: Family = Family {
    name: "greenapi_outgoing_statuses_total",
    metric_type: Counter,
    help: "Distinct statuses first seen. A combination of labels seen before has a series, which is 0 until a status is \
           counted in it.",
    labels: &["type_message", "send_by_api", "audience"],
    read: Read::Instance(|instance, samples| {
        let ledger = &instance.ledger;
        for kind in &ledger.kinds {
            let total = ledger.totals.statuses.get(*kind);
            samples(&kind.texts(), Value::counter(total, ledger.created));
        }
    }),
};

/// The counter of the states that statuses reached, by state and kind.
pub const TRANSITIONS: Family = Family {
    name: "greenapi_outgoing_status_transitions_total",
    metric_type: Counter,
    help: "Times a status reached a state, at most once per status and state; passing a state counts it.",
    labels: &["status_message", "type_message", "send_by_api", "audience"],
    read: Read::Instance(|instance, samples| {
        let ledger = &instance.ledger;
        for status_message in STATES {
            for &kind in &ledger.kinds {
                let labels = Labels { status_message, kind };
                let total = ledger.totals.transitions.get(labels);
                // No status need ever be in an unrecognised state, so there is no series to be expected.
                if total == 0 && status_message == StatusMessage::Other {
                    continue;
                }
                samples(&labels.texts(), Value::counter(total, ledger.created));
            }
        }
    }),
};

pub(super) const FAMILIES: &[Family] = &[
    STATUSES,
    TRANSITIONS,
    Family {
        name: "greenapi_outgoing_status_participants",
        metric_type: MetricType::Histogram {
            bounds: &as_f64s(PARTICIPANTS),
        },
        help: "Audience size of statuses first seen that list participants.",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            let ledger = &instance.ledger;
            histogram(&ledger.totals.participants, ledger.created, &[], samples);
        }),
    },
    Family {
        name: "greenapi_outgoing_status_delay_seconds",
        metric_type: MetricType::Histogram {
            bounds: &as_f64s(DELAY_SECONDS),
        },
        help: "Seconds from the earliest known timestamp of a status until it reached this state, if it was seen in a lower one before.",
        labels: &["status_message"],
        read: Read::Instance(|instance, samples| {
            let ledger = &instance.ledger;
            for state in STATES {
                if let Some(delays) = ledger.totals.delay(state) {
                    histogram(delays, ledger.created, &[state.as_str()], samples);
                }
            }
        }),
    },
    Family {
        name: "greenapi_incoming_statuses_total",
        metric_type: Counter,
        help: "Distinct statuses of contacts first seen (collector incoming).",
        labels: &["type_message"],
        read: Read::Instance(|instance, samples| {
            let Some(ledger) = &instance.incoming_ledger else {
                return;
            };
            // Only the type is told of statuses of contacts, so that kinds of one type are one series.
            let mut by_type: BTreeMap<&str, u64> = BTreeMap::new();
            for kind in &ledger.kinds {
                *by_type.entry(kind.type_message.as_str()).or_default() += ledger.totals.statuses.get(*kind);
            }
            for (type_message, total) in by_type {
                samples(&[type_message], Value::counter(total, ledger.created));
            }
        }),
    },
    Family {
        name: "greenapi_journal_gaps_total",
        metric_type: Counter,
        help: "Number of times statuses may have been missed because the exporter was away for more than 30 days, which is as far \
               as the API's journal reaches.",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            let ledger = &instance.ledger;
            samples(&[], Value::counter(ledger.totals.gaps, ledger.created));
        }),
    },
    Family {
        name: "greenapi_journal_gap_seconds_total",
        metric_type: Counter,
        help: "Seconds that no journal covered.",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            let ledger = &instance.ledger;
            samples(&[], Value::counter(ledger.totals.gap_seconds, ledger.created));
        }),
    },
];

/// The states that statuses are counted in, in the order of their texts.
const STATES: [StatusMessage; 5] = [
    StatusMessage::Delivered,
    StatusMessage::Other,
    StatusMessage::Pending,
    StatusMessage::Read,
    StatusMessage::Sent,
];

/// The bounds by which the ledger counts, as a page has them.
const fn as_f64s<const BUCKETS: usize>(bounds: [u64; BUCKETS]) -> [f64; BUCKETS] {
    let mut floats = [0.0; BUCKETS];
    let mut bucket = 0;
    while bucket < BUCKETS {
        floats[bucket] = Number::Integer(bounds[bucket]).as_f64();
        bucket += 1;
    }
    floats
}

fn histogram<const BUCKETS: usize>(
    histogram: &Histogram<BUCKETS>,
    created: SystemTime,
    labels: &[&str],
    samples: &mut Samples<'_>,
) {
    let counts: Vec<u64> = histogram.buckets.iter().copied().chain([histogram.beyond]).collect();
    let value = Value::Histogram {
        counts: &counts,
        sum: histogram.sum.into(),
        created: Some(created),
    };
    samples(labels, value);
}
