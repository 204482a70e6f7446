//! The rules of counting (spec 7.1, 7.2 and 7.6), each by example. A ledger is created at 1000 and told what each answer held.

use std::fmt::Write;

use greenapi_exporter::journal::{Audience, Journal, Record, SendByApi, StatusId, StatusMessage, TypeMessage};
use greenapi_exporter::label::LabelValue;
use greenapi_exporter::ledger::Ledger;
use greenapi_exporter::ledger::totals::{DELAYED, Totals};

use crate::truth::observed;

pub(super) const CREATED: u64 = 1000;

/// An answer: when it came, and the name, timestamp and state of each record.
pub(super) type Answer<'a> = (u64, &'a [(&'a str, u64, &'a str)]);

#[track_caller]
pub(super) fn check(answers: &[Answer], expected: &str) {
    let mut ledger = Ledger::new(CREATED);
    for (now, records) in answers {
        let records = records
            .iter()
            .map(|(name, timestamp, state)| record(name, *timestamp, state));
        ledger.apply(&Journal::new(records.collect(), 0), *now);
    }
    assert_eq!(shown(ledger.totals()), expected);
}

/// A picture for everyone, unless its name says `for 7` or the like.
pub(super) fn record(name: &str, timestamp: u64, state: &str) -> Record {
    let audience = name
        .split_once(" for ")
        .map(|(_, number)| number.parse().expect("a number"));
    Record {
        id: StatusId::of(name.split(" for ").next().expect("a name")),
        timestamp,
        participants: audience.unwrap_or(0),
        status_message: StatusMessage::parse(state.as_bytes()),
        type_message: TypeMessage::Image,
        send_by_api: SendByApi::True,
    }
}

/// All that is not zero. Labels are left out where they are those of a picture for everyone.
fn shown(totals: &Totals) -> String {
    let mut text = String::new();
    for (kind, count) in totals.statuses.iter() {
        let _ = write!(text, "seen{} {count}, ", audience(kind.audience));
    }
    for (labels, count) in totals.transitions.iter() {
        let state = labels.status_message.as_str();
        let _ = write!(text, "{state}{} {count}, ", audience(labels.kind.audience));
    }
    if observed(&totals.participants) > 0 {
        let _ = write!(text, "{} participants, ", totals.participants.sum);
    }
    for (state, delays) in DELAYED.iter().zip(&totals.delays) {
        if observed(delays) > 0 {
            let _ = write!(text, "{} after {} s, ", state.as_str(), delays.sum);
        }
    }
    if totals.gaps > 0 {
        let _ = write!(text, "{} gaps of {} s, ", totals.gaps, totals.gap_seconds);
    }
    text.trim_end_matches(", ").to_owned()
}

fn audience(audience: Audience) -> String {
    match audience {
        Audience::Everyone => String::new(),
        some => format!("[{}]", some.as_str()),
    }
}

/// The baseline of a journal that was empty.
pub(super) const NOTHING: Answer = (1000, &[]);

#[test]
fn a_status_counts_once_as_seen_and_once_in_each_state_up_to_its_own() {
    check(&[NOTHING, (1010, &[("a", 1005, "pending")])], "seen 1, pending 1");
    check(
        &[NOTHING, (1010, &[("a", 1005, "read")])],
        "seen 1, pending 1, sent 1, delivered 1, read 1",
    );
}

#[test]
fn a_state_that_is_passed_counts_and_has_no_delay() {
    check(
        &[
            NOTHING,
            (1010, &[("a", 1005, "pending")]),
            (1060, &[("a", 1055, "delivered")]),
        ],
        "seen 1, pending 1, sent 1, delivered 1, delivered after 50 s",
    );
}

#[test]
fn the_same_journal_twice_counts_once() {
    let journal: &[_] = &[("a", 1005, "sent"), ("b", 1006, "sent")];
    check(
        &[NOTHING, (1010, journal), (1010, journal), (1070, journal)],
        "seen 2, pending 2, sent 2",
    );
}

#[test]
fn a_lower_or_unknown_state_later_changes_nothing() {
    let before: Answer = (1010, &[("a", 1005, "delivered")]);
    let expected = "seen 1, pending 1, sent 1, delivered 1";
    check(&[NOTHING, before, (1060, &[("a", 1055, "sent")])], expected);
    check(&[NOTHING, before, (1060, &[("a", 1055, "")])], expected);
}

#[test]
fn a_status_of_unknown_state_is_seen_and_reaches_none_until_one_is_known() {
    let unknown: Answer = (1010, &[("a", 1005, "")]);
    check(&[NOTHING, unknown], "seen 1");
    check(
        &[NOTHING, unknown, (1060, &[("a", 1055, "sent")])],
        "seen 1, pending 1, sent 1",
    );
}

#[test]
fn an_unrecognised_state_counts_once_as_other_and_says_nothing_of_the_rest() {
    let other: Answer = (1010, &[("a", 1005, "burnt")]);
    check(&[NOTHING, other], "seen 1, other 1");
    check(&[NOTHING, other, (1060, &[("a", 1055, "lost")])], "seen 1, other 1");
    check(
        &[
            NOTHING,
            other,
            (1060, &[("a", 1055, "sent")]),
            (1070, &[("a", 1065, "burnt")]),
        ],
        "seen 1, other 1, pending 1, sent 1",
    );
}

#[test]
fn the_first_answer_is_known_and_not_counted_but_its_later_states_are() {
    let baseline: Answer = (1001, &[("a for 7", 999, "pending"), ("b", 990, "sent"), ("c", 980, "")]);
    check(&[baseline], "");
    check(
        &[
            baseline,
            (
                1060,
                &[("a for 7", 1050, "sent"), ("b", 1050, "sent"), ("c", 1050, "pending")],
            ),
        ],
        "pending 1, sent[2-10] 1, sent after 51 s",
    );
}

#[test]
fn a_status_of_the_first_answer_counts_if_it_is_not_older_than_the_ledger() {
    check(&[(1001, &[("a", 1000, "pending")])], "seen 1, pending 1");
    check(&[(1001, &[("of the future", 5000, "pending")])], "seen 1, pending 1");
}

#[test]
fn an_old_status_that_turns_up_after_the_first_answer_is_seen_then() {
    check(&[NOTHING, (1010, &[("a", 5, "pending")])], "seen 1, pending 1");
}

#[test]
fn an_old_status_is_known_and_not_counted_where_no_answer_reached_as_far_back_before() {
    let check = |since: [u64; 2], timestamp, expected: &str| {
        let mut ledger = Ledger::new(CREATED);
        ledger.apply(&Journal::default().asked_since(since[0]), 1000);
        let answer = |state| Journal::new(vec![record("a", timestamp, state)], 0).asked_since(since[1]);
        ledger.apply(&answer("pending"), 1010);
        assert_eq!(shown(ledger.totals()), expected, "{since:?} {timestamp}");
        ledger.apply(&answer("sent"), 1020);
        let later = if expected.is_empty() {
            "sent 1, sent after 0 s"
        } else {
            "seen 1, pending 1, sent 1, sent after 0 s"
        };
        assert_eq!(shown(ledger.totals()), later, "{since:?} {timestamp}");
    };
    check([500, 400], 450, "");
    check([500, 400], 500, "seen 1, pending 1");
    check([500, 400], 1000, "seen 1, pending 1");
    check([500, 501], 450, "seen 1, pending 1");
}

#[test]
fn a_status_counts_under_the_labels_of_its_first_sighting() {
    check(
        &[
            NOTHING,
            (1010, &[("a for 7", 1005, "pending")]),
            (1060, &[("a for 700", 1055, "read")]),
        ],
        "seen[2-10] 1, pending[2-10] 1, sent[2-10] 1, delivered[2-10] 1, read[2-10] 1, 7 participants, read after 50 s",
    );
}

#[test]
fn only_statuses_that_list_participants_have_an_audience_size() {
    check(
        &[
            NOTHING,
            (
                1010,
                &[
                    ("a for 7", 1005, "pending"),
                    ("b for 200", 1005, "pending"),
                    ("c", 1005, "pending"),
                ],
            ),
        ],
        "seen 1, seen[2-10] 1, seen[101+] 1, pending 1, pending[2-10] 1, pending[101+] 1, 207 participants",
    );
}

#[test]
fn delays_count_from_the_earliest_time_known() {
    check(
        &[
            NOTHING,
            (1010, &[("a", 1005, "pending")]),
            (1020, &[("a", 1003, "pending")]),
            (1060, &[("a", 1013, "sent")]),
            (1090, &[("a", 1083, "read")]),
        ],
        "seen 1, pending 1, sent 1, delivered 1, read 1, sent after 10 s, read after 80 s",
    );
}

#[test]
fn a_delay_is_not_measured_from_a_state_that_may_not_be_lower() {
    for before in ["", "burnt"] {
        let other = if before.is_empty() { "" } else { "other 1, " };
        check(
            &[NOTHING, (1010, &[("a", 1005, before)]), (1060, &[("a", 1055, "sent")])],
            &format!("seen 1, {other}pending 1, sent 1"),
        );
    }
}
