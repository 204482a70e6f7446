//! What the ledger remembers of one status, in 32 bytes. Every part of it only grows, so the order of sightings can't matter.

use crate::journal::{Kind, Record, StatusId, StatusMessage};

/// What is remembered of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which status it is.
    pub id: StatusId,
    /// The earliest time known of it, in Unix seconds: the least timestamp of its records.
    pub earliest: u64,
    /// When it was last sighted, in hours since 1970, up to a day too early: see [`Entry::sighted`].
    pub seen_hour: u32,
    /// The labels of its first sighting. Later ones are ignored, so that its states stay comparable with it (spec 7.6).
    pub kind: Kind,
    /// The states it has been through.
    pub states: States,
}

impl Entry {
    /// Hours after `seen_hour` at which an entry may be forgotten: 31 days, and the day by which `seen_hour` may be early.
    const KEPT_HOURS: u32 = (31 + 1) * 24;

    /// Hours for which `seen_hour` stays as it is, so that sightings alone are written to disk once a day.
    const SEEN_GRAIN_HOURS: u32 = 24;

    /// The entry of a status first sighted at `now`, in Unix seconds.
    pub fn new(record: &Record, now: u64) -> Self {
        Self {
            id: record.id,
            earliest: record.timestamp,
            seen_hour: hour(now),
            kind: record.kind(),
            states: States::shown_by(record.status_message),
        }
    }

    /// This entry after another sighting at `now`, in Unix seconds.
    ///
    /// The hour never goes back: where the clock does, the entry is only kept for longer.
    #[must_use]
    pub fn sighted(self, record: &Record, now: u64) -> Self {
        let is_stale = hour(now) >= self.seen_hour.saturating_add(Self::SEEN_GRAIN_HOURS);
        Self {
            earliest: self.earliest.min(record.timestamp),
            seen_hour: if is_stale { hour(now) } else { self.seen_hour },
            states: self.states.union(States::shown_by(record.status_message)),
            ..self
        }
    }

    /// Whether at least 31 days have passed since the last sighting (spec 7.3). After 32 days and an hour it always holds.
    pub fn is_forgotten(&self, now: u64) -> bool {
        hour(now) >= self.seen_hour.saturating_add(Self::KEPT_HOURS)
    }
}

/// The hour of a time in Unix seconds.
pub fn hour(now: u64) -> u32 {
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
    pub fn union(self, other: Self) -> Self {
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
    fn an_entry_takes_32_bytes() {
        assert_eq!(size_of::<Entry>(), 32);
    }
}
