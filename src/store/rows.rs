//! How a ledger is spelled in bytes. The spelling may only change together with [`super::VERSION`].
//!
//! All numbers are little-endian and of fixed width. Labels are spelled by codes of their own, so that their enumerations can be
//! reordered; a new label gets the next code. Rows have no checksum: redb's covers every page and is verified when a store is opened.

use std::sync::Arc;

use crate::journal::{Audience, Kind, Labels, SendByApi, StatusId, StatusMessage, TypeMessage};
use crate::label::LabelValue;
use crate::ledger::Summary;
use crate::ledger::entry::{Entry, States};
use crate::ledger::totals::{Counts, Histogram, Observations, Totals};

/// An entry without its identity, which is the row's key: earliest time, hour of the last sighting, labels, states.
pub(super) type EntryRow = [u8; 16];

pub(super) fn entry_row(entry: &Entry) -> EntryRow {
    let mut row = EntryRow::default();
    row[..8].copy_from_slice(&entry.earliest().to_le_bytes());
    row[8..12].copy_from_slice(&entry.seen_hour().to_le_bytes());
    row[12..15].copy_from_slice(&kind_codes(entry.kind()));
    row[15] = entry.states().bits();
    row
}

/// The entry of a row; `None` where it is no such row.
pub(super) fn entry(id: StatusId, row: EntryRow) -> Option<Entry> {
    let mut reader = Reader(&row);
    let (earliest, seen_hour) = (reader.number()?, u32::from_le_bytes(reader.bytes()?));
    let (kind, states) = (reader.kind()?, States::from_bits(reader.byte()?)?);
    Some(Entry::restore(id, earliest, seen_hour, kind, states))
}

/// When it was created and last read a journal, and how far back one has reached, then the totals in the order of [`Totals`]; counts are
/// preceded by their number.
pub(super) fn summary_row(summary: &Summary) -> Vec<u8> {
    let totals = &summary.totals;
    let mut row = Vec::new();
    let mut number = |number: u64| row.extend(number.to_le_bytes());
    number(summary.created);
    // No answer comes in the last second of time, so that it can stand for none.
    number(summary.last_success.map_or(u64::MAX, |last| last.min(u64::MAX - 1)));
    number(summary.reach.map_or(u64::MAX, |reach| reach.min(u64::MAX - 1)));
    number(totals.gaps);
    number(totals.gap_seconds);
    write_histogram(&mut row, &totals.participants);
    for delays in &totals.delays {
        write_histogram(&mut row, delays);
    }
    row.extend((totals.statuses.iter().len() as u64).to_le_bytes());
    for (kind, count) in totals.statuses.iter() {
        row.extend(kind_codes(kind));
        row.extend(count.to_le_bytes());
    }
    row.extend((totals.transitions.iter().len() as u64).to_le_bytes());
    for (labels, count) in totals.transitions.iter() {
        row.push(state_code(labels.status_message));
        row.extend(kind_codes(labels.kind));
        row.extend(count.to_le_bytes());
    }
    row
}

/// The summary of a row; `None` where it is no such row.
pub(super) fn summary(row: &[u8]) -> Option<Summary> {
    let mut reader = Reader(row);
    // A later time no clock can tell.
    let created = Some(reader.number()?).filter(|created| i64::try_from(*created).is_ok())?;
    let last_success = Some(reader.number()?).filter(|last| *last != u64::MAX);
    let reach = Some(reader.number()?).filter(|reach| *reach != u64::MAX);
    let totals = Totals {
        gaps: reader.number()?,
        gap_seconds: reader.number()?,
        participants: reader.histogram()?,
        delays: [reader.histogram()?, reader.histogram()?, reader.histogram()?],
        statuses: reader.counts(Reader::kind)?,
        transitions: reader.counts(Reader::labels)?,
    };
    reader.0.is_empty().then_some(Summary {
        created,
        last_success,
        reach,
        totals: Arc::new(totals),
    })
}

fn kind_codes(kind: Kind) -> [u8; 3] {
    [
        type_code(kind.type_message),
        origin_code(kind.send_by_api),
        audience_code(kind.audience),
    ]
}

fn type_code(type_message: TypeMessage) -> u8 {
    match type_message {
        TypeMessage::Unknown => 0,
        TypeMessage::Other => 1,
        TypeMessage::Text => 2,
        TypeMessage::ExtendedText => 3,
        TypeMessage::Image => 4,
        TypeMessage::Video => 5,
        TypeMessage::Audio => 6,
        TypeMessage::Deleted => 7,
    }
}

fn origin_code(send_by_api: SendByApi) -> u8 {
    match send_by_api {
        SendByApi::Unknown => 0,
        SendByApi::False => 1,
        SendByApi::True => 2,
    }
}

fn audience_code(audience: Audience) -> u8 {
    match audience {
        Audience::Everyone => 0,
        Audience::One => 1,
        Audience::UpTo10 => 2,
        Audience::UpTo100 => 3,
        Audience::Over100 => 4,
    }
}

fn state_code(status_message: StatusMessage) -> u8 {
    match status_message {
        StatusMessage::Unknown => 0,
        StatusMessage::Other => 1,
        StatusMessage::Pending => 2,
        StatusMessage::Sent => 3,
        StatusMessage::Delivered => 4,
        StatusMessage::Read => 5,
    }
}

fn write_histogram<const N: usize>(row: &mut Vec<u8>, histogram: &Histogram<N>) {
    for number in histogram.buckets.iter().chain([&histogram.beyond, &histogram.sum]) {
        row.extend(number.to_le_bytes());
    }
}

/// What is left to read of a row.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn label<L: LabelValue>(&mut self, code_of: fn(L) -> u8) -> Option<L> {
        let code = self.byte()?;
        L::ALL.iter().copied().find(|label| code_of(*label) == code)
    }

    fn kind(&mut self) -> Option<Kind> {
        Some(Kind {
            type_message: self.label(type_code)?,
            send_by_api: self.label(origin_code)?,
            audience: self.label(audience_code)?,
        })
    }

    fn labels(&mut self) -> Option<Labels> {
        Some(Labels {
            status_message: self.label(state_code)?,
            kind: self.kind()?,
        })
    }

    fn histogram<const N: usize>(&mut self) -> Option<Histogram<N>> {
        let mut observations = Observations::NONE;
        for number in &mut observations.buckets {
            *number = self.number()?;
        }
        observations.beyond = self.number()?;
        observations.sum = self.number()?;
        Some(observations.into())
    }

    fn counts<K: Copy + Ord>(&mut self, labels: impl Fn(&mut Self) -> Option<K>) -> Option<Counts<K>> {
        let number = self.number()?;
        let counts = (0..number).map(|_| Some((labels(self)?, self.number()?)));
        counts.collect::<Option<Vec<_>>>().map(Counts::new)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::journal::{Journal, Record};
    use crate::ledger::Ledger;

    /// Bytes in hexadecimal, where ` 0*8 ` stands for eight zeros.
    fn hex(bytes: &[u8]) -> String {
        let mut text = String::new();
        for run in bytes.chunk_by(|one, next| (*one == 0) == (*next == 0)) {
            if run[0] == 0 {
                let _ = write!(text, " 0*{} ", run.len());
            } else {
                let _ = run.iter().try_for_each(|byte| write!(text, "{byte:02x}"));
            }
        }
        text
    }

    /// A video for seven, seen pending at first and read in the end.
    fn ledger() -> Ledger {
        let record = |timestamp, status_message| Record {
            id: StatusId::of("3EB0"),
            timestamp,
            participants: 7,
            status_message,
            type_message: TypeMessage::Video,
            send_by_api: SendByApi::False,
        };
        let mut ledger = Ledger::new(1_700_000_000);
        let journal = |records| Journal::new(records, 0).asked_since(1_699_913_600);
        ledger.apply(&journal(Vec::new()), 1_700_000_000);
        let sightings = [
            record(1_700_000_001, StatusMessage::Pending),
            record(1_700_000_401, StatusMessage::Read),
        ];
        for sighting in sightings {
            ledger.apply(&journal(vec![sighting]), sighting.timestamp);
        }
        ledger
    }

    #[test]
    fn the_bytes_of_an_entry_never_change() {
        let [known] = ledger().entries().try_into().unwrap();
        let row = entry_row(&known);
        assert_eq!(
            hex(&u128::from(known.id()).to_be_bytes()),
            "3faf70c3c2294d801085086abdee243c"
        );
        assert_eq!(hex(&row), "01f15365 0*4 9e3407 0*1 0501020f");
        assert_eq!(entry(known.id(), row), Some(known));
    }

    #[test]
    fn the_bytes_of_a_summary_never_change() {
        let ledger = ledger();
        let known = ledger.summary();
        let row = summary_row(known);
        assert_eq!(
            hex(&row),
            " 0*1 f15365 0*4 91f25365 0*4 809f5265 0*36 01 0*63 07 0*231 01 0*55 9001 0*6 01 0*7 05010201 0*7 04 0*7 0205010201 0*7 0305010201 0*7 0405010201 0*7 0505010201 0*7 "
        );
        assert_eq!(summary(&row).as_ref(), Some(known));
    }

    #[test]
    fn a_row_of_another_length_or_with_an_unknown_code_is_none() {
        let row = summary_row(ledger().summary());
        for length in 0..row.len() {
            assert_eq!(summary(&row[..length]), None);
        }
        assert_eq!(summary(&[row.as_slice(), &[0]].concat()), None);
        assert_eq!(summary(&[&[u8::MAX; 8], &row[8..]].concat()), None);
        let id = StatusId::of("3EB0");
        for (place, code) in [(12, 8), (13, 3), (14, 5), (15, 0b10), (15, 0b10_0000)] {
            let mut row = EntryRow::default();
            assert!(entry(id, row).is_some());
            row[place] = code;
            assert_eq!(entry(id, row), None);
        }
    }
}
