//! Lists the instances of a partner account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::account::{Account, AccountError, Credentials, InstanceId};
use crate::collect::Api;
use crate::config::{self, TokenSource};
use crate::flight::{Flight, Landing};
use crate::green_api::answers::{self, PartnerInstance};
use crate::green_api::failure::Failure;

/// The instances of a partner account, in order of their ids.
pub type Discovered = Arc<[Arc<config::Instance>]>;

/// A partner account, and its instances when they were last listed.
pub struct Discovery {
    /// How the account is configured.
    pub partner: config::Partner,
    flight: Arc<Flight<Option<Discovered>>>,
}

impl Discovery {
    /// A partner account whose instances are not known yet.
    pub fn new(partner: config::Partner) -> Self {
        Self {
            partner,
            flight: Flight::new(None),
        }
    }

    /// The instances, listed anew if that is due. A listing that fails or is late leaves the last one in force.
    pub async fn list(&self, api: &Arc<Api>, deadline: Instant) -> Discovered {
        self.start_if_due(api);
        match self.flight.latest() {
            Some(instances) => instances,
            None => self.flight.landed(deadline).await.flatten().unwrap_or_default(),
        }
    }

    /// Begins to list the instances anew if that is due.
    pub fn start_if_due(&self, api: &Arc<Api>) {
        let (partner, api) = (self.partner.clone(), api.clone());
        self.flight
            .start_if_due(move |previous, _| fetch(partner, api, previous));
    }

    /// The instances when they were last listed, without asking.
    pub fn known(&self) -> Discovered {
        self.flight.latest().unwrap_or_default()
    }

    /// Whether the instances were ever listed.
    pub fn has_succeeded(&self) -> bool {
        self.flight.latest().is_some()
    }
}

async fn fetch(partner: config::Partner, api: Arc<Api>, previous: Option<Discovered>) -> Landing<Option<Discovered>> {
    let timeout = partner.defaults.timeout;
    let listing = api.client.call_partner("getInstances", &partner.credentials);
    let listing = tokio::time::timeout(timeout, listing).await;
    let listing = listing.unwrap_or_else(|_| Err(Failure::timeout(timeout)));
    let (instances, fresh_for) = match listing.and_then(|body| answers::instances(&body)) {
        Ok((listed, malformed)) => {
            if malformed > 0 {
                warn!(
                    malformed,
                    "left out elements of the partner account's list that are no instances"
                );
            }
            let instances: Discovered = known(&partner, listed);
            if previous.as_deref() != Some(&*instances) {
                info!(instances = instances.len(), "listed the partner account's instances");
            }
            (Some(instances), partner.refresh_interval)
        }
        Err(failure) => {
            let hint = "check the `api_url` and the token of `partner`";
            warn!(%failure, hint, "cannot list the partner account's instances");
            // A partner account that has never been listed leaves scrapes empty: try again soon, but not at every scrape.
            let wait = failure.result.wait(failure.retry_after, 1).max(FIRST_RETRY);
            (previous, wait.min(partner.refresh_interval))
        }
    };
    Landing {
        value: instances,
        fresh_for,
    }
}

/// The instances that can be collected. What is wrong with the others is logged without what they hold.
fn known(partner: &config::Partner, listed: Vec<PartnerInstance>) -> Discovered {
    let mut instances: Vec<config::Instance> = Vec::with_capacity(listed.len());
    for listed in listed {
        let id = listed.id_instance.into();
        match configured(partner, id, &listed) {
            Ok(instance) => instances.push(instance),
            Err(error) => warn!(%id, %error, "left out an instance of the partner account"),
        }
    }
    instances.sort_by_key(|instance| instance.account.id);
    instances.dedup_by_key(|instance| instance.account.id);
    instances.into_iter().map(Arc::new).collect()
}

/// The discovered instances beside the listed ones: each by its id whose name another instance has, or is the id of another. Their
/// names need not be unique, but otherwise `/probe` could mean two.
pub fn beside(listed: &[Arc<config::Instance>], discovered: &[Arc<config::Instance>]) -> Vec<Arc<config::Instance>> {
    let mut ids = BTreeSet::new();
    let mut names = BTreeMap::<&str, usize>::new();
    for Account { id, name } in listed.iter().chain(discovered).map(|instance| &instance.account) {
        ids.insert(*id);
        *names.entry(name).or_default() += 1;
    }
    let is_taken = |Account { id, name }: &Account| {
        let is_of_another = |other: InstanceId| other != *id && ids.contains(&other);
        names.get(&**name) > Some(&1) || name.parse().is_ok_and(is_of_another)
    };
    let apart = |instance: &Arc<config::Instance>| {
        let mut instance = instance.clone();
        if is_taken(&instance.account) {
            let account = &mut Arc::make_mut(&mut instance).account;
            account.name = account.id.to_string().into();
        }
        instance
    };
    discovered.iter().map(apart).collect()
}

fn configured(
    partner: &config::Partner,
    id: InstanceId,
    listed: &PartnerInstance,
) -> Result<config::Instance, AccountError> {
    let name = listed
        .name
        .as_deref()
        .filter(|name| config::fault_of_name(name).is_none());
    Ok(config::Instance {
        account: Account {
            id,
            name: name.map_or_else(|| id.to_string(), str::to_owned).into(),
        },
        credentials: Credentials {
            api_url: partner.instance_api_url.of(id)?,
            token: listed.api_token_instance.parse()?,
        },
        token_source: TokenSource::Partner,
        settings: partner.defaults.clone(),
    })
}

const FIRST_RETRY: std::time::Duration = std::time::Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn instance(id: u64, name: &str) -> Arc<config::Instance> {
        Arc::new(config::Instance {
            account: Account {
                id: id.into(),
                name: name.into(),
            },
            credentials: Credentials {
                api_url: "https://api.example".parse().unwrap(),
                token: "d75b3a66".parse().unwrap(),
            },
            token_source: TokenSource::Partner,
            settings: Settings::default().into(),
        })
    }

    #[test]
    fn a_discovered_instance_takes_no_name_that_another_has_nor_the_id_of_another() {
        let listed = [instance(1, "berlin"), instance(2, "2")];
        let names = |id, name: &str| {
            let discovered = [instance(id, name), instance(9, "paris")];
            let names = beside(&listed, &discovered)
                .into_iter()
                .map(|instance| instance.account.name.to_string());
            names.collect::<Vec<_>>()
        };
        let check = |id, name: &str, expected: &str| assert_eq!(names(id, name), [expected, "paris"]);
        check(8, "london", "london");
        check(8, "berlin", "8");
        check(8, "2", "8");
        check(8, "9", "8");
        check(8, "8", "8");
        check(8, "10", "10");
        assert_eq!(names(8, "paris"), ["8", "9"]);
    }
}
