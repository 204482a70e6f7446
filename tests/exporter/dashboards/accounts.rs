//! Which accounts the dashboards count: each once, however many exporters serve it, and none that has left.

use greenapi_exporter::catalogue::{FAMILIES, MetricType, Read};
use greenapi_exporter::journal::{SendByApi, StatusMessage};
use greenapi_exporter::label::LabelValue;
use serde_json::{Value, json};

use super::queries;
use crate::harness::{TempFile, repository_path};
use crate::rules::check;

/// What each exporter does by itself, so that two of them do twice as much.
const WORK: [&str; 4] = ["up{", "scrape_", "process_", "greenapi_fetches_total"];

#[test]
fn an_account_that_two_exporters_serve_counts_once() {
    let mut tests = Vec::new();
    for (title, query) in queries() {
        if WORK.iter().any(|name| query.contains(&format!("({name}"))) || query.contains("greenapi_exporter_") {
            continue;
        }
        let query = filled_in(&query);
        let [both, one] = [".+", "a"].map(|instance| query.replace("$instance", instance));
        tests.push(expectation(
            &format!("count(({one}\n)) > bool 0 # {title} has data"),
            "2h",
            1,
        ));
        tests.push(expectation(
            &format!("count(({both}\n) != ({one}\n)) or vector(0) # {title}"),
            "2h",
            0,
        ));
    }
    assert!(tests.len() > 100, "{}", tests.len());
    // Down for a minute, so that it is among those that were.
    check_queries(&input_series("0+1x120", "1x118 0 1"), &tests);
}

#[test]
fn an_account_that_has_left_is_in_no_row() {
    let mut tests = Vec::new();
    for (title, query) in queries() {
        if !query.contains("max by (job, instance, id_instance") {
            continue;
        }
        let query = filled_in(&query).replace("$instance", ".+");
        for (eval_time, rows) in [("2h", 4), ("3h", 0)] {
            let expr = format!("count(count by (instance, id_instance) ({query}\n)) or vector(0) # {title}");
            tests.push(expectation(&expr, eval_time, rows));
        }
    }
    assert!(!tests.is_empty());
    check_queries(&input_series("0+1x120 stale", "1x120 stale"), &tests);
}

/// A line for each of thousands of accounts would be too many.
#[test]
fn an_account_that_was_never_down_has_no_line_of_its_own() {
    let (_, query) = queries()
        .into_iter()
        .find(|(title, _)| title == "Up")
        .expect("the overview has it");
    let query = filled_in(&query).replace("$instance", ".+");
    for (measured, lines) in [("1x120", 0), ("1x90 0 1x29", 4), ("0x50 1x70", 0)] {
        let expr = format!("count(({query}\n)) or vector(0)");
        check_queries(&input_series("0+1x120", measured), &[expectation(&expr, "2h", lines)]);
    }
}

/// The query as Grafana asks it when all accounts are chosen, but for the exporter.
fn filled_in(query: &str) -> String {
    query
        .replace("$job", ".+")
        .replace("$id_instance", ".+")
        .replace("$__rate_interval", "5m")
        .replace("$__range", "1h")
}

fn check_queries(input_series: &[Value], tests: &[Value]) {
    let tests = json!({
        "rule_files": [repository_path("deploy/prometheus/rules/recording.yml")],
        "tests": [{ "interval": "1m", "input_series": input_series, "promql_expr_test": tests }],
    });
    let file = TempFile::new("queries.yml", &tests.to_string());
    check("promtool", &["test", "rules", file.path()]);
}

fn expectation(expr: &str, eval_time: &str, value: u64) -> Value {
    json!({ "expr": expr, "eval_time": eval_time, "exp_samples": [{ "labels": "{}", "value": value }] })
}

/// All that is known of two accounts, as the exporters `a` and `b` alike tell it, with what it is worth over time.
fn input_series(counted: &str, measured: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for family in FAMILIES
        .iter()
        .filter(|family| matches!(family.read, Read::Instance(_)))
    {
        let (name, values) = match family.metric_type {
            MetricType::Counter => (family.name.to_owned(), counted),
            MetricType::Gauge => (family.name.to_owned(), measured),
            MetricType::Histogram { .. } => (format!("{}_bucket", family.name), counted),
        };
        let mut label_sets = vec![String::from("job=\"greenapi\"")];
        let buckets = name.ends_with("_bucket").then_some("le");
        for label in family.all_labels().into_iter().chain(["instance"]).chain(buckets) {
            let with = |labels: &String| -> Vec<String> {
                let values = some_values(label).into_iter();
                values.map(|value| format!("{labels}, {label}=\"{value}\"")).collect()
            };
            label_sets = label_sets.iter().flat_map(with).collect();
        }
        let series = |labels: String| json!({ "series": format!("{name}{{{labels}}}"), "values": values });
        all.extend(label_sets.into_iter().map(series));
    }
    all
}

fn some_values(label: &str) -> Vec<&'static str> {
    match label {
        "instance" => vec!["a", "b"],
        "le" => vec!["1", "+Inf"],
        "name" => vec!["shop"],
        "named" => vec!["true", "false"],
        "result" => vec!["ok", "timeout"],
        "send_by_api" => SendByApi::ALL.iter().map(|value| value.as_str()).collect(),
        "status_message" => StatusMessage::ALL.iter().map(|value| value.as_str()).collect(),
        "id_instance" => vec!["1101000001", "1101000002"],
        _ => vec!["one", "another"],
    }
}
