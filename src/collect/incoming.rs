//! The journal of statuses that contacts published: how many there are of each type.

use std::sync::Arc;

use tokio::time::Instant;

use super::Target;
use super::attempt::{Asked, Attempt};
use super::optional::LatestRun;
use super::reading::{Reading, read};
use crate::collector::{ByType, Run};
use crate::flight::Landing;
use crate::green_api::{JournalMethod, SPACING};
use crate::label::LabelValue;

/// Reads the journal and counts its distinct statuses. A type once seen stays, at 0.
pub(super) async fn run(
    target: Arc<Target>,
    previous: Attempt<LatestRun<ByType>>,
    start: Instant,
) -> Landing<Attempt<LatestRun<ByType>>> {
    previous.spaced().await;
    let permit = target.api.permit().await;
    let last = Instant::now();
    let outcome = read(&target, JournalMethod::Incoming, &target.api.books.incoming, |_| ()).await;
    drop(permit);
    let outcome = outcome.map(|reading| {
        let found = count(&reading, previous.value.as_ref());
        let books = &target.api.books.incoming;
        books.submit(target.id(), reading.journal, reading.asked_at);
        found
    });
    previous.ran(
        &target,
        JournalMethod::Incoming.as_str(),
        outcome,
        Asked { start, last },
        SPACING,
    )
}

fn count(reading: &Reading, previous: Option<&Run<ByType>>) -> ByType {
    let before = Run::found(previous).into_iter().flatten();
    let mut by_type: ByType = before.map(|(kind, _)| (*kind, 0)).collect();
    for record in reading.in_window() {
        *by_type.entry(record.type_message).or_default() += 1;
    }
    by_type
}
