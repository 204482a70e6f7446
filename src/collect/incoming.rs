//! The journal of statuses that contacts published: how many there are of each type.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use super::{Attempt, Target};
use crate::collector::Run;
use crate::flight::Landing;
use crate::green_api::JournalMethod;
use crate::green_api::failure::Failure;
use crate::journal::{Journal, TypeMessage, minutes};

type ByType = BTreeMap<TypeMessage, u64>;

/// Reads the journal and counts its distinct statuses. A type once seen stays, at 0.
pub(super) async fn fetch(
    target: Arc<Target>,
    previous: Attempt<Option<Run<ByType>>>,
) -> Landing<Attempt<Option<Run<ByType>>>> {
    let start = Instant::now();
    let permit = target.api.permit().await;
    let asked = Instant::now();
    let outcome = async {
        let _permit = permit?;
        read(&target).await
    };
    let outcome = outcome.await;
    if let Err(failure) = &outcome {
        debug!(instance = %target.account().name, %failure, "cannot read the journal of incoming statuses");
    }
    let failure = outcome.as_ref().err().cloned();
    let run = Run {
        found: outcome.ok().map(|journal| count(&journal, previous.value.as_ref())),
        duration: asked.elapsed(),
    };
    let (interval, limited) = (target.config.settings.min_interval, previous.rate_limited_in_a_row);
    Attempt::landing(Some(run), limited, failure.as_ref(), (start, asked), interval)
}

async fn read(target: &Target) -> Result<Journal, Failure> {
    let config = &target.config;
    let (timeout, minutes) = (config.settings.timeout, minutes(config.settings.window));
    let mut records = Vec::new();
    let client = &target.api.client;
    let reading = client.journal(
        JournalMethod::Incoming,
        target.id(),
        &config.credentials,
        minutes,
        |_, record| {
            records.push(record);
        },
    );
    let malformed = tokio::time::timeout(timeout, reading).await;
    let malformed = malformed.map_err(|_| Failure::timeout(timeout))??;
    Ok(Journal::new(records, malformed))
}

fn count(journal: &Journal, previous: Option<&Run<ByType>>) -> ByType {
    let mut by_type: ByType = Run::found(previous)
        .into_iter()
        .flatten()
        .map(|(kind, _)| (*kind, 0))
        .collect();
    for record in journal.records() {
        *by_type.entry(record.type_message).or_default() += 1;
    }
    by_type
}
