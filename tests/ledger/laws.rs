//! The laws (spec 7.7): whatever the accounts do and however they are looked at.

use std::time::Duration;

use greenapi_exporter::journal::{Journal, Labels, Record};
use greenapi_exporter::ledger::totals::Totals;
use greenapi_exporter::ledger::{Changes, Ledger};
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::rules::record;
use crate::truth::{
    CREATED, DAY, Disk, LADDER, Life, MINUTE, Sighting, answer, any_sightings, by_the_rules, events, observed,
};

const WINDOW: Duration = Duration::from_secs(DAY);

/// What happens to the exporter after some time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Visit {
    Scraped,
    /// The disk could not be written. What changed waits for the next write.
    Unwritten,
    /// The journal could not be read.
    Failed,
    /// Without what was not yet written.
    Killed,
    KilledAfterWriting,
    /// With this window from then on, in minutes.
    Restarted(u64),
}

/// Times between visits: mostly minutes, sometimes days, and never so long that the API forgets.
fn any_visits() -> impl Strategy<Value = Vec<(u64, Visit)>> {
    let wait = prop_oneof![4 => 0..5 * MINUTE, 2 => 0..DAY, 1 => 0..14 * DAY];
    let visit = prop_oneof![
        6 => Just(Visit::Scraped),
        2 => Just(Visit::Unwritten),
        1 => Just(Visit::Failed),
        1 => Just(Visit::Killed),
        1 => Just(Visit::KilledAfterWriting),
        1 => prop_oneof![1..10_u64, 1..30 * 24 * 60_u64].prop_map(Visit::Restarted),
    ];
    prop::collection::vec((wait, visit), 0..25)
}

/// Some hundred lives. What happens to them once the ledger is there began in its first window; what began before that was over.
fn any_lives() -> impl Strategy<Value = Vec<Life>> {
    prop::collection::vec(
        prop_oneof![3 => Life::any(CREATED - DAY), 1 => Life::past(CREATED)],
        0..150,
    )
}

/// The ledger after these visits and a last one at `end`, and what a store holds of it.
fn visited(lives: &[Life], visits: &[(u64, Visit)], end: u64) -> (Ledger, Disk) {
    let ledger = Ledger::new(CREATED);
    let mut exporter = Exporter {
        disk: Disk::of(&ledger),
        ledger,
        unwritten: None,
    };
    let (mut now, mut window) = (CREATED, WINDOW);
    let first = [(0, Visit::Scraped)];
    for (wait, visit) in first.iter().chain(visits) {
        now += wait;
        if now > end {
            break;
        }
        exporter.visited(lives, *visit, window, now);
        if let Visit::Restarted(minutes) = visit {
            window = Duration::from_secs(minutes * MINUTE);
        }
    }
    exporter.visited(lives, Visit::Scraped, window, end);
    (exporter.ledger, exporter.disk)
}

/// A ledger, and what the disk knows of it.
struct Exporter {
    ledger: Ledger,
    disk: Disk,
    unwritten: Option<Changes>,
}

impl Exporter {
    fn visited(&mut self, lives: &[Life], visit: Visit, window: Duration, now: u64) {
        if matches!(visit, Visit::Scraped | Visit::Unwritten | Visit::KilledAfterWriting) {
            let journal = answer(lives, self.ledger.minutes_to_ask(window, now), now);
            let changes = self.ledger.changes(&journal, now);
            self.ledger.commit(changes.clone());
            let unwritten = match self.unwritten.take() {
                Some(earlier) => earlier.then(changes),
                None => changes,
            };
            if visit == Visit::Unwritten {
                self.unwritten = Some(unwritten);
            } else {
                self.disk.write(&unwritten);
            }
        }
        if matches!(visit, Visit::Killed | Visit::KilledAfterWriting | Visit::Restarted(_)) {
            self.ledger = self.disk.restart();
            self.unwritten = None;
        }
    }
}

/// Everything in the totals that must never fall.
fn numbers(totals: &Totals) -> Vec<(String, u64)> {
    let statuses = totals.statuses.iter().map(|(kind, count)| (format!("{kind:?}"), count));
    let transitions = totals
        .transitions
        .iter()
        .map(|(labels, count)| (format!("{labels:?}"), count));
    let delays = totals.delays.iter().enumerate();
    let delays = delays.map(|(index, delays)| (format!("delay {index}"), observed(delays)));
    let rest = [
        ("participants".to_owned(), observed(&totals.participants)),
        ("gaps".to_owned(), totals.gaps),
        ("gap seconds".to_owned(), totals.gap_seconds),
    ];
    statuses.chain(transitions).chain(delays).chain(rest).collect()
}

fn has_fallen(before: &Totals, after: &Totals) -> Option<String> {
    let after = numbers(after);
    let fallen = |(name, count): &(String, u64)| !after.iter().any(|(other, new)| other == name && new >= count);
    numbers(before).into_iter().find(fallen).map(|(name, _)| name)
}

proptest! {
    #[test]
    fn every_event_is_counted_once_through_absences_failures_and_crashes(
        lives in any_lives(), visits in any_visits(), days in 1..30_u64,
    ) {
        let end = CREATED + days * DAY;
        let (ledger, disk) = visited(&lives, &visits, end);
        let (statuses, transitions) = events(&lives, end);
        prop_assert_eq!(&ledger.totals().statuses, &statuses);
        prop_assert_eq!(&ledger.totals().transitions, &transitions);
        let restarted = disk.restart();
        prop_assert_eq!(restarted.totals(), ledger.totals());
        prop_assert_eq!(restarted.entries(), ledger.entries());
    }

    #[test]
    fn how_time_is_cut_into_windows_does_not_matter(
        lives in any_lives(), one in any_visits(), other in any_visits(), days in 1..30_u64,
    ) {
        let end = CREATED + days * DAY;
        let (one, _) = visited(&lives, &one, end);
        let (other, _) = visited(&lives, &other, end);
        prop_assert_eq!(&one.totals().statuses, &other.totals().statuses);
        prop_assert_eq!(&one.totals().transitions, &other.totals().transitions);
    }

    #[test]
    fn whatever_is_answered_is_counted_by_the_rules(sightings in any_sightings()) {
        let mut ledger = Ledger::new(CREATED);
        for sighting in &sightings {
            ledger.apply(&sighting.journal(), sighting.now);
        }
        prop_assert_eq!(&**ledger.totals(), &by_the_rules(&sightings));
    }

    #[test]
    fn totals_never_fall_and_what_was_read_is_read(sightings in any_sightings()) {
        let mut ledger = Ledger::new(CREATED);
        for sighting in &sightings {
            let before = ledger.totals().clone();
            ledger.apply(&sighting.journal(), sighting.now);
            prop_assert_eq!(has_fallen(&before, ledger.totals()), None);
            prop_assert!(ledger.changes(&sighting.journal(), sighting.now).is_empty());
            let after = ledger.clone();
            ledger.apply(&sighting.journal(), sighting.now);
            prop_assert_eq!(&ledger, &after);
        }
    }

    #[test]
    fn the_order_of_records_and_their_repetition_do_not_matter(
        (sightings, shuffled) in any_sightings().prop_flat_map(|sightings| (Just(sightings.clone()), shuffled(sightings))),
    ) {
        let (mut ledger, mut other) = (Ledger::new(CREATED), Ledger::new(CREATED));
        for (sighting, shuffled) in sightings.iter().zip(&shuffled) {
            ledger.apply(&sighting.journal(), sighting.now);
            other.apply(&shuffled.journal(), sighting.now);
        }
        prop_assert_eq!(ledger, other);
    }

    #[test]
    fn what_was_seen_before_changes_nothing_when_it_is_seen_again(
        (sightings, again) in any_sightings().prop_flat_map(|sightings| {
            let records: Vec<Record> = sightings.iter().flat_map(|sighting| sighting.journal().records().to_vec()).collect();
            (Just(sightings), subsequence(records.clone(), 0..=records.len()))
        }),
    ) {
        let mut ledger = Ledger::new(CREATED);
        for sighting in &sightings {
            ledger.apply(&sighting.journal(), sighting.now);
        }
        let before = ledger.totals().clone();
        ledger.apply(&Journal::new(again, 0), CREATED + 10 * DAY);
        prop_assert_eq!(ledger.totals(), &before);
    }

    #[test]
    fn no_state_is_reached_more_often_than_the_one_below_it(lives in any_lives(), visits in any_visits()) {
        // Of what a baseline knew, only the later states count: without one the order is strict.
        let new: Vec<Life> = lives.into_iter().filter(|life| life.reached[0] >= CREATED).collect();
        let (ledger, _) = visited(&new, &visits, CREATED + 30 * DAY);
        let totals = ledger.totals();
        for (kind, seen) in totals.statuses.iter() {
            let reached = LADDER.map(|status_message| totals.transitions.get(Labels { status_message, kind }));
            prop_assert!(reached.is_sorted_by(|lower, higher| lower >= higher), "{:?}", reached);
            prop_assert_eq!(reached[0], seen);
        }
    }

    #[test]
    fn forgetting_changes_no_total(sightings in any_sightings()) {
        let mut ledger = Ledger::new(CREATED);
        for sighting in &sightings {
            ledger.apply(&sighting.journal(), sighting.now);
        }
        let before = ledger.totals().clone();
        for days in [20, 43] {
            ledger.apply(&Journal::default(), CREATED + days * DAY);
        }
        prop_assert!(ledger.entries().is_empty());
        prop_assert_eq!(ledger.totals(), &before);
    }

    #[test]
    fn a_status_is_known_for_31_days_and_forgotten_after_32(
        visits in prop::collection::vec((0..4 * DAY, prop::bool::weighted(0.06)), 1..200),
    ) {
        let record = record("a", CREATED, "pending");
        let mut ledger = Ledger::new(CREATED);
        let (mut now, mut last_seen, mut away) = (CREATED, None, 0);
        let (mut least, mut most) = (0, 0);
        for (wait, is_present) in visits {
            now += wait;
            if !is_present {
                away = last_seen.map_or(0, |last| now - last);
                ledger.apply(&Journal::default(), now);
                continue;
            }
            least += u64::from(last_seen.is_none() || away >= 32 * DAY);
            most += u64::from(last_seen.is_none() || away >= 31 * DAY);
            (last_seen, away) = (Some(now), 0);
            ledger.apply(&Journal::new(vec![record], 0), now);
            let counted = ledger.totals().statuses.get(record.kind());
            prop_assert!((least..=most).contains(&counted), "{} of {}..={}", counted, least, most);
            most = counted;
            least = counted;
        }
    }

    #[test]
    fn what_is_asked_for_reaches_back_to_the_last_answer(
        waits in prop::collection::vec((0..3 * DAY, any::<bool>()), 1..30), away in 0..60 * DAY, window in 1..40 * DAY,
    ) {
        let mut ledger = Ledger::new(CREATED);
        let mut disk = Disk::of(&ledger);
        let mut now = CREATED;
        for (wait, is_short) in waits {
            now += if is_short { wait / DAY } else { wait };
            let changes = ledger.changes(&Journal::default(), now);
            disk.write(&changes);
            ledger.commit(changes);
        }
        // Killed and started again, as later as you like.
        let asked = disk.restart().minutes_to_ask(Duration::from_secs(window), now + away) * MINUTE;
        prop_assert!(asked >= (away + 10 * MINUTE).max(window).min(30 * DAY));
        prop_assert!(asked <= (away + 20 * MINUTE + MINUTE).max(window + MINUTE).min(30 * DAY));
    }
}

/// The same answers in another order and with some of the records twice.
fn shuffled(sightings: Vec<Sighting>) -> impl Strategy<Value = Vec<Sighting>> {
    let shuffled = sightings.into_iter().map(|sighting| {
        let repeated = subsequence(sighting.records.clone(), 0..=sighting.records.len());
        let all = repeated.prop_map(move |repeated| [sighting.records.clone(), repeated].concat());
        all.prop_shuffle().prop_map(move |records| Sighting {
            now: sighting.now,
            records,
        })
    });
    shuffled.collect::<Vec<_>>()
}
