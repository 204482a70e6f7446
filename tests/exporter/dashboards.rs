//! The dashboards: what Grafana is given, and that every query finds data on a real Prometheus.

mod accounts;
mod compose;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use greenapi_exporter::clock::Clock;
use greenapi_exporter::fetch::FetchResult;
use greenapi_exporter::journal::{Audience, SendByApi, StatusMessage, TypeMessage};
use greenapi_exporter::label::LabelValue;
use greenapi_exporter::simulator::{Behaviour, Method, SimStatus, Simulator, World};
use serde_json::Value;
use tempfile::TempDir;

use self::compose::{Colours, Source, dashboard};
use crate::harness::{Exporter, PATIENCE, config, id, now, repository_file, repository_path};
use crate::prometheus::{Prometheus, scraping};
use crate::rules::rule_files;

const NAMES: [&str; 3] = ["overview", "instance", "exporter"];

fn committed(name: &str) -> Value {
    serde_json::from_str(&repository_file(&format!("dashboards/greenapi-{name}.json"))).unwrap()
}

fn colours() -> Colours {
    serde_saphyr::from_str(&repository_file("dashboards/source/colours.yml")).unwrap()
}

/// The variables that are labels, each with what stands for all of its values.
fn variables(name: &str) -> BTreeMap<String, Value> {
    let dashboard = committed(name);
    let list = dashboard["templating"]["list"].as_array().unwrap().clone();
    list.into_iter()
        .filter(|variable| variable["type"] == "query")
        .map(|variable| {
            (
                variable["name"].as_str().unwrap().to_owned(),
                variable["allValue"].clone(),
            )
        })
        .collect()
}

/// Every panel of every dashboard but the headings of rows.
fn panels() -> Vec<Value> {
    NAMES.into_iter().flat_map(panels_of).collect()
}

fn panels_of(name: &str) -> Vec<Value> {
    let panels = committed(name)["panels"].as_array().unwrap().clone();
    panels.into_iter().filter(|panel| panel["type"] != "row").collect()
}

/// Every query of every panel as it is written, after the panel's title.
pub(crate) fn queries() -> Vec<(String, String)> {
    NAMES.into_iter().flat_map(queries_of).collect()
}

fn queries_of(name: &str) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for panel in panels_of(name) {
        for target in panel["targets"].as_array().unwrap() {
            let (title, expr) = (panel["title"].as_str().unwrap(), target["expr"].as_str().unwrap());
            queries.push((title.to_owned(), expr.to_owned()));
        }
    }
    queries
}

#[test]
fn the_committed_dashboards_are_what_their_sources_come_to() {
    let colours = colours();
    let mut outdated = Vec::new();
    for name in NAMES {
        let source = repository_file(&format!("dashboards/source/{name}.yml"));
        let source: Source = serde_saphyr::from_str(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
        let made = format!("{:#}\n", dashboard(&source, &colours));
        let path = repository_path(&format!("dashboards/greenapi-{name}.json"));
        if fs::read_to_string(&path).unwrap_or_default() != made {
            fs::write(path, made).unwrap();
            outdated.push(name);
        }
    }
    assert!(
        outdated.is_empty(),
        "{outdated:?} have been made anew: look at them, run this again and commit them"
    );
}

#[test]
fn panels_neither_overlap_nor_stick_out() {
    for name in NAMES {
        let mut taken = BTreeMap::new();
        for panel in committed(name)["panels"].as_array().unwrap() {
            let [left, top, width, height] = ["x", "y", "w", "h"].map(|edge| panel["gridPos"][edge].as_u64().unwrap());
            assert!(left + width <= 24 && width > 0 && height > 0, "{panel:#}");
            for cell in (left..left + width).flat_map(|x| (top..top + height).map(move |y| (x, y))) {
                let before = taken.insert(cell, panel["title"].clone());
                assert_eq!(before, None, "{name}: {} is on top of it", panel["title"]);
            }
        }
    }
}

#[test]
fn rows_are_filled_to_the_edge() {
    for name in NAMES {
        let mut widths = BTreeMap::new();
        for panel in committed(name)["panels"].as_array().unwrap() {
            let [top, width] = ["y", "w"].map(|edge| panel["gridPos"][edge].as_u64().unwrap());
            *widths.entry(top).or_insert(0) += width;
        }
        assert!(widths.values().all(|width| *width == 24), "{name}: {widths:?}");
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_what_no_data_means() {
    for panel in panels() {
        let defaults = &panel["fieldConfig"]["defaults"];
        let description = panel["description"].as_str().unwrap();
        let said = [&panel["title"], &defaults["unit"], &defaults["noValue"]];
        assert!(said.iter().all(|text| !text.as_str().unwrap().is_empty()), "{panel:#}");
        assert!(
            description.ends_with(['.', ')']) && description.len() > 15,
            "{description}"
        );
    }
}

#[test]
fn dashboards_can_be_imported_side_by_side_and_not_be_edited_in_place() {
    let mut uids = BTreeSet::new();
    for name in NAMES {
        let dashboard = committed(name);
        let ids: BTreeSet<u64> = dashboard["panels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|panel| panel["id"].as_u64().unwrap())
            .collect();
        assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len(), "{name}");
        assert_eq!(dashboard["schemaVersion"], 42);
        assert_eq!(
            (&dashboard["id"], &dashboard["editable"]),
            (&Value::Null, &Value::Bool(false))
        );
        uids.insert(dashboard["uid"].as_str().unwrap().to_owned());
    }
    assert_eq!(uids.len(), NAMES.len());
}

/// Grafana chooses the first of a list that doesn't begin with all.
#[test]
fn what_is_of_one_account_opens_with_one() {
    let choosing_all = |name: &&str| variables(name)["id_instance"] == ".+";
    assert_eq!(
        NAMES.into_iter().filter(choosing_all).collect::<Vec<_>>(),
        ["overview", "exporter"]
    );
}

#[test]
fn other_processes_are_no_part_of_all_exporters() {
    for (title, query) in queries() {
        let of_any_process = |name: &&str| query.contains(name) && !query.contains(&format!("greenapi_{name}"));
        let is_of_any_process = ["process_", "scrape_", "up{"].iter().any(of_any_process);
        let names_exporters =
            query.contains("and on (job, instance)") && query.contains("greenapi_exporter_build_info");
        assert!(!is_of_any_process || names_exporters, "{title}: {query}");
    }
}

#[test]
fn a_colour_means_one_thing() {
    let mut meanings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, colour) in colours().into_values().flatten() {
        meanings.entry(colour).or_default().insert(name);
    }
    // A result that is ok is as good as it gets.
    meanings.retain(|_, names| names.len() > 1 && !names.contains("ok"));
    assert_eq!(meanings, BTreeMap::new());
}

#[test]
fn every_value_of_a_label_that_is_drawn_has_its_colour() {
    fn check<L: LabelValue>(group: &str) {
        let colours = colours();
        for value in L::ALL {
            assert!(
                colours[group].contains_key(value.as_str()),
                "{group} {}",
                value.as_str()
            );
        }
    }
    check::<FetchResult>("result");
    check::<StatusMessage>("progress");
    check::<TypeMessage>("kind");
    check::<Audience>("audience");
    assert_eq!(colours()["origin"].len(), SendByApi::ALL.len());
}

#[tokio::test]
async fn every_query_of_every_panel_finds_data() {
    let (simulator, exporter) = lively_fleet().await;
    let config = scraping(exporter.url.strip_prefix("http://").unwrap(), "");
    all_find_data(&simulator, &config, queries()).await;
}

/// The accounts' job is then another than the exporter's.
#[tokio::test]
async fn the_exporters_dashboard_finds_data_where_accounts_are_probed_as_the_readme_says() {
    let (simulator, exporter) = lively_fleet().await;
    let readme = repository_file("README.md");
    let probing = readme
        .split("```yaml\n")
        .find(|block| block.contains("metrics_path: /probe"));
    let probing = probing.unwrap().split("```").next().unwrap();
    let config = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n{}",
        probing.replace("localhost:10466", exporter.url.strip_prefix("http://").unwrap())
    );
    all_find_data(&simulator, &config, queries_of("exporter")).await;
}

/// Asks a Prometheus that scrapes so until each query, given after its panel's title, has found data.
async fn all_find_data(simulator: &Simulator, scraping: &str, mut waiting: Vec<(String, String)>) {
    let config = format!("rule_files: [rules/*.yml]\n{scraping}");
    let prometheus = Prometheus::configured(TempDir::new().unwrap(), &config, &["--web.enable-lifecycle"]).await;
    // What is recorded of a day is not waited for.
    let rules = rule_files()
        .into_iter()
        .map(|(name, text)| (name, text.replace("interval: 2m", "interval: 1s")));
    prometheus.load_rules(rules).await;
    let all = waiting.len();
    let finding = async {
        for step in 1.. {
            move_on(simulator, step).await;
            let mut still = Vec::new();
            for (title, query) in waiting.drain(..) {
                if !has_data(&prometheus, &query).await {
                    still.push((title, query));
                }
            }
            waiting = still;
            if waiting.is_empty() {
                break;
            }
        }
    };
    _ = tokio::time::timeout(PATIENCE, finding).await;
    assert!(
        waiting.is_empty(),
        "{} of {all} queries have no data: {waiting:#?}",
        waiting.len()
    );
}

/// The fleet of `demo`, where an hour passes in a minute, with every collector on.
async fn lively_fleet() -> (Simulator, Exporter) {
    let world = World {
        limits: None,
        ..World::demo(7, Clock::system().accelerated(60.0))
    };
    let simulator = Simulator::new(world);
    // One that is shown only where it happens.
    simulator.set_behaviour(id(8), Behaviour::RateLimited(Some(1))).unwrap();
    let url = simulator.start().unwrap();
    let defaults = "min_interval: 0s\ntimeout: 900ms\n\
                    collectors: [outgoing, incoming, state, settings, statistic, contacts, queue]";
    let exporter = Exporter::start(&config(&simulator, &url, defaults), &[]).await;
    (simulator, exporter)
}

/// Lets the bakery publish a status to five people, and the one before it get a state further, then awaits that it was read.
async fn move_on(simulator: &Simulator, step: u64) {
    let bakery = id(0);
    let now = now();
    let status = |number: u64| {
        let states = [
            StatusMessage::Pending,
            StatusMessage::Sent,
            StatusMessage::Delivered,
            StatusMessage::Read,
        ];
        let age = usize::try_from(step - number).unwrap().min(3);
        SimStatus {
            status_message: states[age],
            participants: SimStatus::people(5),
            send_by_api: SendByApi::ALL[usize::try_from(number).unwrap() % SendByApi::ALL.len()],
            ..SimStatus::new(format!("BAE5{number}"), now)
        }
    };
    simulator.set_journal(bakery, (1..=step).map(status).collect()).unwrap();
    let asked = simulator.requests(bakery, Method::GetOutgoingStatuses).unwrap();
    simulator
        .arrived(bakery, Method::GetOutgoingStatuses, asked + 2)
        .await
        .unwrap();
}

async fn has_data(prometheus: &Prometheus, query: &str) -> bool {
    let query = variables("overview")
        .into_iter()
        .fold(query.to_owned(), |query, (name, all)| {
            query.replace(&format!("\"${name}\""), &all.to_string())
        })
        .replace("$__rate_interval", "1m")
        .replace("$__range", "1h");
    let answer = prometheus.api("query", &[("query", &query)]).await;
    let result = answer["data"]["result"].as_array();
    let result = result.unwrap_or_else(|| panic!("{query}: {answer}"));
    let is_number = |series: &Value| series["value"][1].as_str().unwrap().parse::<f64>().unwrap().is_finite();
    result.iter().any(is_number)
}
