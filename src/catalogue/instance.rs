//! What a page says of an instance and the journal of its published statuses.

use std::sync::LazyLock;

use super::MetricType::{Counter, Gauge};
use super::{Family, Read, Value, gauge, in_text_order};
use crate::fetch::FetchResult;
use crate::label::LabelValue;

/// The results, sorted once instead of for every instance of every page.
static FETCH_RESULTS: LazyLock<Vec<FetchResult>> = LazyLock::new(in_text_order);

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "greenapi_instance_info",
        metric_type: Gauge,
        help: "Always 1; carries the instance's name, as configured or as the partner account lists it.",
        labels: &["name"],
        read: Read::Instance(|instance, samples| samples(&[&instance.account.name], Value::Gauge(1.into()))),
    },
    Family {
        name: "greenapi_up",
        metric_type: Gauge,
        help: "1 if the latest journal fetch succeeded, 0 if not; results are reused for min_interval.",
        labels: &[],
        read: Read::Instance(|instance, samples| gauge(instance.up(), samples)),
    },
    Family {
        name: "greenapi_forbidden",
        metric_type: Gauge,
        help: "1 if the latest journal fetch was answered 403 (no beta access, or wrong id or host), 0 if not; \
               results are reused for min_interval.",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            let forbidden = instance
                .fetched
                .latest
                .map(|fetch| fetch.result == FetchResult::Forbidden);
            gauge(forbidden, samples);
        }),
    },
    Family {
        name: "greenapi_fetch_result",
        metric_type: Gauge,
        help: "Always 1; carries the result of the latest journal fetch; results are reused for min_interval.",
        labels: &["result"],
        read: Read::Instance(|instance, samples| {
            if let Some(fetch) = instance.fetched.latest {
                samples(&[fetch.result.as_str()], Value::Gauge(1.into()));
            }
        }),
    },
    Family {
        name: "greenapi_fetches_total",
        metric_type: Counter,
        help: "Journal requests sent to the API, by result; reused results are not counted.",
        labels: &["result"],
        read: Read::Instance(|instance, samples| {
            let fetched = &instance.fetched;
            for result in FETCH_RESULTS.iter() {
                let fetches = fetched.counters.fetches(*result);
                samples(&[result.as_str()], Value::counter(fetches, fetched.created));
            }
        }),
    },
    Family {
        name: "greenapi_fetch_duration_seconds",
        metric_type: Gauge,
        help: "Seconds that the latest journal fetch took; results are reused for min_interval.",
        labels: &[],
        read: Read::Instance(|instance, samples| gauge(instance.fetched.latest.map(|fetch| fetch.duration), samples)),
    },
    Family {
        name: "greenapi_last_success_timestamp_seconds",
        metric_type: Gauge,
        help: "Unix time at which the journal was last fetched with success; absent before the first. Up to 10 minutes too early after a crash.",
        labels: &[],
        read: Read::Instance(|instance, samples| gauge(instance.fetched.last_success, samples)),
    },
    Family {
        name: "greenapi_journal_window_seconds",
        metric_type: Gauge,
        help: "How many seconds before the latest fetch the journal gauges cover.",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            gauge(Some(instance.window), samples);
        }),
    },
    Family {
        name: "greenapi_journal_statuses",
        metric_type: Gauge,
        help: "Distinct statuses in the journal's window, in their present state; absent while not up.",
        labels: &["status_message", "type_message", "send_by_api", "audience"],
        read: Read::Instance(|instance, samples| {
            for (labels, count) in instance.present_tally().iter().flat_map(|tally| &tally.counts) {
                samples(&labels.texts(), Value::Gauge((*count).into()));
            }
        }),
    },
    Family {
        name: "greenapi_journal_newest_timestamp_seconds",
        metric_type: Gauge,
        help: "Unix time of the most recent action on a status in the journal's window; absent if it is empty, and while not up.",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            gauge(instance.present_tally().and_then(|tally| tally.newest), samples);
        }),
    },
    Family {
        name: "greenapi_journal_oldest_pending_timestamp_seconds",
        metric_type: Gauge,
        help: "Unix time of the last action on the status that has been pending longest; absent if none is, and while not up.",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            gauge(instance.present_tally().and_then(|tally| tally.oldest_pending), samples);
        }),
    },
    Family {
        name: "greenapi_malformed_records_total",
        metric_type: Counter,
        help: "Elements of the outgoing journal skipped because they are not objects, or lack an idMessage or a usable timestamp; counted anew at \
               each fetch.",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            let fetched = &instance.fetched;
            samples(&[], Value::counter(fetched.counters.malformed_records, fetched.created));
        }),
    },
    Family {
        name: "greenapi_unknown_values_total",
        metric_type: Counter,
        help: "Values in the outgoing journal not recognised, by field; they appear as other in the label of the same name; counted anew at each fetch.",
        labels: &["field"],
        read: Read::Instance(|instance, samples| {
            let fetched = &instance.fetched;
            let counters = &fetched.counters;
            let states = Value::counter(counters.unknown_status_messages, fetched.created);
            let types = Value::counter(counters.unknown_type_messages, fetched.created);
            samples(&["status_message"], states);
            samples(&["type_message"], types);
        }),
    },
];
