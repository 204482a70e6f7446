//! What operators do to a running exporter: shard it, discover its instances, look into a probe.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::net::UnixDatagram;

use greenapi_exporter::simulator::{Behaviour, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::harness::{Exporter, PATIENCE, TempFile, config, gauge, id, partner_config, series, simulate, value};

#[tokio::test]
async fn a_probe_with_debug_shows_its_log_its_metrics_and_its_configuration() {
    let (simulator, url) = simulate(&[Behaviour::Forbidden, Behaviour::Healthy]);
    let config = format!("{}max_response_bytes: 123456\n", config(&simulator, &url, ""));
    let exporter = Exporter::start(&config, &[]).await;
    let page = exporter.get(&format!("/probe?target={}&debug=true", id(0))).await.text;
    let (log, rest) = page.split_once("Metrics that would have been returned:").unwrap();
    assert!(log.contains("level=DEBUG") && log.contains("result=forbidden"), "{log}");
    assert!(!log.contains(&id(1).to_string()), "{log}");
    let (metrics, configuration) = rest.split_once("Configuration:").unwrap();
    assert_eq!(gauge(metrics, "greenapi_forbidden", 0), Some(1.0));
    assert!(configuration.contains("api_token: <secret>"), "{configuration}");
    assert!(configuration.contains("max_response_bytes: 123456"), "{configuration}");
    assert!(!configuration.contains(&id(1).to_string()), "{configuration}");
    assert!(!page.contains(&*simulator.logins()[0].token));
    // The log is that of this probe alone.
    let again = exporter.get(&format!("/probe?target={}&debug=true", id(0))).await.text;
    assert!(again.contains("no new request"), "{again}");
}

#[tokio::test]
async fn the_first_probe_with_debug_of_a_partners_instance_shows_as_much_as_any() {
    let (simulator, url) = simulate(&[Behaviour::Forbidden]);
    let token = TempFile::new("token", simulator.partner_token());
    let exporter = Exporter::start(&partner_config(&url, &token), &[]).await;
    let page = exporter.get(&format!("/probe?target={}&debug=true", id(0))).await.text;
    let (log, rest) = page.split_once("Metrics that would have been returned:").unwrap();
    assert!(log.contains("result=forbidden"), "{log}");
    let (_, configuration) = rest.split_once("Configuration:").unwrap();
    assert!(configuration.contains(&id(0).to_string()), "{configuration}");
}

#[tokio::test]
async fn shards_partition_a_thousand_instances() {
    let (simulator, url) = simulate(&vec![Behaviour::Empty; 1000]);
    let config = config(&simulator, &url, "");
    let mut seen = BTreeSet::new();
    for ordinal in ["greenapi-exporter-0", "1", "greenapi-exporter-2"] {
        let flags = ["--shard.ordinal", ordinal, "--shard.total", "3"];
        let exporter = Exporter::start(&config, &flags).await;
        let groups: Value = serde_json::from_str(&exporter.get("/sd").await.text).unwrap();
        let groups = groups.as_array().unwrap();
        assert!((200..=466).contains(&groups.len()), "{}", groups.len());
        for group in groups {
            let id = group["labels"]["__meta_greenapi_id_instance"]
                .as_str()
                .unwrap()
                .to_owned();
            assert_eq!(group["targets"][0], id);
            assert!(seen.insert(id.clone()), "{id} is on two shards");
        }
        let page = exporter.metrics().await;
        assert_eq!(value(&page, "greenapi_exporter_shard_total"), Some(3.0));
        assert_eq!(series(&page, "greenapi_up").len(), groups.len());
    }
    assert_eq!(seen.len(), 1000);
}

#[tokio::test]
async fn shards_share_the_instances_of_a_partner_account_too() {
    let (simulator, url) = simulate(&[Behaviour::Empty; 20]);
    let token = TempFile::new("token", simulator.partner_token());
    let mut served = Vec::new();
    for ordinal in ["0", "1"] {
        let flags = ["--shard.ordinal", ordinal, "--shard.total", "2"];
        let exporter = Exporter::start(&partner_config(&url, &token), &flags).await;
        let page = exporter.metrics().await;
        served.extend(series(&page, "greenapi_up").into_iter().map(str::to_owned));
    }
    served.sort_unstable();
    let all: Vec<_> = (0..20)
        .map(|index| format!("greenapi_up{{id_instance=\"{}\"}} 1", id(index)))
        .collect();
    assert_eq!(served, all);
}

#[tokio::test]
async fn a_replica_beyond_the_total_is_refused() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let file = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    let arguments = [
        "--config.file",
        file.path(),
        "--shard.ordinal",
        "3",
        "--shard.total",
        "3",
    ];
    let finished = crate::harness::run(&mut crate::harness::binary(&arguments)).await;
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("there is no shard `3` of 3"),
        "{}",
        finished.stderr
    );
}

#[tokio::test]
async fn scrapes_beyond_the_limit_are_refused_while_others_are_under_way() {
    let (simulator, url) = simulate(&[Behaviour::Held]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &["--web.max-requests", "1"]).await;
    let refused = async {
        simulator.arrived(id(0), Method::GetOutgoingStatuses, 1).await.unwrap();
        assert_eq!(exporter.get("/metrics").await.status, 503);
        assert_eq!(exporter.get("/-/healthy").await.status, 200);
        simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    };
    let (page, ()) = tokio::join!(exporter.metrics(), refused);
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(1.0));
}

#[tokio::test]
async fn a_probe_that_waits_for_its_instance_keeps_no_other_out() {
    let (simulator, url) = simulate(&[Behaviour::Held, Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &["--web.max-requests", "1"]).await;
    let probe = async |index| exporter.get(&format!("/probe?target={}", id(index))).await.status;
    let meanwhile = async {
        simulator.arrived(id(0), Method::GetOutgoingStatuses, 1).await.unwrap();
        assert_eq!(probe(1).await, 200);
        simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    };
    assert_eq!(tokio::join!(probe(0), meanwhile).0, 200);
}

#[tokio::test]
async fn a_scrape_is_under_way_until_its_page_is_sent_or_the_scraper_is_gone() {
    let (simulator, url) = simulate(&vec![Behaviour::Empty; 1500]);
    let config = config(&simulator, &url, "min_interval: 1h");
    let exporter = Exporter::start(&config, &["--web.max-requests", "1"]).await;
    let socket = TcpSocket::new_v4().unwrap();
    // So that most of the page, which is larger than any buffer, is still to be sent.
    socket.set_recv_buffer_size(4096).unwrap();
    let address = exporter.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut slow = socket.connect(address).await.unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut status = [0; 15];
    slow.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    assert_eq!(exporter.get("/metrics").await.status, 503);
    drop(slow);
    let answered = async { while exporter.get("/metrics").await.status != 200 {} };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
}

#[tokio::test]
async fn a_page_is_compressed_as_the_scraper_asks() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 1h"), &[]).await;
    exporter.metrics().await;
    let compressed = async |encoding: &str| {
        let request = reqwest::Client::new().get(format!("{}/probe?target={}", exporter.url, id(0)));
        let answer = request.header("Accept-Encoding", encoding).send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], encoding);
        answer.bytes().await.unwrap()
    };
    let mut unpacked = String::new();
    let plain = exporter.get(&format!("/probe?target={}", id(0))).await.text;
    flate2::read::GzDecoder::new(&*compressed("gzip").await)
        .read_to_string(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);
    assert_eq!(zstd::decode_all(&*compressed("zstd").await).unwrap(), plain.as_bytes());
}

#[tokio::test]
async fn a_head_is_answered_without_a_body() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    for path in ["/metrics", "/", "/config", "/sd", "/-/healthy", "/-/ready"] {
        let answer = exporter.head(path, &[]).await;
        assert_eq!((answer.status, &*answer.text), (200, ""), "{path}");
    }
}

#[tokio::test]
async fn systemd_is_told_when_it_is_ready_reloading_and_stopping() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let file = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    let assignment = format!("NOTIFY_SOCKET={}", path.display());
    let arguments = [&*assignment, env!("CARGO_BIN_EXE_greenapi-exporter"), "serve"];
    let mut exporter = Exporter::start_as("env", &arguments, &["--config.file", file.path()]).await;
    exporter.signal("-HUP");
    exporter.logged("reloaded the configuration").await;
    // It is as ready as before after a reload that failed.
    std::fs::write(&file.path, "").unwrap();
    exporter.signal("-HUP");
    exporter.logged("cannot reload the configuration").await;
    assert_eq!(exporter.stop().await.code, Some(0));
    let mut said = Vec::new();
    let mut buffer = [0; 128];
    for _ in 0..6 {
        let length = socket.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        said.push(text.lines().next().unwrap().to_owned());
    }
    let (ready, reloading) = ("READY=1", "RELOADING=1");
    assert_eq!(said, [ready, reloading, ready, reloading, ready, "STOPPING=1"]);
}

#[tokio::test]
async fn a_start_that_a_file_keeps_waiting_can_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("never.yml");
    let made = crate::harness::run(crate::harness::program("mkfifo").arg(&path)).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let mut exporter = crate::harness::binary(&["--config.file", path.to_str().unwrap()])
        .spawn()
        .unwrap();
    // It can be opened for writing once it is read.
    let opened = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(path));
    let _writing = opened.await.unwrap().unwrap();
    let pid = exporter.id().unwrap().to_string();
    let killed = crate::harness::run(crate::harness::program("kill").arg(pid)).await;
    assert_eq!(killed.code, Some(0), "{}", killed.stderr);
    let status = tokio::time::timeout(PATIENCE, exporter.wait()).await.unwrap().unwrap();
    assert!(!status.success());
}

#[tokio::test]
async fn sockets_of_systemd_are_taken_over() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let file = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    // Like systemd: the socket is descriptor 3, and the environment says so to this process alone.
    let script = "import os, socket, sys\n\
        listener = socket.create_server(('127.0.0.1', 0))\n\
        os.dup2(listener.fileno(), 3)\n\
        os.set_inheritable(3, True)\n\
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let arguments = ["-c", script, env!("CARGO_BIN_EXE_greenapi-exporter"), "serve"];
    let flags = ["--config.file", file.path(), "--web.systemd-socket"];
    let exporter = Exporter::start_as("/usr/bin/python3", &arguments, &flags).await;
    assert_eq!(gauge(&exporter.metrics().await, "greenapi_up", 0), Some(1.0));
    let without = crate::harness::binary(&["--config.file", file.path(), "--web.systemd-socket"])
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8(without.stderr).unwrap();
    assert!(stderr.contains("systemd has passed no socket"), "{stderr}");
    // As a socket unit does that accepts connections itself.
    let script = script.replace(
        "os.dup2(listener.fileno(), 3)",
        "client = socket.create_connection(listener.getsockname()); accepted, _ = listener.accept(); os.dup2(accepted.fileno(), 3)",
    );
    let mut with_connection = crate::harness::program("/usr/bin/python3");
    with_connection.args(["-c", &script, env!("CARGO_BIN_EXE_greenapi-exporter"), "serve"]);
    let refused = crate::harness::run(with_connection.args(flags)).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("hint: the socket unit needs `Accept=no`"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn ten_thousand_idle_connections_leave_it_answering() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let file = TempFile::new("exporter.yml", &config(&simulator, &url, ""));
    let arguments = [
        "-c",
        "ulimit -n 12000; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_greenapi-exporter"),
        "serve",
    ];
    let exporter = Exporter::start_as("sh", &arguments, &["--config.file", file.path()]).await;
    // A process of its own, since this one may not open so many files.
    let script = "import socket, sys, urllib.request\n\
        host, port = sys.argv[1].split(':')\n\
        idle = [socket.create_connection((host, int(port))) for _ in range(10000)]\n\
        print(urllib.request.urlopen(f'http://{sys.argv[1]}/-/healthy').status, len(idle))";
    let address = exporter.url.strip_prefix("http://").unwrap();
    let mut clients = tokio::process::Command::new("sh");
    clients.args([
        "-c",
        "ulimit -n 12000; exec \"$@\"",
        "sh",
        "/usr/bin/python3",
        "-c",
        script,
        address,
    ]);
    let output = clients.output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200 10000\n", "{stderr}");
    assert_eq!(gauge(&exporter.metrics().await, "greenapi_up", 0), Some(1.0));
}
