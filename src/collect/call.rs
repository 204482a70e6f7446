//! Methods of the API that answer a question in one small answer, and the collectors that make a single such request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use super::optional::LatestRun;
use super::requests::Paced;
use crate::collector::{Contacts, Recipients, Settings, StateInstance};
use crate::flight::Landing;
use crate::green_api::failure::Failure;
use crate::green_api::{SPACING, answers};

/// A method whose answer is a `T`.
pub(super) struct Call<T> {
    pub(super) method: &'static str,
    /// How far apart requests are.
    spacing: Duration,
    read: fn(&[u8]) -> Result<T, Failure>,
}

pub(super) static STATE: Call<StateInstance> = Call {
    method: "getStateInstance",
    spacing: SPACING,
    read: answers::state,
};

/// Settings change seldom and take up to 5 minutes to apply (api.md 2.6).
pub(super) static SETTINGS: Call<Settings> = Call {
    method: "getSettings",
    spacing: Duration::from_mins(1),
    read: answers::settings,
};

/// The Developer plan allows 1,000 requests a month: one in 44 minutes (api.md 4).
pub(super) static CONTACTS: Call<Contacts> = Call {
    method: "getContacts",
    spacing: Duration::from_hours(1),
    read: answers::contacts,
};

pub(super) static QUEUE: Call<u64> = Call {
    method: "getMessagesCount",
    spacing: SPACING,
    read: answers::queue,
};

pub(super) static STATISTIC: Call<Recipients> = Call {
    method: "getStatusStatistic",
    spacing: SPACING,
    read: answers::statistic,
};

impl<T> Call<T> {
    /// Runs a collector that makes this call alone.
    pub(super) async fn run(
        &self,
        target: Arc<Target>,
        previous: Paced<LatestRun<T>>,
        start: Instant,
        deadline: Instant,
    ) -> Landing<Paced<LatestRun<T>>> {
        let mut requests = previous.requests(start, Some(deadline), None);
        let outcome = requests.make(&target, self.method, || self.answer(&target, "")).await;
        previous.ran(&target, self.method, outcome, &requests, self.spacing)
    }

    /// Makes one request.
    pub(super) async fn answer(&self, target: &Target, query: &str) -> Result<T, Failure> {
        let (client, id, config) = (&target.api.client, target.id(), &target.config);
        let timeout = config.settings.timeout;
        let body = client.call(self.method, query, id, &config.credentials, timeout);
        (self.read)(&body.await?)
    }
}
