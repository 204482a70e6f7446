//! What the ledger remembers of one status, in 26 bytes. Every part of it only grows, so the order of sightings can't matter.

use crate::journal::{Kind, Record, StatusId, StatusMessage};

/// What is remembered of a status. A fleet has a million of them, so each part takes only the bytes that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    id: [u8; 16],
    earliest: Narrow<5>,
    seen_hour: Narrow<3>,
    /// The number of its kind.
    kind: u8,
    states: States,
}

impl Entry {
    /// Hours after `seen_hour` at which an entry may be forgotten: 31 days, and the day by which `seen_hour` may be early.
    pub(super) const KEPT_HOURS: u32 = (31 + 1) * 24;

    /// Hours for which `seen_hour` stays as it is, so that sightings alone are written to disk once a day.
    const SEEN_GRAIN_HOURS: u32 = 24;

    /// The entry of a status first sighted at `now`, in Unix seconds.
    pub fn new(record: &Record, now: u64) -> Self {
        let states = States::shown_by(record.status_message);
        Self::restore(record.id, record.timestamp, hour(now), record.kind(), states)
    }

    /// The entry of these parts, as they were on record.
    pub fn restore(id: StatusId, earliest: u64, seen_hour: u32, kind: Kind, states: States) -> Self {
        const { assert!(Kind::COUNT <= 256) };
        Self {
            id: u128::from(id).to_le_bytes(),
            earliest: earliest.into(),
            seen_hour: u64::from(seen_hour).into(),
            kind: kind.number().try_into().unwrap_or(u8::MAX),
            states,
        }
    }

    /// Which status it is.
    pub fn id(&self) -> StatusId {
        u128::from_le_bytes(self.id).into()
    }

    /// The earliest time known of it, in Unix seconds: the least timestamp of its records, at most 2^40 - 1 (the year 36812).
    pub fn earliest(&self) -> u64 {
        self.earliest.into()
    }

    /// When it was last sighted, in hours since 1970, up to a day too early. Not after the year 3883.
    pub fn seen_hour(&self) -> u32 {
        u64::from(self.seen_hour).try_into().unwrap_or(u32::MAX)
    }

    /// The labels of its first sighting. Later ones are ignored, so that its states stay comparable with it (spec 7.6).
    pub fn kind(&self) -> Kind {
        Kind::numbered(self.kind.into())
    }

    /// The states it has been through.
    pub fn states(&self) -> States {
        self.states
    }

    /// This entry after another sighting at `now`, in Unix seconds.
    ///
    /// The hour never goes back: where the clock does, the entry is only kept for longer.
    #[must_use]
    pub(super) fn sighted(self, record: &Record, now: u64) -> Self {
        let is_stale = hour(now) >= self.seen_hour().saturating_add(Self::SEEN_GRAIN_HOURS);
        Self {
            earliest: self.earliest().min(record.timestamp).into(),
            seen_hour: if is_stale {
                u64::from(hour(now)).into()
            } else {
                self.seen_hour
            },
            states: self.states.union(States::shown_by(record.status_message)),
            ..self
        }
    }

    /// Whether at least 31 days have passed since the last sighting (spec 7.3). After 32 days and an hour it always holds.
    pub(super) fn may_be_forgotten(&self, now: u64) -> bool {
        hour(now) >= self.seen_hour().saturating_add(Self::KEPT_HOURS)
    }
}

/// A number in few bytes. One that they can't hold is the greatest that they can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Narrow<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> From<u64> for Narrow<BYTES> {
    fn from(number: u64) -> Self {
        let greatest = u64::MAX >> (u64::BITS as usize - 8 * BYTES);
        let mut narrow = [0; BYTES];
        narrow.copy_from_slice(&number.min(greatest).to_le_bytes()[..BYTES]);
        Self(narrow)
    }
}

impl<const BYTES: usize> From<Narrow<BYTES>> for u64 {
    fn from(narrow: Narrow<BYTES>) -> Self {
        let mut number = [0; 8];
        number[..BYTES].copy_from_slice(&narrow.0);
        Self::from_le_bytes(number)
    }
}

/// The hour of a time in Unix seconds.
pub(super) fn hour(now: u64) -> u32 {
    u32::try_from(now / 3600).unwrap_or(u32::MAX)
}

/// The states that a status has been through. A state never leaves the set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// The states that a status shown as `status_message` must have been through (spec 7.1).
    ///
    /// Up to `read` these are the state and all below it. An unrecognised state says nothing of others; an unknown one nothing at all.
    pub fn shown_by(status_message: StatusMessage) -> Self {
        match status_message {
            StatusMessage::Unknown | StatusMessage::Other => Self(bit(status_message)),
            ladder => Self((bit(ladder) << 1) - 1),
        }
    }

    /// Whether a status has been in this state; never so for `unknown`, which is no state.
    pub fn contains(self, status_message: StatusMessage) -> bool {
        self.0 & bit(status_message) != 0
    }

    /// The states in either set.
    #[must_use]
    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The states in this set that are not in `other`, lowest first.
    pub fn beyond(self, other: Self) -> impl Iterator<Item = StatusMessage> {
        let ascending = [
            StatusMessage::Other,
            StatusMessage::Pending,
            StatusMessage::Sent,
            StatusMessage::Delivered,
            StatusMessage::Read,
        ];
        let is_new = move |state: &StatusMessage| self.contains(*state) && !other.contains(*state);
        ascending.into_iter().filter(is_new)
    }

    /// The set as a number that is kept in stores and must never change its meaning.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The set of this number; `None` where no status can have been through just these states.
    pub fn from_bits(bits: u8) -> Option<Self> {
        let ladder = bits & !bit(StatusMessage::Other);
        matches!(ladder, 0b0 | 0b1 | 0b11 | 0b111 | 0b1111).then_some(Self(bits))
    }
}

fn bit(status_message: StatusMessage) -> u8 {
    match status_message {
        StatusMessage::Unknown => 0,
        StatusMessage::Pending => 1,
        StatusMessage::Sent => 1 << 1,
        StatusMessage::Delivered => 1 << 2,
        StatusMessage::Read => 1 << 3,
        StatusMessage::Other => 1 << 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_26_bytes() {
        assert_eq!(size_of::<Entry>(), 26);
    }

    #[test]
    fn an_entry_says_what_was_put_into_it() {
        let check = |earliest, seen_hour| {
            for number in 0..Kind::COUNT {
                let id = StatusId::of(number.to_string());
                let kind = Kind::numbered(number);
                let states = States::shown_by(StatusMessage::Sent);
                let entry = Entry::restore(id, earliest, seen_hour, kind, states);
                let said = (
                    entry.id(),
                    entry.earliest(),
                    entry.seen_hour(),
                    entry.kind(),
                    entry.states(),
                );
                assert_eq!(said, (id, earliest, seen_hour, kind, states));
                assert_eq!(kind.number(), number);
            }
        };
        check(0, 0);
        check(1_795_737_600, 498_816);
        check((1 << 40) - 1, (1 << 24) - 1);
    }

    #[test]
    fn a_time_too_late_to_be_told_is_the_latest_that_can_be() {
        let kind = Kind::numbered(0);
        let entry = Entry::restore(StatusId::of(""), 1 << 40, 1 << 24, kind, States::default());
        assert_eq!((entry.earliest(), entry.seen_hour()), ((1 << 40) - 1, (1 << 24) - 1));
    }
}
