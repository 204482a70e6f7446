//! Rules, Alertmanager's configuration and runbooks: checked by their own programs, and against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::harness::{TempFile, repository_file, repository_path};

const RULES: &str = "deploy/prometheus/rules";

/// Section 10 of the specification, and what the optional collectors can tell.
const ALERTS: [&str; 19] = [
    "GreenApiExporterDown",
    "GreenApiForbidden",
    "GreenApiUnauthorized",
    "GreenApiInstanceNotAuthorized",
    "GreenApiInstanceExpired",
    "GreenApiQuotaExceeded",
    "GreenApiRateLimited",
    "GreenApiFetchFailing",
    "GreenApiDataStale",
    "GreenApiStatusesStuckPending",
    "GreenApiNoStatusesPublished",
    "GreenApiLowReadRatio",
    "GreenApiJournalGap",
    "GreenApiLedgerErrors",
    "GreenApiUnknownValues",
    "GreenApiConfigReloadFailed",
    "GreenApiAccountRestricted",
    "GreenApiOutgoingWebhookOff",
    "GreenApiCollectorFailing",
];

/// Those of `ALERTS` that are off unless asked for.
const OPTIONAL: [&str; 4] = [
    "GreenApiNoStatusesPublished",
    "GreenApiAccountRestricted",
    "GreenApiOutgoingWebhookOff",
    "GreenApiCollectorFailing",
];

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    interval: Option<String>,
    rules: Vec<Rule>,
}

/// A recording or an alerting rule.
#[derive(Deserialize)]
pub(crate) struct Rule {
    pub(crate) record: Option<String>,
    alert: Option<String>,
    pub(crate) expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The rules files that Prometheus loads by default, each with its path beside `prometheus.yml`.
pub(crate) fn rule_files() -> Vec<(String, String)> {
    yaml_files(RULES)
        .into_iter()
        .map(|path| {
            let name = format!("rules/{}", Path::new(&path).file_name().unwrap().to_str().unwrap());
            (name, repository_file(&path))
        })
        .collect()
}

/// All rules, optional ones too.
pub(crate) fn rules() -> Vec<Rule> {
    groups().into_iter().flat_map(|group| group.rules).collect()
}

/// The groups of the rules, optional ones too.
fn groups() -> Vec<Group> {
    let file = |path: &String| -> RuleFile { serde_saphyr::from_str(&repository_file(path)).unwrap() };
    all_rule_files().iter().flat_map(|path| file(path).groups).collect()
}

fn all_rule_files() -> Vec<String> {
    [yaml_files(RULES), yaml_files(&format!("{RULES}/optional"))].concat()
}

/// The YAML files right in a folder of the repository.
fn yaml_files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(repository_path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut paths: Vec<String> = names
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "yml"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    paths.sort_unstable();
    paths
}

/// Runs a program in the repository, expects it to succeed, and answers what it prints.
pub(crate) fn check(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(repository_path(".")).output();
    let output = output.unwrap_or_else(|_| panic!("{program} is missing: run `make test-programs`"));
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{program} {arguments:?}:\n{said}");
    said
}

fn check_files(program: &str, arguments: &[&str], files: &[String]) {
    let files: Vec<&str> = files.iter().map(|file| &**file).collect();
    check(program, &[arguments, &files].concat());
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    check_files(
        "promtool",
        &["check", "rules", "--lint=all", "--lint-fatal"],
        &all_rule_files(),
    );
    check(
        "promtool",
        &["check", "config", "--lint=all", "deploy/prometheus/prometheus.yml"],
    );
}

#[test]
fn alerts_fire_and_do_not_fire_and_survive_a_missed_scrape_and_resolve() {
    check_files("promtool", &["test", "rules"], &yaml_files("deploy/prometheus/tests"));
}

#[test]
fn what_reads_days_of_samples_is_not_evaluated_at_every_turn() {
    for group in groups() {
        let reads_days = |rule: &Rule| rule.expr.contains("_total[1d]") && rule.record.is_some();
        let reading = group.rules.iter().find(|rule| reads_days(rule));
        assert!(
            reading.is_none() || group.interval.is_some(),
            "{}",
            reading.unwrap().expr
        );
    }
}

#[test]
fn every_alert_is_tested_to_fire_and_not_to_fire() {
    #[derive(Deserialize)]
    struct TestFile {
        tests: Vec<Test>,
    }
    #[derive(Deserialize)]
    struct Test {
        #[serde(default)]
        alert_rule_test: Vec<AlertTest>,
    }
    #[derive(Deserialize)]
    struct AlertTest {
        alertname: String,
        #[serde(default)]
        exp_alerts: Vec<BTreeMap<String, BTreeMap<String, String>>>,
    }
    let mut tested = BTreeSet::new();
    for path in yaml_files("deploy/prometheus/tests") {
        let file: TestFile = serde_saphyr::from_str(&repository_file(&path)).unwrap();
        for test in file.tests.into_iter().flat_map(|test| test.alert_rule_test) {
            tested.insert((test.alertname, !test.exp_alerts.is_empty()));
        }
    }
    for alert in ALERTS {
        assert!(
            tested.contains(&(alert.to_owned(), true)),
            "{alert} is not tested to fire"
        );
        assert!(
            tested.contains(&(alert.to_owned(), false)),
            "{alert} is not tested not to fire"
        );
    }
}

#[test]
fn prometheus_accepts_the_scrape_configurations_of_the_readme() {
    let readme = repository_file("README.md");
    let blocks = readme.split("```").filter_map(|block| block.strip_prefix("yaml\n"));
    let scraping = blocks.filter(|block| block.starts_with("scrape_configs:"));
    let files: Vec<TempFile> = scraping.map(|block| TempFile::new("prometheus.yml", block)).collect();
    assert!(!files.is_empty());
    for file in &files {
        check("promtool", &["check", "config", file.path()]);
    }
}

#[test]
fn the_alerts_are_those_of_the_specification() {
    let alerts: BTreeSet<String> = rules().into_iter().filter_map(|rule| rule.alert).collect();
    assert_eq!(alerts, ALERTS.map(str::to_owned).into());
    let unasked: Vec<String> = rule_files().into_iter().map(|(_, text)| text).collect();
    let unasked = unasked.concat();
    let is_off = |alert: &&str| !unasked.contains(&format!("alert: {alert}\n"));
    assert_eq!(
        ALERTS.into_iter().filter(is_off).collect::<BTreeSet<_>>(),
        OPTIONAL.into()
    );
}

#[test]
fn every_alert_has_a_severity_and_texts_and_a_section_in_the_runbooks() {
    let runbooks = repository_file("docs/runbooks.md");
    let sections: Vec<&str> = runbooks.split("\n## ").skip(1).collect();
    // Whoever has a copy of the runbooks changes their address everywhere under `deploy`.
    let values: Value = serde_saphyr::from_str(&repository_file("deploy/helm/greenapi-exporter/values.yaml")).unwrap();
    let url = values["prometheusRule"]["runbookUrl"].as_str().unwrap();
    for rule in rules() {
        let Some(alert) = &rule.alert else { continue };
        assert!(
            ["critical", "warning", "info"].contains(&&*rule.labels["severity"]),
            "{alert}"
        );
        let (summary, description) = (&rule.annotations["summary"], &rule.annotations["description"]);
        // A summary stands above a group of alerts, so it names none of them.
        assert!(summary.ends_with('.') && !summary.contains("{{"), "{summary}");
        assert!(description.contains("{{ $labels."), "{description}");
        let url = format!("{url}#{}", alert.to_lowercase());
        assert_eq!(rule.annotations["runbook_url"], url);
        let section = sections.iter().find(|section| section.lines().next() == Some(alert));
        let section = section.unwrap_or_else(|| panic!("docs/runbooks.md has no section {alert}"));
        let parts = ["**Means.**", "**Impact.**", "**Confirm.**", "**Do.**", "**Threshold.**"];
        let places: Vec<_> = parts.iter().map(|part| section.find(part)).collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{alert}: {places:?}"
        );
    }
}

/// Nobody knows accounts by their numbers. Rules can't share a template, so that each description has a copy of it.
#[test]
fn every_description_of_an_account_has_its_name_too() {
    const ID: &str = "{{ $labels.id_instance }}";
    const NAME: &str = "{{- range printf \"greenapi_instance_info{job=%q, instance=%q, id_instance=%q, name!=%[3]q}\" \
                        $labels.job $labels.instance $labels.id_instance | query }} ({{ .Labels.name }}){{ end }}";
    let mut named = 0;
    for rule in rules() {
        let Some(description) = rule.annotations.get("description") else {
            continue;
        };
        for after in description.split(ID).skip(1) {
            assert!(after.trim_start().starts_with(NAME), "{description}");
            named += 1;
        }
    }
    assert!(named >= 16, "{named}");
}

#[test]
fn alertmanager_accepts_its_configuration() {
    check("amtool", &["check-config", "deploy/alertmanager/alertmanager.yml"]);
}

/// By default it remembers for 120 hours what it has told.
#[test]
fn alertmanager_remembers_until_it_repeats() {
    let config = repository_file("deploy/alertmanager/alertmanager.yml");
    let intervals: Vec<&str> = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("repeat_interval: "))
        .collect();
    for interval in &intervals {
        let (number, unit) = interval.split_at(interval.len() - 1);
        let hours = BTreeMap::from([("h", 1), ("d", 24), ("w", 168)])[unit];
        assert!(number.parse::<u64>().unwrap() * hours < 120, "{interval}");
    }
    assert_eq!(intervals.len(), 3);
}

#[test]
fn alerts_are_told_to_who_can_help() {
    let check_route = |alert: &str, severity: &str, receiver: &str| {
        let config = "--config.file=deploy/alertmanager/alertmanager.yml";
        let labels = [format!("alertname={alert}"), format!("severity={severity}")];
        let verify = format!("--verify.receivers={receiver}");
        check(
            "amtool",
            &["config", "routes", "test", config, &verify, &labels[0], &labels[1]],
        );
    };
    for rule in rules() {
        let Some(alert) = &rule.alert else { continue };
        let severity = &*rule.labels["severity"];
        let receiver = BTreeMap::from([("critical", "pager"), ("warning", "chat"), ("info", "digest")])[severity];
        check_route(alert, severity, receiver);
    }
    check_route("SomethingElse", "unheard-of", "chat");
}

#[test]
fn inhibition_speaks_of_alerts_that_there_are() {
    let config = repository_file("deploy/alertmanager/alertmanager.yml");
    for rest in config.split("GreenApi(").skip(1) {
        for name in rest.split(')').next().unwrap().split('|') {
            assert!(ALERTS.contains(&&*format!("GreenApi{name}")), "{name}");
        }
    }
    for rest in config.split("alertname = ").skip(1) {
        let name = rest.split([']', ',']).next().unwrap();
        assert!(ALERTS.contains(&name), "{name}");
    }
}
