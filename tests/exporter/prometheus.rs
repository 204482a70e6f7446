//! A real Prometheus scrapes the exporter.

use greenapi_exporter::journal::StatusMessage;
use greenapi_exporter::simulator::{Behaviour, Method, SimStatus};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{
    Daemon, Exporter, PATIENCE, POLLING, TempFile, binary, config, free_address, id, now, program, run, simulate,
};

/// A running Prometheus.
pub(crate) struct Prometheus {
    _process: Daemon,
    folder: TempDir,
    url: String,
}

/// A configuration that scrapes `target` every second, with `more` lines about how.
pub(crate) fn scraping(target: &str, more: &str) -> String {
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
         scrape_configs:\n  - job_name: greenapi\n    static_configs:\n      - targets: ['{target}']\n{more}"
    )
}

impl Prometheus {
    /// One that scrapes `target` every second, with `more` lines about how, and more `flags`.
    pub(crate) async fn start(target: &str, more: &str, flags: &[&str]) -> Self {
        Self::start_on(TempDir::new().unwrap(), target, more, flags).await
    }

    /// The same with its data in `folder`.
    async fn start_on(folder: TempDir, target: &str, more: &str, flags: &[&str]) -> Self {
        Self::configured(folder, &scraping(target, more), flags).await
    }

    /// One with its data and the files that `config` names in `folder`.
    pub(crate) async fn configured(folder: TempDir, config: &str, flags: &[&str]) -> Self {
        let path = folder.path().join("prometheus.yml");
        std::fs::write(&path, config).unwrap();
        let address = free_address();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .args(flags);
        Self {
            _process: Daemon::start(command, "Server is ready").await,
            folder,
            url: format!("http://{address}"),
        }
    }

    /// Loads these rules files, given with their paths beside its configuration, which names them.
    pub(crate) async fn load_rules(&self, files: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in files {
            let path = self.folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let reload = reqwest::Client::new().post(format!("{}/-/reload", self.url));
        assert!(
            reload.send().await.unwrap().status().is_success(),
            "the rules are refused"
        );
    }

    pub(crate) async fn api(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{path}", self.url)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let answer = reqwest::get(url).await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// The result of an instant query once there is any: a scrape makes it come, which it tells nobody.
    pub(crate) async fn query(&self, query: &str) -> Vec<Value> {
        let mut turns = tokio::time::interval(POLLING);
        let result = async {
            loop {
                turns.tick().await;
                let answer = self.api("query", &[("query", query)]).await;
                let result = answer["data"]["result"].as_array().unwrap().clone();
                if !result.is_empty() {
                    return result;
                }
            }
        };
        tokio::time::timeout(PATIENCE, result)
            .await
            .unwrap_or_else(|_| panic!("no result: {query}"))
    }
}

async fn check(flags: &[&str]) {
    let (simulator, url) = simulate(&[Behaviour::Healthy, Behaviour::Forbidden]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    let target = exporter.url.strip_prefix("http://").unwrap();
    let prometheus = Prometheus::start(target, "", flags).await;
    prometheus.query("up{job=\"greenapi\"} == 1").await;
    let statuses = prometheus
        .query("sum by (id_instance) (greenapi_journal_statuses) > 0")
        .await;
    assert_eq!(statuses[0]["metric"]["id_instance"], id(0).to_string());
    let forbidden = prometheus.query("greenapi_forbidden == 1").await;
    assert_eq!(forbidden[0]["metric"]["id_instance"], id(1).to_string());
    // It knows types and help only where it understood the whole page.
    let metadata = prometheus
        .api("targets/metadata", &[("metric", "greenapi_journal_statuses")])
        .await;
    assert_eq!(metadata["data"][0]["type"], "gauge", "{metadata}");
}

#[tokio::test]
async fn an_increase_over_a_restart_is_the_number_published() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let storage = TempDir::new().unwrap();
    let flags = ["--storage.path", storage.path().to_str().unwrap()];
    let config = config(&simulator, &url, "min_interval: 0s");
    let now = now();
    // The baseline has one of the kind, so that its series begins at 0.
    let mut journal = vec![SimStatus::new("before", now - 60)];
    let mut publish = |names: &[&str]| {
        journal.extend(names.iter().map(|name| SimStatus::new(*name, now + 1)));
        simulator.set_journal(id(0), journal.clone()).unwrap();
    };
    publish(&[]);
    let exporter = Exporter::start(&config, &flags).await;
    let address = exporter.url.strip_prefix("http://").unwrap().to_owned();
    let prometheus = Prometheus::start(&address, "", &[]).await;
    prometheus.query("greenapi_outgoing_statuses_total == 0").await;
    publish(&["one", "two", "three"]);
    prometheus.query("greenapi_outgoing_statuses_total == 3").await;
    assert_eq!(exporter.stop().await.code, Some(0));
    publish(&["four", "five"]);
    let _exporter = Exporter::start_on(&address, &config, &flags).await;
    prometheus.query("greenapi_outgoing_statuses_total == 5").await;
    // Prometheus extrapolates a little beyond the first and the last scrape.
    prometheus
        .query("round(increase(greenapi_outgoing_statuses_total[5m])) == 5")
        .await;
    assert!(
        prometheus
            .query("resets(greenapi_outgoing_statuses_total[5m]) == 0")
            .await
            .len()
            == 1
    );
}

#[tokio::test]
async fn a_backfilled_journal_answers_questions_about_last_week() {
    const DAY: u64 = 86_400;
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let now = now();
    let status = |name, days: u64, status_message| SimStatus {
        status_message,
        ..SimStatus::new(name, now - days * DAY)
    };
    let journal = vec![
        status("a", 20, StatusMessage::Read),
        status("b", 9, StatusMessage::Sent),
        status("c", 5, StatusMessage::Delivered),
    ];
    simulator.set_journal(id(0), journal).unwrap();
    let file = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    let target = id(0).to_string();
    let arguments = [
        "backfill",
        "--config.file",
        file.path(),
        "--target",
        &target,
        "--since",
        "2w",
    ];
    let finished = run(&mut binary(&arguments)).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let history = TempFile::new("history.om", &finished.stdout);
    // As the help says, so that dashboards find it.
    let labels = r#"s/{/{job="greenapi",instance="localhost:10466",/"#;
    let labelled = run(program("sed").args(["-i", labels, history.path()])).await;
    assert_eq!(labelled.code, Some(0), "{}", labelled.stderr);
    let data = TempDir::new().unwrap();
    let mut promtool = Command::new("promtool");
    promtool
        .args(["tsdb", "create-blocks-from", "openmetrics", history.path()])
        .arg(data.path());
    let imported = promtool
        .output()
        .await
        .expect("promtool is missing: run `make test-programs`");
    assert!(
        imported.status.success(),
        "{}",
        String::from_utf8_lossy(&imported.stderr)
    );

    let prometheus = Prometheus::start_on(data, "127.0.0.1:9", "", &[]).await;
    let check = async |query: &str, days_ago: u64, expected: &str| {
        let time = (now - days_ago * DAY).to_string();
        let answer = prometheus.api("query", &[("query", query), ("time", &time)]).await;
        assert_eq!(
            answer["data"]["result"][0]["value"][1], expected,
            "{query} {days_ago} days ago: {answer}"
        );
    };
    let chosen = "sum(greenapi_outgoing_statuses_total{job=\"greenapi\", instance=~\".+\"})";
    check(chosen, 10, "0").await;
    check("sum(greenapi_outgoing_statuses_total)", 7, "1").await;
    check("sum(greenapi_outgoing_statuses_total)", 1, "2").await;
    check(
        "sum(greenapi_outgoing_status_transitions_total{status_message=\"sent\"})",
        1,
        "2",
    )
    .await;
    check(
        "sum(greenapi_outgoing_status_transitions_total{status_message=\"delivered\"})",
        1,
        "1",
    )
    .await;
    check("round(sum(increase(greenapi_outgoing_statuses_total[1w])))", 4, "2").await;
}

#[tokio::test]
async fn prometheus_scrapes_openmetrics() {
    check(&[]).await;
}

#[tokio::test]
async fn prometheus_scrapes_protobuf() {
    check(&["--enable-feature=native-histograms"]).await;
}

#[tokio::test]
async fn two_replicas_of_prometheus_cause_one_request_per_interval() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 1h"), &[]).await;
    let target = exporter.url.strip_prefix("http://").unwrap();
    let (one, other) = tokio::join!(Prometheus::start(target, "", &[]), Prometheus::start(target, "", &[]));
    for replica in [one, other] {
        replica.query("count_over_time(greenapi_up[1m]) >= 3").await;
    }
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 1);
}

#[tokio::test]
async fn prometheus_discovers_the_instances_and_probes_each() {
    let (simulator, url) = simulate(&[Behaviour::Healthy, Behaviour::Forbidden]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    let target = exporter.url.strip_prefix("http://").unwrap();
    let probes = format!(
        "  - job_name: probes
    metrics_path: /probe
    http_sd_configs:
      - url: http://{target}/sd
        refresh_interval: 1s
    relabel_configs:
      - source_labels: [__address__]
        target_label: __param_target
      - source_labels: [__meta_greenapi_name]
        target_label: name
      - target_label: __address__
        replacement: {target}
"
    );
    let prometheus = Prometheus::start(target, &probes, &[]).await;
    for index in 0..2 {
        let id = id(index);
        prometheus
            .query(&format!("up{{job=\"probes\",name=\"{id}\"}} == 1"))
            .await;
        let up = prometheus
            .query(&format!("greenapi_up{{job=\"probes\",name=\"{id}\"}}"))
            .await;
        assert_eq!(up[0]["metric"]["id_instance"], id.to_string());
    }
}
