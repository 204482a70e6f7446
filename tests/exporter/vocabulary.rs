//! What dashboards and rules speak of: metrics and labels of the catalogue, of Prometheus itself, and of the rules.

use std::collections::{BTreeMap, BTreeSet};

use greenapi_exporter::catalogue::{FAMILIES, MetricType};

use crate::dashboards::queries;
use crate::harness::repository_file;
use crate::rules::rules;

/// Labels that Prometheus adds to every series of a target.
const TARGET: [&str; 2] = ["job", "instance"];

/// Metrics that Prometheus makes for every target.
const PROMETHEUS: [&str; 3] = ["up", "scrape_duration_seconds", "scrape_samples_scraped"];

/// The names of all series, each with its labels.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let mut known = BTreeMap::new();
    let mut add = |name: &str, labels: &[&str]| {
        let labels = labels.iter().chain(&TARGET).map(|label| (*label).to_owned());
        known.insert(name.to_owned(), labels.collect());
    };
    for name in PROMETHEUS {
        add(name, &[]);
    }
    for family in &*FAMILIES {
        let mut labels = family.all_labels();
        add(family.name, &labels);
        if let MetricType::Histogram { .. } = family.metric_type {
            add(&format!("{}_sum", family.name), &labels);
            add(&format!("{}_count", family.name), &labels);
            labels.push("le");
            add(&format!("{}_bucket", family.name), &labels);
        }
    }
    // A recorded metric has the labels of its level.
    for record in rules().into_iter().filter_map(|rule| rule.record) {
        let labels = ["id_instance", "status_message", "result"];
        let level = record.split(':').next().unwrap();
        let labels: Vec<&str> = labels.into_iter().filter(|label| level.contains(label)).collect();
        add(&record, &labels);
    }
    known
}

/// Asserts that `query` speaks of nothing that isn't there.
fn check(place: &str, query: &str) {
    let known = known();
    let labels: BTreeSet<&String> = known.values().flatten().collect();
    for word in words(query) {
        match word {
            Word::Metric(name) => assert!(known.contains_key(&name), "{place}: no metric `{name}`: {query}"),
            Word::Matcher { metric, label } => {
                assert!(
                    known[&metric].contains(&label),
                    "{place}: `{metric}` has no `{label}`: {query}"
                );
            }
            Word::Label(label) => assert!(labels.contains(&label), "{place}: no label `{label}`: {query}"),
        }
    }
}

#[test]
fn dashboards_show_nothing_that_the_exporter_does_not_have() {
    for (title, query) in queries() {
        check(&title, &query);
    }
}

#[test]
fn rules_speak_of_nothing_that_the_exporter_does_not_have() {
    for rule in rules() {
        check(&rule.expr, &rule.expr);
    }
}

#[test]
fn runbooks_ask_for_nothing_that_the_exporter_does_not_have() {
    let runbooks = repository_file("docs/runbooks.md");
    let mut asked = 0;
    for block in runbooks.split("```promql\n").skip(1) {
        for query in block.split("```").next().unwrap().lines() {
            check("docs/runbooks.md", query);
            asked += 1;
        }
    }
    assert!(asked >= 16, "each alert has a query to confirm it");
}

#[test]
fn every_metric_is_shown_on_some_dashboard() {
    let shown: BTreeSet<String> = queries()
        .iter()
        .flat_map(|(_, query)| words(query))
        .filter_map(|word| match word {
            Word::Metric(name) => Some(name),
            _ => None,
        })
        .collect();
    // Limits of the machine, of no interest where nothing comes near them; and what only growth of the journal tells.
    let not_shown = [
        "process_virtual_memory_bytes",
        "process_virtual_memory_max_bytes",
        "greenapi_incoming_statuses_total",
    ];
    for family in &*FAMILIES {
        let is_shown = shown.iter().any(|name| name.starts_with(family.name));
        assert!(is_shown || not_shown.contains(&family.name), "{}", family.name);
    }
}

/// A name in a query.
enum Word {
    Metric(String),
    Matcher { metric: String, label: String },
    Label(String),
}

/// The names in a query, by their place: of a metric, of a label in its braces, of a label to group or match by.
fn words(query: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut metric = String::new();
    let (mut in_braces, mut grouping, mut in_labels) = (false, false, false);
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$');
        let length = match first {
            '"' => rest[1..].find('"').unwrap() + 2,
            _ if is_name(first) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match token {
            "{" => in_braces = true,
            "}" => in_braces = false,
            "(" => (in_labels, grouping) = (grouping, false),
            ")" => in_labels = false,
            "by" | "without" | "on" | "ignoring" | "group_left" | "group_right" => grouping = true,
            "and" | "or" | "unless" | "offset" => {}
            _ if !first.is_ascii_alphabetic() => {}
            _ if in_braces => words.push(Word::Matcher {
                metric: metric.clone(),
                label: token.to_owned(),
            }),
            _ if in_labels => words.push(Word::Label(token.to_owned())),
            _ if rest.trim_start().starts_with('(') || is_aggregation(rest) => {}
            _ => {
                token.clone_into(&mut metric);
                words.push(Word::Metric(token.to_owned()));
            }
        }
    }
    words
}

/// Whether what follows a name makes it an aggregation, such as `sum by (job) (...)`.
fn is_aggregation(rest: &str) -> bool {
    rest.starts_with(" by") || rest.starts_with(" without")
}
