//! Collects one instance: which requests are made, how often, and what is shown when they are late.

mod call;
mod hosts;
mod incoming;
mod optional;
mod outgoing;
mod permits;
mod reading;
mod requests;
mod statistic;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::debug;

use crate::account::{Account, ApiUrl, InstanceId};
use crate::books::AllBooks;
use crate::clock::Clock;
use crate::collector::{ByType, Collected, Collector, Contacts, EnabledSettings, Recipients, Run, StateInstance};
use crate::config;
use crate::flight::{Departure, Flight};
use crate::green_api::{Client, SPACING};
use crate::label::LabelValue;
use crate::snapshot::{self, Fetched};

pub use self::hosts::Hosts;
use self::optional::{Optional, OptionalRun};
use self::outgoing::Outgoing;
pub use self::permits::Permits;
use self::requests::Paced;
use self::statistic::Statistic;

/// Starts every request of `targets` that is due. Those of a scrape with this `deadline` may be repeated if it leaves room.
pub fn start<'a>(targets: impl IntoIterator<Item = &'a Arc<Target>>, deadline: Instant) {
    let mut due: Vec<Due> = targets
        .into_iter()
        .filter_map(|target| target.depart(deadline))
        .collect();
    // Hosts take turns: each needs few connections then, and a request finds one that another has just left.
    let mut asked = HashMap::new();
    due.sort_by_cached_key(|due| {
        let round = asked.entry(due.target.api_url().clone()).or_insert(0);
        *round += 1;
        *round
    });
    let (mut slow, quick): (Vec<Due>, Vec<Due>) = due.into_iter().partition(Due::is_slow);
    // What else is asked of an instance may be answered at once, and tell why its journal isn't.
    slow.iter_mut().for_each(Due::start_others);
    // One that was slow but once is more likely to be quick again.
    slow.sort_by_key(|due| due.slow_in_a_row);
    for (due, is_slow) in [(quick, false), (slow, true)] {
        if !due.is_empty() {
            tokio::spawn(take_turns(due, is_slow, deadline));
        }
    }
}

/// Makes the requests that are due, target by target: those of slow instances, or those of the others. Of these, whoever turns out to be slow
/// comes after all.
///
/// One task waits for the turn of each: a fleet's tasks would take more room than all that is known of it.
fn take_turns(due: Vec<Due>, is_slow: bool, deadline: Instant) -> Fetching {
    Box::pin(async move {
        let Some(first) = due.first() else { return };
        let api = first.target.api.clone();
        let turn = api.permits.turn(is_slow).await;
        let mut put_aside = Vec::new();
        for mut due in due {
            if !is_slow && due.is_slow() {
                // Its host has begun to hang meanwhile: all others would have to wait for each of its instances.
                due.start_others();
                put_aside.push(due);
                continue;
            }
            if let Some(departure) = due.journal.take() {
                let (permit, target) = (api.permits.permit(is_slow).await, due.target.clone());
                tokio::spawn(
                    departure.fly(move |previous, start| outgoing::fetch(target, permit, previous, start, deadline)),
                );
            }
            due.start_others();
        }
        drop(turn);
        take_turns(put_aside, true, deadline).await;
    })
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
    /// Whether its requests are likely to take long, by what is known now.
    fn is_slow(&self) -> bool {
        self.slow_in_a_row > 0 || self.target.api.hosts.hangs(self.target.api_url())
    }

    fn start_others(&mut self) {
        for fetching in self.others.drain(..) {
            tokio::spawn(fetching);
        }
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
    /// Know which hosts hang.
    pub hosts: Hosts,
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

    /// Where it is asked for.
    fn api_url(&self) -> &ApiUrl {
        &self.config.credentials.api_url
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
