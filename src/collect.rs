//! Collects one instance: which requests are made, how often, and what is shown when they are late.

mod call;
mod incoming;
mod optional;
mod outgoing;
mod permits;
mod reading;
mod requests;
mod statistic;

use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use crate::account::{Account, InstanceId};
use crate::books::AllBooks;
use crate::clock::Clock;
use crate::collector::{ByType, Collected, Collector, Contacts, EnabledSettings, Recipients, Run, StateInstance};
use crate::config;
use crate::flight::{Departure, Flight};
use crate::green_api::{Client, SPACING};
use crate::label::LabelValue;
use crate::snapshot::{self, Fetched};

use self::optional::{Optional, OptionalRun};
use self::outgoing::Outgoing;
pub use self::permits::Permits;
use self::requests::Paced;
use self::statistic::Statistic;

/// Starts every request of `targets` that is due. Those of a scrape with this `deadline` may be repeated if it leaves room.
pub fn start<'a>(targets: impl IntoIterator<Item = &'a Arc<Target>>, deadline: Instant) {
    let due = targets.into_iter().filter_map(|target| target.depart(deadline));
    let (mut slow, quick): (Vec<Due>, Vec<Due>) = due.partition(Due::is_slow);
    // What else is asked of an instance may be answered at once, and tell why its journal isn't.
    for fetching in slow.iter_mut().flat_map(|due| due.others.drain(..)) {
        tokio::spawn(fetching);
    }
    // One that was slow but once is more likely to be quick again.
    slow.sort_by_key(|due| due.slow_in_a_row);
    for due in [quick, slow] {
        if !due.is_empty() {
            tokio::spawn(take_turns(due, deadline));
        }
    }
}

/// Makes the requests that are due, target by target, all of which are slow or none.
///
/// One task waits for the turn of each: a fleet's tasks would take more room than all that is known of it.
async fn take_turns(due: Vec<Due>, deadline: Instant) {
    let Some(first) = due.first() else { return };
    let (api, is_slow) = (first.target.api.clone(), first.is_slow());
    let _turn = api.permits.turn(is_slow).await;
    for Due {
        target,
        journal,
        others,
        ..
    } in due
    {
        if let Some(departure) = journal {
            let permit = api.permits.permit(is_slow).await;
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
    /// How many times in succession the journal took long.
    slow_in_a_row: u32,
    journal: Option<Departure<Paced<Outgoing>>>,
    /// Each waits for a turn of its own once it is spawned.
    others: Vec<Fetching>,
}

impl Due {
    fn is_slow(&self) -> bool {
        self.slow_in_a_row > 0
    }
}

type Fetching = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all instances' requests have in common.
#[derive(Debug)]
pub struct Api {
    /// Makes the requests.
    pub client: Client,
    /// Keep what is counted of the answers.
    pub books: AllBooks,
    /// Bound how many are made at once.
    pub permits: Permits,
    /// Tells when a journal was read.
    pub clock: Clock,
}

/// An instance that is collected.
pub struct Target {
    /// How it is configured.
    pub config: Arc<config::Instance>,
    api: Arc<Api>,
    outgoing: Arc<Flight<Paced<Outgoing>>>,
    incoming: OptionalRun<ByType>,
    state: OptionalRun<StateInstance>,
    settings: OptionalRun<EnabledSettings>,
    statistic: Optional<Statistic>,
    contacts: OptionalRun<Contacts>,
    queue: OptionalRun<u64>,
}

/// What the requests to an instance have come to.
pub struct Findings {
    fetched: Arc<Fetched>,
    collected: Collected,
}

impl Target {
    /// An instance of which nothing is known yet but what its ledger tells.
    pub fn new(config: Arc<config::Instance>, api: Arc<Api>) -> Self {
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
            outgoing: Flight::new(Paced::of(Outgoing::new(fetched))),
            incoming: Optional::new(on(Collector::Incoming)),
            state: Optional::new(on(Collector::State)),
            settings: Optional::new(on(Collector::Settings)),
            statistic: Optional::new(on(Collector::Statistic)),
            contacts: Optional::new(on(Collector::Contacts)),
            queue: Optional::new(on(Collector::Queue)),
            config,
            api,
        }
    }

    /// The same instance, configured in another way. It keeps what it knows, what it has counted, and the requests that are under
    /// way: there may be no two at once.
    #[must_use]
    pub fn reconfigured(&self, config: Arc<config::Instance>, api: Arc<Api>) -> Self {
        let has_same_credentials = self.config.credentials == config.credentials;
        let next = Self::new(config, api);
        let next = Self {
            outgoing: self.outgoing.clone(),
            incoming: next.incoming.after(&self.incoming),
            state: next.state.after(&self.state),
            settings: next.settings.after(&self.settings),
            statistic: next.statistic.after(&self.statistic),
            contacts: next.contacts.after(&self.contacts),
            queue: next.queue.after(&self.queue),
            config: next.config,
            api: next.api,
        };
        if !has_same_credentials {
            // Another token may be right where the one before was refused.
            next.end_wait();
        }
        next
    }

    /// Whether its requests are made through `api`.
    pub fn calls(&self, api: &Arc<Api>) -> bool {
        Arc::ptr_eq(&self.api, api)
    }

    /// Ends the waits after the latest answers: the journal and all that failed may be asked for again at once.
    pub fn end_wait(&self) {
        self.outgoing.end_wait();
        self.incoming.end_wait();
        self.state.end_wait();
        self.settings.end_wait();
        self.statistic.end_wait();
        self.contacts.end_wait();
        self.queue.end_wait();
    }

    /// Who it is.
    pub fn account(&self) -> &Account {
        &self.config.account
    }

    /// Its number.
    pub fn id(&self) -> InstanceId {
        self.config.account.id
    }

    /// Whether no request is under way or has to wait, not even for the second after the one before.
    pub fn is_idle(&self) -> bool {
        self.outgoing.is_idle(SPACING)
            && self.incoming.is_idle()
            && self.state.is_idle()
            && self.settings.is_idle()
            && self.statistic.is_idle()
            && self.contacts.is_idle()
            && self.queue.is_idle()
    }

    /// The fetches that are due, if any are; all of them are under way from now on, for a scrape with this `deadline`.
    fn depart(self: &Arc<Self>, deadline: Instant) -> Option<Due> {
        let journal = self.outgoing.depart_if_due();
        let latest = self.outgoing.latest();
        if journal.is_none() {
            debug!(
                instance = %self.account().name,
                latest = latest.value.fetched.latest.map(|fetch| fetch.result.as_str()),
                "no new request: one is under way, or the latest result is served until the next is due"
            );
        }
        let others = [
            self.incoming.depart(self, deadline, incoming::run),
            call::STATE.depart(&self.state, self, deadline),
            call::SETTINGS.depart(&self.settings, self, deadline),
            call::CONTACTS.depart(&self.contacts, self, deadline),
            call::QUEUE.depart(&self.queue, self, deadline),
        ];
        let others: Vec<_> = others.into_iter().flatten().collect();
        (journal.is_some() || !others.is_empty()).then(|| Due {
            target: self.clone(),
            slow_in_a_row: latest.slow_in_a_row,
            journal,
            others,
        })
    }

    /// What was found out once every request that was under way at `asked` has landed, or at `deadline`; then what is still awaited has
    /// failed. What can only be asked for once the journal is read begins then.
    pub async fn landed(self: &Arc<Self>, asked: Instant, deadline: Instant) -> Findings {
        let outgoing = self.outgoing.landed(asked, deadline).await;
        self.start_statistic();
        let fetched = outgoing.map_or_else(
            || Arc::new(self.outgoing.latest().value.fetched.overdue(asked.elapsed())),
            |outgoing| outgoing.value.fetched,
        );
        let collected = Collected {
            incoming: self.incoming.landed(asked, deadline).await,
            state: self.state.landed(asked, deadline).await,
            settings: self.settings.landed(asked, deadline).await,
            // It makes one request a second for as long as its budget lasts, which no scrape waits for.
            statistic: self.recipients(),
            contacts: self.contacts.landed(asked, deadline).await,
            queue: self.queue.landed(asked, deadline).await,
        };
        Findings { fetched, collected }
    }

    /// Starts asking for the recipients of the statuses that the journal has, if that is due and the journal was read once.
    fn start_statistic(self: &Arc<Self>) {
        if let (Some(flight), Some(ids)) = (self.statistic.flight(), self.outgoing.latest().value.ids) {
            let target = self.clone();
            flight.start_if_due(move |previous, start| statistic::run(target, previous, start, ids));
        }
    }

    /// What is known now, without asking.
    pub fn known(&self) -> snapshot::Instance {
        let collected = Collected {
            incoming: self.incoming.known(),
            state: self.state.known(),
            settings: self.settings.known(),
            statistic: self.recipients(),
            contacts: self.contacts.known(),
            queue: self.queue.known(),
        };
        self.shown(Findings {
            fetched: self.outgoing.latest().value.fetched,
            collected,
        })
    }

    fn recipients(&self) -> Option<Box<Run<Recipients>>> {
        let run = self.statistic.flight()?.latest().value.run();
        run.map(Box::new)
    }

    /// The instance as it is shown, with what has been counted of it by now: findings add to that once they are settled.
    pub fn shown(&self, Findings { fetched, collected }: Findings) -> snapshot::Instance {
        let incoming_books = self.incoming.is_on().then_some(&self.api.books.incoming);
        snapshot::Instance {
            account: self.account().clone(),
            window: self.config.settings.window,
            fetched,
            ledger: self.api.books.outgoing.view(self.id()),
            incoming_ledger: incoming_books.map(|books| books.view(self.id())),
            collected,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::account::Credentials;
    use crate::clock::unix_seconds;
    use crate::config::{Settings, TokenSource};
    use crate::green_api::JournalMethod;
    use crate::green_api::failure::Failure;
    use crate::journal::StatusMessage;
    use crate::simulator::{Behaviour, SimInstance, SimStatus, Simulator, World};

    fn api() -> Arc<Api> {
        api_at(Clock::system())
    }

    fn api_at(clock: Clock) -> Arc<Api> {
        Arc::new(Api {
            client: Client::new(1_000_000, 1, clock.clone()).unwrap(),
            books: AllBooks::default(),
            permits: Permits::new(1),
            clock,
        })
    }

    /// A target with these collectors whose API is simulated and has published a status.
    fn simulated(behaviour: Behaviour, collectors: &[Collector]) -> (Simulator, Arc<Target>) {
        let site = SimInstance::new(1_101_000_001.into()).behaving(behaviour);
        // Some tests leave out the second between two requests.
        let world = World {
            limits: None,
            ..World::new(7, Clock::system(), [site])
        };
        let simulator = Simulator::new(world);
        let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
        let status = SimStatus::new("a", unix_seconds(Clock::system().now()));
        simulator.set_journal(login.id, vec![status]).unwrap();
        let config = instance(&url, login.id, &login.token, collectors);
        let target = Arc::new(Target::new(config, api()));
        (simulator, target)
    }

    /// A target that is never asked over the network.
    fn unasked() -> Target {
        let config = instance("http://api.example", 1_101_000_001.into(), "a", &[]);
        Target::new(config, api())
    }

    /// A request that takes so long.
    async fn taking(time: Duration) -> Result<(), Failure> {
        tokio::time::sleep(time).await;
        Ok(())
    }

    /// Lets every request of `target` that is due come to its end.
    async fn run(target: &Arc<Target>) {
        let deadline = Instant::now() + Duration::from_mins(1);
        start([target], deadline);
        target.landed(Instant::now(), deadline).await;
        if let Some(statistic) = target.statistic.flight() {
            statistic.landed(Instant::now(), deadline).await.unwrap();
        }
    }

    /// The configuration of an instance without a least interval.
    fn instance(api_url: &str, id: InstanceId, token: &str, collectors: &[Collector]) -> Arc<config::Instance> {
        Arc::new(config::Instance {
            account: Account {
                id,
                name: "shop".into(),
            },
            credentials: Credentials {
                api_url: api_url.parse().unwrap(),
                token: token.parse().unwrap(),
            },
            token_source: TokenSource::Inline,
            settings: Arc::new(Settings {
                min_interval: Duration::ZERO,
                collectors: collectors.iter().copied().collect(),
                ..Settings::default()
            }),
        })
    }

    #[tokio::test]
    async fn another_token_ends_the_wait_after_a_refusal_and_the_same_one_does_not() {
        let world = World::new(7, Clock::system(), [SimInstance::new(1_101_000_001.into())]);
        let simulator = Simulator::new(world);
        let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
        let with_token = |token| instance(&url, login.id, token, &[]);
        let deadline = Instant::now() + Duration::from_mins(1);
        let refused = Arc::new(Target::new(with_token("wrong"), api()));
        start([&refused], deadline);
        let findings = refused.landed(Instant::now(), deadline).await;
        assert_eq!(refused.shown(findings).up(), Some(false));
        let is_due = |token| {
            let next = refused.reconfigured(with_token(token), refused.api.clone());
            Arc::new(next).depart(deadline).is_some()
        };
        assert!(!is_due("wrong"), "a refusal is waited after for a minute");
        assert!(is_due(&login.token));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_arrives_a_second_after_the_one_before_however_long_that_took_to_arrive() {
        let target = unasked();
        let start = Instant::now();
        let mut requests = Paced::of(()).requests(start).until(start + Duration::from_mins(1));
        let arrivals = std::cell::RefCell::new(Vec::new());
        let request = || async {
            if arrivals.borrow().is_empty() {
                tokio::time::advance(Duration::from_millis(300)).await;
            }
            arrivals.borrow_mut().push(Instant::now());
            Err::<(), _>(Failure::of_answer(502, b"", None))
        };
        let outcome = requests.make(&target, "getOutgoingStatuses", request).await;
        assert!(outcome.is_err());
        let [first, second] = arrivals.borrow()[..] else {
            panic!("not two requests")
        };
        assert!(second - first >= Duration::from_secs(1), "{:?}", second - first);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_of_a_fetch_is_made_a_second_after_the_last_answer_to_the_fetch_before() {
        let (target, before) = (unasked(), Paced::of(()));
        let mut requests = before.requests(Instant::now());
        let slow = || taking(Duration::from_millis(300));
        requests.make(&target, "getOutgoingStatuses", slow).await.unwrap();
        let answered = Instant::now();
        let landing = before.landing((), None, &requests, Duration::from_secs(1), Duration::ZERO);
        tokio::time::sleep_until(landing.due).await;
        let mut requests = landing.value.requests(landing.due);
        let made = requests.make(&target, "getOutgoingStatuses", || async { Ok(Instant::now()) });
        assert_eq!(made.await.unwrap() - answered, Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_lets_a_second_pass_before_asking_again_takes_nobodys_turn_meanwhile() {
        let target = unasked();
        let mut requests = Paced::of(()).requests(Instant::now());
        let request = || async { Err::<(), _>(Failure::of_answer(502, b"", None)) };
        let meanwhile = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            tokio::time::timeout(Duration::from_millis(1), target.api.permits.permit(false))
                .await
                .is_ok()
        };
        let made = requests.make(&target, "getOutgoingStatuses", request);
        let (outcome, is_free) = tokio::join!(made, meanwhile);
        assert!(outcome.is_err());
        assert!(is_free);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_takes_as_long_as_its_requests_and_not_as_long_as_it_waits_for_its_turn() {
        let target = unasked();
        let mut requests = Paced::of(()).requests(Instant::now());
        let turn = target.api.permits.permit(false).await;
        let others = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(turn);
        };
        let request = || taking(Duration::from_secs(2));
        let made = requests.make(&target, "getOutgoingStatuses", request);
        let (outcome, ()) = tokio::join!(made, others);
        assert!(outcome.is_ok());
        assert_eq!(requests.duration(), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn an_answer_reaches_back_from_when_it_came_and_not_from_when_it_was_asked_for() {
        let (simulator, _) = simulated(Behaviour::Healthy, &[]);
        let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
        // A minute passes whenever somebody looks.
        let seconds = AtomicU64::new(1_700_000_000);
        let clock = Clock::new(move || {
            let seconds = seconds.fetch_add(60, Ordering::Relaxed);
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        });
        let target = Target::new(instance(&url, login.id, &login.token, &[]), api_at(clock));
        let books = &target.api.books.outgoing;
        let reading = reading::read(&target, JournalMethod::Outgoing, books, |_| ())
            .await
            .unwrap();
        let day = 24 * 3600;
        assert_eq!(reading.journal.since() + day, unix_seconds(reading.asked_at) + 60);
    }

    #[tokio::test]
    async fn what_every_collector_found_is_known_to_the_instance_as_it_is_configured_next() {
        let (_simulator, target) = simulated(Behaviour::Healthy, Collector::ALL);
        run(&target).await;
        let found = target.known().collected;
        assert!(found.runs().iter().all(|(_, succeeded, _)| *succeeded), "{found:?}");
        assert_eq!(found.runs().len(), Collector::ALL.len() - 1, "{found:?}");
        let next = target.reconfigured(target.config.clone(), target.api.clone());
        assert_eq!(next.known().collected, found);
    }

    #[tokio::test]
    async fn an_instance_waits_for_each_of_its_collectors_until_the_wait_is_ended() {
        for collector in Collector::ALL {
            let (simulator, target) = simulated(Behaviour::Unauthorized, &[*collector]);
            // Without a journal nobody asks for the recipients.
            let next = [Behaviour::Healthy]
                .into_iter()
                .filter(|_| *collector == Collector::Statistic);
            simulator.set_next_behaviours(target.id(), next).unwrap();
            run(&target).await;
            if *collector != Collector::Outgoing {
                target.outgoing.end_wait();
            }
            assert!(!target.is_idle(), "{collector:?}");
            target.end_wait();
            tokio::time::pause();
            tokio::time::advance(SPACING).await;
            assert!(target.is_idle(), "{collector:?}");
            tokio::time::resume();
        }
    }

    #[tokio::test]
    async fn the_least_interval_holds_for_the_optional_collectors_too() {
        let (_simulator, target) = simulated(Behaviour::Healthy, &[]);
        let settings = Settings {
            min_interval: Duration::from_hours(1),
            ..(*target.config.settings).clone()
        };
        let config = config::Instance {
            settings: Arc::new(settings),
            ..(*target.config).clone()
        };
        let target = Arc::new(target.reconfigured(config.into(), target.api.clone()));
        let (start, hour) = (Instant::now(), Duration::from_hours(1));
        let deadline = start + hour;
        let state = call::STATE.run(target.clone(), Paced::default(), start, deadline);
        let incoming = incoming::run(target.clone(), Paced::default(), start, deadline);
        let statistic = statistic::run(target.clone(), Paced::default(), start, Arc::from(["a".into()]));
        let due = [state.await.due, incoming.await.due, statistic.await.due];
        assert_eq!(due.map(|due| due - start), [hour; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn state_and_queue_are_asked_for_again_after_a_second_settings_after_a_minute_contacts_after_an_hour() {
        let world = World::new(7, Clock::system(), [SimInstance::new(1_101_000_001.into())]);
        let simulator = Simulator::new(world);
        let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
        let check = async |collector, spacing: Duration| {
            let target = Arc::new(Target::new(instance(&url, login.id, &login.token, &[collector]), api()));
            let due = || target.depart(Instant::now()).unwrap().others;
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

    /// What a turn of asking for the recipients of `ids` comes to after `previous`.
    async fn turn(target: &Arc<Target>, previous: Statistic, ids: &[&str]) -> Statistic {
        let ids = ids.iter().map(|id| (*id).into()).collect();
        let landing = statistic::run(target.clone(), Paced::of(previous), Instant::now(), ids).await;
        landing.value.value
    }

    #[tokio::test]
    async fn recipients_are_asked_for_in_turn_and_those_of_a_status_that_is_gone_are_forgotten() {
        let (simulator, target) = simulated(Behaviour::Healthy, &[]);
        let status = SimStatus {
            status_message: StatusMessage::Sent,
            participants: SimStatus::people(3),
            ..SimStatus::new("a", unix_seconds(Clock::system().now()))
        };
        simulator.set_journal(target.id(), vec![status]).unwrap();
        let found = |statistic: &Statistic| statistic.clone().run().unwrap().found;
        let first = turn(&target, Statistic::default(), &["a"]).await;
        let three = Recipients::from([(StatusMessage::Sent, 3)]);
        assert_eq!(found(&first), Some(three));
        // It is another's turn, and nobody knows what is true after a failure.
        simulator
            .set_next_behaviours(target.id(), [Behaviour::ServerError])
            .unwrap();
        let failed = turn(&target, first, &["a", "b"]).await;
        assert_eq!(found(&failed), None);
        let received = simulator.received(target.id()).unwrap();
        assert!(
            received.last().unwrap().target.ends_with("?idMessage=b"),
            "{received:?}"
        );
        let last = turn(&target, failed, &["b"]).await;
        assert_eq!(found(&last), Some(Recipients::new()));
    }

    #[tokio::test]
    async fn recipients_are_asked_for_while_the_journal_cannot_be_read() {
        let (simulator, target) = simulated(Behaviour::Healthy, &[Collector::Statistic]);
        run(&target).await;
        simulator.set_behaviour(target.id(), Behaviour::ServerError).unwrap();
        let known = Paced::of(target.outgoing.latest().value);
        let now = Instant::now();
        let failed = outgoing::fetch(
            target.clone(),
            target.api.permits.permit(false).await,
            known,
            now,
            now + Duration::from_mins(1),
        )
        .await;
        assert_eq!(failed.value.value.ids.as_deref(), Some(&["a".into()][..]));
    }
}
