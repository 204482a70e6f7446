//! The journal of published statuses: one request, perhaps one more, and what is known after it.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Api, Attempt, SPACING, Target};
use crate::clock::unix_seconds;
use crate::fetch::FetchResult;
use crate::flight::Landing;
use crate::green_api::JournalMethod;
use crate::green_api::failure::Failure;
use crate::journal::{Journal, Record, Tally, minutes};
use crate::label::LabelValue;
use crate::snapshot::{Fetch, Instance};

/// What is known of an instance through its journal.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) instance: Arc<Instance>,
    /// The `idMessage` of every status in the window, for those who must ask for one by name; `None` where nobody does.
    ids: Option<Arc<[Box<str>]>>,
}

impl Outgoing {
    pub(super) fn new(instance: Instance, keep_ids: bool) -> Self {
        Self {
            instance: Arc::new(instance),
            ids: keep_ids.then(|| Arc::new([]) as Arc<[Box<str>]>),
        }
    }

    pub(super) fn ids(self) -> Arc<[Box<str>]> {
        self.ids.unwrap_or_default()
    }
}

/// A journal as it was read, and its ids if they are kept.
struct Reading {
    journal: Journal,
    ids: Option<Arc<[Box<str>]>>,
    /// The earliest last action in the window, in Unix seconds, where more than the window was asked for.
    window_start: Option<u64>,
}

impl Reading {
    /// The statuses in the window: all that were answered, unless more was asked for (spec 7.4).
    fn in_window(&self) -> impl Iterator<Item = &Record> {
        let start = self.window_start.unwrap_or(0);
        self.journal
            .records()
            .iter()
            .filter(move |record| record.timestamp >= start)
    }
}

/// Reads the journal. After a passing fault it asks once more, if that leaves room before `deadline`.
pub(super) async fn fetch(
    target: Arc<Target>,
    previous: Attempt<Outgoing>,
    deadline: Instant,
) -> Landing<Attempt<Outgoing>> {
    let (start, keep_ids) = (Instant::now(), previous.value.ids.is_some());
    let mut instance = Arc::unwrap_or_clone(previous.value.instance);
    let (mut asked, mut outcome) = read(&target, keep_ids).await;
    let first_asked = asked;
    if let Err(failure) = &outcome
        && failure.is_passing
        && (asked + SPACING).max(Instant::now()) < deadline
    {
        debug!(instance = %target.account().name, %failure, "asking for the journal once more");
        instance.counters.count_fetch(failure.result);
        tokio::time::sleep_until(asked + SPACING).await;
        (asked, outcome) = read(&target, keep_ids).await;
    }
    let result = outcome
        .as_ref()
        .map_or_else(|failure| failure.result, |_| FetchResult::Ok);
    log(&target, instance.latest.map(|fetch| fetch.result), &outcome);

    instance.counters.count_fetch(result);
    instance.latest = Some(Fetch {
        result,
        duration: first_asked.elapsed(),
    });
    let mut ids = previous.value.ids;
    let mut failed = None;
    match outcome {
        Ok(reading) => {
            let now = target.api.clock.now();
            instance.last_success = Some(now);
            instance.counters.count_defects(&reading.journal);
            instance.tally = Arc::new(Tally::new(reading.in_window(), &instance.tally));
            ids = reading.ids;
            target.api.books.submit(target.id(), reading.journal, now);
        }
        Err(failure) => failed = Some(failure),
    }
    let value = Outgoing {
        instance: Arc::new(instance),
        ids,
    };
    let interval = target.config.settings.min_interval;
    Attempt::landing(
        value,
        previous.rate_limited_in_a_row,
        failed.as_ref(),
        (start, asked),
        interval,
    )
}

/// Makes one request, and tells when it was made.
async fn read(target: &Target, keep_ids: bool) -> (Instant, Result<Reading, Failure>) {
    let permit = target.api.permit().await;
    let asked = Instant::now();
    let outcome = match permit {
        // Boxed, so that the instances of a fleet that wait for a permit don't each hold the room of a request.
        Ok(_permit) => Box::pin(read_in_time(target, keep_ids)).await,
        Err(failure) => Err(failure),
    };
    (asked, outcome)
}

async fn read_in_time(target: &Target, keep_ids: bool) -> Result<Reading, Failure> {
    let (mut records, mut ids) = (Vec::new(), keep_ids.then(Vec::new));
    let (config, window) = (&target.config, target.config.settings.window);
    let Api {
        client, books, clock, ..
    } = &*target.api;
    let now = clock.now();
    let asked_for = books.minutes_to_ask(target.id(), window, now);
    let is_widened = asked_for > minutes(window);
    debug!(instance = %target.account().name, minutes = asked_for, "asking for the journal");
    let reading = client.journal(
        JournalMethod::Outgoing,
        target.id(),
        &config.credentials,
        asked_for,
        |id, record| {
            records.push(record);
            if let Some(ids) = &mut ids {
                ids.push(Box::from(id));
            }
        },
    );
    let timeout = config.settings.timeout;
    let malformed = tokio::time::timeout(timeout, reading)
        .await
        .map_err(|_| Failure::timeout(timeout))??;
    Ok(Reading {
        journal: Journal::new(records, malformed),
        window_start: is_widened.then(|| unix_seconds(now).saturating_sub(window.as_secs())),
        ids: ids.map(|mut ids| {
            ids.sort_unstable();
            ids.dedup();
            ids.into()
        }),
    })
}

/// Tells people of a change; what stays the same is for those who look closely.
fn log(target: &Target, before: Option<FetchResult>, outcome: &Result<Reading, Failure>) {
    let instance = &target.account().name;
    match outcome {
        Ok(reading) => {
            let (statuses, malformed) = (reading.journal.records().len(), reading.journal.malformed());
            if before.is_some_and(|before| before != FetchResult::Ok) {
                info!(%instance, statuses, malformed, "the journal can be read again");
            } else {
                debug!(%instance, statuses, malformed, "read the journal");
            }
        }
        Err(failure) => {
            let (result, cause) = (failure.result.as_str(), &failure.cause);
            if before == Some(failure.result) {
                debug!(%instance, result, cause, "still cannot read the journal");
            } else {
                warn!(%instance, result, cause, hint = failure.result.explanation(), "cannot read the journal");
            }
        }
    }
}
