//! A real Prometheus scrapes the exporter.

use std::process::Stdio;

use greenapi_exporter::simulator::Behaviour;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{Exporter, PATIENCE, config, id, simulate};

/// A running Prometheus.
pub(crate) struct Prometheus {
    _child: Child,
    _folder: TempDir,
    url: String,
}

impl Prometheus {
    /// One that scrapes `target` every second, with `more` lines about how, and more `flags`.
    pub(crate) async fn start(target: &str, more: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("prometheus.yml");
        let scrape = format!(
            "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: greenapi\n    static_configs:\n      - targets: ['{target}']\n{more}"
        );
        std::fs::write(&config, scrape).unwrap();
        // Debian's Prometheus can't tell which port it took, so it is given one that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .args(flags)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus is missing: run `make test-programs`");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("Server is ready") {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap();
        // What it says from now on is read and dropped, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            _child: child,
            _folder: folder,
            url: format!("http://{free}"),
        }
    }

    async fn api(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{path}", self.url)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let answer = reqwest::get(url).await.unwrap().text().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// The result of an instant query once there is any: a scrape makes it come.
    pub(crate) async fn query(&self, query: &str) -> Vec<Value> {
        let result = async {
            loop {
                let answer = self.api("query", &[("query", query)]).await;
                let result = answer["data"]["result"].as_array().unwrap().clone();
                if !result.is_empty() {
                    return result;
                }
                tokio::task::yield_now().await;
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
async fn prometheus_scrapes_openmetrics() {
    check(&[]).await;
}

#[tokio::test]
async fn prometheus_scrapes_protobuf() {
    check(&["--enable-feature=native-histograms"]).await;
}
