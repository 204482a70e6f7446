//! The journal of published statuses: one request, perhaps one more, and what is known after it.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Target;
use super::permits::Permit;
use super::reading::{Reading, read};
use super::requests::Paced;
use crate::fetch::FetchResult;
use crate::flight::Landing;
use crate::green_api::failure::Failure;
use crate::green_api::{JournalMethod, SPACING};
use crate::journal::Tally;
use crate::label::LabelValue;
use crate::snapshot::{Fetch, Fetched};

/// What is known of an instance through its journal.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) fetched: Arc<Fetched>,
    /// The `idMessage` of every status in the window, for those who must ask for one by name; `None` where nobody does, and
    /// before the first.
    pub(super) ids: Option<Arc<[Box<str>]>>,
}

impl Outgoing {
    pub(super) fn new(fetched: Fetched) -> Self {
        Self {
            fetched: Arc::new(fetched),
            ids: None,
        }
    }
}

/// What one request answered, and the ids in it if they are kept.
type Answer = (Reading, Option<Arc<[Box<str>]>>);

/// Reads the journal.
pub(super) async fn fetch(
    target: Arc<Target>,
    permit: Permit,
    previous: Paced<Outgoing>,
    start: Instant,
    deadline: Instant,
) -> Landing<Paced<Outgoing>> {
    let mut requests = previous.requests(start).until(deadline).permitted(permit);
    let method = JournalMethod::Outgoing.as_str();
    let outcome = requests.make(&target, method, || answer(&target)).await;
    target.api.hosts.note(target.api_url(), requests.is_slow);
    let result = outcome
        .as_ref()
        .map_or_else(|failure| failure.result, |_| FetchResult::Ok);
    log(
        &target,
        previous.value.fetched.latest.map(|fetch| fetch.result),
        &outcome,
    );

    let mut fetched = Fetched::clone(&previous.value.fetched);
    for result in requests.repeated.into_iter().chain([result]) {
        fetched.counters.count_fetch(result);
    }
    fetched.latest = Some(Fetch {
        result,
        duration: requests.duration(),
    });
    let mut ids = previous.value.ids.clone();
    let mut failed = None;
    match outcome {
        Ok((reading, new_ids)) => {
            // As in the ledger, so that a restart doesn't change it.
            fetched.last_success = Some(reading.asked_at);
            fetched.counters.count_defects(&reading.journal);
            fetched.tally = Tally::new(reading.in_window(), &fetched.tally);
            ids = new_ids;
            target
                .api
                .books
                .outgoing
                .submit(target.id(), reading.journal, reading.asked_at);
        }
        Err(failure) => failed = Some(failure),
    }
    let value = Outgoing {
        fetched: Arc::new(fetched),
        ids,
    };
    let min_interval = target.config.settings.min_interval;
    previous.landing(value, failed.as_ref(), &requests, SPACING, min_interval)
}

/// Makes one request.
async fn answer(target: &Target) -> Result<Answer, Failure> {
    let mut ids = target.statistic.is_on().then(Vec::new);
    let reading = read(target, JournalMethod::Outgoing, &target.api.books.outgoing, |id| {
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
