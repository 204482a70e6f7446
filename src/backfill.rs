//! Writes a journal's history as OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`.
//!
//! A journal tells of each status only when it was last acted on, not when it was published and when it passed its states. So
//! each status is counted, in every state up to its present one, at the time of its last action.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::account::InstanceId;
use crate::catalogue::{Family, ID_INSTANCE, STATUSES, TRANSITIONS};
use crate::journal::{Labels, Record};
use crate::ledger::entry::States;

/// Writes the counters of `records` from `start` to `end`, both in Unix seconds, to `out`.
///
/// What happened before `start` is left out: the counters begin there at 0.
pub fn write(records: &[Record], id: InstanceId, (start, end): (u64, u64), out: &mut impl Write) -> io::Result<()> {
    let mut statuses: BTreeMap<[&str; 3], Vec<u64>> = BTreeMap::new();
    let mut transitions: BTreeMap<[&str; 4], Vec<u64>> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|record| (start..=end).contains(&record.timestamp))
    {
        let kind = record.kind();
        statuses.entry(kind.texts()).or_default().push(record.timestamp);
        for status_message in States::shown_by(record.status_message).beyond(States::default()) {
            let labels = Labels { status_message, kind };
            transitions.entry(labels.texts()).or_default().push(record.timestamp);
        }
    }
    write_family(&STATUSES, statuses, id, (start, end), out)?;
    write_family(&TRANSITIONS, transitions, id, (start, end), out)?;
    out.write_all(b"# EOF\n")
}

/// Writes a counter with the times at which each of its series was counted.
fn write_family<const LABELS: usize>(
    family: &Family,
    series: BTreeMap<[&str; LABELS], Vec<u64>>,
    id: InstanceId,
    (start, end): (u64, u64),
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(
        out,
        "# HELP {stem} {help}\n# TYPE {stem} counter",
        stem = family.stem(),
        help = family.help
    )?;
    for (values, mut times) in series {
        times.sort_unstable();
        // The values are our own words, which need no escaping.
        let labels = family
            .labels
            .iter()
            .zip(values)
            .map(|(label, value)| format!(",{label}=\"{value}\""));
        let labels: String = labels.collect();
        for now in steps(start, end) {
            let total = times.partition_point(|time| *time <= now);
            writeln!(out, "{}{{{ID_INSTANCE}=\"{id}\"{labels}}} {total} {now}", family.name)?;
        }
    }
    Ok(())
}

/// The times of the samples, the last of which is `end`.
fn steps(start: u64, end: u64) -> impl Iterator<Item = u64> {
    (start..end).step_by(STEP).chain([end])
}

/// Prometheus looks back 5 minutes for a sample; a little less leaves no hole. In seconds.
const STEP: usize = 4 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::StatusMessage;

    #[test]
    fn a_status_counts_in_every_state_up_to_its_present_one_from_its_last_action_on() {
        let records = [
            Record::example(900, StatusMessage::Read),
            Record::example(1300, StatusMessage::Sent),
            Record::example(1240, StatusMessage::Other),
            Record::example(1601, StatusMessage::Read),
        ];
        let mut written = Vec::new();
        write(&records, 7.into(), (1000, 1600), &mut written).unwrap();
        insta::assert_snapshot!(String::from_utf8(written).unwrap());
    }

    #[test]
    fn the_last_step_is_the_end_and_no_hole_is_longer_than_a_step() {
        let check = |start, end, expected: &[u64]| assert_eq!(steps(start, end).collect::<Vec<_>>(), expected);
        check(0, 0, &[0]);
        check(0, 240, &[0, 240]);
        check(0, 241, &[0, 240, 241]);
        check(5, 500, &[5, 245, 485, 500]);
    }

    #[test]
    fn the_period_has_both_its_ends() {
        let check = |timestamp, expected| {
            let mut written = Vec::new();
            let records = [Record::example(timestamp, StatusMessage::Other)];
            write(&records, 7.into(), (1000, 1600), &mut written).unwrap();
            let counted = String::from_utf8(written).unwrap().matches("} 1 1600\n").count();
            assert_eq!(counted, expected, "{timestamp}");
        };
        check(999, 0);
        // One as a status, one in its state.
        check(1000, 2);
        check(1600, 2);
        check(1601, 0);
    }
}
