//! What web configurations are accepted, and what is said of the others; `promtool` must agree.
//!
//! `tests/web_config/` has a file for each case, `*.good.yml` and `*.bad.yml`. They are read in a folder with the
//! certificates and keys that they name; `{{name}}` stands for what is in the file of that name.

use std::fs;
use std::path::{Path, PathBuf};

use greenapi_exporter::web::WebConfig;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::certificates::{Authority, this_machine};
use crate::harness::{binary, program, run};

/// Files that `promtool` 2.42 sees differently, and why.
const EXCEPTIONS: [(&str, &str); 10] = [
    ("allowed-sans-if-given.good", YOUNGER),
    ("allowed-sans.good", YOUNGER),
    (
        "authority-without-certificates.bad",
        "newer versions refuse it too: nobody could connect",
    ),
    ("beyond-rustls.bad", "rustls has no CBC, RSA key exchange and P-521"),
    ("inline.good", YOUNGER),
    ("no-rate-limit.good", YOUNGER),
    ("no-suite.bad", "Go accepts it and then no connection"),
    ("no-version.bad", "Go accepts it and then no connection"),
    ("old-versions.bad", "rustls has no TLS 1.0 and 1.1"),
    ("rate-limit.good", YOUNGER),
];

const YOUNGER: &str = "the keys are younger than this promtool";

/// A fixture, written out in a folder with all that it names.
struct Fixture {
    name: String,
    path: PathBuf,
    folder: TempDir,
}

fn fixtures(kind: &str) -> Vec<Fixture> {
    let authority = Authority::new("authority");
    let paths = fs::read_dir("tests/web_config").unwrap();
    let mut paths: Vec<_> = paths.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let of_kind = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml") && name(path).ends_with(kind));
    let fixture = |path: &PathBuf| {
        let folder = TempDir::new().unwrap();
        authority.issue(folder.path(), "server", &this_machine());
        authority.issue(folder.path(), "client", &[]);
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let mut text = fs::read_to_string(path).unwrap();
        for file in ["server.pem", "server.key", "ca.pem"] {
            let pem = fs::read_to_string(folder.path().join(file)).unwrap();
            text = text.replace(
                &format!("{{{{{file}}}}}"),
                pem.trim_end().replace('\n', "\n    ").as_str(),
            );
        }
        let name = name(path);
        let path = folder.path().join(format!("{name}.yml"));
        fs::write(&path, text).unwrap();
        Fixture { name, path, folder }
    };
    let fixtures: Vec<_> = of_kind.map(fixture).collect();
    assert!(fixtures.len() > 10);
    fixtures
}

#[tokio::test]
async fn good_files_are_accepted() {
    for fixture in fixtures(".good") {
        let opened = WebConfig::open(&fixture.path);
        let tls = opened.unwrap_or_else(|error| panic!("{error}")).is_tls();
        let has_certificate = fs::read_to_string(&fixture.path).unwrap().contains("server.pem");
        assert_eq!(
            tls,
            has_certificate || fixture.name == "inline.good",
            "{}",
            fixture.name
        );
    }
}

#[tokio::test]
async fn bad_files_are_refused_with_all_that_is_wrong() {
    for fixture in fixtures(".bad") {
        let Err(error) = WebConfig::open(&fixture.path) else {
            panic!("{} is accepted", fixture.name);
        };
        let error = error
            .to_string()
            .replace(fixture.folder.path().to_str().unwrap(), "FOLDER");
        for secret in ["hunter2", "QOauhQNbBCuQDKes6eFzPe", "MqBSjb7Mr5DUmpZ", "PRIVATE KEY"] {
            assert!(!error.contains(secret), "{error}");
        }
        insta::with_settings!({ snapshot_path => "../web_config", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(fixture.name, error);
        });
    }
}

#[tokio::test]
async fn promtool_agrees() {
    let exceptions: Vec<_> = EXCEPTIONS.iter().map(|(name, _)| *name).collect();
    let mut different = Vec::new();
    for (kind, accepted) in [(".good", Some(0)), (".bad", Some(1))] {
        for fixture in fixtures(kind) {
            let mut check = program("promtool");
            check.args(["check", "web-config"]).arg(&fixture.path);
            if run(&mut check).await.code != accepted {
                different.push(fixture.name);
            }
        }
    }
    different.sort_unstable();
    assert_eq!(different, exceptions);
}

#[tokio::test]
async fn a_bad_file_ends_the_start() {
    for command in ["serve", "demo"] {
        let finished = run(
            binary(&[command, "--web.config.file", "tests/web_config/users.bad.yml"])
                .env("GREENAPI_ID_INSTANCE", "1101000001")
                .env(
                    "GREENAPI_API_TOKEN",
                    "d75b3a66374942c5b3c019c698abc2067e151558acbd451234",
                ),
        )
        .await;
        assert_eq!(finished.code, Some(1), "{command}");
        let expected =
            "greenapi-exporter: tests/web_config/users.bad.yml:2:10: basic_auth_users.plain: not a bcrypt hash\n";
        assert!(finished.stderr.contains(expected), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_bad_file_is_told_in_the_format_of_the_log() {
    let finished = run(&mut binary(&[
        "demo",
        "--log.format",
        "json",
        "--web.config.file",
        "/none.yml",
    ]))
    .await;
    let lines = finished.stderr.lines().map(serde_json::from_str::<serde_json::Value>);
    let last = lines.map(Result::unwrap).next_back().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["error"].as_str().unwrap().contains("/none.yml"), "{last}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let finished = run(binary(&["demo"]).env("GREENAPI_EXPORTER_WEB_CONFIG_FILE", "/nonexistent.yml")).await;
    let expected =
        "greenapi-exporter: /nonexistent.yml: cannot read the file: No such file or directory (os error 2)\n";
    assert_eq!((finished.code, &*finished.stderr), (Some(1), expected));
}

proptest! {
    #[test]
    fn no_file_makes_it_panic_or_show_a_secret(lines in prop::collection::vec(line(), 0..12)) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("web.yml");
        fs::write(&path, lines.concat()).unwrap();
        if let Err(error) = WebConfig::open(&path) {
            prop_assert!(!error.to_string().contains("QOauhQNbBCuQDKes6eFzPe"), "{}", error);
        }
    }
}

/// A line that might be in such a file, or almost.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "tls_server_config:",
        "http_server_config:",
        "rate_limit:",
        "basic_auth_users:",
        "cert:",
        "key_file:",
        "client_ca:",
        "client_auth_type:",
        "client_allowed_sans:",
        "cipher_suites:",
        "min_version:",
        "headers:",
        "X-Frame-Options:",
        "interval:",
        "burst:",
        "-",
    ]);
    let value = prop_oneof![
        Just(String::new()),
        Just(" $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi".to_owned()),
        Just(" [TLS12, RequireAnyClientCert]".to_owned()),
        Just(" RequireAndVerifyClientCert".to_owned()),
        Just(" 99999999999999999999h".to_owned()),
        " \\PC{0,12}",
    ];
    (0..3_usize, key, value).prop_map(|(depth, key, value)| format!("{}{key}{value}\n", "  ".repeat(depth)))
}
