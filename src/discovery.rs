//! Lists the instances of a partner account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::account::{Account, AccountError, Credentials, InstanceId, Token};
use crate::config::{self, TokenSource};
use crate::flight::{Flight, Landing};
use crate::green_api::answers::{self, PartnerInstance};
use crate::green_api::failure::Failure;
use crate::green_api::{Client, SPACING};

/// The instances of a partner account as it lists them, in order of their ids.
pub type Listing = Arc<[Listed]>;

/// An instance of a partner account. It holds the token and can't be printed.
#[derive(PartialEq)]
pub struct Listed {
    account: Account,
    token: Token,
}

/// A partner account, and its instances when they were last listed.
pub struct Discovery {
    partner: config::Partner,
    flight: Arc<Flight<Latest>>,
}

/// What came of listing the instances.
#[derive(Clone, Default)]
struct Latest {
    /// They as they were last listed; absent where they never were.
    listing: Option<Listing>,
    /// Whether the latest attempt failed.
    has_failed: bool,
}

impl Discovery {
    /// A partner account whose instances are not known yet.
    pub fn new(partner: config::Partner) -> Self {
        Self {
            partner,
            flight: Flight::new(Latest::default()),
        }
    }

    /// The same partner account, configured in another way, with the instances that are known. `None` if it is another one.
    pub fn reconfigured(&self, partner: &config::Partner) -> Option<Self> {
        let is_same = self.partner.credentials == partner.credentials;
        is_same.then(|| Self {
            partner: partner.clone(),
            flight: self.flight.clone(),
        })
    }

    /// The instances, listed anew if that is due. It waits, until `deadline`, only if they were never listed. A listing that fails or is
    /// late leaves the last one in force; `None` if there is none.
    pub async fn list(&self, client: &Client, deadline: Instant) -> Option<Listing> {
        self.start_if_due(client);
        match self.known() {
            Some(listing) => Some(listing),
            None => self.flight.landed(Instant::now(), deadline).await?.listing,
        }
    }

    /// Begins to list the instances anew if that is due.
    pub fn start_if_due(&self, client: &Client) {
        let (partner, client) = (self.partner.clone(), client.clone());
        self.flight
            .start_if_due(move |previous, start| fetch(partner, client, previous, start));
    }

    /// Lets the instances be listed anew at once.
    pub fn end_wait(&self) {
        self.flight.end_wait();
    }

    /// The instances when they were last listed, without asking; `None` where they never were.
    pub fn known(&self) -> Option<Listing> {
        self.flight.latest().listing
    }

    /// How the instances of `listing` are collected.
    pub fn instances(&self, listing: &[Listed]) -> Vec<Arc<config::Instance>> {
        let configured = |listed| match configured(&self.partner, listed) {
            Ok(instance) => Some(Arc::new(instance)),
            Err(error) => {
                warn!(id = %listed.account.id, %error, "left out an instance of the partner account");
                None
            }
        };
        listing.iter().filter_map(configured).collect()
    }
}

async fn fetch(partner: config::Partner, client: Client, previous: Latest, start: Instant) -> Landing<Latest> {
    let timeout = partner.defaults.timeout;
    let answer = client.call_partner("getInstances", &partner.credentials);
    let answer = tokio::time::timeout(timeout, answer).await;
    let answer = answer.unwrap_or_else(|_| Err(Failure::timeout(timeout)));
    let (value, due) = match answer.and_then(|body| answers::instances(&body)) {
        Ok((instances, malformed)) => {
            if malformed > 0 {
                warn!(
                    malformed,
                    "left out elements of the partner account's list that are no instances"
                );
            }
            let listing = listing(instances);
            if previous.has_failed || previous.listing.as_deref() != Some(&*listing) {
                info!(instances = listing.len(), "listed the partner account's instances");
            }
            let latest = Latest {
                listing: Some(listing),
                has_failed: false,
            };
            (latest, start + partner.refresh_interval)
        }
        Err(failure) => {
            if previous.has_failed {
                debug!(%failure, "still cannot list the partner account's instances");
            } else {
                let hint = "check the `api_url` and the token of `partner`";
                warn!(%failure, hint, "cannot list the partner account's instances");
            }
            // A partner account that has never been listed leaves scrapes empty: try again soon, but not at every scrape.
            let wait = failure.result.wait(failure.retry_after, 1).max(FIRST_RETRY);
            let latest = Latest {
                has_failed: true,
                ..previous
            };
            (latest, Instant::now() + wait.min(partner.refresh_interval))
        }
    };
    Landing {
        value,
        due,
        earliest: start + SPACING,
    }
}

/// The instances that can be collected. What is wrong with the others is logged without what they hold.
fn listing(instances: Vec<PartnerInstance>) -> Listing {
    let mut listing: Vec<Listed> = Vec::with_capacity(instances.len());
    for instance in instances {
        match listed(&instance) {
            Ok(listed) => listing.push(listed),
            Err(error) => warn!(id = %instance.id_instance, %error, "left out an instance of the partner account"),
        }
    }
    listing.sort_by_key(|listed| listed.account.id);
    listing.dedup_by_key(|listed| listed.account.id);
    listing.into()
}

fn listed(instance: &PartnerInstance) -> Result<Listed, AccountError> {
    let id = instance.id_instance;
    let name = instance
        .name
        .as_deref()
        .filter(|name| config::fault_of_name(name).is_none());
    Ok(Listed {
        account: Account {
            id,
            name: name.map_or_else(|| id.to_string(), str::to_owned).into(),
        },
        token: instance.token.clone()?,
    })
}

fn configured(partner: &config::Partner, listed: &Listed) -> Result<config::Instance, AccountError> {
    Ok(config::Instance {
        account: listed.account.clone(),
        credentials: Credentials {
            api_url: partner.instance_api_url.of(listed.account.id)?,
            token: listed.token.clone(),
        },
        token_source: TokenSource::Partner,
        settings: partner.defaults.clone(),
    })
}

/// The discovered instances, renamed so that `/probe` never means two: one whose name is also another's name, or another's id, is called
/// by its own id. A partner account's names need not be unique.
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

const FIRST_RETRY: Duration = Duration::from_secs(10);

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

    #[test]
    fn an_instance_is_listed_once_in_order_of_ids_by_its_id_where_its_name_cannot_be_shown() {
        let check = |name: &str, expected: &str| {
            let instance =
                |id, name: &str| serde_json::json!({"idInstance": id, "name": name, "apiTokenInstance": "a"});
            let body = serde_json::json!([instance(8, "last"), instance(7, name), instance(7, "again")]);
            let (instances, _) = answers::instances(body.to_string().as_bytes()).unwrap();
            let listing = listing(instances);
            let names: Vec<_> = listing.iter().map(|listed| &*listed.account.name).collect();
            assert_eq!(names, [expected, "last"]);
        };
        let (longest, too_long) = ("é".repeat(128), "é".repeat(129));
        let (longest_word, secret) = ("a".repeat(32), "a".repeat(33));
        for name in ["berlin", "Ольга \"VIP\"", &longest, &longest_word] {
            check(name, name);
        }
        for name in ["", " ", " berlin", "ber\nlin", "ber\u{7}lin", &secret, &too_long] {
            check(name, "7");
        }
    }

    #[test]
    fn an_instance_whose_token_fits_no_url_is_left_out_of_the_list() {
        let body = br#"[{"idInstance":7,"apiTokenInstance":".."},{"idInstance":8,"apiTokenInstance":"a"}]"#;
        let (instances, _) = answers::instances(body).unwrap();
        let listing = listing(instances);
        let ids: Vec<u64> = listing.iter().map(|listed| listed.account.id.into()).collect();
        assert_eq!(ids, [8]);
    }
}
