//! One simulated instance: what it publishes, how it behaves at present, and what it has been asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::watch;

use super::Received;
use super::behaviour::Behaviour;
use super::calendar::{DAY, YEAR};
use super::dice::{Dice, mix, number_of};
use super::life::{Life, Publication};
use super::method::Method;
use super::status::{SimStatus, person};
use super::traffic::{ACQUAINTANCES, Profile, Source};
use super::world::SimInstance;
use crate::account::InstanceId;
use crate::journal::{StatusMessage, TypeMessage};
use crate::lock::locked;

/// An instance of a running simulator.
pub(super) struct Site {
    /// Who it is.
    pub(super) id: InstanceId,
    /// Its name in the console.
    pub(super) name: String,
    /// The token that it accepts.
    pub(super) token: String,
    /// Ends what is held at present.
    pub(super) release: watch::Sender<()>,
    /// Changes whenever a request has arrived.
    pub(super) arrivals: watch::Sender<()>,
    /// When it was made, in Unix seconds: a year before the simulator.
    pub(super) created: u64,
    seed: u64,
    profile: Profile,
    state: Mutex<State>,
}

struct State {
    behaviour: Behaviour,
    /// When it began to behave so, in Unix seconds.
    since: u64,
    /// How the next requests are answered, before the behaviour counts again.
    next: VecDeque<Behaviour>,
    source: JournalSource,
    /// What was published by calls of the API.
    sent: Vec<Publication>,
    /// What was taken back, as it was then, and when; by `idMessage`.
    deleted: BTreeMap<String, (SimStatus, u64)>,
    requests: BTreeMap<Method, u64>,
    latest: VecDeque<Received>,
    /// The second in which a method was last called, and how many more calls it has in it.
    calls: BTreeMap<Option<Method>, (u64, u32)>,
}

/// Where the journal of published statuses comes from.
pub(super) enum JournalSource {
    /// From the simulated owner.
    Generated,
    /// From a list.
    Listed(Vec<SimStatus>),
    /// It is this, whatever is asked for.
    Verbatim(Bytes),
}

impl Site {
    pub(super) fn new(seed: u64, now: u64, instance: SimInstance) -> Self {
        Self {
            id: instance.id,
            name: instance.name,
            token: instance.token,
            release: watch::Sender::new(()),
            arrivals: watch::Sender::new(()),
            created: now.saturating_sub(YEAR),
            seed,
            profile: instance.profile,
            state: Mutex::new(State {
                behaviour: instance.behaviour,
                since: now,
                next: VecDeque::new(),
                source: JournalSource::Generated,
                sent: Vec::new(),
                deleted: BTreeMap::new(),
                requests: BTreeMap::new(),
                latest: VecDeque::new(),
                calls: BTreeMap::new(),
            }),
        }
    }

    /// The account's own chat id (`wid`).
    pub(super) fn owner(&self) -> String {
        person(mix(self.number()))
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        locked(&self.state).behaviour
    }

    /// When it began to behave as it does at present, in Unix seconds.
    pub(super) fn since(&self) -> u64 {
        locked(&self.state).since
    }

    pub(super) fn set_behaviour(&self, now: u64, behaviour: Behaviour) {
        let mut state = locked(&self.state);
        if state.behaviour != behaviour {
            state.resume_sending(now);
            (state.behaviour, state.since) = (behaviour, now);
        }
        drop(state);
        self.release.send_replace(());
    }

    pub(super) fn set_next_behaviours(&self, next: VecDeque<Behaviour>) {
        locked(&self.state).next = next;
    }

    pub(super) fn set_journal(&self, source: JournalSource) {
        locked(&self.state).source = source;
    }

    /// Notes a request and returns the behaviour that is due.
    pub(super) fn receive(&self, method: Option<Method>, received: Received) -> Behaviour {
        let mut state = locked(&self.state);
        let number = method.map_or(0, |method| {
            let requests = state.requests.entry(method).or_default();
            *requests += 1;
            *requests
        });
        if state.latest.len() == LATEST_REQUESTS {
            state.latest.pop_front();
        }
        state.latest.push_back(received);
        let usual = state.behaviour.turn(number);
        let behaviour = state.next.pop_front().unwrap_or(usual);
        drop(state);
        self.arrivals.send_replace(());
        behaviour
    }

    pub(super) fn requests(&self, method: Method) -> u64 {
        locked(&self.state).requests.get(&method).copied().unwrap_or(0)
    }

    pub(super) fn latest(&self) -> Vec<Received> {
        locked(&self.state).latest.iter().cloned().collect()
    }

    /// Counts a call in this whole second, in Unix seconds, and returns how many more it has; `None` if the call is one too
    /// many. Buckets are filled at full seconds (api.md 4).
    pub(super) fn take_call(&self, method: Option<Method>, per_second: u32, second: u64) -> Option<u32> {
        let mut state = locked(&self.state);
        let (counted, remaining) = state.calls.entry(method).or_default();
        if *counted != second {
            (*counted, *remaining) = (second, per_second);
        }
        *remaining = remaining.checked_sub(1)?;
        Some(*remaining)
    }

    /// The bytes that a test wants the journal of published statuses to be.
    pub(super) fn verbatim(&self) -> Option<Vec<u8>> {
        match &locked(&self.state).source {
            JournalSource::Verbatim(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }

    /// The journal of published statuses at `now`, reaching back `minutes`, ordered by the last action.
    pub(super) fn outgoing(&self, now: u64, minutes: u64) -> Vec<SimStatus> {
        let first = now.saturating_sub(minutes * 60);
        let state = locked(&self.state);
        let marked = state.behaviour != Behaviour::Unmarked;
        let sent = state.sent.iter().filter_map(|publication| {
            if state.holds(publication) {
                Some(publication.status.clone())
            } else {
                publication.at(now, marked)
            }
        });
        let mut statuses: Vec<SimStatus> = match &state.source {
            JournalSource::Generated => self.published(first, now, marked).chain(sent).collect(),
            JournalSource::Listed(statuses) => statuses.iter().cloned().chain(sent).collect(),
            JournalSource::Verbatim(_) => Vec::new(),
        };
        statuses.retain(|status| !state.deleted.contains_key(&status.id_message));
        // The taking back is the last action; how a journal shows it is known from the vendor's own app only (api.md 2.4).
        statuses.extend(state.deleted.values().map(|(status, timestamp)| SimStatus {
            timestamp: *timestamp,
            type_message: TypeMessage::Deleted,
            ..status.clone()
        }));
        statuses.retain(|status| status.timestamp >= first);
        statuses.sort_by(|one, other| (one.timestamp, &one.id_message).cmp(&(other.timestamp, &other.id_message)));
        statuses
    }

    /// Statuses of contacts that arrived in the same stretch of time, and who published each.
    pub(super) fn incoming(&self, now: u64, minutes: u64) -> Vec<(SimStatus, String)> {
        let profile = Profile {
            per_day: self.profile.per_day / 2,
            phone: 100,
            ..self.profile
        };
        let source = Source {
            seed: self.seed,
            number: mix(self.number()),
            profile,
        };
        source
            .publications(now.saturating_sub(minutes * 60), now)
            .map(|publication| {
                let sender = Dice::new(&[number_of(&publication.status.id_message)]).below(ACQUAINTANCES);
                (publication.status, person(sender))
            })
            .collect()
    }

    /// Publishes `status` through the API and returns its `idMessage`.
    pub(super) fn publish(&self, now: u64, status: SimStatus) -> String {
        let mut state = locked(&self.state);
        let position = u64::try_from(state.sent.len()).unwrap_or(u64::MAX);
        let mut dice = Dice::new(&[self.seed, mix(self.number()), now, position]);
        let id_message = format!("3EB0{:016X}", dice.number());
        let status = SimStatus {
            id_message: id_message.clone(),
            timestamp: now,
            ..status
        };
        state.sent.push(Publication {
            status,
            life: Life::draw(&mut dice, now),
        });
        id_message
    }

    /// Takes a status back. False if the journal of 30 days doesn't have it.
    pub(super) fn delete(&self, now: u64, id_message: &str) -> bool {
        let Some(status) = self.find(now, id_message) else {
            return false;
        };
        locked(&self.state)
            .deleted
            .entry(id_message.to_owned())
            .or_insert((status, now));
        true
    }

    /// A status of the last 30 days, or one that was taken back, as it was until then.
    pub(super) fn find(&self, now: u64, id_message: &str) -> Option<SimStatus> {
        if let Some((status, _)) = locked(&self.state).deleted.get(id_message) {
            return Some(status.clone());
        }
        let statuses = self.outgoing(now, RETENTION_MINUTES);
        statuses.into_iter().find(|status| status.id_message == id_message)
    }

    /// How many statuses wait to be sent. The queue drops what has waited for a day (api.md 1.3).
    pub(super) fn queued(&self, now: u64) -> usize {
        let statuses = self.outgoing(now, DAY / 60);
        statuses
            .iter()
            .filter(|status| status.status_message == StatusMessage::Pending)
            .filter(|status| status.type_message != TypeMessage::Deleted)
            .count()
    }

    /// What the owner published and what was last acted on since `first`.
    fn published(&self, first: u64, now: u64, marked: bool) -> impl Iterator<Item = SimStatus> {
        let source = Source {
            seed: self.seed,
            number: self.number(),
            profile: self.profile,
        };
        // What was acted on since then may have been published before.
        let reach = first.saturating_sub(Life::LONGEST);
        source
            .publications(reach, now)
            .filter_map(move |publication| publication.at(now, marked))
    }

    fn number(&self) -> u64 {
        number_of(&self.id.to_string())
    }
}

impl State {
    /// Whether a status that was published by a call waits for the phone to be linked (api.md 1.3).
    fn holds(&self, publication: &Publication) -> bool {
        !self.behaviour.is_linked() && publication.life.is_unsent(self.since)
    }

    /// Sends what was held, each status as much later as it was held.
    fn resume_sending(&mut self, now: u64) {
        if self.behaviour.is_linked() {
            return;
        }
        let unsent = |publication: &&mut Publication| publication.life.is_unsent(self.since);
        for publication in self.sent.iter_mut().filter(unsent) {
            publication.life.hold(self.since, now);
        }
    }
}

/// How far back a journal reaches at most: 30 days (api.md 1.3).
pub(super) const RETENTION_MINUTES: u64 = 30 * DAY / 60;

/// How many requests are remembered.
const LATEST_REQUESTS: usize = 100;
