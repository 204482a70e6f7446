//! The journal of statuses that contacts published: how many there are of each type.

use std::sync::Arc;

use tokio::time::Instant;

use super::Target;
use super::optional::LatestRun;
use super::reading::{Reading, read};
use super::requests::Paced;
use crate::collector::ByType;
use crate::flight::Landing;
use crate::green_api::{JournalMethod, SPACING};
use crate::label::LabelValue;
use crate::snapshot::LedgerView;

/// Reads the journal and counts its distinct statuses. A type once seen stays, at 0.
pub(super) async fn run(
    target: Arc<Target>,
    previous: Paced<LatestRun<ByType>>,
    start: Instant,
    deadline: Instant,
) -> Landing<Paced<LatestRun<ByType>>> {
    let (method, books) = (JournalMethod::Incoming, &target.api.books.incoming);
    let mut requests = previous.requests(start).until(deadline);
    let answer = || read(&target, method, books, |_| ());
    let outcome = requests.make(&target, method.as_str(), answer).await;
    let outcome = outcome.map(|reading| {
        let found = count(&reading, &books.view(target.id()));
        books.submit(target.id(), reading.journal, reading.asked_at);
        found
    });
    previous.ran(&target, method.as_str(), outcome, &requests, SPACING)
}

fn count(reading: &Reading, known: &LedgerView) -> ByType {
    let mut by_type: ByType = known.kinds.iter().map(|kind| (kind.type_message, 0)).collect();
    for record in reading.in_window() {
        *by_type.entry(record.type_message).or_default() += 1;
    }
    by_type
}
