//! All instances: those that the configuration lists and those of a partner account, collected together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::account::InstanceId;
use crate::books::AllBooks;
use crate::clock::Clock;
use crate::collect::{self, Api, Hosts, Permits, Target};
use crate::config::{self, Config};
use crate::discovery::{Discovery, Listing};
use crate::green_api::{Client, Connector};
use crate::lock::locked;
use crate::shard::Shard;
use crate::snapshot;

/// The instances that are collected now, and how.
pub struct Fleet {
    clock: Clock,
    shard: Shard,
    books: AllBooks,
    present: Mutex<Arc<Present>>,
}

/// What is to be collected, and how.
#[derive(Clone)]
struct Plan {
    config: Config,
    api: Arc<Api>,
    discovery: Option<Arc<Discovery>>,
    /// The partner account's instances that are among the targets; absent while they are not known.
    listing: Option<Listing>,
}

/// What is collected at present.
struct Present {
    plan: Plan,
    targets: Targets,
    /// Targets that are no longer collected but may come back: those whose requests are under way or have to wait, and all while a partner
    /// account is not listed, since each may be one of its instances.
    aside: Targets,
}

type Targets = BTreeMap<InstanceId, Arc<Target>>;

impl Fleet {
    /// The fleet of a configuration, as far as `shard` serves it; what it counts is kept in `books`. Nothing is fetched yet.
    pub fn new(config: Config, shard: Shard, books: AllBooks, connector: Connector, clock: Clock) -> Self {
        let (bytes, requests) = (config.max_response_bytes, config.max_concurrent_requests);
        let client = Client::new(connector, bytes, requests, clock.clone());
        let plan = Plan {
            api: api(client, &config, &books, &clock),
            discovery: discovery(&config, None),
            listing: None,
            config,
        };
        Self {
            present: Mutex::new(Arc::new(plan.collecting(shard, &Targets::new()))),
            clock,
            shard,
            books,
        }
    }

    /// Collects by another configuration from now on. An instance that stays keeps its counters, and its wait after a refusal ends; the
    /// ledger of one that is no longer listed is kept, in case it comes back, until it is abandoned. Scrapes under way end as they began.
    pub fn reload(&self, config: Config) {
        let present = self.present();
        let before = &present.plan;
        let is_same_api = before.config.max_concurrent_requests == config.max_concurrent_requests
            && before.config.max_response_bytes == config.max_response_bytes;
        let api = if is_same_api {
            before.api.clone()
        } else {
            let (bytes, requests) = (config.max_response_bytes, config.max_concurrent_requests);
            let client = before.api.client.with_limits(bytes, requests);
            api(client, &config, &self.books, &self.clock)
        };
        let discovery = discovery(&config, before.discovery.as_ref());
        let listing = discovery.as_ref().and_then(|discovery| discovery.known());
        let next = Plan {
            config,
            api,
            discovery,
            listing,
        };
        let after = self.replace(|present| Some(next.collecting(self.shard, &present.all_targets())));
        if let Some(discovery) = &after.plan.discovery {
            discovery.end_wait();
        }
        for target in after.targets.values().chain(after.aside.values()) {
            target.end_wait();
        }
    }

    /// Drops the ledgers of which nothing is known any more, as nobody has collected their instances for so long. As long as a partner
    /// account's instances are not known, each may be one of them.
    pub fn forget_abandoned(&self) {
        let present = self.present();
        self.forget_abandoned_since(&present, &present);
    }

    /// The same where what was collected `before` is replaced by `after`. One that is missing only now may be back with the next list.
    fn forget_abandoned_since(&self, before: &Present, after: &Present) {
        if !after.plan.is_unlisted() {
            let is_kept = |id| after.has(id) || before.has(id);
            self.books.forget_abandoned(self.clock.now(), is_kept);
        }
    }

    /// Writes which ledgers are new, and waits for that until `deadline`: an exporter that is killed before its first scrape counts from now on.
    pub async fn settle(&self, deadline: Instant) {
        self.books.settle(deadline).await;
    }

    /// Collects every instance; what doesn't answer by `deadline` is shown as late. In order of the ids.
    pub async fn collect(&self, deadline: Instant) -> Vec<snapshot::Instance> {
        self.settle_late_answers(deadline).await;
        // Known instances don't wait for a partner account to be listed.
        let known = self.present();
        collect::start(known.targets.values(), deadline);
        let present = self.discovered(before_settling(deadline)).await;
        let is_new = |target: &&Arc<Target>| !known.targets.contains_key(&target.id());
        collect::start(present.targets.values().filter(is_new), deadline);
        self.landed(present.targets.values(), deadline).await
    }

    /// Collects the instance with this id or name; `None` if there is none.
    pub async fn collect_one(&self, id_or_name: &str, deadline: Instant) -> Option<snapshot::Instance> {
        self.settle_late_answers(deadline).await;
        // Known instances don't wait for a partner account to be listed.
        let known = self.discovered(Instant::now()).await.find(id_or_name);
        let target = match known {
            Some(target) => target,
            None => self.discovered(before_settling(deadline)).await.find(id_or_name)?,
        };
        collect::start([&target], deadline);
        self.landed([&target].into_iter(), deadline).await.pop()
    }

    /// Writes answers that came too late for the last scrape, so that this one shows them at once, unless the disk is slow.
    async fn settle_late_answers(&self, deadline: Instant) {
        let soon = Instant::now() + LONGEST_SETTLING;
        self.books.settle(deadline.min(soon)).await;
    }

    /// What the requests of `targets` came to, all of which that were due are under way.
    async fn landed<'a>(
        &self,
        targets: impl ExactSizeIterator<Item = &'a Arc<Target>> + Clone,
        deadline: Instant,
    ) -> Vec<snapshot::Instance> {
        let asked = Instant::now();
        let mut findings = Vec::with_capacity(targets.len());
        let landing = before_settling(deadline);
        // All requests are under way by themselves; to wait for one after the other takes as long as the longest.
        for target in targets.clone() {
            findings.push(target.landed(asked, landing).await);
            if self.books.submitted() >= MOST_SUBMITTED {
                self.books.settle(landing).await;
            }
        }
        let is_late = Instant::now() >= landing;
        self.books.settle(deadline).await;
        if is_late {
            // The rest of the time is for those still missing. They are shown in this scrape, but what they change is counted in the next.
            for (target, findings) in targets.clone().zip(&mut findings) {
                *findings = target.landed(asked, deadline).await;
            }
        }
        let landed = targets.zip(findings);
        landed.map(|(target, findings)| target.shown(findings)).collect()
    }

    /// Writes every answer that has come, before the process ends, unless the disk is slow.
    pub async fn close(&self) {
        self.books.close(Instant::now() + LONGEST_FAREWELL).await;
    }

    /// What is known of every instance now, without asking. In order of the ids.
    pub fn known(&self) -> Vec<snapshot::Instance> {
        self.present().targets.values().map(|target| target.known()).collect()
    }

    /// How the instance with this id or name is configured.
    pub fn find(&self, id_or_name: &str) -> Option<Arc<config::Instance>> {
        self.present().find(id_or_name).map(|target| target.config.clone())
    }

    /// The effective configuration, without secrets.
    pub fn effective_config(&self) -> String {
        self.present().plan.config.effective()
    }

    /// The same of one instance, without the others and the partner account.
    pub fn effective_config_of(&self, instance: Arc<config::Instance>) -> String {
        let config = Config {
            instances: vec![instance],
            partner: None,
            ..self.present().plan.config.clone()
        };
        config.effective()
    }

    /// Statuses known to all ledgers.
    pub fn ledger_entries(&self) -> u64 {
        self.books.entries()
    }

    /// How often a ledger could not be written.
    pub fn ledger_errors(&self) -> u64 {
        self.books.errors()
    }

    /// Which part of the instances is collected here.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Lists the partner account's instances anew if that is due; the first time, waits for them until `deadline`.
    pub async fn list(&self, deadline: Instant) {
        self.discovered(deadline).await;
    }

    /// Why scrapes would show less than what is configured, if they would.
    pub fn unready(&self) -> Option<&'static str> {
        let is_unlisted = self.present().plan.is_unlisted();
        is_unlisted.then_some("the partner account's instances have not been listed yet")
    }

    /// What is configured, with the partner account's instances. Only the first requests wait for these: they'd show nothing else.
    async fn discovered(&self, deadline: Instant) -> Arc<Present> {
        let present = self.present();
        let Some(discovery) = &present.plan.discovery else {
            return present;
        };
        let Some(listing) = discovery.list(&present.plan.api.client, deadline).await else {
            return self.present();
        };
        self.replace(|present| present.adopting(discovery, listing, self.shard))
    }

    fn present(&self) -> Arc<Present> {
        locked(&self.present).clone()
    }

    /// Replaces what is collected by what `next` makes of it; `None` keeps it. Returns what is collected then.
    fn replace(&self, next: impl FnOnce(&Present) -> Option<Present>) -> Arc<Present> {
        let mut present = locked(&self.present);
        let Some(after) = next(&present) else {
            return present.clone();
        };
        let after = Arc::new(after);
        let before = std::mem::replace(&mut *present, after.clone());
        drop(present);
        self.forget_abandoned_since(&before, &after);
        after
    }
}

impl Plan {
    /// What is collected by it: the targets of its configuration and its listing. What was collected `before` in the same way goes on;
    /// what is configured otherwise keeps what is known of it.
    fn collecting(self, shard: Shard, before: &Targets) -> Present {
        let discovered = match (&self.discovery, &self.listing) {
            (Some(discovery), Some(listing)) => discovery.instances(listing, &self.config.instances),
            _ => Vec::new(),
        };
        let wanted = discovered.iter().chain(&self.config.instances);
        let wanted = wanted.filter(|instance| shard.serves(instance.account.id));
        let wanted: BTreeMap<InstanceId, &Arc<config::Instance>> =
            wanted.map(|instance| (instance.account.id, instance)).collect();
        let target = |(id, instance): (InstanceId, &Arc<config::Instance>)| {
            let target = match before.get(&id) {
                Some(target) if target.config == *instance && target.calls(&self.api) => target.clone(),
                Some(target) => Arc::new(target.reconfigured(instance.clone(), self.api.clone())),
                None => Arc::new(Target::new(instance.clone(), self.api.clone())),
            };
            (id, target)
        };
        let targets: Targets = wanted.into_iter().map(target).collect();
        let is_aside = |(id, target): &(&InstanceId, &Arc<Target>)| {
            !targets.contains_key(id) && (self.is_unlisted() || !target.is_idle())
        };
        let aside = before.iter().filter(is_aside);
        let aside = aside.map(|(id, target)| (*id, target.clone())).collect();
        Present {
            plan: self,
            targets,
            aside,
        }
    }

    /// Whether a partner account's instances are not known.
    fn is_unlisted(&self) -> bool {
        self.discovery.is_some() && self.listing.is_none()
    }
}

impl Present {
    /// Whether the instance has a target, which goes on with its ledger. One that is set aside does when it comes back.
    fn has(&self, id: InstanceId) -> bool {
        self.targets.contains_key(&id) || self.aside.contains_key(&id)
    }

    /// The targets, also those that are set aside.
    fn all_targets(&self) -> Targets {
        let all = self.targets.iter().chain(&self.aside);
        all.map(|(id, target)| (*id, target.clone())).collect()
    }

    /// With the instances of a new `listing`; `None` where it isn't new, or where `discovery` is no longer the one that is configured.
    fn adopting(&self, discovery: &Arc<Discovery>, listing: Listing, shard: Shard) -> Option<Self> {
        let plan = &self.plan;
        let is_known = plan.listing.as_ref().is_some_and(|known| Arc::ptr_eq(known, &listing));
        let is_configured = plan.discovery.as_ref().is_some_and(|own| Arc::ptr_eq(own, discovery));
        (is_configured && !is_known).then(|| {
            let next = Plan {
                listing: Some(listing),
                ..plan.clone()
            };
            next.collecting(shard, &self.all_targets())
        })
    }

    fn find(&self, id_or_name: &str) -> Option<Arc<Target>> {
        let by_id = id_or_name.parse().ok().and_then(|id: InstanceId| self.targets.get(&id));
        let by_name = || {
            self.targets
                .values()
                .find(|candidate| *candidate.account().name == *id_or_name)
        };
        by_id.or_else(by_name).cloned()
    }
}

/// When to stop waiting for answers: early enough to settle those that have come before `deadline`, even if one is missing.
fn before_settling(deadline: Instant) -> Instant {
    let left = deadline.saturating_duration_since(Instant::now());
    deadline - (left / 10).min(LONGEST_SETTLING)
}

/// How long the end of the process waits for the disk.
const LONGEST_FAREWELL: Duration = Duration::from_secs(2);

/// Answers that change something are settled as soon as there are so many: when a fleet is first seen, every answer is one.
const MOST_SUBMITTED: usize = 1000;

/// How long a write usually takes, at most.
const LONGEST_SETTLING: Duration = Duration::from_millis(250);

fn api(client: Client, config: &Config, books: &AllBooks, clock: &Clock) -> Arc<Api> {
    Arc::new(Api {
        client,
        books: books.clone(),
        permits: Permits::new(config.max_concurrent_requests),
        hosts: Hosts::default(),
        clock: clock.clone(),
    })
}

/// The discovery of a configuration, with what the one from before knows if it is of the same account.
fn discovery(config: &Config, before: Option<&Arc<Discovery>>) -> Option<Arc<Discovery>> {
    let partner = config.partner.as_ref()?;
    let same = before.and_then(|before| before.reconfigured(partner));
    Some(Arc::new(same.unwrap_or_else(|| Discovery::new(partner.clone()))))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::SystemTime;

    use super::*;
    use crate::account::Credentials;
    use crate::collector::Collector;
    use crate::config::Partner;
    use crate::green_api::partner;
    use crate::simulator::{Simulator, World};

    /// A clock that begins in 1970, and how many days it has run.
    fn clock() -> (Clock, Arc<AtomicU32>) {
        let days = Arc::new(AtomicU32::new(1));
        let told = days.clone();
        let now = move || SystemTime::UNIX_EPOCH + Duration::from_hours(24) * told.load(Ordering::Relaxed);
        (Clock::new(now), days)
    }

    /// The configuration of a partner account, and of nothing else.
    fn partner_at(api_url: &str, token: &str) -> Config {
        Config {
            partner: Some(Partner::example(Credentials::example(api_url, token))),
            ..Config::default()
        }
    }

    /// That of the one with this token, whose API is never there.
    fn of_partner(token: &str) -> Config {
        partner_at("http://localhost:9", token)
    }

    fn has_ledger(books: &AllBooks, id: InstanceId) -> bool {
        books.outgoing.view(id).created != SystemTime::UNIX_EPOCH
    }

    /// A configuration of an instance, whose API is never there.
    fn listing(id: InstanceId) -> Config {
        let credentials = Credentials::example("http://localhost:9", "a");
        let instance = config::Instance::example(id, "shop", credentials);
        Config {
            instances: vec![instance.into()],
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn an_instance_that_nobody_could_read_for_long_loses_its_ledger_only_where_it_is_gone_for_good() {
        let id = InstanceId::from(1_101_000_001);
        let ((clock, days), books) = (clock(), AllBooks::default());
        let fleet = Fleet::new(listing(id), Shard::ONLY, books.clone(), Connector::example(), clock);
        days.store(41, Ordering::Relaxed);
        fleet.reload(Config::default());
        assert!(has_ledger(&books, id), "it may be back");
        fleet.reload(listing(id));
        fleet.reload(Config::default());
        assert!(has_ledger(&books, id));
        fleet.reload(Config::default());
        assert!(!has_ledger(&books, id));
    }

    #[tokio::test]
    async fn an_instance_whose_request_is_under_way_keeps_its_ledger_though_it_is_gone() {
        let id = InstanceId::from(1_101_000_001);
        let ((clock, days), books) = (clock(), AllBooks::default());
        let fleet = Fleet::new(listing(id), Shard::ONLY, books.clone(), Connector::example(), clock);
        fleet.collect(Instant::now()).await;
        days.store(41, Ordering::Relaxed);
        for config in [Config::default(), Config::default(), listing(id)] {
            fleet.reload(config);
        }
        assert!(has_ledger(&books, id));
    }

    #[tokio::test]
    async fn an_instance_counts_from_its_first_start_on_though_nothing_scraped_it_then() {
        let id = InstanceId::from(1_101_000_001);
        let folder = tempfile::tempdir().unwrap();
        let (clock, days) = clock();
        let mut created = Vec::new();
        for day in [1, 2] {
            days.store(day, Ordering::Relaxed);
            let books = AllBooks::open(folder.path()).unwrap();
            let fleet = Fleet::new(
                listing(id),
                Shard::ONLY,
                books.clone(),
                Connector::example(),
                clock.clone(),
            );
            fleet.settle(Instant::now() + Duration::from_mins(1)).await;
            created.push(books.outgoing.view(id).created);
        }
        assert_eq!(created[0], created[1]);
    }

    #[tokio::test]
    async fn abandoned_ledgers_are_dropped_once_the_partner_account_is_listed() {
        let id = InstanceId::from(1_101_000_001);
        let ((clock, days), books) = (clock(), AllBooks::default());
        books.outgoing.begin(id, clock.now());
        days.store(41, Ordering::Relaxed);
        let simulator = Simulator::new(World::new(7, clock.clone(), []));
        let config = partner_at(&simulator.start().unwrap(), simulator.partner_token());
        let fleet = Fleet::new(config, Shard::ONLY, books.clone(), Connector::example(), clock);
        fleet.forget_abandoned();
        assert!(has_ledger(&books, id), "it may be one of the account's");
        fleet.list(Instant::now() + Duration::from_mins(1)).await;
        assert!(!has_ledger(&books, id));
    }

    #[tokio::test]
    async fn ledgers_of_both_journals_are_dropped_once_their_instance_is_gone_for_a_month() {
        let id = InstanceId::from(1_101_000_001);
        let with_incoming = |mut config: Config| {
            let instance = Arc::make_mut(&mut config.instances[0]);
            Arc::make_mut(&mut instance.settings)
                .collectors
                .insert(Collector::Incoming);
            config
        };
        let listed = with_incoming(listing(id));
        // The ledgers of one who is listed at first, and of one whom nobody lists.
        let ids = [id, InstanceId::from(1_101_000_002)];
        let check = |after: &Config, days_later: u32, are_kept: [bool; 2]| {
            let ((clock, days), books) = (clock(), AllBooks::default());
            for books in [&books.outgoing, &books.incoming] {
                books.begin(ids[1], clock.now());
            }
            let fleet = Fleet::new(listed.clone(), Shard::ONLY, books.clone(), Connector::example(), clock);
            days.fetch_add(days_later, Ordering::Relaxed);
            // It may be missing from one list only.
            for _ in 0..2 {
                fleet.reload(after.clone());
            }
            for books in [books.outgoing, books.incoming] {
                let is_there = ids.map(|id| books.view(id).created > SystemTime::UNIX_EPOCH);
                assert_eq!(is_there, are_kept, "after {days_later} days");
            }
        };
        check(&Config::default(), 31, [true; 2]);
        check(&Config::default(), 32, [false; 2]);
        check(&listed, 32, [true, false]);
        check(&of_partner("a"), 32, [true; 2]);
    }

    #[tokio::test]
    async fn the_list_of_a_partner_account_that_is_no_longer_configured_is_left_alone() {
        let clock = Clock::system();
        let fleet = Fleet::new(
            of_partner("a"),
            Shard::ONLY,
            AllBooks::default(),
            Connector::example(),
            clock,
        );
        let asked = fleet.present().plan.discovery.clone().unwrap();
        let answer = partner::instances(br#"[{"idInstance": 7, "apiTokenInstance": "a"}]"#);
        let listing: Listing = answer.unwrap().0.into();
        let is_adopted = || {
            let adopting = fleet.present().adopting(&asked, listing.clone(), Shard::ONLY);
            adopting.is_some()
        };
        assert!(is_adopted());
        fleet.reload(of_partner("b"));
        assert!(!is_adopted());
    }
}
