//! A collector that an instance has only where it is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::requests::{Paced, Requests};
use super::{Fetching, Target};
use crate::collector::Run;
use crate::flight::{Flight, Landing};
use crate::green_api::SPACING;
use crate::green_api::failure::Failure;
use crate::label::LabelValue;

/// A collector, and its flight once it has been on.
pub(super) struct Optional<T> {
    flight: Option<Arc<Flight<Paced<T>>>>,
    is_on: bool,
}

/// A collector that shows what it found out when it last ran.
pub(super) type OptionalRun<T> = Optional<LatestRun<T>>;

/// What a collector last came to; absent before its first run.
pub(super) type LatestRun<T> = Option<Run<T>>;

impl<T: Clone + Default + Send + Sync + 'static> Optional<T> {
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            flight: is_on.then(|| Flight::new(Paced::default())),
            is_on,
        }
    }

    /// The same, going on with the flight of `before` if there was one. One that is off keeps it for as long as its requests are under
    /// way or have to wait, in case it is on again by then.
    pub(super) fn after(self, before: &Self) -> Self {
        let earlier = before.flight.clone();
        Self {
            flight: earlier
                .filter(|flight| self.is_on || !flight.is_idle(SPACING))
                .or(self.flight),
            is_on: self.is_on,
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Its flight, unless it is off.
    pub(super) fn flight(&self) -> Option<&Arc<Flight<Paced<T>>>> {
        self.flight.as_ref().filter(|_| self.is_on)
    }

    /// Whether no request is under way or has to wait.
    pub(super) fn is_idle(&self) -> bool {
        self.flight.as_ref().is_none_or(|flight| flight.is_idle(SPACING))
    }

    /// Ends the wait after the latest answer.
    pub(super) fn end_wait(&self) {
        if let Some(flight) = &self.flight {
            flight.end_wait();
        }
    }
}

impl<T: Clone + Send + Sync + 'static> OptionalRun<T> {
    /// The run that is due, if one is; it is under way from now on, for a scrape with this `deadline`.
    pub(super) fn depart<F: Future<Output = Landing<Paced<LatestRun<T>>>> + Send + 'static>(
        &self,
        target: &Arc<Target>,
        deadline: Instant,
        run: impl FnOnce(Arc<Target>, Paced<LatestRun<T>>, Instant, Instant) -> F + Send + 'static,
    ) -> Option<Fetching> {
        let departure = self.flight()?.depart_if_due()?;
        let target = target.clone();
        Some(Box::pin(
            departure.fly(move |previous, start| run(target, previous, start, deadline)),
        ))
    }

    /// What it found out once a run that was under way at `asked` has landed, or at `deadline`; then a run that is still awaited has failed.
    pub(super) async fn landed(&self, asked: Instant, deadline: Instant) -> Option<Box<Run<T>>> {
        let run = match self.flight()?.landed(asked, deadline).await {
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
        self.flight()?.latest().value.map(Box::new)
    }
}

impl<T> Paced<LatestRun<T>> {
    /// The landing of the next run, which made `requests`, with what it came to.
    pub(super) fn ran(
        &self,
        target: &Target,
        method: &str,
        outcome: Result<T, Failure>,
        requests: &Requests,
        spacing: Duration,
    ) -> Landing<Self> {
        let duration = requests.duration();
        let (found, failure) = match outcome {
            Ok(found) => (Some(found), None),
            Err(failure) => (None, Some(failure)),
        };
        let has_failed_before = self.value.as_ref().is_some_and(|run| run.found.is_none());
        log(target, method, has_failed_before, failure.as_ref());
        let min_interval = target.config.settings.min_interval;
        let run = Some(Run { found, duration });
        self.landing(run, failure.as_ref(), requests, spacing, min_interval)
    }
}

/// Tells people that a collector, by its method, has begun or ceased to fail; that it still does is for those who look closely.
pub(super) fn log(target: &Target, method: &str, has_failed_before: bool, failure: Option<&Failure>) {
    let instance = &target.account().name;
    match failure {
        None if has_failed_before => info!(%instance, method, "the collector works again"),
        None => debug!(%instance, method, "the collector ran"),
        Some(failure) => {
            let (result, cause) = (failure.result.as_str(), &failure.cause);
            if has_failed_before {
                debug!(%instance, method, result, cause, "still cannot run the collector");
            } else {
                warn!(%instance, method, result, cause, "cannot run the collector");
            }
        }
    }
}
