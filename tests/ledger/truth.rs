//! What really happened, and what a ledger ought to make of it. Nothing here folds answers into a state as the ledger does: the
//! truth is known as a whole, and every number is counted out of it anew.

use std::collections::{BTreeMap, BTreeSet};

use greenapi_exporter::journal::{
    Audience, Journal, Kind, Labels, Record, SendByApi, StatusId, StatusMessage, TypeMessage,
};
use greenapi_exporter::ledger::entry::Entry;
use greenapi_exporter::ledger::totals::{
    Counts, DELAY_SECONDS, DELAYED, Histogram, Observations, PARTICIPANTS, Totals,
};
use greenapi_exporter::ledger::{Changes, Ledger, Summary};
use proptest::prelude::*;

pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// When the ledger of a test begins to count.
pub(super) const CREATED: u64 = 1_700_000_000;

pub(super) const LADDER: [StatusMessage; 4] = [
    StatusMessage::Pending,
    StatusMessage::Sent,
    StatusMessage::Delivered,
    StatusMessage::Read,
];

/// The life of a status: when it was published, and when it was sent, delivered and read, as far as it got.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) number: u128,
    pub(super) participants: u32,
    pub(super) type_message: TypeMessage,
    pub(super) reached: Vec<u64>,
}

impl Life {
    /// Published between `published` and 20 days later, and of 4 steps at most, each up to 2 days after the one before.
    pub(super) fn any(published: u64) -> impl Strategy<Value = Self> {
        let type_message = prop_oneof![Just(TypeMessage::Image), Just(TypeMessage::Audio)];
        let step = prop_oneof![Just(0), 0..HOUR, 0..2 * DAY];
        let steps = prop::collection::vec(step, 0..4);
        let parts = (any::<u128>(), 0..3000_u32, type_message, 0..20 * DAY, steps);
        parts.prop_map(move |(number, participants, type_message, offset, steps)| {
            let mut reached = vec![published + offset];
            for step in steps {
                reached.push(reached[reached.len() - 1] + step);
            }
            Self {
                number,
                participants,
                type_message,
                reached,
            }
        })
    }

    /// Published in the 40 days before `now`, and with nothing more to come.
    pub(super) fn past(now: u64) -> impl Strategy<Value = Self> {
        Self::any(now - 40 * DAY).prop_map(move |mut life| {
            life.reached.retain(|time| *time < now);
            life
        })
    }

    /// How GREEN-API shows it at a time; `None` while it is not published.
    pub(super) fn at(&self, now: u64) -> Option<Record> {
        let mut steps = self.reached.iter().zip(LADDER);
        let (timestamp, status_message) = steps.rfind(|(time, _)| **time <= now)?;
        Some(Record {
            id: StatusId::from(self.number),
            timestamp: *timestamp,
            participants: self.participants,
            status_message,
            type_message: self.type_message,
            send_by_api: SendByApi::True,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        Kind {
            type_message: self.type_message,
            send_by_api: SendByApi::True,
            audience: Audience::of(self.participants),
        }
    }
}

/// What GREEN-API answers when it is asked for the last `minutes`.
pub(super) fn answer(lives: &[Life], minutes: u64, now: u64) -> Journal {
    let since = now - minutes * MINUTE;
    let records = lives.iter().filter_map(|life| life.at(now));
    let in_window = records.filter(|record| record.timestamp >= since);
    Journal::new(in_window.collect(), 0).asked_since(since)
}

/// How many statuses were published, and reached each state, from the ledger's creation until `now`, if it was created and first
/// read the journal at [`CREATED`].
pub(super) fn events(lives: &[Life], now: u64) -> (Counts<Kind>, Counts<Labels>) {
    let mut published = BTreeMap::new();
    let mut transitions = BTreeMap::new();
    for life in lives {
        let is_known = life.at(CREATED).is_some_and(|record| record.timestamp < CREATED);
        if !is_known && life.reached[0] <= now {
            *published.entry(life.kind()).or_default() += 1;
        }
        for (time, status_message) in life.reached.iter().zip(LADDER) {
            if *time <= now && !(is_known && *time <= CREATED) {
                let kind = life.kind();
                *transitions.entry(Labels { status_message, kind }).or_default() += 1;
            }
        }
    }
    (
        Counts::new(published.into_iter().collect()),
        Counts::new(transitions.into_iter().collect()),
    )
}

/// How many values a histogram was shown.
pub(super) fn observed<const N: usize>(histogram: &Histogram<N>) -> u64 {
    histogram.buckets.iter().sum::<u64>() + histogram.beyond
}

/// What a store would hold, kept in memory.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    summary: Summary,
    entries: BTreeMap<StatusId, Entry>,
}

impl Disk {
    pub(super) fn of(ledger: &Ledger) -> Self {
        Self {
            summary: ledger.summary().clone(),
            entries: ledger.entries().iter().map(|entry| (entry.id(), *entry)).collect(),
        }
    }

    pub(super) fn write(&mut self, changes: &Changes) {
        if let Some(summary) = changes.summary() {
            self.summary = summary.clone();
        }
        for entry in changes.forgotten() {
            self.entries.remove(&entry.id());
        }
        for entry in changes.entries() {
            self.entries.insert(entry.id(), *entry);
        }
    }

    pub(super) fn restart(&self) -> Ledger {
        Ledger::restore(self.summary.clone(), self.entries.values().copied().collect())
    }
}

/// An answer that may say anything at all, and the time at which it came.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) now: u64,
    pub(super) records: Vec<Record>,
}

impl Sighting {
    pub(super) fn journal(&self) -> Journal {
        Journal::new(self.records.clone(), 0)
    }
}

/// Answers within ten days about a hundred statuses, with repetitions, states that come and go, labels that change and clocks that
/// run backwards.
pub(super) fn any_sightings() -> impl Strategy<Value = Vec<Sighting>> {
    let record = (0..100_u128, any_time(), any_participants(), any_state(), any_type());
    let record = record.prop_map(
        |(number, timestamp, participants, status_message, type_message)| Record {
            id: StatusId::from(number),
            timestamp,
            participants,
            status_message,
            type_message,
            send_by_api: SendByApi::Unknown,
        },
    );
    let records = prop::collection::vec(record, 0..60);
    let sighting = (CREATED..CREATED + 10 * DAY, records).prop_map(|(now, records)| Sighting { now, records });
    prop::collection::vec(sighting, 1..12)
}

/// Around the time of the answers, and sometimes far in the past or in the future, as far as a journal may say.
fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![8 => CREATED - DAY..CREATED + 12 * DAY, 1 => 0..LATEST, 1 => Just(LATEST)]
}

/// The end of the year 9999.
const LATEST: u64 = 253_402_300_799;

fn any_participants() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..20_u32, any::<u32>()]
}

pub(super) fn any_state() -> impl Strategy<Value = StatusMessage> {
    prop_oneof![
        Just(StatusMessage::Unknown),
        Just(StatusMessage::Other),
        Just(StatusMessage::Pending),
        Just(StatusMessage::Sent),
        Just(StatusMessage::Delivered),
        Just(StatusMessage::Read),
    ]
}

fn any_type() -> impl Strategy<Value = TypeMessage> {
    prop_oneof![
        Just(TypeMessage::Unknown),
        Just(TypeMessage::Video),
        Just(TypeMessage::Deleted)
    ]
}

/// What the rules of the specification make of these answers, status by status.
pub(super) fn by_the_rules(sightings: &[Sighting]) -> Totals {
    let mut statuses = BTreeMap::new();
    let mut transitions = BTreeMap::new();
    let mut participants = Vec::new();
    let mut delays = [const { Vec::new() }; 3];
    let ids: BTreeSet<StatusId> = sightings.iter().flat_map(|s| &s.records).map(|r| r.id).collect();
    for id in ids {
        let seen: Vec<(usize, Record)> = (0..)
            .zip(sightings)
            .filter_map(|(i, s)| Some((i, of(s, id)?)))
            .collect();
        let (index, first) = seen[0];
        let kind = first.kind();
        let is_known = index == 0 && first.timestamp < CREATED;
        if !is_known {
            *statuses.entry(kind).or_default() += 1;
            participants.extend(Some(u64::from(first.participants)).filter(|number| *number > 0));
        }
        let states = || seen.iter().map(|(_, record)| record.status_message);
        let known_state = if is_known {
            first.status_message
        } else {
            StatusMessage::Unknown
        };
        for status_message in LADDER.into_iter().filter(|state| *state > known_state) {
            if states().any(|seen| seen >= status_message) {
                *transitions.entry(Labels { status_message, kind }).or_default() += 1;
            }
        }
        if known_state != StatusMessage::Other && states().any(|seen| seen == StatusMessage::Other) {
            let status_message = StatusMessage::Other;
            *transitions.entry(Labels { status_message, kind }).or_default() += 1;
        }
        for (nth, (_, record)) in seen.iter().enumerate() {
            let highest_before = states().take(nth).max();
            let earliest = seen[..=nth].iter().map(|(_, record)| record.timestamp).min();
            if highest_before.is_some_and(|state| LADDER.contains(&state) && state < record.status_message) {
                let measured = DELAYED.iter().position(|state| *state == record.status_message);
                delays[measured.expect("above pending")].push(record.timestamp - earliest.expect("itself"));
            }
        }
    }
    Totals {
        statuses: Counts::new(statuses.into_iter().collect()),
        transitions: Counts::new(transitions.into_iter().collect()),
        participants: histogram(&PARTICIPANTS, &participants),
        delays: delays.map(|delays| histogram(&DELAY_SECONDS, &delays)),
        gaps: 0,
        gap_seconds: 0,
    }
}

/// What an answer says of a status: of every field the greatest value.
fn of(sighting: &Sighting, id: StatusId) -> Option<Record> {
    let records = sighting.records.iter().filter(|record| record.id == id);
    records.copied().reduce(|one, other| Record {
        id,
        timestamp: one.timestamp.max(other.timestamp),
        participants: one.participants.max(other.participants),
        status_message: one.status_message.max(other.status_message),
        type_message: one.type_message.max(other.type_message),
        send_by_api: one.send_by_api.max(other.send_by_api),
    })
}

fn histogram<const N: usize>(bounds: &[u64; N], values: &[u64]) -> Histogram<N> {
    let within = |bound: u64| values.iter().filter(|value| **value <= bound).count() as u64;
    let mut buckets = bounds.map(within);
    for index in (1..N).rev() {
        buckets[index] -= buckets[index - 1];
    }
    let observations = Observations {
        buckets,
        beyond: values.iter().filter(|value| **value > bounds[N - 1]).count() as u64,
        sum: values.iter().fold(0, |sum: u64, value| sum.saturating_add(*value)),
    };
    observations.into()
}
