//! All instances: those that the configuration lists and those of a partner account, collected together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::account::InstanceId;
use crate::books::AllBooks;
use crate::clock::Clock;
use crate::collect::{self, Api, Target};
use crate::config::{self, Config};
use crate::discovery::{Discovery, Listing};
use crate::green_api::{Client, TlsError};
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
    /// The fleet of a configuration, as far as `shard` serves it, whose statuses are counted in the books of published and of
    /// incoming statuses. Nothing is fetched yet.
    pub fn new(config: Config, shard: Shard, books: AllBooks, clock: Clock) -> Result<Self, TlsError> {
        let plan = Plan {
            api: api(&config, &books, &clock)?,
            discovery: discovery(&config, None),
            listing: None,
            config,
        };
        Ok(Self {
            present: Mutex::new(Arc::new(plan.collecting(shard, &Targets::new()))),
            clock,
            shard,
            books,
        })
    }

    /// Collects by another configuration from now on. An instance that stays keeps its counters, and its wait after a refusal ends; the
    /// ledger of one that is no longer listed is kept, in case it comes back, until it is abandoned. Scrapes under way end as they began.
    ///
    /// On an error the present configuration stays.
    pub fn reload(&self, config: Config) -> Result<(), TlsError> {
        let present = self.present();
        let before = &present.plan;
        let is_same_api = before.config.max_concurrent_requests == config.max_concurrent_requests
            && before.config.max_response_bytes == config.max_response_bytes;
        let api = if is_same_api {
            before.api.clone()
        } else {
            api(&config, &self.books, &self.clock)?
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
        self.forget_abandoned();
        Ok(())
    }

    /// Drops the ledgers of which nothing is known any more, as nobody has collected their instances for so long. As long as a partner
    /// account's instances are not known, each may be one of them.
    pub fn forget_abandoned(&self) {
        let is_kept = |id| {
            let present = self.present();
            present.plan.is_unlisted() || present.targets.contains_key(&id)
        };
        self.books.forget_abandoned(self.clock.now(), is_kept);
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

    /// The statuses known to all ledgers, and how often one could not be written.
    pub fn ledgers(&self) -> (u64, u64) {
        (self.books.entries(), self.books.errors())
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

    /// Goes on with what `next` makes of what is configured, unless that stays; what is configured now.
    fn replace(&self, next: impl FnOnce(&Present) -> Option<Present>) -> Arc<Present> {
        let mut present = locked(&self.present);
        if let Some(next) = next(&present) {
            *present = Arc::new(next);
        }
        present.clone()
    }
}

impl Plan {
    /// What is collected by it: the targets of its configuration and its listing. What was collected `before` in the same way goes on;
    /// what is configured otherwise keeps what is known of it.
    fn collecting(self, shard: Shard, before: &Targets) -> Present {
        // An instance that is listed and discovered is collected as it is listed.
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

fn api(config: &Config, books: &AllBooks, clock: &Clock) -> Result<Arc<Api>, TlsError> {
    let connections = config.max_concurrent_requests;
    Ok(Arc::new(Api {
        client: Client::new(config.max_response_bytes, connections, clock.clone())?,
        books: books.clone(),
        permits: Arc::new(Semaphore::new(connections)),
        clock: clock.clone(),
    }))
}

/// The discovery of a configuration, with what the one from before knows if it is of the same account.
fn discovery(config: &Config, before: Option<&Arc<Discovery>>) -> Option<Arc<Discovery>> {
    let partner = config.partner.as_ref()?;
    let same = before.and_then(|before| before.reconfigured(partner));
    Some(Arc::new(same.unwrap_or_else(|| Discovery::new(partner.clone()))))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use super::*;
    use crate::account::{Account, Credentials};
    use crate::collector::Collector;
    use crate::config::{Instance, InstanceApiUrl, Partner, Settings, TokenSource};
    use crate::green_api::answers;

    fn credentials(token: &str) -> Credentials {
        Credentials {
            api_url: "https://api.example".parse().unwrap(),
            token: token.parse().unwrap(),
        }
    }

    /// The configuration of the partner account with this token, and of nothing else.
    fn of_partner(token: &str) -> Config {
        Config {
            partner: Some(Partner {
                credentials: credentials(token),
                token_source: TokenSource::Inline,
                refresh_interval: Duration::from_mins(5),
                instance_api_url: InstanceApiUrl::default(),
                defaults: Arc::default(),
            }),
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn a_reload_drops_the_ledgers_of_those_who_are_gone_for_a_month_unless_a_partner_account_may_list_them() {
        let settings = Settings {
            collectors: [Collector::Outgoing, Collector::Incoming].into(),
            ..Settings::default()
        };
        let listed = Config {
            instances: vec![Arc::new(Instance {
                account: Account {
                    id: 7.into(),
                    name: "7".into(),
                },
                credentials: credentials("a"),
                token_source: TokenSource::Inline,
                settings: settings.into(),
            })],
            ..Config::default()
        };
        let check = |after: &Config, days: u64, is_kept: bool| {
            let today = Arc::new(AtomicU64::new(20_000));
            let clock = Clock::new({
                let today = today.clone();
                move || SystemTime::UNIX_EPOCH + Duration::from_hours(24 * today.load(Ordering::Relaxed))
            });
            let books = AllBooks::default();
            let fleet = Fleet::new(listed.clone(), Shard::ONLY, books.clone(), clock).unwrap();
            today.fetch_add(days, Ordering::Relaxed);
            fleet.reload(after.clone()).unwrap();
            for books in [books.outgoing, books.incoming] {
                let since = books.view(7.into()).created;
                assert_eq!(since > SystemTime::UNIX_EPOCH, is_kept, "after {days} days");
            }
        };
        check(&Config::default(), 31, true);
        check(&Config::default(), 32, false);
        check(&listed, 32, true);
        check(&of_partner("a"), 32, true);
    }

    #[tokio::test]
    async fn the_list_of_a_partner_account_that_is_no_longer_configured_is_left_alone() {
        let clock = Clock::system();
        let fleet = Fleet::new(of_partner("a"), Shard::ONLY, AllBooks::default(), clock).unwrap();
        let asked = fleet.present().plan.discovery.clone().unwrap();
        let answer = answers::instances(br#"[{"idInstance": 7, "apiTokenInstance": "a"}]"#);
        let listing: Listing = answer.unwrap().0.into();
        let is_adopted = || {
            let adopting = fleet.present().adopting(&asked, listing.clone(), Shard::ONLY);
            adopting.is_some()
        };
        assert!(is_adopted());
        fleet.reload(of_partner("b")).unwrap();
        assert!(!is_adopted());
    }
}
