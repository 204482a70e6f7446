//! A collector that an instance has only where it is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::attempt::{Asked, Attempt};
use super::call::Call;
use super::{Fetching, Target};
use crate::collector::Run;
use crate::flight::{Flight, Landing};
use crate::green_api::failure::Failure;
use crate::label::LabelValue;

/// The flight of a collector; absent where the collector is off.
pub(super) struct Optional<T>(Option<Arc<Flight<Attempt<T>>>>);

/// A collector that shows what it found out when it last ran.
pub(super) type Running<T> = Optional<LatestRun<T>>;

/// What a collector last came to; absent before its first run.
pub(super) type LatestRun<T> = Option<Run<T>>;

impl<T: Clone + Default + Send + Sync + 'static> Optional<T> {
    pub(super) fn new(is_on: bool) -> Self {
        Self(is_on.then(|| Flight::new(Attempt::default())))
    }

    /// The same, going on with the flight of `before` if there was one.
    pub(super) fn after(self, before: &Self) -> Self {
        Self(self.0.map(|new| before.0.clone().unwrap_or(new)))
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn flight(&self) -> Option<&Arc<Flight<Attempt<T>>>> {
        self.0.as_ref()
    }

    /// Ends the wait after the latest answer.
    pub(super) fn end_wait(&self) {
        if let Some(flight) = &self.0 {
            flight.end_wait();
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Running<T> {
    /// The run that is due, if one is; it is under way from now on.
    pub(super) fn depart<F: Future<Output = Landing<Attempt<LatestRun<T>>>> + Send + 'static>(
        &self,
        target: &Arc<Target>,
        run: impl FnOnce(Arc<Target>, Attempt<LatestRun<T>>, Instant) -> F + Send + 'static,
    ) -> Option<Fetching> {
        let departure = self.0.as_ref()?.depart_if_due()?;
        let target = target.clone();
        Some(Box::pin(
            departure.fly(move |previous, start| run(target, previous, start)),
        ))
    }

    /// The same for a collector that makes one `call`.
    pub(super) fn depart_calling(&self, target: &Arc<Target>, call: &'static Call<T>) -> Option<Fetching> {
        self.depart(target, |target, previous, start| call.run(target, previous, start))
    }

    /// What it found out once a run that was under way at `asked` has landed, or at `deadline`; then a run that is still awaited has failed.
    pub(super) async fn landed(&self, asked: Instant, deadline: Instant) -> Option<Box<Run<T>>> {
        let run = match self.0.as_ref()?.landed(asked, deadline).await {
            Some(attempt) => attempt.value?,
            None => Run {
                found: None,
                duration: asked.elapsed(),
            },
        };
        Some(Box::new(run))
    }

    /// What it found out by now.
    pub(super) fn known(&self) -> Option<Box<Run<T>>> {
        self.0.as_ref()?.latest().value.map(Box::new)
    }
}

impl<T> Attempt<LatestRun<T>> {
    /// The landing of the next run, which made one request, with what it came to.
    pub(super) fn ran(
        &self,
        target: &Target,
        method: &str,
        outcome: Result<T, Failure>,
        asked: Asked,
        spacing: Duration,
    ) -> Landing<Self> {
        let duration = asked.last.elapsed();
        let (found, failure) = match outcome {
            Ok(found) => (Some(found), None),
            Err(failure) => (None, Some(failure)),
        };
        log(target, method, Run::has_failed(self.value.as_ref()), failure.as_ref());
        let min_interval = target.config.settings.min_interval;
        let run = Some(Run { found, duration });
        self.landing(run, failure.as_ref(), asked, spacing, min_interval)
    }
}

/// Tells people that a collector, by its method, has begun or ceased to fail; that it still does is for those who look closely.
pub(super) fn log(target: &Target, method: &str, has_failed_before: bool, failure: Option<&Failure>) {
    let instance = &target.account().name;
    match failure {
        None if has_failed_before => info!(%instance, method, "collects again"),
        None => debug!(%instance, method, "collected"),
        Some(failure) => {
            let (result, cause) = (failure.result.as_str(), &failure.cause);
            if has_failed_before {
                debug!(%instance, method, result, cause, "still cannot collect");
            } else {
                warn!(%instance, method, result, cause, "cannot collect");
            }
        }
    }
}
