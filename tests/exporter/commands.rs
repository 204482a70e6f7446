//! The commands: what they print, and how they end.

use std::process::Stdio;

use clap::CommandFactory;
use greenapi_exporter::cli::Cli;
use greenapi_exporter::simulator::Behaviour;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::certificates::{Authority, this_machine};
use crate::harness::{
    Exporter, PATIENCE, TempFile, binary, config, gauge, id, partner_config, program, run, series, simulate, value,
};

#[tokio::test]
async fn help_says_what_there_is() {
    for command in [
        "",
        "serve",
        "check-config",
        "once",
        "backfill",
        "simulate",
        "demo",
        "healthcheck",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let finished = run(&mut binary(&arguments)).await;
        assert_eq!((finished.code, &*finished.stderr), (Some(0), ""));
        let name = if command.is_empty() {
            "greenapi-exporter"
        } else {
            command
        };
        insta::assert_snapshot!(format!("help_{name}"), finished.stdout);
    }
}

#[tokio::test]
async fn the_version_is_told_as_prometheus_tells_its_own() {
    let finished = run(&mut binary(&["--version"])).await;
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let expected = concat!("greenapi-exporter, version ", env!("CARGO_PKG_VERSION"), " (revision: ");
    assert!(lines[0].starts_with(expected), "{lines:?}");
    assert!(lines[1].starts_with("  rustc version:    1."), "{lines:?}");
    assert!(lines[2].starts_with("  platform:         "), "{lines:?}");
    assert_eq!((finished.code, lines.len()), (Some(0), 3));
}

#[tokio::test]
async fn an_empty_environment_variable_sets_nothing() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let file = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    for command in ["once", "check-config"] {
        let mut program = binary(&[command, "--config.file", file.path()]);
        let cli = Cli::command();
        let flags = cli.find_subcommand(command).unwrap().get_arguments();
        let of_all = cli.get_arguments().filter(|flag| flag.is_global_set());
        for flag in flags.chain(of_all) {
            program.envs(flag.get_env().map(|variable| (variable, "")));
        }
        let finished = run(&mut program).await;
        assert_eq!(finished.code, Some(0), "{command}: {}", finished.stderr);
    }
}

#[tokio::test]
async fn usage_errors_end_with_1() {
    for arguments in [
        &["--nonsense"][..],
        &["fly"],
        &["--web.listen-address", "nowhere"],
        &["--web.telemetry-path", "metrics"],
        &["--web.telemetry-path", "/probe"],
        &["--web.telemetry-path", "//metrics"],
        &["--log.level", "loud"],
        &["--log.level="],
        &["--log.format", "xml"],
        &["--scrape.timeout-offset", "soon"],
        &["--scrape.timeout-offset", "1e3s"],
        &["--shard.ordinal", "many"],
        &["--shard.ordinal", "-1"],
        &["--shard.total", "0"],
        &["--web.max-requests", "0"],
        &["--web.max-requests", "many"],
        &["backfill"],
        &["backfill", "--target", "x", "--since", "31d"],
        &["demo", "--speed", "-1"],
        &["simulate", "--instances", "1000001"],
        &["--config.file", "x.yml", "once"],
    ] {
        let finished = run(&mut binary(arguments)).await;
        assert_eq!(finished.code, Some(1), "{arguments:?}");
        assert!(finished.stderr.starts_with("error: "), "{}", finished.stderr);
    }
    for (arguments, bounds) in [
        (["serve", "--web.max-requests", "many"], "from 1 to 65535"),
        (["serve", "--shard.total", "0"], "from 1 to 4294967295"),
        (["simulate", "--instances", "1000001"], "from 0 to 1000000"),
        (["demo", "--seed", "1.5"], "from 0 to 18446744073709551615"),
    ] {
        let finished = run(&mut binary(&arguments)).await;
        let expected = format!("expected a whole number {bounds}\n");
        assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    }
    for [command, flag] in [
        ["serve", "--web.max-requests"],
        ["serve", "--shard.ordinal"],
        ["serve", "--shard.total"],
        ["demo", "--seed"],
        ["demo", "--speed"],
        ["simulate", "--instances"],
    ] {
        let finished = run(&mut binary(&[command, flag, "-1"])).await;
        let expected = format!("error: invalid value '-1' for '{flag} ");
        assert!(finished.stderr.starts_with(&expected), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn log_lines_have_the_same_keys_in_both_formats() {
    let file = TempFile::new("exporter.yml", "instances:\n  - {id_instance: 1101, api_token: a}\n");
    let storage = tempfile::tempdir().unwrap();
    let mut exporter = binary(&["serve", "--config.file", file.path(), "--storage.path"]);
    exporter
        .arg(storage.path())
        .args(["--web.listen-address", "127.0.0.1:0"]);
    Exporter::spawn(exporter, None).await.stop().await;
    let check = async |format: &str, expected: &str| {
        let mut check = binary(&["check-config", "--config.file", file.path(), "--log.format", format]);
        let finished = run(check.arg("--storage.path").arg(storage.path())).await;
        let line = finished.stderr.replace(storage.path().to_str().unwrap(), "DIR");
        let (time, rest) = line.split_once('Z').unwrap();
        assert!(time.ends_with(|last: char| last.is_ascii_digit()), "{time}");
        assert_eq!(rest, expected);
    };
    let logfmt =
        " level=INFO source=greenapi_exporter::commands msg=\"the ledger can be opened\" path=DIR statuses=0\n";
    check("logfmt", logfmt).await;
    let json = "\",\"level\":\"INFO\",\"source\":\"greenapi_exporter::commands\",\
                \"msg\":\"the ledger can be opened\",\"path\":\"DIR\",\"statuses\":0}\n";
    check("json", json).await;
}

#[tokio::test]
async fn what_to_log_is_told_before_or_after_the_command() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let file = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    let command = ["once", "--config.file", file.path()];
    let log = ["--log.level", "debug"];
    for arguments in [[&log[..], &command].concat(), [&command[..], &log].concat()] {
        let finished = run(&mut binary(&arguments)).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(
            finished.stderr.contains("asking for the journal"),
            "{}",
            finished.stderr
        );
    }
}

#[tokio::test]
async fn an_instance_of_a_partner_account_can_be_backfilled() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let token = TempFile::new("token", simulator.partner_token());
    let file = TempFile::new("exporter.yml", &partner_config(&url, &token));
    let target = id(0).to_string();
    let finished = run(&mut binary(&[
        "backfill",
        "--config.file",
        file.path(),
        "--target",
        &target,
    ]))
    .await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.ends_with("# EOF\n"), "{}", finished.stdout);
}

#[tokio::test]
async fn flags_can_be_given_by_the_environment() {
    let finished = run(binary(&["check-config"]).env("GREENAPI_EXPORTER_CONFIG_FILE", "/nonexistent.yml")).await;
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("/nonexistent.yml"), "{}", finished.stderr);
}

#[tokio::test]
async fn without_any_account_it_says_what_to_do() {
    let finished = run(&mut binary(&[])).await;
    assert_eq!(finished.code, Some(1));
    insta::assert_snapshot!(finished.stderr);
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = binary(&["--web.listen-address", &address]);
    command
        .env("GREENAPI_ID_INSTANCE", "1101000001")
        .env("GREENAPI_API_TOKEN", "d75b3a66");
    let finished = run(&mut command).await;
    assert_eq!(finished.code, Some(1));
    let expected = format!("greenapi-exporter: cannot listen on `{address}`: Address already in use (os error 98)\n");
    assert!(finished.stderr.ends_with(&expected), "{}", finished.stderr);
}

#[tokio::test]
async fn check_config_prints_the_effective_configuration_without_secrets() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let file = TempFile::new("fleet.yml", &config(&simulator, &url, "window: 36h"));
    let finished = run(&mut binary(&["check-config", "--config.file", file.path()])).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("<secret>"), "{}", finished.stdout);
    assert!(
        !finished.stdout.contains(&*simulator.logins()[0].token),
        "{}",
        finished.stdout
    );
}

#[tokio::test]
async fn check_config_warns_of_what_works_but_should_be_known() {
    let file = TempFile::new(
        "fleet.yml",
        "instances: [{id_instance: 7, api_token: a, api_url: 'http://a.example'}]\n",
    );
    let finished = run(&mut binary(&["check-config", "--config.file", file.path()])).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let warning = "level=WARN source=greenapi_exporter::commands msg=\"the configuration can be improved\" \
                   warning=\"a token travels unencrypted to `http://a.example`";
    assert!(finished.stderr.contains(warning), "{}", finished.stderr);
}

#[tokio::test]
async fn check_config_tells_every_error_at_once_and_ends_with_1() {
    let file = TempFile::new("fleet.yml", "instances:\n  - id_instance: x\n    api_tokn: d75b3a66\n");
    let finished = run(&mut binary(&["check-config", "--config.file", file.path()])).await;
    assert_eq!((finished.code, &*finished.stdout), (Some(1), ""));
    let stderr = finished.stderr.replace(file.path(), "fleet.yml");
    insta::assert_snapshot!(stderr);
}

#[tokio::test]
async fn once_prints_one_collection_and_ends_with_1_unless_all_are_up() {
    let check = async |behaviours: &[Behaviour], arguments: &[&str], code, up: usize| {
        let (simulator, url) = simulate(behaviours);
        let file = TempFile::new("fleet.yml", &config(&simulator, &url, ""));
        let mut command = binary(&["once", "--config.file", file.path()]);
        let finished = run(command.args(arguments)).await;
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert_eq!(series(&finished.stdout, "greenapi_up").len(), up);
    };
    let second = id(1).to_string();
    check(&[Behaviour::Healthy, Behaviour::Healthy], &[], 0, 2).await;
    check(&[Behaviour::Healthy, Behaviour::Forbidden], &[], 1, 2).await;
    check(
        &[Behaviour::Forbidden, Behaviour::Healthy],
        &["--target", &second],
        0,
        1,
    )
    .await;
    check(&[Behaviour::Healthy], &["--target", "nobody"], 1, 0).await;
}

#[tokio::test]
async fn once_ends_with_1_where_there_is_no_instance_to_be_up() {
    let (simulator, url) = simulate(&[]);
    let token = TempFile::new("token", simulator.partner_token());
    let file = TempFile::new("fleet.yml", &partner_config(&url, &token));
    let finished = run(&mut binary(&["once", "--config.file", file.path()])).await;
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("listed the partner account's instances"),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn once_ends_with_1_where_the_instances_of_a_partner_account_are_not_known() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let token = TempFile::new("token", "wrong");
    let both = config(&simulator, &url, "") + &partner_config(&url, &token);
    let file = TempFile::new("fleet.yml", &both);
    let check = async |more: &[&str], code| {
        let arguments = [&["once", "--config.file", file.path()], more].concat();
        let finished = run(&mut binary(&arguments)).await;
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert_eq!(gauge(&finished.stdout, "greenapi_up", 0), Some(1.0));
    };
    check(&[], 1).await;
    check(&["--target", &id(0).to_string()], 0).await;
    for command in ["once", "backfill"] {
        let arguments = [command, "--config.file", file.path(), "--target", "another"];
        let finished = run(&mut binary(&arguments)).await;
        assert_eq!(finished.code, Some(1));
        let expected = "cannot tell whether an instance has the id or name `another`: \
                        the partner account's instances have not been listed yet\n";
        assert!(finished.stderr.ends_with(expected), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn output_that_cannot_be_written_is_an_error_and_a_reader_who_hangs_up_is_none() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let file = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    let check = async |script: &str, code, expected: &str| {
        let mut shell = program("bash");
        let exporter = env!("CARGO_BIN_EXE_greenapi-exporter");
        let script = format!("set -o pipefail; {exporter} {script}");
        let finished = run(shell.args(["-c", &script])).await;
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert_eq!(finished.stderr, expected);
    };
    let full = "greenapi-exporter: cannot write to standard output: No space left on device (os error 28)\n";
    let check_config = format!("check-config --config.file {}", file.path());
    for printing in ["--help", "--version", &check_config] {
        check(&format!("{printing} > /dev/full"), 1, full).await;
        check(&format!("{printing} | true"), 0, "").await;
    }
}

#[tokio::test]
async fn simulate_prints_what_a_client_needs_and_answers() {
    let mut command = binary(&["simulate", "--web.listen-address", "127.0.0.1:0", "--instances", "3"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    };
    let url = next().await.split_whitespace().last().unwrap().to_owned();
    let partner_token = next().await.split_whitespace().last().unwrap().to_owned();
    let answer = reqwest::get(format!("{url}/partner/getInstances/{partner_token}"))
        .await
        .unwrap();
    let instances: Vec<serde_json::Value> = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(instances.len(), 3);
}

#[tokio::test]
async fn demo_says_where_people_and_prometheus_find_it() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new("authority").issue(folder.path(), "server", &this_machine());
    let web_config = folder.path().join("web.yml");
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    std::fs::write(&web_config, tls).unwrap();
    let check = async |flags: &[&str], expected: &[&str]| {
        let mut command = binary(&["demo", "--web.listen-address", ":0"]);
        let mut child = command.args(flags).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        while !said.contains("Stop it") {
            let line = tokio::time::timeout(PATIENCE, lines.next_line());
            said += &line.await.unwrap().unwrap().unwrap();
            said.push('\n');
        }
        for expected in expected {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    };
    check(&[], &["\n  http://localhost:", "- targets: [\"localhost:"]).await;
    let flags = [
        "--web.telemetry-path",
        "/m",
        "--web.config.file",
        web_config.to_str().unwrap(),
    ];
    let settings = "scheme: https\n      metrics_path: /m\n";
    check(&flags, &["\n  https://localhost:", "/m  the metrics\n", settings]).await;
}

#[tokio::test]
async fn demo_has_something_to_show_to_people_before_anything_scrapes() {
    let mut command = binary(&["demo", "--web.listen-address", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = loop {
        let line = tokio::time::timeout(PATIENCE, lines.next_line());
        match line.await.unwrap().unwrap().unwrap() {
            line if line.starts_with("  http://") => break line,
            _ => {}
        }
    };
    let url = line.split_whitespace().next().unwrap();
    let page = async || reqwest::get(url).await.unwrap().text().await.unwrap();
    let shown = async { while page().await.contains("not scraped") {} };
    tokio::time::timeout(PATIENCE, shown).await.unwrap();
}

#[tokio::test]
async fn demo_shows_live_gauges_a_forbidden_instance_and_the_reason_of_every_failure() {
    let mut command = binary(&["demo", "--web.listen-address", "127.0.0.2:0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut curl, mut targets) = (None, None);
    while targets.is_none() {
        let line = tokio::time::timeout(PATIENCE, lines.next_line());
        let line = line.await.unwrap().unwrap().unwrap();
        match line.trim() {
            line if line.starts_with("curl -s") => curl = Some(line.to_owned()),
            line if line.starts_with("- targets:") => targets = Some(line.to_owned()),
            _ => {}
        }
    }
    let (curl, targets) = (curl.unwrap(), targets.unwrap());
    let url = curl.split_whitespace().nth(2).unwrap();
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
    assert_eq!(targets, format!("- targets: [\"{address}\"]"));
    let page = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert_eq!(
        series(&page, "greenapi_forbidden")
            .iter()
            .filter(|line| line.ends_with(" 1"))
            .count(),
        1
    );
    for result in ["ok", "forbidden", "unauthorized", "not_authorized", "quota_exceeded"] {
        let shown = series(&page, "greenapi_fetch_result");
        assert!(
            shown.iter().any(|line| line.contains(&format!("result=\"{result}\""))),
            "{result}: {shown:?}"
        );
    }
    let live = series(&page, "greenapi_journal_statuses");
    assert!(
        live.iter().filter(|line| !line.ends_with(" 0")).count() > 20,
        "{live:?}"
    );
    assert_eq!(value(&page, "greenapi_exporter_instances"), Some(9.0));
}
