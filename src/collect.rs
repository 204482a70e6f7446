//! Collects one instance: which requests are made, how often, and what is shown when they are late.

mod call;
mod incoming;
mod outgoing;
mod reading;
mod statistic;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::debug;

use crate::account::{Account, InstanceId};
use crate::books::Books;
use crate::clock::Clock;
use crate::collector::{Collected, Collector, Contacts, Run, Setting, StateInstance};
use crate::config;
use crate::fetch::FetchResult;
use crate::flight::{Departure, Flight, Landing};
use crate::green_api::failure::Failure;
use crate::green_api::{Client, answers};
use crate::journal::{StatusMessage, TypeMessage};
use crate::snapshot::{self, Fetched};

use self::outgoing::Outgoing;
use self::statistic::Statistic;

/// Starts every request of `targets` that is due. Those of a scrape with this `deadline` may be repeated if it leaves room.
pub fn start<'a>(targets: impl IntoIterator<Item = &'a Arc<Target>>, deadline: Instant) {
    let due: Vec<Due> = targets.into_iter().filter_map(Target::depart).collect();
    if !due.is_empty() {
        tokio::spawn(take_turns(due, deadline));
    }
}

/// Makes the requests that are due, target by target.
///
/// One task waits for the turn of each: a fleet's tasks would take more room than all that is known of it.
async fn take_turns(due: Vec<Due>, deadline: Instant) {
    for Due {
        target,
        journal,
        others,
    } in due
    {
        if let Some(departure) = journal {
            let permit = target.api.permit().await;
            tokio::spawn(
                departure.fly(move |previous, start| outgoing::fetch(target, permit, previous, start, deadline)),
            );
        }
        for fetching in others {
            tokio::spawn(fetching);
        }
    }
}

/// The fetches of a target that are due.
struct Due {
    target: Arc<Target>,
    journal: Option<Departure<Attempt<Outgoing>>>,
    /// Each waits for a turn of its own once it is spawned.
    others: Vec<Fetching>,
}

type Fetching = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all instances' requests have in common.
#[derive(Debug)]
pub struct Api {
    /// Makes the requests.
    pub client: Client,
    /// Keeps what is counted of the answers.
    pub books: Arc<Books>,
    /// Keeps what is counted of the journals of incoming statuses.
    pub incoming_books: Arc<Books>,
    /// Bounds how many are made at once.
    pub permits: Arc<Semaphore>,
    /// Tells when a journal was read.
    pub clock: Clock,
}

/// An instance that is collected.
pub struct Target {
    /// How it is configured.
    pub config: Arc<config::Instance>,
    api: Arc<Api>,
    outgoing: Arc<Flight<Attempt<Outgoing>>>,
    incoming: Option<Arc<OptionalFlight<BTreeMap<TypeMessage, u64>>>>,
    state: Option<Arc<OptionalFlight<StateInstance>>>,
    settings: Option<Arc<OptionalFlight<BTreeMap<Setting, bool>>>>,
    statistic: Option<Arc<Flight<Attempt<Statistic>>>>,
    contacts: Option<Arc<OptionalFlight<Contacts>>>,
    queue: Option<Arc<OptionalFlight<u64>>>,
}

/// What the requests to an instance have come to.
pub struct Findings {
    fetched: Arc<Fetched>,
    collected: Collected,
}

/// The flight of an optional collector: of what it found out when it last ran.
type OptionalFlight<T> = Flight<Attempt<Option<Run<T>>>>;

/// The latest value of something fetched, and how many requests in succession were rate limited.
#[derive(Debug, Clone, Default)]
struct Attempt<T> {
    value: T,
    rate_limited_in_a_row: u32,
}

impl<T> Attempt<T> {
    /// The landing of a fetch that began at `start`, asked last at `last_request`, and has just ended with `failure` or none.
    ///
    /// The next starts after `interval`, a second after the last request at the earliest, and not before the wait that
    /// the result prescribes is over.
    fn landing(
        value: T,
        rate_limited_in_a_row: u32,
        failure: Option<&Failure>,
        (start, last_request): (Instant, Instant),
        interval: Duration,
    ) -> Landing<Self> {
        let is_limited = failure.is_some_and(|failure| failure.result == FetchResult::RateLimited);
        let rate_limited_in_a_row = if is_limited { rate_limited_in_a_row + 1 } else { 0 };
        let wait = failure.map(|failure| failure.result.wait(failure.retry_after, rate_limited_in_a_row));
        let waited = wait.map_or(start, |wait| Instant::now() + wait);
        let next = (start + interval).max(last_request + SPACING).max(waited);
        Landing {
            value: Self {
                value,
                rate_limited_in_a_row,
            },
            fresh_for: next - start,
        }
    }
}

impl Target {
    /// An instance of which nothing is known yet but what its ledger tells.
    pub fn new(config: Arc<config::Instance>, api: Arc<Api>) -> Self {
        let fetched = Fetched {
            last_success: api.books.last_success(config.account.id),
            ..Fetched::nothing(api.clock.now())
        };
        Self::with(Arc::new(fetched), config, api)
    }

    /// The same instance, configured in another way: it keeps its counters, and what it knows until it is fetched anew.
    #[must_use]
    pub fn reconfigured(&self, config: Arc<config::Instance>, api: Arc<Api>) -> Self {
        Self::with(self.outgoing.latest().value.fetched, config, api)
    }

    fn with(fetched: Arc<Fetched>, config: Arc<config::Instance>, api: Arc<Api>) -> Self {
        fn optional<T: Clone + Default + Send + Sync + 'static>(is_on: bool) -> Option<Arc<Flight<Attempt<T>>>> {
            is_on.then(|| Flight::new(Attempt::default()))
        }
        let on = |collector| config.settings.collectors.contains(&collector);
        let now = api.clock.now();
        api.books.begin(config.account.id, now);
        if on(Collector::Incoming) {
            api.incoming_books.begin(config.account.id, now);
        }
        Self {
            outgoing: Flight::new(Attempt {
                value: Outgoing::new(fetched, on(Collector::Statistic)),
                rate_limited_in_a_row: 0,
            }),
            incoming: optional(on(Collector::Incoming)),
            state: optional(on(Collector::State)),
            settings: optional(on(Collector::Settings)),
            statistic: optional(on(Collector::Statistic)),
            contacts: optional(on(Collector::Contacts)),
            queue: optional(on(Collector::Queue)),
            config,
            api,
        }
    }

    /// Whether its requests are made through `api`.
    pub fn calls(&self, api: &Arc<Api>) -> bool {
        Arc::ptr_eq(&self.api, api)
    }

    /// Lets the journal be asked for again at once, whatever the wait after the latest answer.
    pub fn end_wait(&self) {
        self.outgoing.end_wait(SPACING);
    }

    /// Who it is.
    pub fn account(&self) -> &Account {
        &self.config.account
    }

    /// Its number.
    pub fn id(&self) -> InstanceId {
        self.config.account.id
    }

    /// The fetches that are due, if any are; all of them are under way from now on.
    fn depart(self: &Arc<Self>) -> Option<Due> {
        let journal = self.outgoing.depart_if_due();
        if journal.is_none() {
            debug!(instance = %self.account().name, "no request is due: served the latest result again");
        }
        let mut others = Vec::new();
        if let Some(departure) = self.incoming.as_ref().and_then(Flight::depart_if_due) {
            let target = self.clone();
            let fetching = departure.fly(move |previous, start| incoming::fetch(target, previous, start));
            others.push(Box::pin(fetching) as Fetching);
        }
        others.extend(self.depart_call(self.state.as_ref(), "getStateInstance", Duration::ZERO, answers::state));
        let settings = self.settings.as_ref();
        others.extend(self.depart_call(settings, "getSettings", SETTINGS_INTERVAL, answers::settings));
        let contacts = self.contacts.as_ref();
        others.extend(self.depart_call(contacts, "getContacts", CONTACTS_INTERVAL, answers::contacts));
        others.extend(self.depart_call(self.queue.as_ref(), "getMessagesCount", Duration::ZERO, answers::queue));
        (journal.is_some() || !others.is_empty()).then(|| Due {
            target: self.clone(),
            journal,
            others,
        })
    }

    fn depart_call<T: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        flight: Option<&Arc<OptionalFlight<T>>>,
        method: &'static str,
        interval: Duration,
        read: fn(&[u8]) -> Result<T, Failure>,
    ) -> Option<Fetching> {
        let departure = flight?.depart_if_due()?;
        let target = self.clone();
        let fetching =
            departure.fly(move |previous, start| call::fetch(target, previous, start, method, interval, read));
        Some(Box::pin(fetching))
    }

    /// What was found out once no request is under way, or at `deadline`; then what is still awaited has failed, since `asked`.
    pub async fn landed(self: &Arc<Self>, asked: Instant, deadline: Instant) -> Findings {
        let outgoing = self.outgoing.landed(deadline).await;
        if let Some(flight) = &self.statistic {
            // It asks for the statuses that the journal has, so it can only begin now.
            let (target, ids) = (self.clone(), self.outgoing.latest().value.ids());
            flight.start_if_due(move |previous, start| statistic::fetch(target, previous, start, ids));
        }
        let fetched = outgoing.map_or_else(
            || Arc::new(self.outgoing.latest().value.fetched.overdue(asked.elapsed())),
            |outgoing| outgoing.value.fetched,
        );
        let collected = Collected {
            incoming: landed(self.incoming.as_ref(), asked, deadline).await,
            state: landed(self.state.as_ref(), asked, deadline).await,
            settings: landed(self.settings.as_ref(), asked, deadline).await,
            // It makes one request a second for as long as its budget lasts, which no scrape waits for.
            statistic: self.statistic(),
            contacts: landed(self.contacts.as_ref(), asked, deadline).await,
            queue: landed(self.queue.as_ref(), asked, deadline).await,
        };
        Findings { fetched, collected }
    }

    /// What is known now, without asking.
    pub fn known(&self) -> snapshot::Instance {
        let collected = Collected {
            incoming: known(self.incoming.as_ref()),
            state: known(self.state.as_ref()),
            settings: known(self.settings.as_ref()),
            statistic: self.statistic(),
            contacts: known(self.contacts.as_ref()),
            queue: known(self.queue.as_ref()),
        };
        self.shown(Findings {
            fetched: self.outgoing.latest().value.fetched,
            collected,
        })
    }

    fn statistic(&self) -> Option<Box<Run<BTreeMap<StatusMessage, u64>>>> {
        let run = self.statistic.as_ref()?.latest().value.run();
        run.map(Box::new)
    }

    /// The instance as it is shown, with what has been counted of it by now: findings add to that once they are settled.
    pub fn shown(&self, Findings { fetched, collected }: Findings) -> snapshot::Instance {
        let incoming_books = self.incoming.as_ref().map(|_| &self.api.incoming_books);
        snapshot::Instance {
            account: self.account().clone(),
            window: self.config.settings.window,
            fetched,
            counted: self.api.books.counted(self.id()),
            counted_incoming: incoming_books.map(|books| books.counted(self.id())),
            collected,
        }
    }
}

impl Api {
    /// Waits until a request may be made. The permit is given back when dropped.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        // There always is one in the end: the semaphore is never closed.
        self.permits.clone().acquire_owned().await.ok()
    }
}

async fn landed<T: Clone + Send + Sync + 'static>(
    flight: Option<&Arc<OptionalFlight<T>>>,
    asked: Instant,
    deadline: Instant,
) -> Option<Box<Run<T>>> {
    let run = match flight?.landed(deadline).await {
        Some(attempt) => attempt.value?,
        None => Run {
            found: None,
            duration: asked.elapsed(),
        },
    };
    Some(Box::new(run))
}

fn known<T: Clone + Send + Sync + 'static>(flight: Option<&Arc<OptionalFlight<T>>>) -> Option<Box<Run<T>>> {
    flight?.latest().value.map(Box::new)
}

/// The API takes one request a second per instance and method (api.md 4).
const SPACING: Duration = Duration::from_secs(1);

/// Settings change seldom and take up to 5 minutes to apply (api.md 2.6).
const SETTINGS_INTERVAL: Duration = Duration::from_mins(1);

/// The Developer plan allows 1,000 requests a month: one in 44 minutes (api.md 4).
const CONTACTS_INTERVAL: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after a fetch began the next may begin, if it asked at once and its last request failed with `failure`.
    fn next(failure: Option<&Failure>, limited_before: u32, interval: Duration) -> Duration {
        let start = Instant::now();
        Attempt::landing((), limited_before, failure, (start, start), interval).fresh_for
    }

    fn failure(result: FetchResult, retry_after: Option<u64>) -> Failure {
        Failure::of_status(result, 0, retry_after.map(Duration::from_secs))
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_waits_as_the_result_prescribes_and_never_less_than_a_second() {
        let check = |result, retry_after, limited_before, seconds| {
            let failure = failure(result, retry_after);
            let next = next(Some(&failure), limited_before, Duration::ZERO);
            assert_eq!(
                next,
                Duration::from_secs(seconds),
                "{result:?} {retry_after:?} {limited_before}"
            );
        };
        check(FetchResult::Unauthorized, None, 0, 60);
        check(FetchResult::Forbidden, None, 0, 60);
        check(FetchResult::RateLimited, None, 0, 2);
        check(FetchResult::RateLimited, None, 1, 4);
        check(FetchResult::RateLimited, None, 4, 32);
        check(FetchResult::RateLimited, None, 5, 60);
        check(FetchResult::RateLimited, None, u32::MAX - 1, 60);
        check(FetchResult::RateLimited, Some(7), 3, 7);
        check(FetchResult::RateLimited, Some(0), 0, 1);
        check(FetchResult::RateLimited, Some(86_400), 0, 3600);
        check(FetchResult::NotAuthorized, None, 0, 1);
        check(FetchResult::ServerError, Some(30), 0, 1);
        assert_eq!(next(None, 3, Duration::ZERO), SPACING);
    }

    #[tokio::test(start_paused = true)]
    async fn the_configured_interval_holds_where_it_is_longer() {
        let interval = Duration::from_mins(2);
        assert_eq!(next(None, 0, interval), interval);
        assert_eq!(
            next(Some(&failure(FetchResult::Forbidden, None)), 0, interval),
            interval
        );
    }
}
