//! Turns successive answers of an instance's journal, a sliding window of records that change in place, into counters that only
//! rise (spec section 7).
//!
//! It is pure: time is an argument and nothing is kept on disk here. What an answer changes is a value, which becomes part of the ledger
//! and can be made durable before anything of it is shown:
//!
//! ```text
//! journal, asked_at -> changes -> commit -> totals
//!                         |                   |
//!                         +---->  (store)  ---+-> shown
//! ```
//!
//! What may surprise:
//! - A status whose state is `unknown` counts as first seen and in no state. When it is later shown as `sent`, `pending` and `sent` count.
//! - An unrecognised state counts under `other` once, and says nothing about `pending` or any other state.
//! - A status of the baseline is not counted itself, but the states that it reaches later are. So `sent` may exceed `pending`.
//! - The baseline is whatever lies before the ledger's creation and further back than any earlier answer reached: the old part of the
//!   first answer, and what a longer window or an overlap shows for the first time though it is not new. An old status that turns up
//!   in a stretch already read counts as first seen.
//! - A delay is observed for the state a status is shown in, if it was seen in a lower one of `pending`, `sent`, `delivered` before:
//!   nobody knows when the states between were passed, nor whether `unknown` or `other` was lower.
//! - Timestamps are the API's, all other times our clock's; they are compared only to tell a baseline's old statuses from its new
//!   ones. A record of the future is a record like any other.

pub mod entry;
pub mod totals;

use std::sync::Arc;
use std::time::Duration;

use crate::journal::{Journal, LONGEST_WINDOW, Labels, Record, StatusId, StatusMessage};

use self::entry::{Entry, States, hour};
use self::totals::{PARTICIPANTS, Totals};

/// What is known and what has been counted of one instance's statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// As it is on record.
    summary: Summary,
    /// Every status known, in order of its identity.
    entries: Vec<Entry>,
    /// When the last answer came, to the second.
    last_success: Option<u64>,
    /// The hour in which old entries were last looked for.
    swept_hour: u32,
}

/// A ledger without its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Since when the ledger counts, in Unix seconds.
    pub created: u64,
    /// When the last answer came, in Unix seconds, up to 10 minutes too early; absent before the first.
    ///
    /// It is put on record only now and then, or every scrape would write, and when the program stops. Where it is killed, the time is too
    /// early after a restart: more is asked for, and a gap may be up to 10 minutes too long.
    pub last_success: Option<u64>,
    /// The farthest back that an answer has reached, in Unix seconds; absent before the first.
    pub reach: Option<u64>,
    /// What has been counted. Whoever shows it shares it.
    pub totals: Arc<Totals>,
}

/// What an answer changes in the ledger it was compared with.
///
/// All values are whole and new, not differences: to write them once more changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// When the answer came, in Unix seconds; absent where there was none.
    at: Option<u64>,
    /// The new summary, where anything in it changed.
    summary: Option<Summary>,
    /// New entries and those that changed, in order of their identity.
    entries: Vec<Entry>,
    /// Known entries that nobody has seen for long enough.
    forgotten: Vec<Entry>,
}

impl Ledger {
    /// An empty ledger that counts from `created`, in Unix seconds.
    pub fn new(created: u64) -> Self {
        let summary = Summary {
            created,
            last_success: None,
            reach: None,
            totals: Arc::default(),
        };
        Self::restore(summary, Vec::new())
    }

    /// The ledger with this summary and these entries, as they were on record.
    pub fn restore(summary: Summary, mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(Entry::id);
        entries.dedup_by_key(|entry| entry.id());
        entries.shrink_to_fit();
        Self {
            last_success: summary.last_success,
            summary,
            entries,
            swept_hour: 0,
        }
    }

    /// What is on record besides its entries.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Since when the ledger counts, in Unix seconds.
    pub fn created(&self) -> u64 {
        self.summary.created
    }

    /// When the last answer came, in Unix seconds; absent before the first.
    pub fn last_success(&self) -> Option<u64> {
        self.last_success
    }

    /// What has been counted.
    pub fn totals(&self) -> &Arc<Totals> {
        &self.summary.totals
    }

    /// The statuses known, in order of their identity.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether nobody has read the journal for so long before `now`, in Unix seconds, that all statuses are forgotten.
    pub fn is_abandoned(&self, now: u64) -> bool {
        let last = self.last_success.unwrap_or(self.created());
        hour(now) >= hour(last).saturating_add(Entry::KEPT_HOURS)
    }

    /// The minutes to ask the API for at `now`, in Unix seconds: at least `window`, and all that was missed since the last answer (spec
    /// 7.4), or since the ledger's creation if there was none.
    ///
    /// Where the clock has gone back to before the last success, nobody knows for how long we were away and everything is asked for;
    /// less than the overlap is a mere correction of the clock.
    pub fn minutes_to_ask(&self, window: Duration, now: u64) -> u64 {
        let missed = match self.last_success {
            Some(last) if last > now.saturating_add(OVERLAP) => LONGEST,
            last => now
                .saturating_sub(last.unwrap_or(self.created()))
                .saturating_add(OVERLAP),
        };
        let seconds = missed.max(window.as_secs()).min(LONGEST);
        minutes_covering(Duration::from_secs(seconds))
    }

    /// What an answer that came at `now`, in Unix seconds, changes.
    pub fn changes(&self, journal: &Journal, now: u64) -> Changes {
        let mut totals = NewTotals {
            known: &self.summary.totals,
            changed: None,
        };
        let mut entries = Vec::new();
        let mut rest = self.entries.as_slice();
        for record in journal.records() {
            // Both are in the same order, so each search starts where the last one ended, and most end there too.
            rest = from_id(rest, record.id);
            if let Some(known) = rest.first().filter(|entry| entry.id() == record.id) {
                let entry = known.sighted(record, now);
                if entry != *known {
                    totals.count_states(&entry, known.states(), record);
                    entries.push(entry);
                }
            } else {
                let entry = Entry::new(record, now);
                if record.timestamp >= self.created() || self.has_reached(record.timestamp.max(journal.since())) {
                    totals.count_status(&entry, record);
                }
                entries.push(entry);
            }
        }
        let missed = self
            .last_success
            .map_or(0, |last| now.saturating_sub(last).saturating_sub(LONGEST));
        if missed > 0 {
            totals.count_gap(missed);
        }
        let totals = totals.changed;
        Changes {
            at: Some(now),
            summary: self.changed_summary(totals, journal.since(), now),
            entries,
            forgotten: self.forgotten(journal, now),
        }
    }

    /// What puts a new ledger on record before there is any answer, so that it counts from its creation on after a restart, too.
    pub fn creation(&self) -> Changes {
        Changes::of_summary(Some(self.summary.clone()))
    }

    /// What puts the last success on record to the second; nothing where it is.
    pub fn precise_success(&self) -> Changes {
        let is_precise = self.summary.last_success == self.last_success;
        Changes::of_summary((!is_precise).then(|| Summary {
            last_success: self.last_success,
            ..self.summary.clone()
        }))
    }

    /// Makes `changes` part of the ledger. They must come from this ledger as it is.
    pub fn commit(&mut self, changes: Changes) {
        if let Some(at) = changes.at {
            self.last_success = Some(at);
            self.swept_hour = hour(at);
        }
        if let Some(summary) = changes.summary {
            self.summary = summary;
        }
        if !changes.forgotten.is_empty() {
            let forgotten = |entry: &Entry| {
                let found = changes.forgotten.binary_search_by_key(&entry.id(), Entry::id);
                found.is_ok()
            };
            self.entries.retain(|entry| !forgotten(entry));
            self.entries.shrink_to_fit();
        }
        let mut new = changes.entries;
        new.retain(|entry| {
            let known = self.entries.binary_search_by_key(&entry.id(), Entry::id);
            if let Ok(index) = known {
                self.entries[index] = *entry;
            }
            known.is_err()
        });
        // A fleet has a million entries: room for twice as many would be its greatest cost.
        if self.entries.is_empty() {
            new.shrink_to_fit();
            self.entries = new;
        } else if !new.is_empty() {
            self.entries.reserve_exact(new.len());
            self.entries.append(&mut new);
            self.entries.sort_by_key(Entry::id);
        }
    }

    /// Reads an answer that came at `now`, in Unix seconds, where no store has to know of it first.
    pub fn apply(&mut self, journal: &Journal, now: u64) {
        self.commit(self.changes(journal, now));
    }

    /// Whether an answer has reached back to `time`, in Unix seconds.
    fn has_reached(&self, time: u64) -> bool {
        self.summary.reach.is_some_and(|reach| reach <= time)
    }

    /// The summary to put on record after an answer that reached back to `since`, where it changed or its last success has become too
    /// old or lies in the future.
    fn changed_summary(&self, totals: Option<Totals>, since: u64, now: u64) -> Option<Summary> {
        let on_record = self.summary.last_success;
        let is_stale = on_record.is_none_or(|last| now < last || now - last >= SUCCESS_GRAIN);
        (is_stale || totals.is_some() || !self.has_reached(since)).then(|| Summary {
            created: self.created(),
            last_success: Some(now),
            reach: Some(self.summary.reach.map_or(since, |reach| reach.min(since))),
            totals: totals.map_or_else(|| self.totals().clone(), Arc::new),
        })
    }

    /// The entries that may go and are not in `journal`. They are looked for once an hour, since it takes reading all of them.
    fn forgotten(&self, journal: &Journal, now: u64) -> Vec<Entry> {
        if hour(now) == self.swept_hour {
            return Vec::new();
        }
        let is_present = |entry: &Entry| journal.records().binary_search_by_key(&entry.id(), |record| record.id);
        let old = self.entries.iter().filter(|entry| entry.may_be_forgotten(now));
        old.filter(|entry| is_present(entry).is_err()).copied().collect()
    }
}

impl Changes {
    /// Changes of the summary alone, without an answer.
    fn of_summary(summary: Option<Summary>) -> Self {
        Self {
            at: None,
            summary,
            entries: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    /// These changes and the `later` ones of the ledger that they became part of, as one.
    #[must_use]
    pub fn then(mut self, mut later: Self) -> Self {
        let has = |entries: &[Entry], entry: &Entry| entries.binary_search_by_key(&entry.id(), Entry::id).is_ok();
        self.entries
            .retain(|entry| !has(&later.entries, entry) && !has(&later.forgotten, entry));
        self.forgotten.retain(|entry| !has(&later.entries, entry));
        self.entries.append(&mut later.entries);
        self.entries.sort_by_key(Entry::id);
        self.forgotten.append(&mut later.forgotten);
        self.forgotten.sort_by_key(Entry::id);
        Self {
            at: later.at.or(self.at),
            summary: later.summary.or(self.summary),
            ..self
        }
    }

    /// Whether nothing has to be written. The ledger still has to be told, with [`Ledger::commit`], that an answer came.
    pub fn is_empty(&self) -> bool {
        self.summary.is_none() && self.entries.is_empty() && self.forgotten.is_empty()
    }

    /// The new summary, where anything in it changed.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// New entries and those that changed, in order of their identity.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Entries to be forgotten, in order of their identity.
    pub fn forgotten(&self) -> &[Entry] {
        &self.forgotten
    }
}

/// The entries from the first whose id is not less than `id`. They are in order of their ids, and it is one of the first of them.
fn from_id(entries: &[Entry], id: StatusId) -> &[Entry] {
    let mut reach = 1;
    while entries.get(reach - 1).is_some_and(|entry| entry.id() < id) {
        reach *= 2;
    }
    let within = &entries[..entries.len().min(reach)];
    &entries[within.partition_point(|entry| entry.id() < id)..]
}

/// The number of minutes to ask the API for to cover `window`: a part of a minute asks for a whole one.
pub fn minutes_covering(window: Duration) -> u64 {
    window.as_secs().div_ceil(60).max(1)
}

/// The totals after an answer; a copy of them is only made once something counts.
struct NewTotals<'a> {
    known: &'a Totals,
    changed: Option<Totals>,
}

impl NewTotals<'_> {
    fn totals(&mut self) -> &mut Totals {
        self.changed.get_or_insert_with(|| self.known.clone())
    }

    /// Counts a status first seen.
    fn count_status(&mut self, entry: &Entry, record: &Record) {
        let totals = self.totals();
        totals.statuses.add(entry.kind());
        if record.participants > 0 {
            totals.participants.observe(&PARTICIPANTS, record.participants.into());
        }
        self.count_states(entry, States::default(), record);
    }

    /// Counts what a status is known to have been through now and not `before`.
    fn count_states(&mut self, entry: &Entry, before: States, record: &Record) {
        for state in entry.states().beyond(before) {
            self.totals().transitions.add(Labels {
                status_message: state,
                kind: entry.kind(),
            });
            // Whoever was seen in any state of the ladder has been `pending`.
            if state == record.status_message && before.contains(StatusMessage::Pending) {
                self.totals()
                    .observe_delay(state, record.timestamp.saturating_sub(entry.earliest()));
            }
        }
    }

    fn count_gap(&mut self, seconds: u64) {
        let totals = self.totals();
        totals.gaps = totals.gaps.saturating_add(1);
        totals.gap_seconds = totals.gap_seconds.saturating_add(seconds);
    }
}

/// The farthest back that the API can be asked, in seconds.
const LONGEST: u64 = LONGEST_WINDOW.as_secs();

/// For how many seconds before the last answer more is asked for, so that nothing falls between two answers (spec 7.4).
const OVERLAP: u64 = 10 * 60;

/// By how many seconds the last success on record may be too early.
const SUCCESS_GRAIN: u64 = 10 * 60;
