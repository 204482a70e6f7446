//! The invariants of `lib.rs` that can be read off the sources.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Modules that know no I/O, no clock and no task: those of which `lib.rs` says so, in its order.
static CORE: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let (_, invariant) = include_str!("../src/lib.rs")
        .split_once("**The core is pure.**")
        .unwrap();
    let (modules, _) = invariant.split_once(" know no I/O").unwrap();
    modules.split('`').skip(1).step_by(2).collect()
});

/// Modules that each talk to one kind of outside.
const EDGES: &[&str] = &[
    "clock",
    "config",
    "file",
    "green_api",
    "process",
    "store",
    "systemd",
    "telemetry",
    "web",
    "yaml",
];

/// Modules of time and tasks, in the order of their imports.
const SHELL: &[&str] = &[
    "simulator",
    "flight",
    "books",
    "collect",
    "discovery",
    "fleet",
    "reload",
    "pages",
    "cli",
];

#[test]
fn every_module_has_its_layer() {
    let modules: BTreeSet<String> = sources().iter().map(|source| source.module.clone()).collect();
    let layers = [&CORE, EDGES, SHELL].concat();
    let expected: BTreeSet<String> = layers.into_iter().map(str::to_owned).collect();
    assert_eq!(modules, expected);
}

#[test]
fn the_core_imports_only_the_core() {
    check_imports(&CORE, &[&CORE]);
}

#[test]
fn edges_import_only_the_core_the_clock_and_the_readers_of_files_and_yaml() {
    for edge in EDGES {
        check_imports(&[edge], &[&CORE, &["clock", "file", "yaml", edge]]);
    }
}

#[test]
fn the_core_and_the_shell_import_of_themselves_only_what_is_named_before() {
    for layer in [&CORE, SHELL] {
        let layers = [&CORE, EDGES, SHELL].concat();
        let others: Vec<&str> = layers.into_iter().filter(|module| !layer.contains(module)).collect();
        for (index, module) in layer.iter().enumerate() {
            check_imports(&[module], &[&layer[..=index], &others]);
        }
    }
}

#[test]
fn the_reader_of_yaml_knows_no_meaning() {
    check_imports(&["yaml"], &[&["yaml"]]);
}

#[test]
fn the_core_knows_no_clock_no_task_and_no_network() {
    let outside = [
        "tokio", "hyper", "reqwest", "Clock", "std::fs", "std::net", "std::env", "Instant", "tracing",
    ];
    for source in sources().iter().filter(|source| CORE.contains(&&*source.module)) {
        for word in outside {
            assert!(
                !source.code().contains(word),
                "{} mentions {word}",
                source.path.display()
            );
        }
    }
}

#[test]
fn only_one_module_knows_each_outside_crate() {
    let check = |name: &str, owners: &[&str]| {
        for source in sources().iter().filter(|source| source.code().contains(name)) {
            assert!(
                owners.contains(&&*source.module),
                "{} mentions {name}",
                source.path.display()
            );
        }
    };
    check("hyper_util::client", &["green_api"]);
    check("serde_saphyr", &["yaml"]);
    check("prometheus_client", &["exposition"]);
    check("redb", &["store"]);
    check("flate2", &["exposition"]);
    check("tokio_rustls", &["green_api", "web"]);
    check("x509_cert", &["simulator", "web"]);
    check("bcrypt::", &["web"]);
    check("aws_lc_rs", &["web"]);
    check("clap", &["cli", "telemetry"]);
}

#[test]
fn no_module_is_called_after_nothing() {
    for source in sources() {
        let name = source.path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            !["mod", "util", "utils", "helpers", "common", "manager", "types", "misc"].contains(&&*name),
            "{name}"
        );
    }
}

fn check_imports(importers: &[&str], allowed: &[&[&str]]) {
    for source in sources().iter().filter(|source| importers.contains(&&*source.module)) {
        for imported in source.imports() {
            assert!(
                allowed.iter().any(|layer| layer.contains(&&*imported)),
                "{} imports {imported}",
                source.path.display()
            );
        }
    }
}

/// A file of the library.
struct Source {
    path: PathBuf,
    /// The top-level module it belongs to.
    module: String,
    text: String,
}

impl Source {
    /// Without comments and tests.
    fn code(&self) -> String {
        let code = self.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The top-level modules that it names.
    fn imports(&self) -> BTreeSet<String> {
        let code = self.code();
        let mut imports = BTreeSet::new();
        for (start, _) in code.match_indices("crate::") {
            // `$crate` is the macro's own way to say where it comes from.
            let rest = &code[start + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => group.split('}').next().unwrap().split(',').collect(),
                None => vec![rest],
            };
            for name in names {
                let name = name
                    .trim()
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap();
                imports.insert(name.to_owned());
            }
        }
        imports.remove("");
        imports
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let relative = path.strip_prefix(&root).unwrap();
            let first = relative.iter().next().unwrap().to_str().unwrap();
            let module = first.trim_end_matches(".rs").to_owned();
            if !["lib", "main", "commands"].contains(&&*module) {
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source { path, module, text });
            }
        }
    }
    assert!(sources.len() > 20);
    sources
}
