//! What a page says of what the optional collectors found out. A collector that is off, or failed, has no samples.

use std::sync::LazyLock;

use super::MetricType::Gauge;
use super::{Family, Number, Read, Samples, Value, gauge, in_text_order};
use crate::collector::{Run, StateInstance};
use crate::label::LabelValue;

/// The states, sorted once instead of for every instance of every page.
static STATES: LazyLock<Vec<StateInstance>> = LazyLock::new(in_text_order);

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "greenapi_collector_success",
        metric_type: Gauge,
        help: "1 if the optional collector succeeded when it last ran, 0 if not; absent before its first run.",
        labels: &["collector"],
        read: Read::Instance(|instance, samples| {
            let runs = instance.collected.runs().into_iter();
            sorted(
                runs.map(|(collector, success, _)| ([collector.as_str()], success)),
                samples,
            );
        }),
    },
    Family {
        name: "greenapi_collector_duration_seconds",
        metric_type: Gauge,
        help: "Seconds that the optional collector took when it last ran; absent before its first run.",
        labels: &["collector"],
        read: Read::Instance(|instance, samples| {
            let runs = instance.collected.runs().into_iter();
            sorted(
                runs.map(|(collector, _, duration)| ([collector.as_str()], duration)),
                samples,
            );
        }),
    },
    Family {
        name: "greenapi_instance_state",
        metric_type: Gauge,
        help: "1 for the state that the instance is in, 0 for the others (collector state).",
        labels: &["state"],
        read: Read::Instance(|instance, samples| {
            if let Some(present) = Run::found(instance.collected.state.as_deref()) {
                for state in STATES.iter() {
                    samples(&[state.as_str()], Value::Gauge((state == present).into()));
                }
            }
        }),
    },
    Family {
        name: "greenapi_setting_enabled",
        metric_type: Gauge,
        help: "1 if the setting of the instance is on, 0 if off; absent where the API does not tell (collector settings).",
        labels: &["setting"],
        read: Read::Instance(|instance, samples| {
            let settings = Run::found(instance.collected.settings.as_deref()).into_iter().flatten();
            sorted(settings.map(|(setting, on)| ([setting.as_str()], *on)), samples);
        }),
    },
    Family {
        name: "greenapi_incoming_journal_statuses",
        metric_type: Gauge,
        help: "Distinct statuses of contacts in the journal's window (collector incoming).",
        labels: &["type_message"],
        read: Read::Instance(|instance, samples| {
            let types = Run::found(instance.collected.incoming.as_deref()).into_iter().flatten();
            sorted(
                types.map(|(type_message, count)| ([type_message.as_str()], *count)),
                samples,
            );
        }),
    },
    Family {
        name: "greenapi_status_recipients",
        metric_type: Gauge,
        help: "Recipients of the statuses in the journal's window, by delivery state; read counts viewers \
               (collector statistic).",
        labels: &["status_message"],
        read: Read::Instance(|instance, samples| {
            let states = Run::found(instance.collected.statistic.as_deref())
                .into_iter()
                .flatten();
            sorted(states.map(|(state, count)| ([state.as_str()], *count)), samples);
        }),
    },
    Family {
        name: "greenapi_contacts",
        metric_type: Gauge,
        help: "Contacts of the instance, by type and by whether they have a name in the phone's address book \
               (collector contacts).",
        labels: &["type", "named"],
        read: Read::Instance(|instance, samples| {
            let contacts = Run::found(instance.collected.contacts.as_deref()).into_iter().flatten();
            let named = |named| if named { "true" } else { "false" };
            sorted(
                contacts.map(|((of, has), count)| ([of.as_str(), named(*has)], *count)),
                samples,
            );
        }),
    },
    Family {
        name: "greenapi_queued_messages",
        metric_type: Gauge,
        help: "Messages that wait to be sent (collector queue).",
        labels: &[],
        read: Read::Instance(|instance, samples| {
            gauge(Run::found(instance.collected.queue.as_deref()).copied(), samples);
        }),
    },
];

/// Gauges in the order of their label values. There are few of them: these collectors are off by default.
fn sorted<const LABELS: usize, N: Into<Number>>(
    facts: impl Iterator<Item = ([&'static str; LABELS], N)>,
    samples: &mut Samples<'_>,
) {
    let mut facts: Vec<_> = facts.collect();
    facts.sort_unstable_by_key(|(labels, _)| *labels);
    for (labels, fact) in facts {
        samples(&labels, Value::Gauge(fact.into()));
    }
}
