//! What a page says of the process, under the names that all Prometheus clients use.

use std::time::SystemTime;

use super::MetricType::{Counter, Gauge};
use super::{Family, Number, Read, Samples, Value, gauge};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "process_cpu_seconds_total",
        metric_type: Counter,
        help: "Seconds of user and system time spent.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| {
            let process = &exporter.process;
            counter(process.cpu_seconds, process.start_time, samples);
        }),
    },
    Family {
        name: "process_open_fds",
        metric_type: Gauge,
        help: "Open file descriptors.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(exporter.process.open_fds, samples)),
    },
    Family {
        name: "process_max_fds",
        metric_type: Gauge,
        help: "Limit on open file descriptors; absent where unlimited.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(exporter.process.max_fds, samples)),
    },
    Family {
        name: "process_virtual_memory_bytes",
        metric_type: Gauge,
        help: "Virtual memory in bytes.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(exporter.process.virtual_memory_bytes, samples)),
    },
    Family {
        name: "process_virtual_memory_max_bytes",
        metric_type: Gauge,
        help: "Limit on virtual memory, in bytes; absent where unlimited.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(exporter.process.virtual_memory_max_bytes, samples)),
    },
    Family {
        name: "process_resident_memory_bytes",
        metric_type: Gauge,
        help: "Resident memory in bytes.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(exporter.process.resident_memory_bytes, samples)),
    },
    Family {
        name: "process_start_time_seconds",
        metric_type: Gauge,
        help: "Unix time at which the process started.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| gauge(exporter.process.start_time, samples)),
    },
    // The system counts the traffic of the process' network namespace, which may be older than the process: to say that
    // it began with the process would make a jump of whatever was counted before.
    Family {
        name: "process_network_receive_bytes_total",
        metric_type: Counter,
        help: "Bytes received over the network, by all processes that share it.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| counter(exporter.process.network_receive_bytes, None, samples)),
    },
    Family {
        name: "process_network_transmit_bytes_total",
        metric_type: Counter,
        help: "Bytes sent over the network, by all processes that share it.",
        labels: &[],
        read: Read::Exporter(|exporter, samples| counter(exporter.process.network_transmit_bytes, None, samples)),
    },
];

/// The only sample of a counter without labels, if the fact is known.
fn counter(total: Option<impl Into<Number>>, created: Option<SystemTime>, samples: &mut Samples<'_>) {
    if let Some(total) = total {
        samples(&[], Value::counter(total, created));
    }
}
