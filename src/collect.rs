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
use tracing::{debug, info, warn};

use crate::account::{Account, InstanceId};
use crate::books::Both;
use crate::clock::Clock;
use crate::collector::{Collected, Collector, Contacts, Run, Setting, StateInstance};
use crate::config;
use crate::fetch::FetchResult;
use crate::flight::{Departure, Flight, Landing};
use crate::green_api::failure::Failure;
use crate::green_api::{Client, SPACING, answers};
use crate::journal::{StatusMessage, TypeMessage};
use crate::label::LabelValue;
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
    /// Keep what is counted of the answers.
    pub books: Both,
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

/// The latest value of something fetched, and what the next fetch must know of the requests before it.
#[derive(Debug, Clone, Default)]
struct Attempt<T> {
    value: T,
    /// How many requests in succession were rate limited.
    rate_limited_in_a_row: u32,
    last_request: Option<Instant>,
}

/// When a fetch began, which may have waited for its turn, and when it made its last request.
#[derive(Debug, Clone, Copy)]
struct Asked {
    start: Instant,
    last: Instant,
}

impl<T> Attempt<T> {
    /// Waits until a second after the last request. That second may not be over yet if a reload ended the wait.
    async fn spaced(&self) {
        if let Some(next) = self.last_request.map(|last| last + SPACING)
            && next > Instant::now()
        {
            tokio::time::sleep_until(next).await;
        }
    }

    /// The landing, with `value`, of the fetch after this one, which has just ended with `failure` or none.
    ///
    /// The next starts once all of these are over: `min_interval` from this one's start, `spacing` from its last request (which not even a
    /// reload shortens), and the wait that the result prescribes. After a failure `spacing` is cut to `LONGEST_RETRY`, because there is
    /// nothing to show until the next attempt.
    fn landing(
        &self,
        value: T,
        failure: Option<&Failure>,
        asked: Asked,
        spacing: Duration,
        min_interval: Duration,
    ) -> Landing<Self> {
        let is_limited = failure.is_some_and(|failure| failure.result == FetchResult::RateLimited);
        let rate_limited_in_a_row = if is_limited { self.rate_limited_in_a_row + 1 } else { 0 };
        let (earliest, spaced, waited) = match failure {
            // The second is waited for by the fetch itself.
            None => (asked.last + spacing - SPACING, asked.last + spacing, asked.last),
            Some(failure) => {
                let wait = failure.result.wait(failure.retry_after, rate_limited_in_a_row);
                let spaced = asked.last + spacing.min(LONGEST_RETRY);
                (asked.last, spaced, Instant::now() + wait)
            }
        };
        Landing {
            value: Self {
                value,
                rate_limited_in_a_row,
                last_request: Some(asked.last),
            },
            due: (asked.start + min_interval).max(spaced).max(waited),
            earliest,
        }
    }
}

impl<T> Attempt<Option<Run<T>>> {
    /// The landing of an optional collector's next run, which made one request, with what it came to.
    fn ran(
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
        log_collector(target, method, Run::has_failed(self.value.as_ref()), failure.as_ref());
        let min_interval = target.config.settings.min_interval;
        self.landing(
            Some(Run { found, duration }),
            failure.as_ref(),
            asked,
            spacing,
            min_interval,
        )
    }
}

impl Target {
    /// An instance of which nothing is known yet but what its ledger tells.
    pub fn new(config: Arc<config::Instance>, api: Arc<Api>) -> Self {
        fn optional<T: Clone + Default + Send + Sync + 'static>(is_on: bool) -> Option<Arc<Flight<Attempt<T>>>> {
            is_on.then(|| Flight::new(Attempt::default()))
        }
        let on = |collector| config.settings.collectors.contains(&collector);
        let (id, now) = (config.account.id, api.clock.now());
        api.books.outgoing.begin(id, now);
        if on(Collector::Incoming) {
            api.books.incoming.begin(id, now);
        }
        let fetched = Fetched {
            last_success: api.books.outgoing.last_success(id),
            ..Fetched::nothing(now)
        };
        Self {
            outgoing: Flight::new(Attempt {
                value: Outgoing::new(fetched),
                rate_limited_in_a_row: 0,
                last_request: None,
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

    /// The same instance, configured in another way. It keeps what it knows, what it has counted, and the requests that are under
    /// way: there may be no two at once.
    #[must_use]
    pub fn reconfigured(&self, config: Arc<config::Instance>, api: Arc<Api>) -> Self {
        fn kept<T: Clone>(next: Option<T>, before: Option<&T>) -> Option<T> {
            next.map(|next| before.cloned().unwrap_or(next))
        }
        let next = Self::new(config, api);
        Self {
            outgoing: self.outgoing.clone(),
            incoming: kept(next.incoming, self.incoming.as_ref()),
            state: kept(next.state, self.state.as_ref()),
            settings: kept(next.settings, self.settings.as_ref()),
            statistic: kept(next.statistic, self.statistic.as_ref()),
            contacts: kept(next.contacts, self.contacts.as_ref()),
            queue: kept(next.queue, self.queue.as_ref()),
            ..next
        }
    }

    /// Whether its requests are made through `api`.
    pub fn calls(&self, api: &Arc<Api>) -> bool {
        Arc::ptr_eq(&self.api, api)
    }

    /// Ends the waits after the latest answers: the journal and all that failed may be asked for again at once.
    pub fn end_wait(&self) {
        fn end_wait<T: Clone + Send + Sync + 'static>(flight: Option<&Arc<Flight<T>>>) {
            if let Some(flight) = flight {
                flight.end_wait();
            }
        }
        self.outgoing.end_wait();
        end_wait(self.incoming.as_ref());
        end_wait(self.state.as_ref());
        end_wait(self.settings.as_ref());
        end_wait(self.statistic.as_ref());
        end_wait(self.contacts.as_ref());
        end_wait(self.queue.as_ref());
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
        others.extend(self.depart_call(self.state.as_ref(), "getStateInstance", SPACING, answers::state));
        let settings = self.settings.as_ref();
        others.extend(self.depart_call(settings, "getSettings", SETTINGS_SPACING, answers::settings));
        let contacts = self.contacts.as_ref();
        others.extend(self.depart_call(contacts, "getContacts", CONTACTS_SPACING, answers::contacts));
        others.extend(self.depart_call(self.queue.as_ref(), "getMessagesCount", SPACING, answers::queue));
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
        spacing: Duration,
        read: fn(&[u8]) -> Result<T, Failure>,
    ) -> Option<Fetching> {
        let departure = flight?.depart_if_due()?;
        let target = self.clone();
        let fetching =
            departure.fly(move |previous, start| call::fetch(target, previous, start, method, spacing, read));
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
        let incoming_books = self.incoming.as_ref().map(|_| &self.api.books.incoming);
        snapshot::Instance {
            account: self.account().clone(),
            window: self.config.settings.window,
            fetched,
            counted: self.api.books.outgoing.counted(self.id()),
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

/// Tells people that an optional collector, by its method, has begun or ceased to fail; that it still does is for those who look
/// closely.
fn log_collector(target: &Target, method: &str, has_failed_before: bool, failure: Option<&Failure>) {
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

/// Settings change seldom and take up to 5 minutes to apply (api.md 2.6).
const SETTINGS_SPACING: Duration = Duration::from_mins(1);

/// The Developer plan allows 1,000 requests a month: one in 44 minutes (api.md 4).
const CONTACTS_SPACING: Duration = Duration::from_hours(1);

/// The most of a method's own spacing that counts after a failure: what it would tell is missing until it succeeds.
const LONGEST_RETRY: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Credentials;
    use crate::config::{Settings, TokenSource};
    use crate::simulator::{SimInstance, Simulator, World};

    /// How long after a fetch the next may begin, and how long if the wait is ended. It asked at once, after so many that were rate
    /// limited, and failed with `failure`.
    fn next(
        failure: Option<&Failure>,
        limited_before: u32,
        spacing: Duration,
        min_interval: Duration,
    ) -> [Duration; 2] {
        let start = Instant::now();
        let previous = Attempt {
            value: (),
            rate_limited_in_a_row: limited_before,
            last_request: None,
        };
        let landing = previous.landing((), failure, Asked { start, last: start }, spacing, min_interval);
        [landing.due - start, landing.earliest - start]
    }

    fn failure(result: FetchResult, retry_after: Option<u64>) -> Failure {
        Failure {
            result,
            cause: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
            is_transient: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_waits_as_the_result_prescribes_and_never_less_than_a_second() {
        let check = |result, retry_after, limited_before, seconds| {
            let failure = failure(result, retry_after);
            let next = next(Some(&failure), limited_before, SPACING, Duration::ZERO);
            assert_eq!(
                next,
                [Duration::from_secs(seconds), Duration::ZERO],
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
        assert_eq!(next(None, 3, SPACING, Duration::ZERO), [SPACING, Duration::ZERO]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_configured_interval_and_the_methods_own_hold_where_they_are_longer() {
        let forbidden = failure(FetchResult::Forbidden, None);
        let check = |failure, spacing, min_interval, expected: [Duration; 2]| {
            assert_eq!(
                next(failure, 0, spacing, min_interval),
                expected,
                "{spacing:?} {min_interval:?}"
            );
        };
        let short_of_an_hour = Duration::from_secs(3599);
        let (minutes, hour, at_once) = (Duration::from_mins, Duration::from_hours(1), Duration::ZERO);
        check(None, SPACING, minutes(2), [minutes(2), at_once]);
        check(Some(&forbidden), SPACING, minutes(2), [minutes(2), at_once]);
        check(None, hour, minutes(2), [hour, short_of_an_hour]);
        check(None, hour, 2 * hour, [2 * hour, short_of_an_hour]);
        check(Some(&forbidden), hour, minutes(2), [minutes(5), at_once]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_interval_counts_from_the_start_the_spacing_from_the_last_request_and_a_wait_from_the_end() {
        let seconds = Duration::from_secs;
        let forbidden = failure(FetchResult::Forbidden, None);
        let server_error = failure(FetchResult::ServerError, None);
        let check = async |failure, spacing, min_interval, expected: [u64; 2]| {
            let start = Instant::now();
            let last = start + seconds(5);
            tokio::time::advance(seconds(8)).await;
            let (spacing, min_interval) = (seconds(spacing), seconds(min_interval));
            let landing = Attempt::default().landing((), failure, Asked { start, last }, spacing, min_interval);
            let next = [landing.due - start, landing.earliest - start];
            assert_eq!(next, expected.map(seconds), "{failure:?} {spacing:?} {min_interval:?}");
            assert_eq!(landing.value.last_request, Some(last));
        };
        check(None, 1, 0, [6, 5]).await;
        check(None, 1, 10, [10, 5]).await;
        check(None, 60, 10, [65, 64]).await;
        check(Some(&server_error), 1, 0, [8, 5]).await;
        check(Some(&server_error), 60, 10, [65, 5]).await;
        check(Some(&server_error), 3600, 10, [305, 5]).await;
        check(Some(&forbidden), 1, 10, [68, 5]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_rate_limited_itself_goes_on_with_a_row_of_rate_limited_requests() {
        let check = |result: Option<FetchResult>, expected| {
            let previous = Attempt {
                rate_limited_in_a_row: 3,
                ..Attempt::default()
            };
            let (now, failure) = (Instant::now(), result.map(|result| failure(result, None)));
            let asked = Asked { start: now, last: now };
            let landing = previous.landing((), failure.as_ref(), asked, SPACING, Duration::ZERO);
            assert_eq!(landing.value.rate_limited_in_a_row, expected, "{result:?}");
        };
        check(Some(FetchResult::RateLimited), 4);
        check(Some(FetchResult::ServerError), 0);
        check(None, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn state_and_queue_are_asked_for_again_after_a_second_settings_after_a_minute_contacts_after_an_hour() {
        let world = World::new(7, Clock::system(), [SimInstance::new(1_101_000_001.into())]);
        let simulator = Simulator::new(world);
        let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
        let check = async |collector, spacing: Duration| {
            let api = Api {
                client: Client::new(1_000_000, 1, Clock::system()).unwrap(),
                books: Both::default(),
                permits: Arc::new(Semaphore::new(1)),
                clock: Clock::system(),
            };
            let config = config::Instance {
                account: Account {
                    id: login.id,
                    name: "shop".into(),
                },
                credentials: Credentials {
                    api_url: url.parse().unwrap(),
                    token: login.token.parse().unwrap(),
                },
                token_source: TokenSource::Inline,
                settings: Arc::new(Settings {
                    min_interval: Duration::ZERO,
                    collectors: [collector].into(),
                    ..Settings::default()
                }),
            };
            let target = Arc::new(Target::new(config.into(), Arc::new(api)));
            let due = || target.depart().unwrap().others;
            // A paused clock stands still for as long as something blocks: here, until the answer has come.
            let (answered, answer) = std::sync::mpsc::channel::<()>();
            let blocking = tokio::task::spawn_blocking(move || answer.recv());
            for fetching in due() {
                fetching.await;
            }
            drop(answered);
            assert!(blocking.await.unwrap().is_err(), "nothing is ever sent");
            let a_moment = Duration::from_millis(1);
            tokio::time::advance(spacing.saturating_sub(a_moment)).await;
            assert_eq!(due().len(), 0, "{collector:?} is due before {spacing:?}");
            tokio::time::advance(a_moment).await;
            assert_eq!(due().len(), 1, "{collector:?} is not due after {spacing:?}");
        };
        check(Collector::State, Duration::from_secs(1)).await;
        check(Collector::Queue, Duration::from_secs(1)).await;
        check(Collector::Settings, Duration::from_mins(1)).await;
        check(Collector::Contacts, Duration::from_hours(1)).await;
    }
}
