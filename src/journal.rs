//! What a journal says: the distinct statuses of one answer, and how many there are of each kind.
//!
//! It knows nothing of JSON, HTTP or time. A status is reduced to what is counted; texts and phone numbers never get here.

mod kind;

use std::sync::LazyLock;
use std::time::Duration;

use siphasher::sip128::SipHasher13;

pub use self::kind::{Audience, Kind, Labels, SendByApi, StatusMessage, TypeMessage};

/// A status' `idMessage`, as 128 bits of its hash: of fixed size, and nothing to leak.
///
/// The hash is SipHash-1-3 with a zero key over the unescaped UTF-8 text. It is kept in ledgers and must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusId(u128);

impl StatusId {
    /// The identity of the status with this `idMessage`.
    pub fn of(id_message: impl AsRef<[u8]>) -> Self {
        Self(SipHasher13::new().hash(id_message.as_ref()).as_u128())
    }
}

impl From<u128> for StatusId {
    fn from(hash: u128) -> Self {
        Self(hash)
    }
}

impl From<StatusId> for u128 {
    fn from(id: StatusId) -> Self {
        id.0
    }
}

/// One status as one answer shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Which status it is.
    pub id: StatusId,
    /// Time of the last action on it, in Unix seconds, up to the end of the year 9999; not of its creation (api.md 1.2).
    pub timestamp: u64,
    /// Number of people listed as its audience; 0 means everyone.
    pub participants: u32,
    /// How far it has got.
    pub status_message: StatusMessage,
    /// What it consists of.
    pub type_message: TypeMessage,
    /// Where it was published.
    pub send_by_api: SendByApi,
}

impl Record {
    /// The labels of this status that never change.
    pub fn kind(&self) -> Kind {
        Kind {
            type_message: self.type_message,
            send_by_api: self.send_by_api,
            audience: Audience::of(self.participants),
        }
    }

    /// All labels of this status.
    pub fn labels(&self) -> Labels {
        Labels {
            status_message: self.status_message,
            kind: self.kind(),
        }
    }

    /// Two sightings of one status in one answer: of every field the greater value.
    ///
    /// A greatest value depends neither on the order of the sightings nor on their number, and makes known win over unknown.
    fn join(&mut self, other: &Self) {
        self.timestamp = self.timestamp.max(other.timestamp);
        self.participants = self.participants.max(other.participants);
        self.status_message = self.status_message.max(other.status_message);
        self.type_message = self.type_message.max(other.type_message);
        self.send_by_api = self.send_by_api.max(other.send_by_api);
    }
}

/// The distinct statuses of one answer, in order of their identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    records: Vec<Record>,
    malformed: u64,
    since: u64,
}

impl Journal {
    /// The journal of an answer that held `records`, in any order and with repetitions, and `malformed` elements that were skipped.
    pub fn new(mut records: Vec<Record>, malformed: u64) -> Self {
        // How sightings of one status are ordered doesn't matter to `join`, and an id alone is soon compared.
        records.sort_unstable_by_key(|record| record.id);
        records.dedup_by(|later, kept| {
            let same = later.id == kept.id;
            if same {
                kept.join(later);
            }
            same
        });
        Self {
            records,
            malformed,
            since: 0,
        }
    }

    /// The same journal, if no status was asked for whose last action was before `since`, in Unix seconds.
    #[must_use]
    pub fn asked_since(self, since: u64) -> Self {
        Self { since, ..self }
    }

    /// The distinct statuses.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The earliest last action that was asked for, in Unix seconds; 0 where there was no limit.
    pub fn since(&self) -> u64 {
        self.since
    }

    /// How many elements were skipped: not an object, no `idMessage`, no usable timestamp.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}

/// How many statuses there are of each kind and state, and the times that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of statuses by state and kind, in the order of the labels' texts.
    pub counts: Vec<(Labels, u64)>,
    /// Latest last action, in Unix seconds.
    pub newest: Option<u64>,
    /// Earliest last action among the pending, in Unix seconds.
    pub oldest_pending: Option<u64>,
}

impl Tally {
    /// Counts `records`. The label sets of `previous` are kept, at 0 where nothing has them now, so that a series once shown stays.
    pub fn new<'a>(records: impl IntoIterator<Item = &'a Record>, previous: &Self) -> Self {
        // A place for every label set that there can be: to search for it for every record would take longer than all else.
        let mut counts = [None; Labels::COUNT];
        for (labels, _) in &previous.counts {
            counts[labels.number()] = Some(0);
        }
        let mut tally = Self {
            counts: Vec::with_capacity(previous.counts.len()),
            ..Self::default()
        };
        for record in records {
            *counts[record.labels().number()].get_or_insert(0) += 1;
            tally.newest = tally.newest.max(Some(record.timestamp));
            if record.status_message == StatusMessage::Pending {
                let earliest = tally
                    .oldest_pending
                    .map_or(record.timestamp, |oldest| oldest.min(record.timestamp));
                tally.oldest_pending = Some(earliest);
            }
        }
        let shown = |number: &usize| Some((Labels::numbered(*number), counts[*number]?));
        tally.counts.extend(NUMBERS_IN_TEXT_ORDER.iter().filter_map(shown));
        tally
    }

    /// How many statuses are in a state.
    pub fn in_state(&self, status_message: StatusMessage) -> u64 {
        let of_state = self
            .counts
            .iter()
            .filter(|(labels, _)| labels.status_message == status_message);
        of_state.map(|(_, count)| count).sum()
    }
}

/// The numbers of all label sets, sorted once instead of for every tally.
static NUMBERS_IN_TEXT_ORDER: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let mut numbers: Vec<usize> = (0..Labels::COUNT).collect();
    numbers.sort_unstable_by_key(|number| Labels::numbered(*number).texts());
    numbers
});

/// How far back the API keeps a journal: 30 days (api.md 1.3).
pub const LONGEST_WINDOW: Duration = Duration::from_hours(30 * 24);

#[cfg(test)]
impl Record {
    /// A picture for everyone, with an id of its own for every time.
    pub(crate) fn example(timestamp: u64, status_message: StatusMessage) -> Self {
        Self {
            id: u128::from(timestamp).into(),
            timestamp,
            participants: 0,
            status_message,
            type_message: TypeMessage::Image,
            send_by_api: SendByApi::True,
        }
    }
}

#[cfg(test)]
mod tests {
    use StatusMessage::{Pending, Read, Sent};

    use super::*;

    #[test]
    fn the_newest_of_all_and_the_oldest_pending_are_told_in_whatever_order_they_come() {
        let check = |records: &[Record], expected: (Option<u64>, Option<u64>)| {
            let tally = Tally::new(records, &Tally::default());
            assert_eq!((tally.newest, tally.oldest_pending), expected, "{records:?}");
        };
        let states = [(5, Pending), (3, Pending), (9, Pending), (1, Sent), (20, Sent)];
        let mut records = states.map(|(timestamp, state)| Record::example(timestamp, state));
        for _ in 0..records.len() {
            records.rotate_left(1);
            check(&records, (Some(20), Some(3)));
        }
        check(&[Record::example(1, Sent)], (Some(1), None));
        check(&[], (None, None));
    }

    #[test]
    fn what_was_counted_once_stays_at_0_in_order_of_the_texts_and_its_times_go() {
        let check = |previous: &Tally, records: &[Record], expected: &[(StatusMessage, u64)]| {
            let tally = Tally::new(records, previous);
            let counts: Vec<_> = tally
                .counts
                .iter()
                .map(|(labels, count)| (labels.status_message, *count))
                .collect();
            assert_eq!(counts, expected);
            tally
        };
        let first = check(
            &Tally::default(),
            &[Record::example(7, Sent), Record::example(8, Sent)],
            &[(Sent, 2)],
        );
        let second = check(
            &first,
            &[Record::example(3, Pending), Record::example(2, Read)],
            &[(Pending, 1), (Read, 1), (Sent, 0)],
        );
        let third = check(
            &second,
            &[Record::example(1, Sent)],
            &[(Pending, 0), (Read, 0), (Sent, 1)],
        );
        assert_eq!(
            (second.newest, third.newest, third.oldest_pending),
            (Some(3), Some(1), None)
        );
    }
}
