//! From an account in trouble to the message that somebody gets: a real Prometheus and a real Alertmanager with the rules
//! and routes of `deploy`, only that an hour passes in a minute.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use bytes::Bytes;
use greenapi_exporter::simulator::{Behaviour, SimStatus, Simulator};
use greenapi_exporter::web;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;

use crate::harness::{Daemon, Exporter, PATIENCE, POLLING, config, free_address, id, now, repository_file, simulate};
use crate::prometheus::Prometheus;
use crate::rules::rule_files;

#[tokio::test]
async fn causes_are_told_to_who_can_help_and_mute_their_effects() {
    let (simulator, url) = simulate(&[Behaviour::Healthy; 5]);
    for number in 0..5 {
        simulator.set_journal(id(number), Vec::new()).unwrap();
    }
    let stack = Stack::start(&simulator, &url).await;
    stack.prometheus.query("count(greenapi_up == 1) == 5").await;
    simulator.set_behaviour(id(1), Behaviour::Forbidden).unwrap();
    simulator.set_behaviour(id(2), Behaviour::NotAuthorized).unwrap();
    simulator.set_behaviour(id(3), Behaviour::QuotaExceeded).unwrap();
    simulator.set_journal(id(4), vec![pending_for_an_hour()]).unwrap();
    // All that is expected, in the order of its coming: the causes, and long after them the effects, of which nobody hears.
    stack.receivers.told("pager: firing GreenApiForbidden 1101000002").await;
    let effects = "ALERTS{alertname=\"GreenApiFetchFailing\", alertstate=\"firing\"}";
    stack.prometheus.query(&format!("count({effects}) == 3")).await;
    stack
        .alertmanager
        .suppresses(&[
            "GreenApiFetchFailing 1101000002",
            "GreenApiFetchFailing 1101000003",
            "GreenApiFetchFailing 1101000004",
        ])
        .await;
    simulator.set_behaviour(id(2), Behaviour::Healthy).unwrap();
    stack
        .receivers
        .told("pager: resolved GreenApiInstanceNotAuthorized 1101000003")
        .await;
    let expected = [
        "chat: firing GreenApiQuotaExceeded 1101000004",
        "pager: firing GreenApiForbidden 1101000002",
        "pager: firing GreenApiInstanceNotAuthorized 1101000003",
        "pager: firing GreenApiStatusesStuckPending 1101000005",
        "pager: resolved GreenApiInstanceNotAuthorized 1101000003",
    ];
    assert_eq!(stack.receivers.notifications(), expected);
}

#[tokio::test]
async fn a_dead_api_is_told_once_and_not_once_for_each_account() {
    let (simulator, url) = simulate(&[Behaviour::ServerError; 5]);
    let stack = Stack::start(&simulator, &url).await;
    let ids = "1101000001 1101000002 1101000003 1101000004 1101000005";
    let expected = format!("chat: firing GreenApiFetchFailing {ids}");
    stack.receivers.told(&expected).await;
    assert_eq!(stack.receivers.notifications(), [expected]);
}

#[tokio::test]
async fn an_exporter_that_is_gone_is_told() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let stack = Stack::start(&simulator, &url).await;
    let (exporter, receivers) = (stack.exporter, stack.receivers);
    exporter.stop().await;
    let expected = "pager: firing GreenApiExporterDown";
    receivers.told(expected).await;
    assert_eq!(receivers.notifications(), [expected]);
}

/// Alerts of one account at the same time, and those of them that go without saying.
#[tokio::test]
async fn what_follows_from_a_cause_goes_without_saying() {
    const EFFECTS: &[&str] = &[
        "FetchFailing",
        "DataStale",
        "StatusesStuckPending",
        "NoStatusesPublished",
        "LowReadRatio",
    ];
    const CASES: &[(&str, &[&str], &[&str])] = &[
        ("Forbidden", EFFECTS, &["JournalGap", "UnknownValues", "Unauthorized"]),
        ("Unauthorized", EFFECTS, &["JournalGap"]),
        ("InstanceNotAuthorized", EFFECTS, &["JournalGap"]),
        ("InstanceExpired", EFFECTS, &["JournalGap"]),
        ("QuotaExceeded", EFFECTS, &["JournalGap"]),
        (
            "RateLimited",
            &["FetchFailing"],
            &["StatusesStuckPending", "JournalGap"],
        ),
        ("RateLimited", &[], &["DataStale"]),
        (
            "AccountRestricted",
            &["StatusesStuckPending", "NoStatusesPublished", "LowReadRatio"],
            &["CollectorFailing"],
        ),
        ("OutgoingWebhookOff", &["LowReadRatio"], &["NoStatusesPublished"]),
        ("DataStale", &["FetchFailing"], &["StatusesStuckPending"]),
        ("StatusesStuckPending", &["LowReadRatio"], &["FetchFailing"]),
        (
            "LedgerErrors",
            &["NoStatusesPublished", "LowReadRatio"],
            &["Forbidden", "UnknownValues"],
        ),
        (
            "ExporterDown",
            &[
                "Forbidden",
                "FetchFailing",
                "UnknownValues",
                "LedgerErrors",
                "ConfigReloadFailed",
            ],
            &[],
        ),
    ];
    let receivers = Receivers::start();
    let alertmanager = Alertmanager::start(&receivers).await;
    let mut alerts = Vec::new();
    let mut muted = Vec::new();
    for (case, (cause, effects, others)) in (1..).zip(CASES) {
        let mut raise = |name: &str, account: u64, instance: u64| {
            let of_the_exporter = ["ExporterDown", "LedgerErrors", "ConfigReloadFailed"].contains(&name);
            let account = if of_the_exporter {
                String::new()
            } else {
                account.to_string()
            };
            alerts.push(json!({ "labels": {
                "alertname": format!("GreenApi{name}"), "job": "greenapi", "instance": format!("exporter-{instance}"),
                "id_instance": account,
            }}));
            format!("GreenApi{name} {account}").trim().to_owned()
        };
        raise(cause, case, case);
        muted.extend(effects.iter().map(|name| raise(name, case, case)));
        for other in *others {
            raise(other, case, case);
        }
        // An account of another exporter has nothing to do with it.
        raise("FetchFailing", case, case + 100);
    }
    alertmanager.raise(&alerts).await;
    let muted: Vec<&str> = muted.iter().map(|alert| &**alert).collect();
    alertmanager.suppresses(&muted).await;
}

/// A status that nobody has sent since it was published.
fn pending_for_an_hour() -> SimStatus {
    SimStatus::new("stuck", now() - 3600)
}

/// The exporter, and all that comes after it.
struct Stack {
    exporter: Exporter,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    receivers: Receivers,
}

impl Stack {
    async fn start(simulator: &Simulator, api_url: &str) -> Self {
        let receivers = Receivers::start();
        let alertmanager = Alertmanager::start(&receivers).await;
        let flags = ["--scrape.timeout-offset", "200ms"];
        let exporter = Exporter::start(&config(simulator, api_url, "min_interval: 0s"), &flags).await;
        // Scrapes don't get faster: a busy machine would miss many of them.
        let config = an_hour_in_a_minute(&repository_file("deploy/prometheus/prometheus.yml"))
            .replace("scrape_interval: 500ms", "scrape_interval: 1s")
            .replace("scrape_timeout: 333ms", "scrape_timeout: 1s")
            .replace("greenapi-exporter:10466", exporter.url.strip_prefix("http://").unwrap())
            .replace("alertmanager:9093", &alertmanager.address.to_string());
        let prometheus = Prometheus::configured(TempDir::new().unwrap(), &config, &["--web.enable-lifecycle"]).await;
        // It takes five seconds to find its targets, which the rules would take for five minutes without an exporter.
        prometheus.query("up == 1").await;
        let rules = rule_files()
            .into_iter()
            .map(|(name, text)| (name, an_hour_in_a_minute(&text)));
        prometheus.load_rules(rules).await;
        Self {
            exporter,
            prometheus,
            alertmanager,
            receivers,
        }
    }
}

/// A running Alertmanager.
struct Alertmanager {
    _process: Daemon,
    _folder: TempDir,
    address: SocketAddr,
}

impl Alertmanager {
    /// One with the routes of `deploy`, whose receivers are these.
    async fn start(receivers: &Receivers) -> Self {
        let folder = TempDir::new().unwrap();
        let config = an_hour_in_a_minute(&repository_file("deploy/alertmanager/alertmanager.yml"));
        let path = folder.path().join("alertmanager.yml");
        fs::write(&path, config.replace("http://receiver.invalid", &receivers.url)).unwrap();
        let address = free_address();
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=");
        Self {
            _process: Daemon::start(command, "Listening on").await,
            _folder: folder,
            address,
        }
    }

    /// Raises alerts as Prometheus does.
    async fn raise(&self, alerts: &[Value]) {
        let request = reqwest::Client::new()
            .post(format!("http://{}/api/v2/alerts", self.address))
            .header("Content-Type", "application/json")
            .body(serde_json::to_vec(alerts).unwrap());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Completes once these alerts, each with its account, and no others are muted.
    async fn suppresses(&self, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(|alert| (*alert).to_owned()).collect();
        let url = format!("http://{}/api/v2/alerts?active=false", self.address);
        let mut found = BTreeSet::new();
        // It tells nobody when it mutes an alert.
        let mut turns = tokio::time::interval(POLLING);
        let muted = async {
            while found != expected {
                turns.tick().await;
                let answer = reqwest::get(&url).await.unwrap().text().await.unwrap();
                let alerts: Vec<Value> = serde_json::from_str(&answer).unwrap();
                found = alerts.iter().map(name_and_account).collect();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, muted).await;
        let wrong: Vec<_> = found.symmetric_difference(&expected).collect();
        assert!(
            in_time.is_ok(),
            "muted and not expected, or the other way round: {wrong:#?}"
        );
    }
}

/// Such as `GreenApiForbidden 1101000001`.
fn name_and_account(alert: &Value) -> String {
    let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
    format!("{} {}", label("alertname"), label("id_instance"))
        .trim()
        .to_owned()
}

/// Those who are told: each notification is a line such as `pager: firing GreenApiForbidden 1101000001`.
struct Receivers {
    notifications: watch::Receiver<Vec<String>>,
    url: String,
}

impl Receivers {
    fn start() -> Self {
        let listener = web::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, notifications) = watch::channel(Vec::new());
        let sender = std::sync::Arc::new(sender);
        let handler = move |request: hyper::Request<hyper::body::Incoming>| {
            let sender = sender.clone();
            async move {
                let receiver = request.uri().path().trim_start_matches('/').to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                sender.send_modify(|told| told.extend(notification(&receiver, &body)));
                hyper::Response::new(web::full(Bytes::new()))
            }
        };
        tokio::spawn(web::serve(vec![listener], handler, std::future::pending()));
        Self { notifications, url }
    }

    /// Completes once this notification has come.
    async fn told(&self, expected: &str) {
        let mut notifications = self.notifications.clone();
        let told = notifications.wait_for(|told| told.iter().any(|line| line == expected));
        let in_time = tokio::time::timeout(PATIENCE, told).await.is_ok();
        assert!(in_time, "`{expected}` was not told: {:#?}", self.notifications());
    }

    /// All that came so far, in the order of the texts.
    fn notifications(&self) -> Vec<String> {
        let mut notifications = self.notifications.borrow().clone();
        notifications.sort_unstable();
        notifications
    }
}

/// What a webhook is told: a line for what fires and one for what is resolved.
fn notification(receiver: &str, body: &[u8]) -> Vec<String> {
    let told: Value = serde_json::from_slice(body).unwrap();
    let alerts = told["alerts"].as_array().unwrap();
    let line = |status: &str| {
        let alerts = alerts.iter().filter(|alert| alert["status"] == status);
        let mut accounts: Vec<&str> = alerts
            .map(|alert| alert["labels"]["id_instance"].as_str().unwrap_or_default())
            .collect();
        accounts.sort_unstable();
        let name = told["groupLabels"]["alertname"].as_str().unwrap();
        let line = format!("{receiver}: {status} {name} {}", accounts.join(" "));
        (!accounts.is_empty()).then(|| line.trim_end().to_owned())
    };
    ["firing", "resolved"].into_iter().filter_map(line).collect()
}

/// The same rules or routes with every duration divided by 60, since nobody waits a quarter of an hour for a test.
///
/// Each is written with the unit below its own; that of seconds, which has none, in milliseconds.
fn an_hour_in_a_minute(text: &str) -> String {
    const UNITS: [(char, u64, &str); 5] = [
        ('w', 168, "m"),
        ('d', 24, "m"),
        ('h', 1, "m"),
        ('m', 1, "s"),
        ('s', 1, "ms"),
    ];
    let mut scaled = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let end = word
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        let unit = UNITS.iter().find_map(|(unit, factor, below)| {
            let number: u64 = word.strip_suffix(*unit)?.parse().ok()?;
            let number = if *unit == 's' {
                number * 1000 / 60
            } else {
                number * factor
            };
            Some(format!("{number}{below}"))
        });
        scaled.push_str(unit.as_deref().unwrap_or(word));
        scaled.push_str(after);
    }
    scaled
}

#[test]
fn durations_and_nothing_else_are_divided_by_60() {
    let check = |text: &str, expected: &str| assert_eq!(an_hour_in_a_minute(text), expected);
    check(
        "max_over_time(greenapi_up[10m]) == 0",
        "max_over_time(greenapi_up[10s]) == 0",
    );
    check("for: 1h\nrepeat_interval: 1w", "for: 1m\nrepeat_interval: 168m");
    check("[1d] offset 1h", "[24m] offset 1m");
    check("group_wait: 30s", "group_wait: 500ms");
    check("x:increase1d > 3600 # 10 minutes", "x:increase1d > 3600 # 10 minutes");
    check("runbooks.md#a :9093", "runbooks.md#a :9093");
}
