//! Reads a journal, published or incoming, in one request: as far back as the ledger needs. What lies in the window is told apart.

use std::time::{Duration, SystemTime};

use tracing::debug;

use super::Target;
use crate::books::Books;
use crate::clock::unix_seconds;
use crate::green_api::JournalMethod;
use crate::green_api::failure::Failure;
use crate::journal::{Journal, Record};
use crate::label::LabelValue;

/// A journal as it was answered.
pub(super) struct Reading {
    pub(super) journal: Journal,
    /// When it was asked for: what happened later may be missing.
    pub(super) asked_at: SystemTime,
    /// The earliest last action in the window, in Unix seconds, where more than the window was asked for.
    window_start: Option<u64>,
}

impl Reading {
    /// The statuses in the window: all that were answered, unless more was asked for (spec 7.4).
    pub(super) fn in_window(&self) -> impl Iterator<Item = &Record> {
        let records = self.journal.records().iter();
        records.filter(|record| is_in_window(record, self.window_start))
    }
}

fn is_in_window(record: &Record, window_start: Option<u64>) -> bool {
    window_start.is_none_or(|start| record.timestamp >= start)
}

/// When the window began, where the request reaches further back: because more was missed, or the window is no whole number of minutes.
fn window_start(window: Duration, minutes: u64, now: u64) -> Option<u64> {
    let is_widened = minutes.saturating_mul(60) > window.as_secs();
    is_widened.then(|| now.saturating_sub(window.as_secs()))
}

/// Makes one request, for as much as `books` have missed, and gives the `idMessage` of every status in the window to `on_id`.
pub(super) async fn read(
    target: &Target,
    method: JournalMethod,
    books: &Books,
    mut on_id: impl FnMut(&[u8]),
) -> Result<Reading, Failure> {
    let (config, window) = (&target.config, target.config.settings.window);
    let now = target.api.clock.now();
    let asked_for = books.minutes_to_ask(target.id(), window, now);
    debug!(instance = %target.account().name, method = method.as_str(), minutes = asked_for, "asking for the journal");
    let window_start = window_start(window, asked_for, unix_seconds(now));
    let mut records = Vec::new();
    let (client, id, credentials) = (&target.api.client, target.id(), &config.credentials);
    let timeout = config.settings.timeout;
    let reading = client.journal(method, id, credentials, asked_for, timeout, |id, record| {
        records.push(record);
        if is_in_window(&record, window_start) {
            on_id(id);
        }
    });
    let malformed = reading.await?;
    // The API reckons from when it answers.
    let answered = unix_seconds(target.api.clock.now());
    let since = answered.saturating_sub(asked_for.saturating_mul(60));
    Ok(Reading {
        journal: Journal::new(records, malformed).asked_since(since),
        asked_at: now,
        window_start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::StatusMessage;

    #[test]
    fn the_window_is_told_apart_where_more_than_it_is_asked_for() {
        let check = |window, minutes, expected| {
            assert_eq!(
                window_start(Duration::from_secs(window), minutes, 10_000),
                expected,
                "{window}"
            );
        };
        check(600, 10, None);
        check(600, 11, Some(9_400));
        check(630, 11, Some(9_370));
        check(10_060, u64::MAX, Some(0));
    }

    #[test]
    fn the_window_begins_with_its_first_second_or_is_all_that_was_asked_for() {
        let record = |timestamp| Record::example(timestamp, StatusMessage::Sent);
        let check = |window_start, expected: &[u64]| {
            let journal = Journal::new([999, 1000, 1001].map(record).into(), 0);
            let reading = Reading {
                journal,
                asked_at: SystemTime::UNIX_EPOCH,
                window_start,
            };
            let shown: Vec<u64> = reading.in_window().map(|record| record.timestamp).collect();
            assert_eq!(shown, expected, "{window_start:?}");
        };
        check(Some(1000), &[1000, 1001]);
        check(Some(1002), &[]);
        check(None, &[999, 1000, 1001]);
    }
}
