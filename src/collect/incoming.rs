//! The journal of statuses that contacts published: how many there are of each type.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use super::{Api, Attempt, Target};
use crate::clock::unix_seconds;
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
    let found = outcome.ok().map(|reading| {
        let found = count(&reading, previous.value.as_ref());
        target
            .api
            .incoming_books
            .submit(target.id(), reading.journal, target.api.clock.now());
        found
    });
    let run = Run {
        found,
        duration: asked.elapsed(),
    };
    let (interval, limited) = (target.config.settings.min_interval, previous.rate_limited_in_a_row);
    Attempt::landing(Some(run), limited, failure.as_ref(), (start, asked), interval)
}

/// The statuses that were answered.
struct Reading {
    journal: Journal,
    /// The earliest time in the window, in Unix seconds, where more than the window was asked for.
    window_start: Option<u64>,
}

async fn read(target: &Target) -> Result<Reading, Failure> {
    let (config, window) = (&target.config, target.config.settings.window);
    let Api {
        client,
        incoming_books,
        clock,
        ..
    } = &*target.api;
    let now = clock.now();
    let asked_for = incoming_books.minutes_to_ask(target.id(), window, now);
    let is_widened = asked_for > minutes(window);
    let mut records = Vec::new();
    let (id, credentials) = (target.id(), &config.credentials);
    let reading = client.journal(JournalMethod::Incoming, id, credentials, asked_for, |_, record| {
        records.push(record);
    });
    let timeout = config.settings.timeout;
    let malformed = tokio::time::timeout(timeout, reading).await;
    let malformed = malformed.map_err(|_| Failure::timeout(timeout))??;
    Ok(Reading {
        journal: Journal::new(records, malformed),
        window_start: is_widened.then(|| unix_seconds(now).saturating_sub(window.as_secs())),
    })
}

fn count(reading: &Reading, previous: Option<&Run<ByType>>) -> ByType {
    let before = Run::found(previous).into_iter().flatten();
    let mut by_type: ByType = before.map(|(kind, _)| (*kind, 0)).collect();
    let start = reading.window_start.unwrap_or(0);
    let in_window = reading
        .journal
        .records()
        .iter()
        .filter(|record| record.timestamp >= start);
    for record in in_window {
        *by_type.entry(record.type_message).or_default() += 1;
    }
    by_type
}
