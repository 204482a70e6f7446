//! What the documents claim: metrics, flags and commands are those of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use greenapi_exporter::catalogue::FAMILIES;
use greenapi_exporter::cli::Cli;

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
            let default = if default.is_empty() {
                "none".to_owned()
            } else {
                default.join(",")
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
    // A hidden command is for programs, such as the image's health check.
    let actual: BTreeSet<String> = Cli::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(documented, actual);
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in [
        "README.md",
        "CHANGELOG.md",
        "docs/runbooks.md",
        "docs/pictures.md",
        "docs/scaling.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "deploy/helm/greenapi-exporter/README.md",
    ] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let path = link.split('#').next().unwrap();
            let is_local = !path.is_empty() && !path.contains("://");
            assert!(
                !is_local || root.join(document).with_file_name(path).exists(),
                "{document} links to {link}"
            );
        }
    }
}
