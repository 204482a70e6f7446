//! What a journal says: the distinct statuses of one answer, and how many there are of each kind.
//!
//! It knows nothing of JSON, HTTP or time. A status is reduced to what is counted; texts and phone numbers never get here.

use std::sync::LazyLock;
use std::time::Duration;

use siphasher::sip128::SipHasher13;

use crate::label::{LabelValue, label_values};

label_values! {
    /// How far a status has got (`statusMessage`), least first: pending < sent < delivered < read (api.md 1.2).
    StatusMessage {
        /// Missing, null or empty, as it is where the instance's notifications are off (api.md 1.3).
        Unknown => "unknown",
        /// Not one of the documented states.
        Other => "other",
        /// Accepted, in the queue.
        Pending => "pending",
        /// Handed to WhatsApp.
        Sent => "sent",
        /// Shown on a recipient's device.
        Delivered => "delivered",
        /// Looked at by a recipient.
        Read => "read",
    }
}

label_values! {
    /// What a status consists of (`typeMessage`, api.md 1.2).
    TypeMessage {
        /// Missing, null or empty.
        Unknown => "unknown",
        /// Not one of the documented types.
        Other => "other",
        /// Plain text; documented only as a condition of another field.
        Text => "textMessage",
        /// Text with a colour and a font.
        ExtendedText => "extendedTextMessage",
        /// A picture.
        Image => "imageMessage",
        /// A video.
        Video => "videoMessage",
        /// A voice recording.
        Audio => "audioMessage",
        /// A status taken back, known from the vendor's own web app.
        Deleted => "deletedMessage",
    }
}

label_values! {
    /// Whether a status was published through the API or from the phone (`sendByApi`).
    SendByApi {
        /// Missing, or not a boolean.
        Unknown => "unknown",
        /// From the phone.
        False => "false",
        /// Through the API.
        True => "true",
    }
}

label_values! {
    /// How many people a status is for, from the number of its participants.
    Audience {
        /// No participants are listed: all contacts.
        Everyone => "everyone",
        /// A single person.
        One => "1",
        /// 2 to 10.
        UpTo10 => "2-10",
        /// 11 to 100.
        UpTo100 => "11-100",
        /// 101 and more.
        Over100 => "101+",
    }
}

impl StatusMessage {
    /// Reads the API's word; empty where the field is missing or null.
    pub fn parse(word: &[u8]) -> Self {
        parse_word(word, Self::Unknown, Self::Other)
    }
}

impl TypeMessage {
    /// Reads the API's word; empty where the field is missing or null.
    pub fn parse(word: &[u8]) -> Self {
        parse_word(word, Self::Unknown, Self::Other)
    }
}

/// Reads one of the API's words; our own `unknown` is not among them.
fn parse_word<L: LabelValue + PartialEq>(word: &[u8], unknown: L, other: L) -> L {
    if word.is_empty() {
        return unknown;
    }
    L::spelled(word).filter(|value| *value != unknown).unwrap_or(other)
}

impl Audience {
    /// The class of a number of participants.
    pub fn of(participants: u32) -> Self {
        match participants {
            0 => Self::Everyone,
            1 => Self::One,
            2..=10 => Self::UpTo10,
            11..=100 => Self::UpTo100,
            _ => Self::Over100,
        }
    }
}

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

/// What sets a status apart for its whole life: the labels of all its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// What it consists of.
    pub type_message: TypeMessage,
    /// Where it was published.
    pub send_by_api: SendByApi,
    /// How many people it is for.
    pub audience: Audience,
}

impl Kind {
    /// How many there are.
    pub(crate) const COUNT: usize = TypeMessage::ALL.len() * SendByApi::ALL.len() * Audience::ALL.len();

    /// Its number among all kinds.
    pub(crate) fn number(self) -> usize {
        let of_type = self.type_message as usize;
        let of_origin = of_type * SendByApi::ALL.len() + self.send_by_api as usize;
        of_origin * Audience::ALL.len() + self.audience as usize
    }

    /// The kind of this number, which must be one.
    pub(crate) fn numbered(number: usize) -> Self {
        let (of_origin, audience) = divided(number, Audience::ALL.len());
        let (of_type, send_by_api) = divided(of_origin, SendByApi::ALL.len());
        Self {
            type_message: TypeMessage::ALL[of_type],
            send_by_api: SendByApi::ALL[send_by_api],
            audience: Audience::ALL[audience],
        }
    }

    /// The label values, in the order of the labels of `greenapi_outgoing_statuses_total`.
    pub fn texts(self) -> [&'static str; 3] {
        [
            self.type_message.as_str(),
            self.send_by_api.as_str(),
            self.audience.as_str(),
        ]
    }
}

/// A state and a kind: the labels of what is counted of statuses by how far they have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels {
    /// How far they have got.
    pub status_message: StatusMessage,
    /// Of which kind they are.
    pub kind: Kind,
}

impl Labels {
    /// How many there are.
    const COUNT: usize = StatusMessage::ALL.len() * Kind::COUNT;

    /// Their number among all label sets.
    fn number(self) -> usize {
        self.status_message as usize * Kind::COUNT + self.kind.number()
    }

    /// The label set of this number, which must be one.
    fn numbered(number: usize) -> Self {
        let (status_message, kind) = divided(number, Kind::COUNT);
        Self {
            status_message: StatusMessage::ALL[status_message],
            kind: Kind::numbered(kind),
        }
    }

    /// The label values, in the order of the labels of `greenapi_journal_statuses`.
    pub fn texts(self) -> [&'static str; 4] {
        let [type_message, send_by_api, audience] = self.kind.texts();
        [self.status_message.as_str(), type_message, send_by_api, audience]
    }
}

fn divided(number: usize, by: usize) -> (usize, usize) {
    (number / by, number % by)
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
    fn an_audience_is_everyone_one_or_a_number_up_to_10_up_to_100_or_more() {
        let check = |participants, expected| assert_eq!(Audience::of(participants), expected, "{participants}");
        check(0, Audience::Everyone);
        check(1, Audience::One);
        check(2, Audience::UpTo10);
        check(10, Audience::UpTo10);
        check(11, Audience::UpTo100);
        check(100, Audience::UpTo100);
        check(101, Audience::Over100);
        check(u32::MAX, Audience::Over100);
    }

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
