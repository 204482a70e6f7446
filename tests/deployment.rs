//! What is deployed fits together: versions, names and files that several places must agree on. `make lint` has the tools that
//! read these files check them; this needs none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use greenapi_exporter::cli::Cli;

fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| unreadable(file, &error))
}

#[expect(clippy::panic, reason = "a test fails by panicking")]
fn unreadable(file: &str, error: &std::io::Error) -> ! {
    panic!("{file}: {error}")
}

fn yaml(file: &str) -> serde_json::Value {
    serde_saphyr::from_str(&read(file)).unwrap()
}

/// Everything that users deploy by.
const FILES: &[&str] = &[
    "Dockerfile",
    "deploy/compose/compose.yml",
    "deploy/helm/greenapi-exporter/templates/statefulset.yaml",
    "deploy/kubernetes/statefulset.yaml",
    "deploy/systemd/greenapi-exporter.service",
];

#[test]
fn the_version_is_the_same_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = yaml("deploy/helm/greenapi-exporter/Chart.yaml");
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&version.into(), &version.into())
    );
    let image = format!("greenapi-exporter:{version}");
    assert!(read("deploy/kubernetes/statefulset.yaml").contains(&format!("image: {image}\n")));
    assert!(
        read("deploy/compose/compose.yml")
            .contains(&format!("greenapi-exporter:${{GREENAPI_EXPORTER_TAG:-{version}}}\n"))
    );
}

#[test]
fn every_environment_variable_that_is_set_is_one_of_a_flag() {
    let cli = Cli::command();
    let known: BTreeSet<String> = std::iter::once(&cli)
        .chain(cli.get_subcommands())
        .flat_map(clap::Command::get_arguments)
        .filter_map(|argument| Some(argument.get_env()?.to_str().unwrap().to_owned()))
        // What the build and the compose file alone know.
        .chain(["GREENAPI_EXPORTER_REVISION", "GREENAPI_EXPORTER_TAG"].map(str::to_owned))
        .collect();
    for file in FILES {
        let text = read(file);
        for (start, _) in text.match_indices("GREENAPI_EXPORTER_") {
            let name: String = text[start..]
                .chars()
                .take_while(|letter| letter.is_ascii_uppercase() || *letter == '_')
                .collect();
            assert!(known.contains(&name), "{file} sets {name}");
        }
    }
}

#[test]
fn no_image_is_without_a_version() {
    for file in [
        "deploy/compose/compose.yml",
        "deploy/kubernetes/statefulset.yaml",
        "Dockerfile",
    ] {
        let text = read(file);
        let images = text.lines().filter_map(|line| {
            let line = line.trim();
            let image = line.strip_prefix("image: ").or_else(|| line.strip_prefix("FROM "))?;
            image.split(' ').find(|word| !word.starts_with("--"))
        });
        for image in images {
            let tag = image.rsplit('/').next().unwrap().split_once(':').map(|(_, tag)| tag);
            assert!(tag.is_some_and(|tag| tag != "latest"), "{file}: {image}");
        }
    }
}

#[test]
fn what_is_mounted_is_there() {
    let compose = yaml("deploy/compose/compose.yml");
    let services = compose["services"].as_object().unwrap();
    let mounts = services
        .values()
        .filter_map(|service| service["volumes"].as_array())
        .flatten();
    let folders: Vec<&str> = mounts
        .filter_map(|mount| mount.as_str().unwrap().split(':').next())
        .filter(|source| source.starts_with('.'))
        .collect();
    assert_eq!(folders.len(), 4, "{folders:?}");
    for folder in folders {
        assert!(path("deploy/compose").join(folder).is_dir(), "{folder} is missing");
    }
}

#[test]
fn the_rules_of_kubernetes_are_those_of_prometheus() {
    let source = fs::read_dir(path("deploy/prometheus/rules")).unwrap();
    let mut files: Vec<PathBuf> = source
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let groups = |rules: &serde_json::Value| rules.as_array().unwrap().clone();
    let expected: Vec<serde_json::Value> = files
        .iter()
        .flat_map(|file| {
            let rules: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
            groups(&rules["groups"])
        })
        .collect();
    let actual = yaml("deploy/kubernetes/prometheusrule.yaml");
    assert_eq!(groups(&actual["spec"]["groups"]), expected, "run `make generate`");
}

#[test]
fn the_example_in_the_package_works_once_it_is_uncommented() {
    let text = read("deploy/package/greenapi-exporter.yml").replace("\n#  ", "\n  ");
    let config: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(config["instances"][0]["name"], "shop-berlin");
}

#[test]
fn the_chart_links_to_the_one_source_of_rules_and_dashboards() {
    for (link, source) in [("rules", "deploy/prometheus/rules"), ("dashboards", "dashboards")] {
        let link = path("deploy/helm/greenapi-exporter/files").join(link);
        assert!(link.is_symlink());
        assert_eq!(link.canonicalize().unwrap(), path(source).canonicalize().unwrap());
    }
}

#[test]
fn the_job_is_called_what_the_rules_know_it_by() {
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    assert_eq!(prometheus["scrape_configs"][0]["job_name"], "greenapi");
    let monitor = yaml("deploy/kubernetes/servicemonitor.yaml");
    assert_eq!(
        monitor["spec"]["endpoints"][0]["relabelings"][0]["replacement"],
        "greenapi"
    );
}

#[test]
fn an_exporter_on_kubernetes_keeps_its_name_when_its_pod_restarts() {
    let monitor = yaml("deploy/kubernetes/servicemonitor.yaml");
    let relabelings = monitor["spec"]["endpoints"][0]["relabelings"].as_array().unwrap();
    let instance = relabelings.iter().find(|rule| rule["targetLabel"] == "instance");
    assert_eq!(
        instance.unwrap()["sourceLabels"],
        serde_json::json!(["__meta_kubernetes_namespace", "__meta_kubernetes_pod_name"])
    );
}

#[test]
fn an_upgrade_of_the_rpm_restarts_what_runs_and_its_removal_does_not() {
    let manifest = read("Cargo.toml");
    let (_, script) = manifest.split_once("\npost_uninstall_script = \"").unwrap();
    let script = script.strip_prefix("\"\"").unwrap().split("\"\"\"").next().unwrap();
    for (versions_left, said) in [
        ("0", "daemon-reload\n"),
        ("1", "daemon-reload\ntry-restart greenapi-exporter.service\n"),
    ] {
        // What it would say is shown instead of kept quiet, and systemd is none.
        let script = format!("systemctl() {{ echo \"$@\" >&3; }}; exec 3>&1{script}");
        let output = Command::new("sh")
            .args(["-e", "-c", &script, "sh", versions_left])
            .output()
            .unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), said);
    }
}

#[test]
fn scripts_are_ones_that_bash_can_read() {
    let scripts = ["generate", "install-tools", "lint", "test-image", "build-release"];
    for script in scripts {
        let file = path("deploy").join(script);
        let status = Command::new("bash").arg("-n").arg(&file).status().unwrap();
        assert!(status.success(), "{script}");
    }
}
