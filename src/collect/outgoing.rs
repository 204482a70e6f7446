//! The journal of published statuses: one request, perhaps one more, and what is known after it.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::reading::{Reading, read};
use super::{Attempt, SPACING, Target};
use crate::fetch::FetchResult;
use crate::flight::Landing;
use crate::green_api::JournalMethod;
use crate::green_api::failure::Failure;
use crate::journal::Tally;
use crate::label::LabelValue;
use crate::snapshot::{Fetch, Fetched};

/// What is known of an instance through its journal.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) fetched: Arc<Fetched>,
    /// The `idMessage` of every status in the window, for those who must ask for one by name; `None` where nobody does.
    ids: Option<Arc<[Box<str>]>>,
}

impl Outgoing {
    pub(super) fn new(fetched: Arc<Fetched>, keep_ids: bool) -> Self {
        Self {
            fetched,
            ids: keep_ids.then(|| Arc::new([]) as Arc<[Box<str>]>),
        }
    }

    pub(super) fn ids(self) -> Arc<[Box<str>]> {
        self.ids.unwrap_or_default()
    }
}

/// What one request answered, and the ids in it if they are kept.
type Answer = (Reading, Option<Arc<[Box<str>]>>);

/// Reads the journal. After a passing fault it asks once more, if that leaves room before `deadline`.
pub(super) async fn fetch(
    target: Arc<Target>,
    permit: Option<OwnedSemaphorePermit>,
    previous: Attempt<Outgoing>,
    start: Instant,
    deadline: Instant,
) -> Landing<Attempt<Outgoing>> {
    let keep_ids = previous.value.ids.is_some();
    let mut fetched = Arc::unwrap_or_clone(previous.value.fetched);
    let mut asked = Instant::now();
    let mut outcome = answer(&target, keep_ids).await;
    drop(permit);
    let first_asked = asked;
    if let Err(failure) = &outcome
        && failure.is_passing
        && (asked + SPACING).max(Instant::now()) < deadline
    {
        debug!(instance = %target.account().name, %failure, "asking for the journal once more");
        fetched.counters.count_fetch(failure.result);
        tokio::time::sleep_until(asked + SPACING).await;
        let _permit = target.api.permit().await;
        asked = Instant::now();
        outcome = answer(&target, keep_ids).await;
    }
    let result = outcome
        .as_ref()
        .map_or_else(|failure| failure.result, |_| FetchResult::Ok);
    log(&target, fetched.latest.map(|fetch| fetch.result), &outcome);

    fetched.counters.count_fetch(result);
    fetched.latest = Some(Fetch {
        result,
        duration: first_asked.elapsed(),
    });
    let mut ids = previous.value.ids;
    let mut failed = None;
    match outcome {
        Ok((reading, new_ids)) => {
            let now = target.api.clock.now();
            fetched.last_success = Some(now);
            fetched.counters.count_defects(&reading.journal);
            fetched.tally = Tally::new(reading.in_window(), &fetched.tally);
            ids = new_ids;
            target.api.books.submit(target.id(), reading.journal, now);
        }
        Err(failure) => failed = Some(failure),
    }
    let value = Outgoing {
        fetched: Arc::new(fetched),
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

/// Makes one request.
async fn answer(target: &Target, keep_ids: bool) -> Result<Answer, Failure> {
    let mut ids = keep_ids.then(Vec::new);
    let reading = read(target, JournalMethod::Outgoing, &target.api.books, |id| {
        if let Some(ids) = &mut ids {
            ids.push(String::from_utf8_lossy(id).into());
        }
    });
    let reading = reading.await?;
    let ids = ids.map(|mut ids: Vec<Box<str>>| {
        ids.sort_unstable();
        ids.dedup();
        ids.into()
    });
    Ok((reading, ids))
}

/// Tells people of a change; what stays the same is for those who look closely.
fn log(target: &Target, before: Option<FetchResult>, outcome: &Result<Answer, Failure>) {
    let instance = &target.account().name;
    match outcome {
        Ok((reading, _)) => {
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
