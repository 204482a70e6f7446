//! What configurations are accepted, what they come to, and what is said of the others.
//!
//! `tests/config/` has a file for each case: `*.good.yml` with the effective configuration it leads to, `*.bad.yml` with
//! the error a user sees. Every token in them holds [`SECRET`].

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::config::{Config, InstanceApiUrl};
use greenapi_exporter::yaml::Refusal;
use proptest::prelude::*;

const SECRET: &str = "d75b3a66374942c5b3c019c698abc2067e151558acbb41";

const ENVIRONMENT: [(&str, &str); 3] = [
    (
        "SHOP_HAMBURG_TOKEN",
        "d75b3a66374942c5b3c019c698abc2067e151558acbb41e001",
    ),
    ("PARTNER_TOKEN", "d75b3a66374942c5b3c019c698abc2067e151558acbb41e002"),
    ("EMPTY_TOKEN", ""),
];

fn load(path: impl AsRef<Path>) -> Result<Config, Refusal> {
    load_in(&ENVIRONMENT, Some(path.as_ref()))
}

fn load_in(variables: &[(&str, &str)], file: Option<&Path>) -> Result<Config, Refusal> {
    let value = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
    Config::load(file, &value)
}

/// Loads a file with the text `text`.
fn load_text(name: &str, text: impl AsRef<[u8]>) -> Result<Config, Refusal> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    load(path)
}

/// What people get to see of it.
fn shown(result: &Result<Config, Refusal>) -> String {
    let shown = match result {
        Ok(config) => config.effective() + &config.warnings().join("\n"),
        Err(error) => format!("{error}\n{error:?}"),
    };
    assert!(!holds_secret(&shown), "a secret is shown:\n{shown}");
    shown
}

/// Whether `text` holds so much of a token that it is one.
fn holds_secret(text: &str) -> bool {
    SECRET
        .as_bytes()
        .windows(33)
        .any(|part| text.as_bytes().windows(33).any(|window| window == part))
}

/// The cases whose file name ends in `ending`, in order.
fn fixtures(ending: &str) -> Vec<PathBuf> {
    let files = fs::read_dir("tests/config").unwrap().map(|entry| entry.unwrap().path());
    let mut fixtures: Vec<_> = files.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    fixtures.sort();
    assert!(!fixtures.is_empty());
    fixtures
}

fn check_golden(fixture: &Path, text: &str) {
    let name = fixture.file_stem().unwrap().to_str().unwrap();
    insta::with_settings!({ snapshot_path => "config", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn good_files_come_to_their_effective_configuration() {
    for fixture in fixtures(".good.yml") {
        let result = load(&fixture);
        shown(&result);
        check_golden(&fixture, &result.unwrap_or_else(|error| panic!("{error}")).effective());
    }
}

#[test]
fn bad_files_are_refused_with_all_that_is_wrong() {
    for fixture in fixtures(".bad.yml") {
        let result = load(&fixture);
        shown(&result);
        match result {
            Ok(_) => panic!("{} is accepted", fixture.display()),
            Err(error) => check_golden(&fixture, &error.to_string()),
        }
    }
}

#[test]
fn a_token_that_looks_like_a_number_is_used_as_it_is_written() {
    let config = load("tests/config/as-written.good.yml").unwrap_or_else(|error| panic!("{error}"));
    let token = |index: usize| {
        let url = config.instances[index].credentials.url(InstanceId::from(1), "m", "");
        url.rsplit('/').next().unwrap().to_owned()
    };
    assert_eq!(token(0), "12345678901234567890123456789012345678901234567890");
    assert_eq!(token(1), "1234567890123456789012345678901234567890123456e123");
    assert_eq!(token(2), "0".repeat(50));
}

#[test]
fn an_effective_configuration_without_inline_tokens_leads_to_itself() {
    let folder = fs::canonicalize("tests/config").unwrap();
    let text = fs::read_to_string("tests/config/full.good.yml").unwrap();
    let text = text.replace("secrets/", &format!("{}/secrets/", folder.display()));
    let text = text.replace("api_token: ", "api_token_env: SHOP_HAMBURG_TOKEN # ");
    let once = load_text("once.yml", text).unwrap_or_else(|error| panic!("{error}"));
    let twice = load_text("twice.yml", once.effective()).unwrap_or_else(|error| panic!("{error}"));
    assert!(once == twice, "{}\n{}", once.effective(), twice.effective());
}

#[test]
fn the_example_is_accepted() {
    let folder = fs::canonicalize("tests/config/secrets").unwrap();
    let text = fs::read_to_string("deploy/greenapi-exporter.yml").unwrap();
    let text = text.replace("/run/secrets", folder.to_str().unwrap());
    let with_partner = text.replace("# partner:", "partner:").replace("\n#   ", "\n  ");
    for (text, partner) in [(text, false), (with_partner, true)] {
        let config = load_text("example.yml", text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((config.instances.len(), config.partner.is_some()), (2, partner));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = load("tests/config/missing.yml").err().unwrap();
    insta::assert_snapshot!(error, @"tests/config/missing.yml: cannot read the file: No such file or directory (os error 2)");
    let error = load("tests/config").err().unwrap();
    insta::assert_snapshot!(error, @"tests/config: cannot read the file: Is a directory (os error 21)");
}

#[test]
fn files_beyond_all_measure_are_refused() {
    let large = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large-secret");
    let config = "instances: [{id_instance: 1, api_token_file: large-secret}]";
    fs::write(&large, "a".repeat(64 * 1024)).unwrap();
    assert!(load_text("with-large-secret.yml", config).is_ok());
    fs::write(&large, "a".repeat(64 * 1024 + 1)).unwrap();
    let error = load_text("with-large-secret.yml", config).err().unwrap().to_string();
    assert!(error.ends_with("large-secret`: it is larger than 64 KiB"), "{error}");

    let error = load_text("large.yml", "#".repeat(16 * 1024 * 1024 + 1))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.ends_with("large.yml: cannot read the file: it is larger than 16384 KiB"),
        "{error}"
    );
}

#[test]
fn of_very_many_problems_the_first_are_shown() {
    let error = load_text("worst.yml", format!("instances: [{}]", "1, ".repeat(1000)))
        .err()
        .unwrap()
        .to_string();
    assert_eq!(error.lines().count(), Refusal::SHOWN + 1);
    assert!(error.ends_with("\nand 900 more"), "{error}");
}

#[test]
fn ten_thousand_instances_are_loaded_in_order() {
    let instance = |id| {
        format!(
            "  - id_instance: \"{id}\"\n    name: shop-{id}\n    api_url: https://1101.api.green-api.com\n    api_token: {SECRET}\n    window: 1d\n    collectors: [outgoing, state]\n"
        )
    };
    let text: String = (1_101_000_000..1_101_010_000_u64).map(instance).collect();
    let config = load_text("ten-thousand.yml", format!("instances:\n{text}")).unwrap();
    assert_eq!(config.instances.len(), 10_000);
    assert!(config.instances.is_sorted_by_key(|instance| instance.account.id));
}

#[test]
fn the_environment_names_a_single_instance() {
    let check = |variables: &[(&str, &str)]| {
        let result = load_in(variables, None);
        shown(&result);
        result.map_or_else(|error| error.to_string(), |config| config.effective())
    };
    let id = ("GREENAPI_ID_INSTANCE", "1101000001");
    let token = (
        "GREENAPI_API_TOKEN",
        "d75b3a66374942c5b3c019c698abc2067e151558acbb41e003",
    );
    let file = ("GREENAPI_API_TOKEN_FILE", "tests/config/secrets/shop-berlin");
    let url = ("GREENAPI_API_URL", "https://1101.api.green-api.com");

    insta::assert_snapshot!(check(&[id, token]), @r#"
    max_concurrent_requests: 64
    max_response_bytes: 268435456
    instances:
      - id_instance: "1101000001"
        name: "1101000001"
        api_url: "https://api.green-api.com"
        api_token_env: "GREENAPI_API_TOKEN"
        window: 1d
        timeout: 10s
        min_interval: 10s
        collectors: [outgoing]
    "#);
    insta::assert_snapshot!(check(&[id, file, url]), @r#"
    max_concurrent_requests: 64
    max_response_bytes: 268435456
    instances:
      - id_instance: "1101000001"
        name: "1101000001"
        api_url: "https://1101.api.green-api.com"
        api_token_file: "tests/config/secrets/shop-berlin"
        window: 1d
        timeout: 10s
        min_interval: 10s
        collectors: [outgoing]
    "#);
    insta::assert_snapshot!(check(&[id, file, token]), @"GREENAPI_API_TOKEN_FILE: the token is given already, by `GREENAPI_API_TOKEN`");
    insta::assert_snapshot!(check(&[]), @"
    not set in the environment: `GREENAPI_ID_INSTANCE`; `GREENAPI_API_TOKEN` or `GREENAPI_API_TOKEN_FILE`
      hint: set them, or name a file with `--config.file`, or run `greenapi-exporter demo` to see it work without an account
    ");
    insta::assert_snapshot!(check(&[token]), @"
    not set in the environment: `GREENAPI_ID_INSTANCE`
      hint: set them, or name a file with `--config.file`, or run `greenapi-exporter demo` to see it work without an account
    ");
    insta::assert_snapshot!(check(&[id, (token.0, "")]), @"
    not set in the environment: `GREENAPI_API_TOKEN` or `GREENAPI_API_TOKEN_FILE`
      hint: set them, or name a file with `--config.file`, or run `greenapi-exporter demo` to see it work without an account
    ");
    insta::assert_snapshot!(check(&[
        ("GREENAPI_ID_INSTANCE", SECRET),
        ("GREENAPI_API_TOKEN_FILE", SECRET),
        ("GREENAPI_API_URL", &format!("https://api.green-api.com/waInstance1/{SECRET}")),
    ]), @"
    GREENAPI_ID_INSTANCE: an instance id has only digits and no leading zero, such as `1101000001`
    GREENAPI_API_TOKEN_FILE: cannot read (not shown: it may be a secret): No such file or directory (os error 2)
    GREENAPI_API_URL: the URL seems to hold a token
      hint: give only the part before `/waInstance`
    ");
    insta::assert_snapshot!(check(&[id, token, (url.0, "api.green-api.com")]), @"
    GREENAPI_API_URL: not a URL
      hint: begin it with `https://`
    ");
    insta::assert_snapshot!(check(&[id, token, (url.0, "https://{prefix}.api.greenapi.com")]), @"
    GREENAPI_API_URL: unknown placeholder
      hint: the only placeholder is `{prefix}`, and only in `partner.instance_api_url`
    ");
    insta::assert_snapshot!(check(&[id, token, (url.0, "ftp://api.green-api.com")]), @"GREENAPI_API_URL: an API URL begins with `https://` or `http://`");
    insta::assert_snapshot!(check(&[("GREENAPI_ID_INSTANCE", "x"), file, token, (url.0, "localhost:8466")]), @"
    GREENAPI_ID_INSTANCE: an instance id has only digits and no leading zero, such as `1101000001`
    GREENAPI_API_TOKEN_FILE: the token is given already, by `GREENAPI_API_TOKEN`
    GREENAPI_API_URL: not a URL
      hint: begin it with `https://`
    ");
    insta::assert_snapshot!(check(&[("GREENAPI_ID_INSTANCE", "x"), (url.0, "here")]), @"
    GREENAPI_ID_INSTANCE: an instance id has only digits and no leading zero, such as `1101000001`
    not set in the environment: `GREENAPI_API_TOKEN` or `GREENAPI_API_TOKEN_FILE`
      hint: set them, or name a file with `--config.file`, or run `greenapi-exporter demo` to see it work without an account
    GREENAPI_API_URL: not a URL
      hint: begin it with `https://`
    ");
}

#[test]
fn tokens_that_travel_in_clear_are_warned_about() {
    let check = |urls: &[&str]| {
        let instance = |(id, url)| format!("  - {{id_instance: {}, api_token: a, api_url: \"{url}\"}}\n", id + 1);
        let instances: String = urls.iter().enumerate().map(instance).collect();
        load_text("in-clear.yml", format!("instances:\n{instances}"))
            .unwrap()
            .warnings()
    };
    let here = [
        "http://localhost",
        "http://127.0.0.2:80",
        "http://[::1]/",
        "http://sim.localhost",
        "https://a.example",
    ];
    assert_eq!(check(&here), Vec::<String>::new());
    assert_eq!(
        check(&["http://a.example", "http://evillocalhost", "http://a.example/"]),
        [
            "2 tokens travel unencrypted to `http://a.example`: use an https:// URL unless the network is your own",
            "a token travels unencrypted to `http://evillocalhost`: use an https:// URL unless the network is your own",
        ]
    );
}

#[test]
fn the_tokens_of_a_partner_account_and_of_its_instances_are_warned_about_too() {
    let partner =
        "partner: {token: a, api_url: \"http://a.example\", instance_api_url: \"http://{prefix}.b.example\"}\n";
    let warnings = load_text("partner-in-clear.yml", partner).unwrap().warnings();
    assert_eq!(
        warnings,
        [
            "a token travels unencrypted to `http://a.example`: use an https:// URL unless the network is your own",
            "a token travels unencrypted to `http://{prefix}.b.example`: use an https:// URL unless the network is your own",
        ]
    );
}

#[test]
fn the_url_of_a_discovered_instance_follows_from_its_id() {
    let url = |template: &str| {
        let template: InstanceApiUrl = template.parse().unwrap();
        template.of(InstanceId::from(7_103_000_001)).unwrap().to_string()
    };
    assert_eq!(
        url("https://{prefix}.api.greenapi.com"),
        "https://7103.api.greenapi.com"
    );
    assert_eq!(url("https://proxy.example/{prefix}/"), "https://proxy.example/7103");
    assert_eq!(url("https://api.green-api.com"), "https://api.green-api.com");
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd_for_a_file(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        shown(&load_text("odd-bytes.yml", bytes));
    }

    #[test]
    fn no_yaml_is_too_odd_for_a_file(text in "([a-c01 ]|: |- |\n|\n  |\\[|\\]|\\{|\\}|,|\"|'|[&*][ab] |<<: |[!#|>?%@`~]){0,60}") {
        shown(&load_text("odd-yaml.yml", text));
    }

    #[test]
    fn no_slip_of_the_pen_shows_a_secret(
        position in any::<prop::sample::Index>(),
        removed in 0..3_usize,
        inserted in "[ \n\t:\"'{}\\[\\]#&*!|>%@`,?a-]{0,2}",
    ) {
        for fixture in ["full.good.yml", "aliases.good.yml", "tokens.bad.yml", "keys.bad.yml"] {
            let mut text = fs::read(format!("tests/config/{fixture}")).unwrap();
            let start = position.index(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.bytes());
            shown(&load_text("slip.yml", text));
        }
    }
}
