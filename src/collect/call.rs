//! Methods of the API that answer a question in one small answer, and the collectors that make a single such request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::optional::{LatestRun, OptionalRun};
use super::requests::Paced;
use super::{Fetching, Target};
use crate::collector::{Contacts, EnabledSettings, Recipients, Run, StateInstance};
use crate::flight::Landing;
use crate::green_api::failure::Failure;
use crate::green_api::{SPACING, answers};

/// A method whose answer is a `T`.
pub(super) struct Call<T> {
    pub(super) method: &'static str,
    /// How far apart requests are.
    spacing: Duration,
    read: fn(&[u8]) -> Result<T, Failure>,
    /// Whether this need not be asked for again soon.
    is_final: fn(&T) -> bool,
}

pub(super) static STATE: Call<StateInstance> = Call {
    method: "getStateInstance",
    spacing: SPACING,
    read: answers::state,
    is_final: |_| true,
};

/// Settings change seldom and take up to 5 minutes to apply (api.md 2.6).
pub(super) static SETTINGS: Call<EnabledSettings> = Call {
    method: "getSettings",
    spacing: Duration::from_mins(1),
    read: answers::settings,
    is_final: |_| true,
};

/// The Developer plan allows 1,000 requests a month: one in 44 minutes (api.md 4). An empty answer asks to repeat the call (api.md 2.7).
pub(super) static CONTACTS: Call<Contacts> = Call {
    method: "getContacts",
    spacing: Duration::from_hours(1),
    read: answers::contacts,
    is_final: |contacts| !contacts.is_empty(),
};

pub(super) static QUEUE: Call<u64> = Call {
    method: "getMessagesCount",
    spacing: SPACING,
    read: answers::queue,
    is_final: |_| true,
};

pub(super) static STATISTIC: Call<Recipients> = Call {
    method: "getStatusStatistic",
    spacing: SPACING,
    read: answers::statistic,
    is_final: |_| true,
};

impl<T: Clone + Send + Sync + 'static> Call<T> {
    /// The run of `collector`, which makes this call alone, if one is due.
    pub(super) fn depart(
        &'static self,
        collector: &OptionalRun<T>,
        target: &Arc<Target>,
        deadline: Instant,
    ) -> Option<Fetching> {
        let run = |target, previous, start, deadline| self.run(target, previous, start, deadline);
        collector.depart(target, deadline, run)
    }

    pub(super) async fn run(
        &self,
        target: Arc<Target>,
        previous: Paced<LatestRun<T>>,
        start: Instant,
        deadline: Instant,
    ) -> Landing<Paced<LatestRun<T>>> {
        let mut requests = previous.requests(start).until(deadline);
        let outcome = requests.make(&target, self.method, || self.answer(&target, "")).await;
        let spacing = self.spacing_after(outcome.as_ref().ok(), previous.value.as_ref());
        previous.ran(&target, self.method, outcome, &requests, spacing)
    }

    /// How far from a run that `found` this the next is. What it would tell is missing after a failure, so that it is soon tried again, but only
    /// once in a row: each attempt may count towards what is allowed in a month.
    fn spacing_after(&self, found: Option<&T>, previous: Option<&Run<T>>) -> Duration {
        let is_final = |found: Option<&T>| found.is_some_and(self.is_final);
        if is_final(found) || previous.is_some_and(|run| !is_final(run.found.as_ref())) {
            self.spacing
        } else {
            self.spacing.min(SPACING_AFTER_NOTHING)
        }
    }

    /// Makes one request.
    pub(super) async fn answer(&self, target: &Target, query: &str) -> Result<T, Failure> {
        let (client, id, config) = (&target.api.client, target.id(), &target.config);
        let timeout = config.settings.timeout;
        let body = client.call(self.method, query, id, &config.credentials, timeout);
        (self.read)(&body.await?)
    }
}

/// How far apart runs are, at most, after one that found nothing.
const SPACING_AFTER_NOTHING: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::ContactType;

    #[test]
    fn contacts_that_are_missing_or_empty_are_asked_for_again_soon_but_once_only() {
        let found = Contacts::from([((ContactType::User, true), 1)]);
        let (some, empty, failed) = (Some(&found), Some(&Contacts::new()), None);
        let check = |found, previous: Option<Option<&Contacts>>, minutes| {
            let previous = previous.map(|found| Run {
                found: found.cloned(),
                duration: Duration::ZERO,
            });
            let spacing = CONTACTS.spacing_after(found, previous.as_ref());
            assert_eq!(spacing, Duration::from_mins(minutes), "{found:?} after {previous:?}");
        };
        for previous in [None, Some(some), Some(empty), Some(failed)] {
            check(some, previous, 60);
        }
        for missing in [empty, failed] {
            check(missing, None, 5);
            check(missing, Some(some), 5);
            check(missing, Some(empty), 60);
            check(missing, Some(failed), 60);
        }
    }

    #[test]
    fn a_failure_makes_no_method_wait_for_longer_than_its_own_spacing() {
        assert_eq!(STATE.spacing_after(None, None), SPACING);
        assert_eq!(SETTINGS.spacing_after(None, None), Duration::from_mins(1));
    }
}
