//! All instances: those that the configuration lists and those of a partner account, collected together.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::account::InstanceId;
use crate::books::Books;
use crate::clock::Clock;
use crate::collect::{Api, Target};
use crate::config::{self, Config};
use crate::discovery::Discovery;
use crate::green_api::Client;
use crate::snapshot;

/// The instances that are collected now.
pub struct Fleet {
    listed: Vec<config::Instance>,
    discovery: Option<Arc<Discovery>>,
    api: Arc<Api>,
    targets: watch::Sender<Arc<Targets>>,
}

type Targets = BTreeMap<InstanceId, Arc<Target>>;

impl Fleet {
    /// The fleet of a configuration, whose statuses are counted in `books`. Nothing is fetched yet.
    ///
    /// The error is one of the TLS library, such as unreadable CA roots.
    pub fn new(config: &Config, books: Arc<Books>, clock: Clock) -> Result<Self, reqwest::Error> {
        let connections = config.max_concurrent_requests;
        let api = Arc::new(Api {
            client: Client::new(config.max_response_bytes, connections, clock.clone())?,
            books,
            permits: Semaphore::new(connections),
            clock,
        });
        let fleet = Self {
            listed: config.instances.clone(),
            discovery: config.partner.clone().map(|partner| Arc::new(Discovery::new(partner))),
            api,
            targets: watch::Sender::default(),
        };
        fleet.adopt(&[]);
        Ok(fleet)
    }

    /// Collects every instance; what doesn't answer until `deadline` is shown as late. In order of the ids.
    pub async fn collect(&self, deadline: Instant) -> Vec<Arc<snapshot::Instance>> {
        self.discover(deadline).await;
        let targets = self.targets();
        for target in targets.values() {
            target.start(deadline);
        }
        let mut instances = Vec::with_capacity(targets.len());
        // All requests are under way by themselves; to wait for one after the other takes as long as the longest.
        for target in targets.values() {
            instances.push(target.landed(deadline).await);
        }
        self.api.books.settle(deadline).await;
        let counted = targets.values().zip(instances);
        counted.map(|(target, instance)| target.counted(instance)).collect()
    }

    /// Collects the instance whose id or name is `target`; `None` if there is none.
    pub async fn collect_one(&self, target: &str, deadline: Instant) -> Option<Arc<snapshot::Instance>> {
        self.discover(deadline).await;
        let target = self.find(target)?;
        target.start(deadline);
        let instance = target.landed(deadline).await;
        self.api.books.settle(deadline).await;
        Some(target.counted(instance))
    }

    /// What is known of every instance now, without asking. In order of the ids.
    pub fn known(&self) -> Vec<Arc<snapshot::Instance>> {
        self.targets().values().map(|target| target.known()).collect()
    }

    /// The ledgers of all instances.
    pub fn books(&self) -> &Books {
        &self.api.books
    }

    /// Why scrapes would show less than what is configured, if they would.
    pub fn unready(&self) -> Option<&'static str> {
        let unlisted = self
            .discovery
            .as_ref()
            .is_some_and(|discovery| !discovery.has_succeeded());
        unlisted.then_some("the partner account's instances have not been listed yet")
    }

    fn find(&self, target: &str) -> Option<Arc<Target>> {
        let targets = self.targets();
        let by_id = target.parse().ok().and_then(|id: InstanceId| targets.get(&id));
        let found = by_id.or_else(|| targets.values().find(|candidate| *candidate.account().name == *target));
        found.cloned()
    }

    fn targets(&self) -> Arc<Targets> {
        self.targets.borrow().clone()
    }

    /// Lists the partner account's instances if that is due. Only the first scrapes wait for it: they'd show nothing else.
    async fn discover(&self, deadline: Instant) {
        let Some(discovery) = &self.discovery else {
            return;
        };
        self.adopt(&discovery.list(&self.api, deadline).await);
    }

    /// Collects the listed instances and the `discovered` ones from now on. What is configured as before goes on as before.
    fn adopt(&self, discovered: &[config::Instance]) {
        self.targets.send_if_modified(|targets| {
            // An instance that is listed and discovered is collected as it is listed.
            let wanted: BTreeMap<InstanceId, &config::Instance> = discovered
                .iter()
                .chain(&self.listed)
                .map(|instance| (instance.account.id, instance))
                .collect();
            let is_present = |(id, config): (&InstanceId, &&config::Instance)| {
                targets.get(id).is_some_and(|target| target.config == **config)
            };
            if wanted.len() == targets.len() && wanted.iter().all(is_present) {
                return false;
            }
            let target = |(id, config): (InstanceId, &config::Instance)| {
                let present = targets.get(&id).filter(|target| target.config == *config);
                let target = present.cloned();
                (
                    id,
                    target.unwrap_or_else(|| Arc::new(Target::new(config.clone(), self.api.clone()))),
                )
            };
            *targets = Arc::new(wanted.into_iter().map(target).collect());
            true
        });
    }
}
