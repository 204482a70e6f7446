//! Lists the instances of a partner account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::account::{Account, AccountError, Credentials, InstanceId};
use crate::config::{self, TokenSource};
use crate::fetch::{FetchResult, in_a_row};
use crate::flight::{Flight, Landing};
use crate::green_api::partner::{self, PartnerInstance};
use crate::green_api::{Client, SPACING};
use crate::label::LabelValue;

/// The instances of a partner account as it lists them, each once and in order of their ids.
pub type Listing = Arc<[PartnerInstance]>;

/// A partner account, and its instances when they were last listed.
pub struct Discovery {
    partner: config::Partner,
    flight: Arc<Flight<Latest>>,
}

/// What came of listing the instances.
#[derive(Clone, Default)]
struct Latest {
    /// The instances as last listed; absent before that.
    listing: Option<Listing>,
    /// How many elements of the list were no instances.
    malformed: u64,
    /// Whether the latest attempt failed.
    has_failed: bool,
    /// How many attempts, up to the latest, were rate limited in succession.
    rate_limited_in_a_row: u32,
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

    fn start_if_due(&self, client: &Client) {
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

    /// How the instances of `listing` are collected that are not configured themselves. What is wrong with the others is logged without what
    /// they hold.
    pub fn instances(
        &self,
        listing: &[PartnerInstance],
        configured: &[Arc<config::Instance>],
    ) -> Vec<Arc<config::Instance>> {
        let own: BTreeSet<InstanceId> = configured.iter().map(|instance| instance.account.id).collect();
        let mut discovered = Vec::with_capacity(listing.len());
        for instance in listing.iter().filter(|instance| !own.contains(&instance.id_instance)) {
            match self.configuration_of(instance) {
                Ok(instance) => discovered.push(Arc::new(instance)),
                Err(error) => warn!(id = %instance.id_instance, %error, "left out an instance of the partner account"),
            }
        }
        with_names_apart(discovered, configured)
    }

    /// How an instance of the list is collected.
    fn configuration_of(&self, instance: &PartnerInstance) -> Result<config::Instance, AccountError> {
        let id = instance.id_instance;
        let name = instance.name.as_deref();
        let name = name.filter(|name| config::fault_of_name(name).is_none());
        Ok(config::Instance {
            account: Account {
                id,
                name: name.map_or_else(|| id.to_string(), str::to_owned).into(),
            },
            credentials: Credentials {
                api_url: self.partner.instance_api_url.of(id)?,
                token: instance.token.clone()?,
            },
            token_source: TokenSource::Partner,
            settings: self.partner.defaults.clone(),
        })
    }
}

async fn fetch(partner: config::Partner, client: Client, previous: Latest, start: Instant) -> Landing<Latest> {
    let timeout = partner.defaults.timeout;
    let answer = client.call_partner("getInstances", &partner.credentials, timeout).await;
    let (value, due) = match answer.and_then(|body| partner::instances(&body)) {
        Ok((instances, malformed)) => {
            if malformed != 0 && malformed != previous.malformed {
                warn!(
                    malformed,
                    "ignored elements of the partner account's list that are not instances"
                );
            }
            let listing = listing(instances, previous.listing.as_ref());
            let is_known = previous.listing.is_some_and(|known| Arc::ptr_eq(&known, &listing));
            if previous.has_failed || !is_known {
                info!(instances = listing.len(), "listed the partner account's instances");
            }
            let latest = Latest {
                listing: Some(listing),
                malformed,
                ..Latest::default()
            };
            (latest, start + partner.refresh_interval)
        }
        Err(failure) => {
            let (result, cause) = (failure.result.as_str(), &failure.cause);
            if previous.has_failed {
                debug!(result, cause, "still cannot list the partner account's instances");
            } else {
                let is_misaddressed = matches!(
                    failure.result,
                    FetchResult::Unauthorized | FetchResult::Forbidden | FetchResult::NotFound | FetchResult::Connect
                );
                let hint = is_misaddressed.then_some("check the `api_url` and the token of `partner`");
                warn!(result, cause, hint, "cannot list the partner account's instances");
            }
            let is_limited = failure.result == FetchResult::RateLimited;
            let rate_limited_in_a_row = in_a_row(previous.rate_limited_in_a_row, is_limited);
            let wait = failure.result.wait(failure.retry_after, rate_limited_in_a_row);
            let latest = Latest {
                has_failed: true,
                rate_limited_in_a_row,
                ..previous
            };
            (latest, (start + RETRY_INTERVAL).max(Instant::now() + wait))
        }
    };
    Landing {
        value,
        due,
        earliest: Instant::now() + SPACING,
    }
}

/// The listing of `instances`, which is the `previous` one unless something has changed: what is wrong with it has been told then.
fn listing(mut instances: Vec<PartnerInstance>, previous: Option<&Listing>) -> Listing {
    instances.sort_by_key(|instance| instance.id_instance);
    instances.dedup_by_key(|instance| instance.id_instance);
    match previous {
        Some(previous) if **previous == *instances => previous.clone(),
        _ => instances.into(),
    }
}

/// The discovered instances, renamed so that no name of theirs means two: one whose name is also another's name, or another's id, is called
/// by its own id. A partner account's names need not be unique. Logs a configured name that is another's id: it stays, being chosen.
fn with_names_apart(
    mut discovered: Vec<Arc<config::Instance>>,
    configured: &[Arc<config::Instance>],
) -> Vec<Arc<config::Instance>> {
    let mut ids = BTreeSet::new();
    let mut names = BTreeMap::<Arc<str>, usize>::new();
    for Account { id, name } in configured.iter().chain(&discovered).map(|instance| &instance.account) {
        ids.insert(*id);
        *names.entry(name.clone()).or_default() += 1;
    }
    let is_id_of_another = |Account { id, name }: &Account| {
        let is_of_another = |other: InstanceId| other != *id && ids.contains(&other);
        name.parse().is_ok_and(is_of_another)
    };
    for Account { name, .. } in configured
        .iter()
        .map(|instance| &instance.account)
        .filter(|account| is_id_of_another(account))
    {
        warn!(%name, "the name of an instance is the id of another, which `/probe` takes it for");
    }
    for instance in &mut discovered {
        if names.get(&instance.account.name) > Some(&1) || is_id_of_another(&instance.account) {
            let account = &mut Arc::make_mut(instance).account;
            account.name = account.id.to_string().into();
        }
    }
    discovered
}

/// How soon a failed listing is tried again: a partner account that was never listed leaves scrapes empty.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::clock::Clock;
    use crate::green_api::Connector;

    /// The ids and names under which the instances of `list` are collected beside those configured.
    fn collected(list: &Value, configured: &[Arc<config::Instance>]) -> Vec<(u64, String)> {
        let (instances, _) = partner::instances(list.to_string().as_bytes()).unwrap();
        let discovery = Discovery::new(partner());
        let instances = discovery.instances(&listing(instances, None), configured);
        let accounts = instances.iter().map(|instance| &instance.account);
        accounts
            .map(|account| (account.id.into(), account.name.to_string()))
            .collect()
    }

    fn partner() -> config::Partner {
        config::Partner::example(credentials())
    }

    fn credentials() -> Credentials {
        Credentials::example("https://api.example", "d75b3a66")
    }

    fn configured(id: u64, name: &str) -> Arc<config::Instance> {
        config::Instance::example(id.into(), name, credentials()).into()
    }

    fn element(id: u64, name: &str) -> Value {
        json!({"idInstance": id, "name": name, "apiTokenInstance": "a"})
    }

    #[test]
    fn a_discovered_instance_takes_no_name_that_another_has_nor_the_id_of_another() {
        let configured = [configured(1, "berlin"), configured(2, "2")];
        let check = |name: &str, expected: [&str; 2]| {
            let list = json!([element(8, name), element(9, "paris")]);
            let names = collected(&list, &configured).into_iter().map(|(_, name)| name);
            assert_eq!(names.collect::<Vec<_>>(), expected, "{name}");
        };
        check("london", ["london", "paris"]);
        check("berlin", ["8", "paris"]);
        check("2", ["8", "paris"]);
        check("9", ["8", "paris"]);
        check("8", ["8", "paris"]);
        check("10", ["10", "paris"]);
        check("paris", ["8", "9"]);
    }

    #[test]
    fn an_instance_that_is_configured_itself_is_collected_as_configured() {
        let configured = [configured(1, "berlin")];
        let list = json!([element(1, "rome"), element(8, "rome")]);
        assert_eq!(collected(&list, &configured), [(8, "rome".to_owned())]);
    }

    #[test]
    fn an_instance_is_listed_once_in_order_of_ids_by_its_id_where_its_name_cannot_be_shown() {
        let check = |name: &str, expected: &str| {
            let list = json!([element(8, "last"), element(7, name), element(7, "again")]);
            let expected = [(7, expected.to_owned()), (8, "last".to_owned())];
            assert_eq!(collected(&list, &[]), expected, "{name}");
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
    fn an_instance_whose_token_fits_no_url_is_not_collected() {
        let list = json!([{"idInstance": 7, "apiTokenInstance": ".."}, element(8, "berlin")]);
        assert_eq!(collected(&list, &[]), [(8, "berlin".to_owned())]);
    }

    #[tokio::test]
    async fn a_partner_account_is_asked_again_after_as_long_as_its_answer_says_even_if_it_is_listed_more_often() {
        let check = async |head: &'static [u8], seconds: u64| {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let answer = async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                _ = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(head).await.unwrap();
            };
            let mut partner = partner();
            partner.credentials.api_url = url.parse().unwrap();
            partner.refresh_interval = Duration::from_secs(10);
            let client = Client::new(Connector::example(), 1, 1, Clock::system());
            let start = Instant::now();
            let (landing, ()) = tokio::join!(fetch(partner, client, Latest::default(), start), answer);
            assert!(landing.value.has_failed);
            // The wait begins with the answer, which takes a moment.
            let wait = (landing.due - start).as_secs();
            assert!((seconds..seconds + 10).contains(&wait), "{wait} and not {seconds}");
        };
        check(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n",
            90,
        )
        .await;
        check(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 60).await;
        check(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 10).await;
    }

    #[test]
    fn a_list_that_says_the_same_is_the_same_listing_and_one_that_does_not_is_another() {
        let listed = |list: Value, previous| {
            let (instances, _) = partner::instances(list.to_string().as_bytes()).unwrap();
            listing(instances, previous)
        };
        let first = listed(json!([element(7, "berlin"), element(8, "paris")]), None);
        let check = |list, is_same: bool| assert_eq!(Arc::ptr_eq(&first, &listed(list, Some(&first))), is_same);
        check(json!([element(8, "paris"), element(7, "berlin")]), true);
        check(json!([element(7, "berlin"), element(8, "london")]), false);
        check(json!([element(7, "berlin")]), false);
    }

    /// A partner account that is answered so, one time after the other, and then not at all.
    async fn answered(answers: &'static [&'static str]) -> config::Partner {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut partner = partner();
        let url = format!("http://{}", listener.local_addr().unwrap());
        partner.credentials.api_url = url.parse().unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                _ = stream.read(&mut [0; 4096]).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            std::future::pending::<()>().await;
            drop(listener);
        });
        partner
    }

    const EMPTY: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]";
    const REFUSED: &str = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

    #[tokio::test]
    async fn a_partner_account_is_listed_again_after_the_refresh_interval_or_a_second_after_its_answer() {
        let partner = answered(&[EMPTY]).await;
        let client = Client::new(Connector::example(), 2, 1, Clock::system());
        let start = Instant::now();
        let landing = fetch(partner, client, Latest::default(), start).await;
        assert!(!landing.value.has_failed);
        assert_eq!(landing.due - start, Duration::from_mins(5));
        assert!(landing.earliest - start >= SPACING);
    }

    #[tokio::test]
    async fn instances_that_were_listed_once_stay_known_while_the_next_list_is_late_or_has_failed() {
        let check = async |partner: config::Partner, is_late: bool| {
            let discovery = Discovery::new(config::Partner {
                refresh_interval: Duration::ZERO,
                ..partner
            });
            let client = Client::new(Connector::example(), 2, 1, Clock::system());
            let in_a_minute = Instant::now() + Duration::from_mins(1);
            let first = discovery.list(&client, in_a_minute).await.unwrap();
            tokio::time::pause();
            tokio::time::advance(SPACING).await;
            tokio::time::resume();
            let second = discovery.list(&client, Instant::now()).await.unwrap();
            assert!(Arc::ptr_eq(&first, &second));
            assert!(!discovery.flight.is_idle(Duration::ZERO), "it is listed anew");
            if !is_late {
                let latest = discovery.flight.landed(Instant::now(), in_a_minute).await;
                assert!(latest.unwrap().has_failed);
            }
            let known = discovery.known().unwrap();
            assert!(Arc::ptr_eq(&first, &known));
        };
        check(answered(&[EMPTY]).await, true).await;
        check(answered(&[EMPTY, REFUSED]).await, false).await;
    }
}
