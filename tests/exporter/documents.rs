//! What the documents claim: metrics, flags and commands are those of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use greenapi_exporter::catalogue::FAMILIES;
use greenapi_exporter::cli::Cli;
use greenapi_exporter::collector::Collector;
use greenapi_exporter::label::LabelValue;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The rows of the README's table under the heading `heading`, cell by cell, without code marks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let section = readme.split(&format!("\n## {heading}\n")).nth(1).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = |row: &str| {
        row.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().replace('`', ""))
            .collect()
    };
    rows.map(cells).collect()
}

#[test]
fn the_readme_lists_every_metric_with_its_type_and_labels() {
    let documented: BTreeSet<Vec<String>> = table("Metrics").into_iter().map(|row| row[..3].to_vec()).collect();
    let actual: BTreeSet<Vec<String>> = FAMILIES
        .iter()
        .map(|family| {
            vec![
                family.name.to_owned(),
                family.metric_type.as_str().to_owned(),
                family.all_labels().join(", "),
            ]
        })
        .collect();
    assert_eq!(documented, actual);
}

#[test]
fn the_readme_lists_every_flag_with_its_default() {
    let documented: BTreeSet<(String, String)> = table("Flags")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let mut actual = BTreeSet::new();
    let cli = Cli::command();
    for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
        for argument in command
            .get_arguments()
            .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
        {
            let default: Vec<_> = argument
                .get_default_values()
                .iter()
                .map(|value| value.to_string_lossy())
                .collect();
            let default = match default.as_slice() {
                _ if !argument.get_action().takes_values() => "off".to_owned(),
                [] => "none".to_owned(),
                default => default.join(","),
            };
            actual.insert((format!("--{}", argument.get_long().unwrap()), default));
        }
    }
    // The simulation listens elsewhere by default, which its own help tells.
    actual.remove(&("--web.listen-address".to_owned(), "127.0.0.1:8466".to_owned()));
    assert_eq!(documented, actual);
}

#[test]
fn every_flag_has_the_environment_variable_that_its_name_says() {
    let cli = Cli::command();
    for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
        for argument in command
            .get_arguments()
            .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
        {
            let flag = argument.get_long().unwrap();
            let expected = format!("GREENAPI_EXPORTER_{}", flag.to_uppercase().replace(['.', '-'], "_"));
            assert_eq!(argument.get_env().unwrap().to_str().unwrap(), expected);
        }
    }
}

#[test]
fn the_readme_lists_every_command() {
    let documented: BTreeSet<String> = table("Commands").into_iter().map(|row| row[0].clone()).collect();
    let actual: BTreeSet<String> = Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(documented, actual);
}

#[test]
fn the_readme_lists_every_optional_collector_with_what_it_shows() {
    let documented: BTreeSet<(String, String)> = table("Configuration")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let shown_by = |collector: &Collector| {
        let source = format!("(collector {}).", collector.as_str());
        let families = FAMILIES.iter().filter(|family| family.help.ends_with(&source));
        families.map(|family| family.name).collect::<Vec<_>>().join(", ")
    };
    let optional = Collector::ALL
        .iter()
        .filter(|collector| **collector != Collector::Outgoing);
    let actual: BTreeSet<(String, String)> = optional
        .map(|collector| (collector.as_str().to_owned(), shown_by(collector)))
        .collect();
    assert_eq!(documented, actual);
}

/// The documents for people, by their paths in the repository.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "docs", "deploy/helm/greenapi-exporter"];
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| {
        line.trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
    });
    let anchor = |heading: &str| {
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                document.clone()
            } else {
                document.with_file_name(path)
            };
            assert!(target.exists(), "{} links to {link}", document.display());
            let has_anchor = || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor);
            assert!(
                anchor.is_empty() || has_anchor(),
                "{} links to {link}",
                document.display()
            );
        }
    }
}
