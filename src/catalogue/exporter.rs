//! What a page says of the exporter itself.

use super::MetricType::{Counter, Gauge};
use super::{Family, Read, Value, gauge};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "greenapi_exporter_build_info",
        metric_type: Gauge,
        help: "Always 1; carries what the exporter was built from.",
        labels: &["version", "revision", "rustc"],
        read: Read::Exporter(|exporter, samples| {
            let build = exporter.build;
            samples(&[build.version, build.revision, build.rustc], Value::Gauge(1.into()));
        }),
    },
    Family {
        name: "greenapi_exporter_instances",
        metric_type: Gauge,
        help: "Number of instances that this exporter serves.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(Some(exporter.instances), samples)),
    },
    Family {
        name: "greenapi_exporter_config_last_reload_successful",
        metric_type: Gauge,
        help: "1 if the configuration was accepted when it was last loaded, 0 if the one before is still in use.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(Some(exporter.config_last_reload_successful), samples)),
    },
    Family {
        name: "greenapi_exporter_config_last_reload_success_timestamp_seconds",
        metric_type: Gauge,
        help: "Unix time at which a configuration was last accepted.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(Some(exporter.config_last_reload_success), samples)),
    },
    Family {
        name: "greenapi_exporter_shard_ordinal",
        metric_type: Gauge,
        help: "This replica's number, from 0, among those that share the instances.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(Some(u64::from(exporter.shard.ordinal())), samples)),
    },
    Family {
        name: "greenapi_exporter_shard_total",
        metric_type: Gauge,
        help: "How many replicas share the instances.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(Some(u64::from(exporter.shard.total())), samples)),
    },
    Family {
        name: "greenapi_exporter_http_requests_total",
        metric_type: Counter,
        help: "Requests answered, by page and status code.",
        labels: &["handler", "code"],
        read: Read::Exporter(|exporter, samples| {
            for ((handler, code), count) in &exporter.http_requests {
                samples(&[handler, &code.to_string()], Value::counter(*count, exporter.started));
            }
        }),
    },
    Family {
        name: "greenapi_exporter_ledger_entries",
        metric_type: Gauge,
        help: "Statuses known to the ledgers of all instances.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(Some(exporter.ledger_entries), samples)),
    },
    Family {
        name: "greenapi_exporter_ledger_errors_total",
        metric_type: Counter,
        help: "Failed attempts to write the ledger; counters don't advance until one succeeds.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| {
            samples(&[], Value::counter(exporter.ledger_errors, exporter.started));
        }),
    },
];
