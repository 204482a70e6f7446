//! Every row of the result table of spec section 6, and how requests are made.

use std::fmt::Write;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use greenapi_exporter::simulator::{Behaviour, Method};
use greenapi_exporter::web::{self, WebConfig};
use hyper::Response;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::certificates::{Authority, this_machine};
use crate::harness::{Exporter, TempFile, binary, config, id, run, series, simulate, value};

/// The result of a scrape of a single instance with this behaviour, and what `up` and `forbidden` then are.
async fn check(behaviour: Behaviour, expected: &str) {
    let (simulator, url) = simulate(&[behaviour]);
    check_config(&config(&simulator, &url, "timeout: 1s"), expected).await;
}

async fn check_config(config: &str, expected: &str) {
    let exporter = Exporter::start(config, &[]).await;
    let page = exporter.metrics().await;
    let id = id(0);
    assert_eq!(
        series(&page, "greenapi_fetch_result"),
        [format!(
            "greenapi_fetch_result{{id_instance=\"{id}\",result=\"{expected}\"}} 1"
        )]
    );
    let gauge = |name: &str| value(&page, &format!("{name}{{id_instance=\"{id}\"}}"));
    let is_ok = expected == "ok";
    assert_eq!(gauge("greenapi_up"), Some(f64::from(u8::from(is_ok))), "up");
    let is_forbidden = f64::from(u8::from(expected == "forbidden"));
    assert_eq!(gauge("greenapi_forbidden"), Some(is_forbidden), "forbidden");
    assert_eq!(
        gauge("greenapi_last_success_timestamp_seconds").is_some(),
        is_ok,
        "last success"
    );
    assert!(
        is_ok || series(&page, "greenapi_journal_statuses").is_empty(),
        "journal gauges of a failure"
    );
    let counted = format!("greenapi_fetches_total{{id_instance=\"{id}\",result=\"{expected}\"}}");
    assert!(value(&page, &counted) >= Some(1.0), "{counted}");
}

#[tokio::test]
async fn a_200_with_an_array_is_ok() {
    check(Behaviour::Healthy, "ok").await;
    check(Behaviour::Empty, "ok").await;
    check(Behaviour::Malformed, "ok").await;
}

#[tokio::test]
async fn null_is_an_empty_journal() {
    check(Behaviour::Null, "ok").await;
}

#[tokio::test]
async fn the_reasons_of_a_400_are_told_apart() {
    check(Behaviour::Starting, "starting").await;
    check(Behaviour::NotAuthorized, "not_authorized").await;
    check(Behaviour::Expired, "expired").await;
    check(Behaviour::Deleted, "deleted").await;
    check(Behaviour::BadRequest, "bad_request").await;
}

#[tokio::test]
async fn refusals_are_told_apart() {
    check(Behaviour::Unauthorized, "unauthorized").await;
    check(Behaviour::Forbidden, "forbidden").await;
    check(Behaviour::NotFound, "not_found").await;
    check(Behaviour::RateLimited(None), "rate_limited").await;
    check(Behaviour::QuotaExceeded, "quota_exceeded").await;
}

#[tokio::test]
async fn faults_of_the_api_are_server_errors() {
    check(Behaviour::ServerError, "server_error").await;
    check(Behaviour::BadGateway, "server_error").await;
    check(Behaviour::GatewayTimeout, "server_error").await;
}

#[tokio::test]
async fn any_other_code_is_unexpected_and_no_redirect_is_followed() {
    check(Behaviour::Redirect, "unexpected_status").await;
    check(Behaviour::NoContent, "unexpected_status").await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    check(Behaviour::Hang, "timeout").await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_interrupted() {
    check(Behaviour::Reset, "interrupted").await;
    check(Behaviour::Truncated, "interrupted").await;
}

#[tokio::test]
async fn an_answer_that_is_no_array_is_invalid_json() {
    check(Behaviour::Garbage, "invalid_json").await;
    check(Behaviour::Object, "invalid_json").await;
    check(Behaviour::Unfinished, "invalid_json").await;
}

#[tokio::test]
async fn an_answer_over_the_limit_is_too_large() {
    let (simulator, url) = simulate(&[Behaviour::Huge(1_000_000)]);
    let config = config(&simulator, &url, "");
    check_config(&format!("{config}max_response_bytes: 65536\n"), "too_large").await;
}

/// Where every request is answered with these bytes, after which nothing comes. How many there were is counted.
async fn raw_api(answer: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = [0; 4096];
            if connection.read(&mut head).await.is_ok_and(|length| length > 0) {
                counted.fetch_add(1, Ordering::Relaxed);
                _ = connection.write_all(answer).await;
            }
            open.push(connection);
        }
    });
    (url, requests)
}

#[tokio::test]
async fn an_answer_that_says_it_is_over_the_limit_is_too_large_at_once() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let (url, _) = raw_api(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n[]").await;
    check_config(&config(&simulator, &url, "timeout: 10m"), "too_large").await;
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_interrupted_and_not_asked_for_again() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let (url, requests) = raw_api(b"hello world\r\n\r\n").await;
    check_config(&config(&simulator, &url, ""), "interrupted").await;
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_a_failure_to_connect() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    // The port was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    check_config(&config(&simulator, &format!("http://{closed}"), ""), "connect").await;
}

#[tokio::test]
async fn a_server_without_tls_behind_an_https_url_is_a_failure_of_tls() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    check_config(&config(&simulator, &url.replace("http:", "https:"), ""), "tls").await;
}

#[tokio::test]
async fn a_passing_fault_is_asked_about_once_more_and_both_requests_count() {
    // The flaky instance answers its first request, refuses the second and third, and drops the fifth and sixth.
    let (simulator, url) = simulate(&[Behaviour::Flaky]);
    let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 0s"), &[]).await;
    exporter.metrics().await;
    simulator.set_behaviour(id(0), Behaviour::BadGateway).unwrap();
    let mut page = exporter.metrics().await;
    // A result younger than a second is served again: the API takes one request a second.
    while simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap() < 3 {
        page = exporter.metrics().await;
    }
    let server_errors = format!(
        "greenapi_fetches_total{{id_instance=\"{}\",result=\"server_error\"}}",
        id(0)
    );
    assert_eq!(value(&page, &server_errors), Some(2.0));
}

#[tokio::test]
async fn a_retry_that_the_deadline_leaves_no_room_for_is_not_made() {
    let (simulator, url) = simulate(&[Behaviour::BadGateway]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    let impatient = [("X-Prometheus-Scrape-Timeout-Seconds", "1.2")];
    let page = exporter.get_with("/metrics", &impatient).await.text;
    let result = format!(
        "greenapi_fetch_result{{id_instance=\"{}\",result=\"server_error\"}}",
        id(0)
    );
    assert_eq!(value(&page, &result), Some(1.0));
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 1);
}

#[tokio::test]
async fn after_a_refusal_the_known_result_is_served_again() {
    for behaviour in [
        Behaviour::Unauthorized,
        Behaviour::Forbidden,
        Behaviour::RateLimited(None),
        Behaviour::RateLimited(Some(30)),
    ] {
        let (simulator, url) = simulate(&[behaviour]);
        let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 0s"), &[]).await;
        let first = exporter.metrics().await;
        // Without the wait, the instance would be found healthy by a request a second later at the latest.
        simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
        let again = exporter.metrics().await;
        assert_eq!(
            series(&first, "greenapi_fetch_result"),
            series(&again, "greenapi_fetch_result")
        );
        assert_eq!(
            simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(),
            1,
            "{behaviour}"
        );
    }
}

#[tokio::test]
async fn a_request_asks_for_the_window_and_says_no_more_than_it_must() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, "window: 36h"), &[]).await;
    exporter.metrics().await;
    let received = simulator.received(id(0)).unwrap();
    let [request] = &received[..] else {
        panic!("{received:?}")
    };
    assert!(request.target.ends_with("?minutes=2160"), "{}", request.target);
    let mut names: Vec<&str> = request
        .headers
        .keys()
        .map(reqwest::header::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host", "user-agent"]);
}

#[tokio::test]
async fn over_http2_more_requests_are_made_at_once_than_a_connection_carries() {
    const AT_ONCE: usize = 150;
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let authority = Authority::new("authority");
    fs::write(path("ca.pem"), authority.pem()).unwrap();
    authority.issue(folder.path(), "server", &this_machine());
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    fs::write(path("web.yml"), tls).unwrap();

    // It allows 100 requests at a time over a connection, and answers none of them until all have come.
    let all_have_come = Arc::new(Barrier::new(AT_ONCE));
    let listener = web::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let api_url = format!("https://{}", listener.local_addr().unwrap());
    let api = move |_| {
        let all_have_come = all_have_come.clone();
        async move {
            all_have_come.wait().await;
            Response::new(web::full("[]"))
        }
    };
    let web_config = Arc::new(WebConfig::open(&path("web.yml")).unwrap());
    tokio::spawn(web::serve_configured(
        vec![listener],
        web_config,
        api,
        std::future::pending(),
    ));

    let mut yaml = format!("max_concurrent_requests: {AT_ONCE}\ndefaults: {{api_url: '{api_url}'}}\ninstances:\n");
    for index in 0..AT_ONCE {
        writeln!(yaml, "  - {{id_instance: {}, api_token: a}}", id(index as u64)).unwrap();
    }
    let config = TempFile::new("exporter.yml", &yaml);
    let mut once = binary(&["once", "--config.file", config.path.to_str().unwrap()]);
    let finished = run(once.env("SSL_CERT_FILE", path("ca.pem"))).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[tokio::test]
async fn instances_take_turns_the_journal_of_each_before_what_else_is_asked_of_it() {
    const INSTANCES: u64 = 5;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let listener = web::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    let api = {
        let asked = asked.clone();
        move |request: hyper::Request<_>| {
            asked.lock().unwrap().push(request.uri().path().to_owned());
            async { Response::new(web::full("[]")) }
        }
    };
    tokio::spawn(web::serve(vec![listener], api, std::future::pending()));

    let mut yaml = format!(
        "max_concurrent_requests: 1\ndefaults: {{api_url: '{api_url}', collectors: [outgoing, queue]}}\ninstances:\n"
    );
    for index in 0..INSTANCES {
        writeln!(yaml, "  - {{id_instance: {}, api_token: a}}", id(index)).unwrap();
    }
    let config = TempFile::new("exporter.yml", &yaml);
    run(&mut binary(&["once", "--config.file", config.path.to_str().unwrap()])).await;
    let asked = asked.lock().unwrap();
    let place = |index, method: &str| {
        let path = format!("/waInstance{}/{method}/a", id(index));
        asked.iter().position(|other| *other == path).expect(&path)
    };
    for index in 0..INSTANCES {
        assert!(
            place(index, "getOutgoingStatuses") < place(index, "getMessagesCount"),
            "{asked:?}"
        );
        // Nobody's requests wait until all journals have been read, or the other way around.
        if index + 2 < INSTANCES {
            assert!(
                place(index, "getMessagesCount") < place(index + 2, "getOutgoingStatuses"),
                "{asked:?}"
            );
        }
    }
}
