//! The paths of spec section 4, methods, headers, and how it starts and stops.

use std::time::Duration;

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::simulator::{Behaviour, Method};
use reqwest::Method as Verb;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Exporter, PATIENCE, TempFile, config, gauge, id, partner_config, series, simulate, value};

async fn exporter(behaviours: &[Behaviour]) -> Exporter {
    let (simulator, url) = simulate(behaviours);
    Exporter::start(&config(&simulator, &url, ""), &[]).await
}

#[tokio::test]
async fn every_format_is_negotiated_with_its_full_content_type() {
    let exporter = exporter(&[Behaviour::Healthy]).await;
    let check = async |accept: &str, expected: &str| {
        let lines: Vec<_> = accept.split('\n').map(|line| ("Accept", line)).collect();
        let answer = exporter.get_with("/metrics", &lines).await;
        assert_eq!(answer.headers["content-type"], expected, "{accept}");
        assert_eq!(answer.headers["vary"], "Accept, Accept-Encoding");
    };
    check("*/*", "text/plain; version=0.0.4; charset=utf-8").await;
    check(
        "text/plain;version=0.0.4;q=0.5",
        "text/plain; version=0.0.4; charset=utf-8",
    )
    .await;
    check(
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )
    .await;
    check(
        "text/plain;version=0.0.4;q=0.5\napplication/openmetrics-text;version=1.0.0",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )
    .await;
}

#[tokio::test]
async fn openmetrics_tells_since_when_counters_count_where_asked_to() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let config = config(&simulator, &url, "");
    let openmetrics = [("Accept", "application/openmetrics-text;version=1.0.0")];
    let created = async |flags: &[&str]| {
        let exporter = Exporter::start(&config, flags).await;
        let page = exporter.get_with("/metrics", &openmetrics).await.text;
        series(&page, "greenapi_fetches_created").len() + series(&page, "greenapi_journal_gaps_created").len()
    };
    assert_eq!(created(&[]).await, 0);
    assert!(created(&["--web.openmetrics-created"]).await > 1);
}

#[tokio::test]
async fn protobuf_is_negotiated_with_its_full_content_type() {
    let exporter = exporter(&[Behaviour::Healthy]).await;
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;q=0.5";
    let answer = exporter.head("/metrics", &[("Accept", accept)]).await;
    assert_eq!(
        answer.headers["content-type"],
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    );
}

#[tokio::test]
async fn a_probe_shows_one_instance_by_id_or_name_and_nothing_of_the_exporter() {
    let exporter = exporter(&[Behaviour::Healthy, Behaviour::Healthy]).await;
    let page = exporter.get(&format!("/probe?target={}", id(1))).await;
    assert_eq!(page.status, 200);
    assert_eq!(series(&page.text, "greenapi_up").len(), 1);
    assert_eq!(gauge(&page.text, "greenapi_up", 1), Some(1.0));
    assert!(!page.text.contains("greenapi_exporter_") && !page.text.contains("process_"));
    let plain = exporter.get(&format!("/probe?target={}&debug=false", id(1))).await;
    assert_eq!(plain.headers["content-type"], page.headers["content-type"]);
    assert!(plain.text.starts_with("# HELP "), "{}", plain.text);
}

#[tokio::test]
async fn a_probe_takes_a_name_of_an_instance() {
    let (simulator, url) = simulate(&[Behaviour::Healthy, Behaviour::Healthy]);
    let config = config(&simulator, &url, "");
    let of_second = format!("  - id_instance: {}\n", id(1));
    let named = config.replace(&of_second, &format!("{of_second}    name: Ольга & 1\n"));
    let exporter = Exporter::start(&named, &[]).await;
    for query in ["target=%D0%9E%D0%BB%D1%8C%D0%B3%D0%B0+%26+1", "target=1101000002"] {
        let page = exporter.get(&format!("/probe?{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        assert_eq!(gauge(&page.text, "greenapi_up", 1), Some(1.0), "{query}");
        assert_eq!(series(&page.text, "greenapi_up").len(), 1, "{query}");
    }
}

#[tokio::test]
async fn metrics_are_only_where_they_are_told_to_be() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let flags = ["--web.telemetry-path", "/telemetry"];
    let exporter = Exporter::start(&config(&simulator, &url, ""), &flags).await;
    assert_eq!(exporter.get("/metrics").await.status, 404);
    let page = exporter.get("/telemetry").await;
    assert_eq!(gauge(&page.text, "greenapi_up", 0), Some(1.0));
    let page = exporter.get("/telemetry").await;
    let answered = "greenapi_exporter_http_requests_total{handler=\"/metrics\",code=\"200\"}";
    assert_eq!(value(&page.text, answered), Some(1.0));
    let landing = exporter.get("/").await.text;
    assert!(landing.contains("<a href=\"/telemetry\">"), "{landing}");
}

#[tokio::test]
async fn a_probe_without_a_single_known_target_is_a_bad_request() {
    let exporter = exporter(&[Behaviour::Healthy, Behaviour::Healthy]).await;
    let (one, other) = (id(0), id(1));
    for query in [
        "",
        "?target=",
        "?target=nobody",
        &format!("?target={one}&target={other}"),
        &format!("?instance={one}"),
    ] {
        assert_eq!(exporter.get(&format!("/probe{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_scrape_timeout_that_is_no_time_is_a_bad_request() {
    let exporter = exporter(&[Behaviour::Healthy]).await;
    for timeout in ["soon", "-1", "0", "NaN", "inf"] {
        let headers = [("X-Prometheus-Scrape-Timeout-Seconds", timeout)];
        assert_eq!(exporter.get_with("/metrics", &headers).await.status, 400, "{timeout}");
    }
}

#[tokio::test]
async fn a_scraper_may_have_more_patience_than_any_clock_can_tell() {
    let exporter = exporter(&[Behaviour::Healthy]).await;
    let headers = [("X-Prometheus-Scrape-Timeout-Seconds", "10000000000000000000")];
    let page = exporter.get_with("/metrics", &headers).await;
    assert_eq!(gauge(&page.text, "greenapi_up", 0), Some(1.0));
}

#[tokio::test]
async fn an_offset_that_would_leave_no_time_is_not_taken_off() {
    let exporter = exporter(&[Behaviour::Slow(Duration::from_millis(250)); 2]).await;
    for (index, timeout) in [(0, "0.4"), (1, "0.5")] {
        let headers = [("X-Prometheus-Scrape-Timeout-Seconds", timeout)];
        let page = exporter
            .get_with(&format!("/probe?target={}", id(index)), &headers)
            .await;
        assert_eq!(gauge(&page.text, "greenapi_up", index), Some(1.0), "{timeout}");
    }
}

#[tokio::test]
async fn targets_are_told_by_id_with_their_names_as_labels() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let config = config(&simulator, &url, "");
    let named = config.replace("    api_token:", "    name: shop\n    api_token:");
    let exporter = Exporter::start(&named, &[]).await;
    let targets = exporter.get("/sd").await;
    assert_eq!(targets.headers["content-type"], "application/json");
    let expected = json!([{
        "targets": ["1101000001"],
        "labels": {"__meta_greenapi_id_instance": "1101000001", "__meta_greenapi_name": "shop"},
    }]);
    assert_eq!(serde_json::from_str::<Value>(&targets.text).unwrap(), expected);
}

#[tokio::test]
async fn answers_are_neither_stored_nor_taken_for_what_they_are_not() {
    let exporter = exporter(&[Behaviour::Healthy]).await;
    for path in [
        "/metrics",
        "/probe",
        "/sd",
        "/config",
        "/-/healthy",
        "/-/ready",
        "/",
        "/nothing",
    ] {
        let headers = exporter.get(path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
    }
    assert_eq!(
        exporter.get("/").await.headers["content-security-policy"],
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    );
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let exporter = exporter(&[Behaviour::Healthy]).await;
    for path in ["/metrics", "/", "/probe", "/config", "/-/healthy", "/-/ready"] {
        let answer = exporter.send(Verb::POST, path, &[]).await;
        assert_eq!(
            (answer.status, &answer.headers["allow"]),
            (405, &"GET, HEAD".parse().unwrap()),
            "{path}"
        );
    }
    assert_eq!(exporter.get("/nothing").await.status, 404);
    assert_eq!(exporter.get("/metrics/").await.status, 404);
    let page = exporter.metrics().await;
    let refused = "greenapi_exporter_http_requests_total{handler=\"/metrics\",code=\"405\"}";
    assert_eq!(value(&page, refused), Some(1.0));
    let unknown = "greenapi_exporter_http_requests_total{handler=\"other\",code=\"404\"}";
    assert_eq!(value(&page, unknown), Some(2.0));
}

#[tokio::test]
async fn health_and_readiness_are_told() {
    let exporter = exporter(&[Behaviour::Healthy]).await;
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(exporter.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn instances_of_a_partner_account_are_discovered() {
    let (simulator, url) = simulate(&[Behaviour::Healthy, Behaviour::Forbidden, Behaviour::Healthy]);
    let token = TempFile::new("token", simulator.partner_token());
    let listed = |id| format!("  - {{id_instance: {id}, api_url: '{url}', api_token: wrong}}\n");
    let config = format!(
        "{}instances:\n{}{}",
        partner_config(&url, &token),
        listed(InstanceId::from(7)),
        listed(id(2))
    );
    let exporter = Exporter::start(&config, &[]).await;
    let page = exporter.metrics().await;
    assert_eq!(series(&page, "greenapi_up").len(), 4);
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(1.0));
    assert_eq!(gauge(&page, "greenapi_forbidden", 1), Some(1.0));
    // One that is discovered too is collected as it is listed.
    assert_eq!(gauge(&page, "greenapi_up", 2), Some(0.0));
    assert_eq!(exporter.get("/-/ready").await.status, 200);
}

#[tokio::test]
async fn a_partner_account_is_listed_for_whoever_asks_for_readiness_or_targets_before_any_scrape() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let token = TempFile::new("token", simulator.partner_token());
    let config = partner_config(&url, &token);
    let mut asked_for_readiness = Exporter::start(&config, &[]).await;
    // The answer doesn't wait for the list, which may be there all the same.
    let unready = asked_for_readiness.get("/-/ready").await;
    assert!(
        unready.status == 200 || unready.text.contains("not been listed"),
        "{}",
        unready.text
    );
    asked_for_readiness
        .logged("listed the partner account's instances")
        .await;
    assert_eq!(asked_for_readiness.get("/-/ready").await.status, 200);
    let asked_for_targets = Exporter::start(&config, &[]).await;
    let targets = asked_for_targets.get("/sd").await;
    assert_eq!(targets.status, 200);
    assert!(targets.text.contains(&id(0).to_string()), "{}", targets.text);
}

#[tokio::test]
async fn it_is_not_ready_and_tells_no_targets_while_a_partner_account_cannot_be_listed() {
    let (_simulator, url) = simulate(&[Behaviour::Healthy]);
    let token = TempFile::new("token", "d75b3a66374942c5b3c019c698abc2067e151558acbd451234");
    let mut exporter = Exporter::start(&partner_config(&url, &token), &[]).await;
    for path in ["/-/ready", "/sd", "/probe?target=7", "/probe?target=7&debug=true"] {
        let refused = exporter.get(path).await;
        assert_eq!(refused.status, 503, "{path}");
        assert!(refused.text.contains("not been listed"), "{path}: {}", refused.text);
    }
    let page = exporter.get("/").await;
    assert!(page.text.contains("not been listed"), "{}", page.text);
    let line = exporter.logged("cannot list the partner account's instances").await;
    assert!(
        line.contains("check the `api_url` and the token of `partner`"),
        "{line}"
    );
}

#[tokio::test]
async fn the_page_for_people_shows_states_with_their_reasons() {
    let exporter = exporter(&[Behaviour::Healthy, Behaviour::QuotaExceeded]).await;
    let before = exporter.get("/").await;
    assert_eq!(before.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(before.text.matches("not scraped").count(), 2);
    exporter.metrics().await;
    let after = exporter.get("/").await.text;
    assert!(after.contains("1 of 2 up"), "{after}");
    assert!(
        after.contains("quota_exceeded") && after.contains("change the tariff"),
        "{after}"
    );
    assert!(!after.contains("<script"), "{after}");
}

#[tokio::test]
async fn a_scrape_in_flight_is_finished_before_it_stops() {
    let (simulator, url) = simulate(&[Behaviour::Held]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    let address = exporter.url.strip_prefix("http://").unwrap().to_owned();
    let mut scraper = TcpStream::connect(&address).await.unwrap();
    scraper
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    simulator.arrived(id(0), Method::GetOutgoingStatuses, 1).await.unwrap();
    exporter.signal("-TERM");
    // It takes no new connections before the answer goes out.
    let refused = async { while TcpStream::connect(&address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    let mut answer = String::new();
    scraper.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(gauge(&answer, "greenapi_up", 0), Some(1.0));
    assert_eq!(exporter.finished().await.code, Some(0));
}

#[tokio::test]
async fn it_stops_at_once_when_nothing_is_in_flight_even_with_an_idle_connection() {
    for signal in ["-TERM", "-INT"] {
        let exporter = exporter(&[Behaviour::Healthy]).await;
        exporter.metrics().await;
        exporter.signal(signal);
        let finished = exporter.finished().await;
        assert_eq!(finished.code, Some(0), "{signal}");
        assert!(finished.stderr.contains("stopped"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn heads_beyond_the_limit_are_refused_and_nonsense_closes_the_connection() {
    let exporter = exporter(&[Behaviour::Healthy]).await;
    let address = exporter.url.strip_prefix("http://").unwrap();
    let check = async |request: &[u8], expected: &str| {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A refused client may find its connection reset.
        _ = client.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(expected), "{answer}");
    };
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(100_000));
    check(long.as_bytes(), "HTTP/1.1 431").await;
    check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "HTTP/1.1 400").await;
}

#[tokio::test]
async fn several_addresses_are_served_and_the_ports_that_were_chosen_are_told() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let more = ["--web.listen-address", "[::1]:0", "--web.listen-address", ":0"];
    let mut exporter = Exporter::start(&config(&simulator, &url, ""), &more).await;
    for host in ["[::1]:", "[::]:"] {
        let line = exporter.logged(&format!("address={host}")).await;
        let port = line.split(host).nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let answer = reqwest::get(format!("http://[::1]:{port}/-/healthy")).await.unwrap();
        assert_eq!(answer.status(), 200, "{line}");
        if host == "[::]:" {
            // Every interface includes those of IPv4.
            assert_eq!(
                reqwest::get(format!("http://127.0.0.1:{port}/-/healthy"))
                    .await
                    .unwrap()
                    .status(),
                200
            );
        }
    }
}
