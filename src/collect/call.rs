//! Optional collectors that make one small request: state, settings, contacts, queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Asked, Attempt, Target};
use crate::collector::Run;
use crate::flight::Landing;
use crate::green_api::failure::Failure;

/// Calls `method`, whose requests must be `spacing` apart, and reads its answer.
pub(super) async fn fetch<T>(
    target: Arc<Target>,
    previous: Attempt<Option<Run<T>>>,
    start: Instant,
    method: &'static str,
    spacing: Duration,
    read: fn(&[u8]) -> Result<T, Failure>,
) -> Landing<Attempt<Option<Run<T>>>> {
    previous.spaced().await;
    let (last, outcome) = call(&target, method, "", read).await;
    previous.ran(&target, method, outcome, Asked { start, last }, spacing)
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
    (asked, outcome)
}
