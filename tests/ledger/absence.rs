//! The rules of absence (spec 7.3 and 7.4), each by example: what is forgotten, what is asked for again, and what is lost.

use std::time::Duration;

use greenapi_exporter::journal::Journal;
use greenapi_exporter::ledger::Ledger;

use crate::rules::{CREATED, NOTHING, check, record};
use crate::truth::{DAY, HOUR, MINUTE};

#[test]
fn a_record_that_leaves_and_comes_back_within_31_days_is_not_counted_again() {
    let a: &[_] = &[("a", 1005, "pending")];
    check(
        &[
            NOTHING,
            (1010, a),
            (DAY, &[]),
            (30 * DAY, &[]),
            (31 * DAY, a),
            (60 * DAY, &[]),
            (61 * DAY, a),
        ],
        "seen 1, pending 1",
    );
}

#[test]
fn a_record_is_never_forgotten_before_31_days_nor_kept_for_more_than_32() {
    let a: &[_] = &[("a", 1005, "pending")];
    // The second sighting is too soon after the first to be written down.
    for (first, last) in [
        (DAY, DAY),
        (DAY, 2 * DAY - 1),
        (DAY + HOUR - 1, 2 * DAY - 1),
        (DAY, 2 * DAY + HOUR - 1),
    ] {
        let back_after = |away: u64| [NOTHING, (first, a), (last, a), (last + away, &[]), (last + away + 1, a)];
        check(&back_after(31 * DAY - 1), "seen 1, pending 1, 1 gaps of 86399 s");
        check(&back_after(32 * DAY), "seen 2, pending 2, 1 gaps of 172800 s");
    }
}

#[test]
fn a_record_that_was_never_missed_is_kept_however_long_nobody_asked() {
    let a: &[_] = &[("a", 1005, "pending")];
    check(
        &[NOTHING, (1010, a), (1010 + 90 * DAY, a)],
        "seen 1, pending 1, 1 gaps of 5184000 s",
    );
}

#[test]
fn a_clock_that_steps_back_forgets_nothing_and_counts_nothing() {
    let a: &[_] = &[("a", 40 * DAY, "pending")];
    check(
        &[
            (40 * DAY, &[]),
            (40 * DAY, a),
            (DAY, &[]),
            (2 * DAY, a),
            (41 * DAY, &[]),
            (42 * DAY, a),
        ],
        "seen 1, pending 1, 1 gaps of 777600 s",
    );
}

#[test]
fn an_absence_of_more_than_30_days_is_a_gap() {
    check(&[NOTHING, (1000 + 30 * DAY, &[])], "");
    check(&[NOTHING, (1000 + 30 * DAY + 7, &[])], "1 gaps of 7 s");
    check(
        &[NOTHING, (1000 + 31 * DAY, &[]), (1000 + 62 * DAY, &[])],
        "2 gaps of 172800 s",
    );
}

#[test]
fn a_program_that_stops_puts_the_last_answer_on_record_so_that_no_gap_is_made_up() {
    let mut ledger = Ledger::new(0);
    let (first, last) = (DAY, DAY + 9 * MINUTE);
    let answer = Journal::new(Vec::new(), 0);
    ledger.apply(&answer, first);
    ledger.apply(&answer, last);
    assert_eq!(
        ledger.summary().last_success,
        Some(first),
        "the second is too soon to be written down"
    );
    ledger.commit(ledger.precise_success());
    assert!(ledger.precise_success().is_empty());
    let mut restored = Ledger::restore(ledger.summary().clone(), Vec::new());
    assert_eq!(restored.last_success(), Some(last));
    restored.apply(&answer, last + 30 * DAY);
    assert_eq!(restored.totals().gaps, 0);
}

#[test]
fn a_request_reaches_back_to_the_last_answer_and_at_least_over_the_window() {
    let (short, day) = (Duration::from_secs(5 * MINUTE), Duration::from_secs(DAY));
    let check = |last_answer: Option<u64>, window, now, expected| {
        let mut ledger = Ledger::new(CREATED);
        if let Some(last) = last_answer {
            ledger.apply(&Journal::default(), last);
        }
        assert_eq!(
            ledger.minutes_to_ask(window, now),
            expected,
            "{last_answer:?} {window:?} {now}"
        );
    };
    check(None, day, 5000, 24 * 60);
    check(None, short, CREATED, 10);
    check(None, short, CREATED + HOUR, 70);
    check(Some(2000), day, 2030, 24 * 60);
    check(Some(2000), short, 2030, 11);
    check(Some(2000), short, 2000 + HOUR, 70);
    check(Some(2000), day, 2000 + 2 * DAY, 48 * 60 + 10);
    check(Some(2000), day, 2000 + 90 * DAY, 30 * 24 * 60);
    check(Some(2000), Duration::MAX, 2030, 30 * 24 * 60);
    check(Some(2000), short, 1990, 10);
    check(Some(2 * DAY), short, DAY, 30 * 24 * 60);
    check(Some(2000), day, u64::MAX, 30 * 24 * 60);
}

#[test]
fn an_unchanged_journal_leaves_nothing_to_write_for_ten_minutes_unless_the_clock_goes_back() {
    let journal = Journal::new(vec![record("a", 1005, "pending")], 0);
    let mut ledger = Ledger::new(CREATED);
    let mut is_written = |now| {
        let changes = ledger.changes(&journal, now);
        let is_written = !changes.is_empty();
        ledger.commit(changes);
        is_written
    };
    assert_eq!(
        [1000, 1030, 1599, 1600, 1630, 1590].map(&mut is_written),
        [true, false, false, true, false, true]
    );
}

#[test]
fn no_time_is_too_strange_to_be_answered() {
    let a: &[_] = &[("a", 0, "pending"), ("b", u64::MAX, "read")];
    check(
        &[(u64::MAX, a), (0, a), (u64::MAX, &[("a", u64::MAX, "sent")])],
        "seen 1, pending 1, sent 2, delivered 1, read 1, sent after 18446744073709551615 s, 1 gaps of 18446744073706959615 s",
    );
}
