//! What becomes of counters, requests and waits when the configuration is loaded anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use greenapi_exporter::simulator::{Behaviour, Method, SimStatus};
use greenapi_exporter::web;
use reqwest::Method as Verb;
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{
    Exporter, PATIENCE, TempFile, binary, config, config_where, gauge, id, labelled, now, partner_config, series,
    simulate, value,
};

/// What lets every scrape ask again.
const ALWAYS: &str = "min_interval: 0s";

async fn reload(exporter: &Exporter, verb: Verb) -> (u16, String) {
    let answer = exporter.send(verb, "/-/reload", &[]).await;
    (answer.status, answer.text)
}

/// How many journals of the first instance were read.
fn journals_read(page: &str) -> Option<f64> {
    labelled(page, "greenapi_fetches_total", 0, "result=\"ok\"")
}

#[tokio::test]
async fn a_reload_keeps_what_stays_drops_what_is_gone_and_adds_what_is_new() {
    let (simulator, url) = simulate(&[Behaviour::Healthy; 3]);
    let exporter = Exporter::start(&config_where(&simulator, &url, ALWAYS, |index| index != 2), &[]).await;
    exporter.metrics().await;
    exporter.configure(&config_where(&simulator, &url, "window: 36h", |index| index != 1));
    assert_eq!(reload(&exporter, Verb::POST).await, (200, "reloaded\n".to_owned()));
    let page = exporter.metrics().await;
    assert_eq!(
        journals_read(&page),
        Some(2.0),
        "the counters of the one that stays go on"
    );
    assert_eq!(gauge(&page, "greenapi_journal_window_seconds", 0), Some(36.0 * 3600.0));
    assert_eq!(series(&page, "greenapi_up").len(), 2);
    assert!(
        !page.contains(&id(1).to_string()),
        "the series of the one that is gone are gone"
    );
    assert_eq!(gauge(&page, "greenapi_up", 2), Some(1.0));
}

#[tokio::test]
async fn a_reload_by_signal_reads_secrets_again() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "mistaken").unwrap();
    let config = format!(
        "instances:\n  - id_instance: {}\n    api_url: {url}\n    api_token_file: {}\n",
        id(0),
        token.display()
    );
    let mut exporter = Exporter::start(&config, &[]).await;
    let page = exporter.metrics().await;
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(0.0));
    std::fs::write(&token, &*simulator.logins()[0].token).unwrap();
    exporter.signal("-HUP");
    exporter.logged("reloaded the configuration").await;
    assert_eq!(gauge(&exporter.metrics().await, "greenapi_up", 0), Some(1.0));
}

#[tokio::test]
async fn a_reload_ends_the_wait_after_a_refusal() {
    let (simulator, url) = simulate(&[Behaviour::Forbidden]);
    let exporter = Exporter::start(&config(&simulator, &url, ALWAYS), &[]).await;
    assert_eq!(gauge(&exporter.metrics().await, "greenapi_forbidden", 0), Some(1.0));
    simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    assert_eq!(reload(&exporter, Verb::PUT).await.0, 200);
    // The API takes one request a second, whatever the wait.
    let up = async {
        while gauge(&exporter.metrics().await, "greenapi_up", 0) != Some(1.0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, up).await.unwrap();
}

#[tokio::test]
async fn a_broken_configuration_leaves_the_present_one_and_says_why() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, ALWAYS), &[]).await;
    let good = exporter.get("/config").await.text;
    let accepted = |page: &str| value(page, "greenapi_exporter_config_last_reload_success_timestamp_seconds").unwrap();
    let at_start = accepted(&exporter.metrics().await);
    exporter
        .configure("instances:\n  - id_instance: x\n    api_token: d75b3a66374942c5b3c019c698abc2067e151558acbb41\n");
    let (status, text) = reload(&exporter, Verb::POST).await;
    assert_eq!(status, 500);
    assert!(
        text.contains("instances[0].id_instance") && !text.contains("d75b3a66"),
        "{text}"
    );
    assert_eq!(exporter.get("/config").await.text, good);
    let page = exporter.metrics().await;
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(1.0));
    assert_eq!(
        value(&page, "greenapi_exporter_config_last_reload_successful"),
        Some(0.0)
    );
    assert_eq!(accepted(&page).to_bits(), at_start.to_bits());
    let is_told = async || {
        exporter
            .get("/")
            .await
            .text
            .contains("the configuration could not be reloaded")
    };
    assert!(is_told().await, "to people, too");
    exporter.configure(&config(&simulator, &url, ALWAYS));
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    let page = exporter.metrics().await;
    assert_eq!(
        value(&page, "greenapi_exporter_config_last_reload_successful"),
        Some(1.0)
    );
    assert!(accepted(&page) > at_start);
    assert!(!is_told().await);
}

#[tokio::test]
async fn only_post_and_put_reload() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, ALWAYS), &[]).await;
    for verb in [Verb::GET, Verb::HEAD, Verb::DELETE] {
        let answer = exporter.send(verb.clone(), "/-/reload", &[]).await;
        assert_eq!(
            (answer.status, &answer.headers["allow"]),
            (405, &"POST, PUT".parse().unwrap()),
            "{verb}"
        );
    }
}

#[tokio::test]
async fn reloads_under_continuous_scraping_lose_no_scrape() {
    let (simulator, url) = simulate(&[Behaviour::Healthy; 4]);
    let configs = [3, 2].map(|missing| config_where(&simulator, &url, ALWAYS, |index| index != missing));
    let exporter = Exporter::start(&configs[0], &[]).await;
    let scraping = async {
        for _ in 0..200 {
            let page = exporter.metrics().await;
            let up = series(&page, "greenapi_up");
            assert_eq!(up.len(), 3, "{up:?}");
            assert!(up.iter().all(|line| line.ends_with(" 1")), "{up:?}");
        }
    };
    let reloading = async {
        for config in configs.iter().cycle().skip(1).take(20) {
            exporter.configure(config);
            let (one, other) = tokio::join!(reload(&exporter, Verb::POST), reload(&exporter, Verb::PUT));
            assert_eq!((one.0, other.0), (200, 200));
        }
    };
    tokio::join!(scraping, reloading);
}

#[tokio::test]
async fn the_ledger_of_an_instance_that_is_removed_is_kept_in_case_it_comes_back() {
    let (simulator, url) = simulate(&[Behaviour::Healthy; 2]);
    let publish = |names: &[&str]| {
        let statuses = names.iter().map(|name| SimStatus::new(*name, now()));
        simulator.set_journal(id(1), statuses.collect()).unwrap();
    };
    let counted = async |exporter: &Exporter| {
        let page = exporter.metrics().await;
        let of_all = series(&page, "greenapi_outgoing_statuses_total").into_iter();
        let of_one = of_all.filter(|line| line.contains(&id(1).to_string()));
        let count = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
        of_one.map(count).sum::<u64>()
    };
    publish(&[]);
    let both = config(&simulator, &url, ALWAYS);
    let storage = TempDir::new().unwrap();
    let flags = ["--storage.path", storage.path().to_str().unwrap()];
    let mut exporter = Exporter::start(&both, &flags).await;
    publish(&["a"]);
    assert_eq!(counted(&exporter).await, 1);
    exporter.configure(&config_where(&simulator, &url, ALWAYS, |index| index == 0));
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    publish(&["a", "b"]);
    assert_eq!(counted(&exporter).await, 0, "its series are gone");
    exporter.configure(&both);
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    assert_eq!(counted(&exporter).await, 2);
    exporter.kill().await;
    assert_eq!(counted(&Exporter::start(&both, &flags).await).await, 2);
}

#[tokio::test]
async fn a_request_under_way_outlives_a_reload_and_is_the_only_one() {
    let (simulator, url) = simulate(&[Behaviour::Held]);
    let before = config(&simulator, &url, ALWAYS);
    let exporter = Exporter::start(&before, &[]).await;
    let reloaded = async {
        simulator.arrived(id(0), Method::GetOutgoingStatuses, 1).await.unwrap();
        exporter.configure(&before.replace("min_interval: 0s", "window: 36h\n  min_interval: 0s"));
        assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
        let impatient = [("X-Prometheus-Scrape-Timeout-Seconds", "0.1")];
        assert_eq!(exporter.get_with("/metrics", &impatient).await.status, 200);
        assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 1);
        simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    };
    let (page, ()) = tokio::join!(exporter.metrics(), reloaded);
    assert_eq!(journals_read(&page), Some(1.0));
    assert_eq!(journals_read(&exporter.metrics().await), Some(2.0));
    let received = simulator.received(id(0)).unwrap();
    let minutes = received
        .iter()
        .map(|request| request.target.rsplit('=').next().unwrap());
    assert_eq!(minutes.collect::<Vec<_>>(), ["1440", "2160"]);
}

#[tokio::test]
async fn a_request_under_way_is_the_only_one_also_where_its_instance_is_removed_and_added_again_meanwhile() {
    let (simulator, url) = simulate(&[Behaviour::Held, Behaviour::Healthy]);
    let both = config(&simulator, &url, ALWAYS);
    let exporter = Exporter::start(&both, &[]).await;
    let impatient = [("X-Prometheus-Scrape-Timeout-Seconds", "0.6")];
    exporter.get_with("/metrics", &impatient).await;
    simulator.arrived(id(0), Method::GetOutgoingStatuses, 1).await.unwrap();
    for config in [config_where(&simulator, &url, ALWAYS, |index| index != 0), both] {
        exporter.configure(&config);
        assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
        exporter.get_with("/metrics", &impatient).await;
    }
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 1);
    simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    assert_eq!(gauge(&exporter.metrics().await, "greenapi_up", 0), Some(1.0));
}

#[tokio::test]
async fn a_collector_that_is_switched_off_and_on_again_asks_no_more_often() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let on = config(&simulator, &url, "min_interval: 0s\ncollectors: [outgoing, contacts]");
    let exporter = Exporter::start(&on, &[]).await;
    let known = |page: &str| series(page, "greenapi_contacts").len();
    assert!(known(&exporter.metrics().await) > 0);
    for (config, is_on) in [(config(&simulator, &url, ALWAYS), false), (on, true)] {
        exporter.configure(&config);
        assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
        assert_eq!(known(&exporter.metrics().await) > 0, is_on);
    }
    assert_eq!(
        simulator.requests(id(0), Method::GetContacts).unwrap(),
        1,
        "one an hour is allowed"
    );
}

#[tokio::test]
async fn a_reload_ends_the_waits_of_the_optional_collectors_too() {
    let (simulator, url) = simulate(&[Behaviour::Unauthorized]);
    let all = "collectors: [outgoing, incoming, state, settings, contacts, queue]";
    let exporter = Exporter::start(&config(&simulator, &url, all), &[]).await;
    let succeeded = |page: &str| {
        let collectors = series(page, "greenapi_collector_success");
        assert_eq!(collectors.len(), 5, "{collectors:?}");
        collectors.iter().filter(|line| line.ends_with(" 1")).count()
    };
    assert_eq!(succeeded(&exporter.metrics().await), 0);
    simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    assert_eq!(
        succeeded(&exporter.metrics().await),
        0,
        "they wait for a minute and more"
    );
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    assert_eq!(succeeded(&exporter.metrics().await), 5);
}

#[tokio::test]
async fn nothing_is_shown_of_collectors_that_are_switched_off() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let all = "collectors: [outgoing, incoming, state, settings, statistic, contacts, queue]";
    let exporter = Exporter::start(&config(&simulator, &url, all), &[]).await;
    let families = async || {
        let page = exporter.metrics().await;
        let names = page.lines().filter(|line| line.starts_with("greenapi_"));
        let names = names.map(|line| line.split(['{', ' ']).next().unwrap().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let with_all = families().await;
    exporter.configure(&config(&simulator, &url, ""));
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    let fewer = families().await;
    let gone: Vec<_> = with_all.difference(&fewer).map(String::as_str).collect();
    assert_eq!(
        gone,
        [
            "greenapi_collector_duration_seconds",
            "greenapi_collector_success",
            "greenapi_contacts",
            "greenapi_incoming_journal_statuses",
            "greenapi_incoming_statuses_total",
            "greenapi_instance_state",
            "greenapi_queued_messages",
            "greenapi_setting_enabled",
        ]
    );
}

/// Since when the statuses of the first instance are counted.
async fn counting_since(exporter: &Exporter) -> f64 {
    let openmetrics = [("Accept", "application/openmetrics-text;version=1.0.0")];
    let page = exporter.get_with("/metrics", &openmetrics).await.text;
    let of_instance = format!("id_instance=\"{}\"", id(0));
    let created = series(&page, "greenapi_outgoing_statuses_created");
    let created = created.iter().find(|line| line.contains(&of_instance)).unwrap();
    created.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn ledgers_outlive_a_reload_that_moves_the_instances_to_a_partner_account() {
    let (simulator, url) = simulate(&[Behaviour::Healthy; 2]);
    let exporter = Exporter::start(&config(&simulator, &url, ALWAYS), &["--web.openmetrics-created"]).await;
    let before = counting_since(&exporter).await;
    // A ledger that began anew would do so in another second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let token = TempFile::new("token", simulator.partner_token());
    exporter.configure(&partner_config(&url, &token));
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    assert!((counting_since(&exporter).await - before).abs() < 0.1);
}

#[tokio::test]
async fn a_partner_accounts_instances_stay_known_when_only_their_settings_change() {
    let (simulator, url) = simulate(&[Behaviour::Healthy; 2]);
    let token = TempFile::new("token", simulator.partner_token());
    let before = partner_config(&url, &token);
    let exporter = Exporter::start(&before, &[]).await;
    exporter.metrics().await;
    exporter.configure(&format!("{before}defaults: {{window: 36h}}\n"));
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    assert_eq!(exporter.get("/-/ready").await.status, 200);
    let page = exporter.metrics().await;
    assert_eq!(gauge(&page, "greenapi_journal_window_seconds", 0), Some(36.0 * 3600.0));
    assert_eq!(journals_read(&page), Some(2.0));
}

#[tokio::test]
async fn a_partner_account_with_another_token_is_another_one() {
    let (simulator, url) = simulate(&[Behaviour::Healthy; 2]);
    let [right, wrong] = [simulator.partner_token(), "wrong"].map(|token| TempFile::new("token", token));
    let exporter = Exporter::start(&partner_config(&url, &right), &[]).await;
    for (token, up) in [(&right, 2), (&wrong, 0), (&right, 2)] {
        exporter.configure(&partner_config(&url, token));
        assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
        assert_eq!(series(&exporter.metrics().await, "greenapi_up").len(), up);
        let readiness = if up > 0 { 200 } else { 503 };
        assert_eq!(exporter.get("/-/ready").await.status, readiness);
    }
}

#[tokio::test]
async fn counters_survive_a_new_token_of_the_partner_account_and_a_move_to_it() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let [token, wrong] = [simulator.partner_token(), "wrong"].map(|token| TempFile::new("token", token));
    let listed = config(&simulator, &url, ALWAYS);
    let exporter = Exporter::start(&listed, &[]).await;
    exporter.metrics().await;
    for config in [partner_config(&url, &wrong), partner_config(&url, &token)] {
        exporter.configure(&config);
        assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
        exporter.metrics().await;
    }
    let page = exporter.metrics().await;
    let asked = simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap();
    assert!(asked > 1, "{asked}");
    assert_eq!(journals_read(&page), Some(f64::from(u32::try_from(asked).unwrap())));
}

#[tokio::test]
async fn a_reload_changes_the_limits() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let usual = config(&simulator, &url, ALWAYS);
    let exporter = Exporter::start(&usual, &[]).await;
    for (config, up, result) in [
        (format!("{usual}max_response_bytes: 10\n"), 0.0, "too_large"),
        (usual, 1.0, "ok"),
    ] {
        exporter.configure(&config);
        assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
        let page = exporter.metrics().await;
        assert_eq!(gauge(&page, "greenapi_up", 0), Some(up));
        let label = format!("result=\"{result}\"");
        assert_eq!(labelled(&page, "greenapi_fetch_result", 0, &label), Some(1.0));
    }
}

#[tokio::test]
async fn a_reload_changes_how_many_requests_may_be_under_way() {
    let (simulator, url) = simulate(&[Behaviour::Held; 2]);
    let usual = config(&simulator, &url, "timeout: 10m");
    let exporter = Exporter::start(&format!("{usual}max_concurrent_requests: 1\n"), &[]).await;
    exporter.configure(&usual);
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    let arrived = async {
        for index in 0..2 {
            let arrived = simulator.arrived(id(index), Method::GetOutgoingStatuses, 1);
            tokio::time::timeout(PATIENCE, arrived).await.unwrap().unwrap();
        }
        (0..2).for_each(|index| simulator.set_behaviour(id(index), Behaviour::Healthy).unwrap());
    };
    let (page, ()) = tokio::join!(exporter.metrics(), arrived);
    assert_eq!(series(&page, "greenapi_up").len(), 2);
}

#[tokio::test]
async fn a_reload_lists_the_partner_account_anew() {
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = web::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = {
        let asked = asked.clone();
        move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            async { hyper::Response::new(web::full("[]")) }
        }
    };
    tokio::spawn(web::serve(vec![listener], api, std::future::pending()));
    let token = TempFile::new("token", "d75b3a66");
    let exporter = Exporter::start(&partner_config(&url, &token), &[]).await;
    exporter.metrics().await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(reload(&exporter, Verb::POST).await.0, 200);
    // The API takes one request a second.
    let listed = async {
        while asked.load(Ordering::Relaxed) < 2 {
            exporter.metrics().await;
        }
    };
    tokio::time::timeout(PATIENCE, listed).await.unwrap();
}

#[tokio::test]
async fn a_reload_of_a_shard_leaves_the_ledgers_of_other_shards_and_writes_nothing() {
    let (simulator, url) = simulate(&[Behaviour::Healthy; 8]);
    let config = config(&simulator, &url, ALWAYS);
    let storage = TempDir::new().unwrap();
    let stored = ["--storage.path", storage.path().to_str().unwrap()];
    let entries = async |exporter: &Exporter| value(&exporter.metrics().await, "greenapi_exporter_ledger_entries");
    let only = Exporter::start(&config, &stored).await;
    let before = entries(&only).await;
    only.stop().await;
    // From now on, nothing but what was stored is counted.
    (0..8).for_each(|index| simulator.set_behaviour(id(index), Behaviour::ServerError).unwrap());
    let flags = [&stored[..], &["--shard.ordinal", "0", "--shard.total", "2"]].concat();
    let shard = Exporter::start(&config, &flags).await;
    let up = series(&shard.metrics().await, "greenapi_up").len();
    assert!((1..8).contains(&up), "{up} of 8 on the shard");
    let ledger = || std::fs::read(storage.path().join("ledger.redb")).unwrap();
    let written = ledger();
    assert_eq!(reload(&shard, Verb::POST).await.0, 200);
    assert!(ledger() == written, "the reload wrote to the ledger");
    assert_eq!(entries(&shard).await, before);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_to_its_end_keeps_no_exporter_from_stopping() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("exporter.yml");
    std::fs::write(&path, config(&simulator, &url, "")).unwrap();
    let flags = [
        "--config.file",
        path.to_str().unwrap(),
        "--web.listen-address",
        "127.0.0.1:0",
    ];
    let exporter = Exporter::spawn(binary(&flags), None).await;
    std::fs::remove_file(&path).unwrap();
    let made = Command::new("mkfifo").arg(&path).status().await;
    assert!(made.unwrap().success());
    exporter.signal("-HUP");
    // It can be opened once the exporter has, who then waits for its end.
    let open = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(path));
    let never_ends = tokio::time::timeout(PATIENCE, open).await.unwrap().unwrap().unwrap();
    assert_eq!(exporter.stop().await.code, Some(0));
    drop(never_ends);
}

#[tokio::test]
async fn a_signal_to_reload_that_comes_while_it_starts_ends_nothing() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("exporter.yml");
    // Whoever writes to it waits until it is read, and the other way around.
    let made = Command::new("mkfifo").arg(&path).status().await;
    assert!(made.unwrap().success());
    // The exporter takes the shell's place, so that it ends with the test.
    let script = "(exec 3> exporter.yml; kill -HUP $$; cat config.yml >&3) & exec \"$@\"";
    std::fs::write(folder.path().join("config.yml"), config(&simulator, &url, "")).unwrap();
    let program = env!("CARGO_BIN_EXE_greenapi-exporter");
    let mut command = Command::new("sh");
    let flags = [
        "serve",
        "--config.file",
        "exporter.yml",
        "--web.listen-address",
        "127.0.0.1:0",
    ];
    command.args(["-c", script, "sh", program]).args(flags);
    command.current_dir(folder.path()).kill_on_drop(true);
    let exporter = Exporter::spawn(command, None).await;
    assert_eq!(gauge(&exporter.metrics().await, "greenapi_up", 0), Some(1.0));
}
