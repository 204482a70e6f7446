//! The journal of statuses that contacts published: how many there are of each type.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::reading::{Reading, read};
use super::{Asked, Attempt, Target};
use crate::collector::Run;
use crate::flight::Landing;
use crate::green_api::{JournalMethod, SPACING};
use crate::journal::TypeMessage;
use crate::label::LabelValue;

type ByType = BTreeMap<TypeMessage, u64>;

/// Reads the journal and counts its distinct statuses. A type once seen stays, at 0.
pub(super) async fn fetch(
    target: Arc<Target>,
    previous: Attempt<Option<Run<ByType>>>,
    start: Instant,
) -> Landing<Attempt<Option<Run<ByType>>>> {
    previous.spaced().await;
    let permit = target.api.permit().await;
    let last = Instant::now();
    let outcome = read(&target, JournalMethod::Incoming, &target.api.books.incoming, |_| ()).await;
    drop(permit);
    let outcome = outcome.map(|reading| {
        let found = count(&reading, previous.value.as_ref());
        let (books, now) = (&target.api.books.incoming, target.api.clock.now());
        books.submit(target.id(), reading.journal, now);
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
