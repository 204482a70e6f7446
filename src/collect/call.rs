//! Optional collectors that make one small request: state, settings, contacts, queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::{Attempt, Target};
use crate::collector::Run;
use crate::flight::Landing;
use crate::green_api::failure::Failure;

/// Calls `method` and reads its answer; the next call comes after `interval` or the configured one, whichever is longer.
pub(super) async fn fetch<T>(
    target: Arc<Target>,
    previous: Attempt<Option<Run<T>>>,
    start: Instant,
    method: &'static str,
    interval: Duration,
    read: fn(&[u8]) -> Result<T, Failure>,
) -> Landing<Attempt<Option<Run<T>>>> {
    let (asked, outcome) = call(&target, method, "", read).await;
    let failure = outcome.as_ref().err().cloned();
    let run = Run {
        found: outcome.ok(),
        duration: asked.elapsed(),
    };
    let interval = interval.max(target.config.settings.min_interval);
    let limited = previous.rate_limited_in_a_row;
    Attempt::landing(Some(run), limited, failure.as_ref(), (start, asked), interval)
}

/// Makes one request, and tells when it was made.
pub(super) async fn call<T>(
    target: &Target,
    method: &'static str,
    query: &str,
    read: fn(&[u8]) -> Result<T, Failure>,
) -> (Instant, Result<T, Failure>) {
    let _permit = target.api.permit().await;
    let asked = Instant::now();
    let outcome = async {
        let config = &target.config;
        let timeout = config.settings.timeout;
        let answer = target.api.client.call(method, query, target.id(), &config.credentials);
        let body = tokio::time::timeout(timeout, answer).await;
        read(&body.map_err(|_| Failure::timeout(timeout))??)
    };
    let outcome = outcome.await;
    if let Err(failure) = &outcome {
        debug!(instance = %target.account().name, method, %failure, "cannot collect");
    }
    (asked, outcome)
}
