//! Every row of the result table of spec section 6, and how requests are made.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenapi_exporter::simulator::{Behaviour, Method};
use greenapi_exporter::web::{self, WebConfig};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_rustls::TlsAcceptor;

use crate::certificates::of_server;
use crate::harness::{
    Exporter, PATIENCE, TempFile, binary, config, free_address, gauge, id, labelled, run, series, simulate,
};

/// Scrapes the single instance of `config`.
async fn check_result_of(config: &str, expected: &str) {
    let exporter = Exporter::start(config, &[]).await;
    check_result(&exporter.metrics().await, 0, expected);
}

/// Asserts the result that a page shows for the `index`th instance, and all that follows from a result.
pub(crate) fn check_result(page: &str, index: u64, expected: &str) {
    let id = id(index);
    let of_instance = |family: &str| {
        let mut series = series(page, family);
        series.retain(|line| line.contains(&format!("id_instance=\"{id}\"")));
        series
    };
    let label = format!("result=\"{expected}\"");
    let result = format!("{{id_instance=\"{id}\",{label}}}");
    assert_eq!(
        of_instance("greenapi_fetch_result"),
        [format!("greenapi_fetch_result{result} 1")]
    );
    let gauge = |name: &str| gauge(page, name, index);
    let is_ok = expected == "ok";
    assert_eq!(gauge("greenapi_up"), Some(f64::from(u8::from(is_ok))), "up: {result}");
    let is_forbidden = f64::from(u8::from(expected == "forbidden"));
    assert_eq!(gauge("greenapi_forbidden"), Some(is_forbidden), "forbidden: {result}");
    assert_eq!(
        gauge("greenapi_last_success_timestamp_seconds").is_some(),
        is_ok,
        "last success: {result}"
    );
    assert!(
        is_ok || of_instance("greenapi_journal_statuses").is_empty(),
        "journal gauges of a failure: {result}"
    );
    let counted = labelled(page, "greenapi_fetches_total", index, &label);
    assert!(counted >= Some(1.0), "fetches: {result}");
}

#[tokio::test]
async fn an_answer_has_the_result_that_spec_section_6_gives_it() {
    let answers = [
        (Behaviour::Healthy, "ok"),
        (Behaviour::Empty, "ok"),
        (Behaviour::Malformed, "ok"),
        // An empty journal, too.
        (Behaviour::Null, "ok"),
        // A 400 is told by its text.
        (Behaviour::Starting, "starting"),
        (Behaviour::NotAuthorized, "not_authorized"),
        (Behaviour::Expired, "expired"),
        (Behaviour::Deleted, "deleted"),
        (Behaviour::BadRequest, "bad_request"),
        (Behaviour::Unauthorized, "unauthorized"),
        (Behaviour::Forbidden, "forbidden"),
        (Behaviour::NotFound, "not_found"),
        (Behaviour::RateLimited(None), "rate_limited"),
        (Behaviour::QuotaExceeded, "quota_exceeded"),
        (Behaviour::ServerError, "server_error"),
        (Behaviour::BadGateway, "server_error"),
        (Behaviour::GatewayTimeout, "server_error"),
        // No redirect is followed.
        (Behaviour::Redirect, "unexpected_status"),
        (Behaviour::NoContent, "unexpected_status"),
        (Behaviour::Hang, "timeout"),
        (Behaviour::Reset, "interrupted"),
        (Behaviour::Truncated, "interrupted"),
        (Behaviour::Garbage, "invalid_json"),
        (Behaviour::Object, "invalid_json"),
        (Behaviour::Unfinished, "invalid_json"),
        (Behaviour::Huge(1_000_000), "too_large"),
    ];
    let (simulator, url) = simulate(&answers.map(|(behaviour, _)| behaviour));
    let config = config(&simulator, &url, "timeout: 2s") + "max_response_bytes: 500000\n";
    let page = Exporter::start(&config, &[]).await.metrics().await;
    for (index, (_, expected)) in (0..).zip(answers) {
        check_result(&page, index, expected);
    }
}

/// What a server has seen of its clients.
#[derive(Default)]
pub(crate) struct Seen {
    connections: usize,
    /// When each request came.
    requests: Vec<Instant>,
}

/// Where every request is answered with these bytes, after which nothing comes until the next.
pub(crate) async fn raw_api(answer: &'static [u8]) -> (String, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let noted = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            noted.lock().unwrap().connections += 1;
            let noted = noted.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                while connection.read(&mut head).await.is_ok_and(|length| length > 0) {
                    noted.lock().unwrap().requests.push(Instant::now());
                    _ = connection.write_all(answer).await;
                }
            });
        }
    });
    (url, seen)
}

/// Reads so many bytes of a connection, at most, and ends it: where something is left unread, the system resets it.
pub(crate) async fn closing(read: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            _ = connection.read(&mut vec![0; read]).await;
        }
    });
    address
}

/// Where `handler` answers.
pub(crate) fn api<F>(handler: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static) -> String
where
    F: Future<Output = Response<web::Body>> + Send + 'static,
{
    let listener = web::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(web::serve(vec![listener], handler, std::future::pending()));
    url
}

/// The same over TLS, with the certificate in `folder`.
pub(crate) fn secure_api<F>(
    folder: &Path,
    handler: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) -> String
where
    F: Future<Output = Response<web::Body>> + Send + 'static,
{
    let file = folder.join("web.yml");
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    fs::write(&file, tls).unwrap();
    let web_config = Arc::new(WebConfig::open(&file).unwrap());
    let listener = web::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(web::serve_configured(
        vec![listener],
        web_config,
        handler,
        std::future::pending(),
    ));
    url
}

/// What speaks TLS, and within it one of `protocols` if any are given, as the server that such a `folder` is of.
pub(crate) fn acceptor(folder: &Path, protocols: &[&[u8]]) -> TlsAcceptor {
    let certificates = CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates.map(Result::unwrap).collect(), key)
        .unwrap();
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(tls))
}

/// A configuration of so many instances behind one URL, with `more` at its beginning.
fn instances(count: u64, api_url: &str, more: &str) -> TempFile {
    let mut yaml =
        format!("{more}\ndefaults:\n  api_url: {api_url}\n  collectors: [outgoing, incoming, queue]\ninstances:\n");
    for index in 0..count {
        writeln!(yaml, "  - {{id_instance: {}, api_token: a}}", id(index)).unwrap();
    }
    TempFile::new("exporter.yml", &yaml)
}

#[tokio::test]
async fn an_answer_that_says_it_is_over_the_limit_is_too_large_at_once() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let (url, _) = raw_api(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n[]").await;
    check_result_of(&config(&simulator, &url, "timeout: 10m"), "too_large").await;
}

#[tokio::test]
async fn an_answer_that_is_read_as_a_whole_may_have_32_mib() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let url = api(|request| async move {
        let is_queue = request.uri().path().contains("getMessagesCount");
        let padding = if is_queue { 32 * 1024 * 1024 } else { 0 };
        Response::new(web::full(format!("{}[]", " ".repeat(padding))))
    });
    let collectors = "collectors: [outgoing, incoming, queue]";
    let mut exporter = Exporter::start(&config(&simulator, &url, collectors), &[]).await;
    let page = exporter.metrics().await;
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(1.0));
    let line = exporter.logged("cannot run the collector").await;
    assert!(
        line.contains("getMessagesCount") && line.contains("too_large"),
        "{line}"
    );
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_interrupted_and_not_asked_for_again() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let (url, seen) = raw_api(b"hello world\r\n\r\n").await;
    check_result_of(&config(&simulator, &url, ""), "interrupted").await;
    assert_eq!(seen.lock().unwrap().requests.len(), 1);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_a_failure_to_connect() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let nobody = format!("http://{}", free_address());
    check_result_of(&config(&simulator, &nobody, ""), "connect").await;
}

#[tokio::test]
async fn a_server_without_tls_behind_an_https_url_is_a_failure_of_tls() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    check_result_of(&config(&simulator, &url.replace("http:", "https:"), ""), "tls").await;
}

#[tokio::test]
async fn a_handshake_that_the_server_ends_is_a_failure_of_tls() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    for read in [1, 65536] {
        let url = format!("https://{}", closing(read).await);
        check_result_of(&config(&simulator, &url, ""), "tls").await;
    }
}

#[tokio::test]
async fn an_answer_that_stops_in_its_middle_is_a_timeout() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let (url, _) = raw_api(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[").await;
    check_result_of(&config(&simulator, &url, "timeout: 500ms"), "timeout").await;
}

#[tokio::test]
async fn a_failure_that_lasts_is_told_once_and_so_is_its_end() {
    let (simulator, url) = simulate(&[Behaviour::ServerError]);
    let settings = "min_interval: 0s\ncollectors: [outgoing, state]";
    let exporter = Exporter::start(&config(&simulator, &url, settings), &[]).await;
    let asked_often = async |behaviour| {
        simulator.set_behaviour(id(0), behaviour).unwrap();
        for method in [Method::GetOutgoingStatuses, Method::GetStateInstance] {
            let asked = simulator.requests(id(0), method).unwrap();
            while simulator.requests(id(0), method).unwrap() < asked + 2 {
                exporter.metrics().await;
            }
        }
    };
    asked_often(Behaviour::ServerError).await;
    asked_often(Behaviour::Healthy).await;
    let log = exporter.stop().await.stderr;
    for told in [
        "cannot read the journal",
        "the journal can be read again",
        "cannot run the collector",
        "the collector works again",
    ] {
        assert_eq!(log.matches(told).count(), 1, "{told}: {log}");
    }
}

#[tokio::test]
async fn an_error_answer_without_end_is_told_by_its_code() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let url = api(async |_| {
        let endless = std::iter::repeat_with(|| Ok(vec![b'a'; 4096]));
        let mut answer = Response::new(web::streamed(endless));
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        answer
    });
    check_result_of(&config(&simulator, &url, "timeout: 10m"), "server_error").await;
}

#[tokio::test]
async fn an_error_answer_whose_text_does_not_come_is_told_by_its_code() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    for (head, expected) in [
        (
            &b"HTTP/1.1 403 Forbidden\r\nContent-Length: 90\r\n\r\n"[..],
            "forbidden",
        ),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 90\r\n\r\n", "bad_request"),
    ] {
        for timeout in ["timeout: 10m", "timeout: 500ms"] {
            let (url, _) = raw_api(head).await;
            check_result_of(&config(&simulator, &url, timeout), expected).await;
        }
    }
}

#[tokio::test]
async fn a_passing_fault_is_asked_about_once_more_and_both_requests_count() {
    let faults = [
        (Behaviour::ServerError, "server_error", 1),
        (Behaviour::BadGateway, "server_error", 2),
        (Behaviour::ServiceUnavailable, "server_error", 2),
        (Behaviour::GatewayTimeout, "server_error", 2),
        (Behaviour::Reset, "interrupted", 2),
        (Behaviour::Truncated, "interrupted", 1),
    ];
    let (simulator, url) = simulate(&faults.map(|(behaviour, ..)| behaviour));
    let nobody = format!(
        "  - {{id_instance: {}, api_token: a, api_url: 'http://{}'}}\n",
        id(6),
        free_address()
    );
    let exporter = Exporter::start(&(config(&simulator, &url, "") + &nobody), &[]).await;
    let page = exporter.metrics().await;
    let check = |index, result: &str, requests: u8| {
        let label = format!("result=\"{result}\"");
        let fetches = labelled(&page, "greenapi_fetches_total", index, &label);
        assert_eq!(fetches, Some(requests.into()), "{index}: {result}");
        let duration = gauge(&page, "greenapi_fetch_duration_seconds", index).unwrap();
        // A second lies between two requests.
        assert_eq!(duration >= 1.0, requests == 2, "{index}: {result}, {duration}");
    };
    check(6, "connect", 1);
    for (index, (_, result, requests)) in (0..).zip(faults) {
        check(index, result, requests);
        let made = simulator.requests(id(index), Method::GetOutgoingStatuses).unwrap();
        assert_eq!(made, u64::from(requests), "{result} {index}");
    }
}

#[tokio::test]
async fn optional_requests_are_made_once_more_after_a_passing_fault_too() {
    let (simulator, url) = simulate(&[Behaviour::BadGateway, Behaviour::ServerError]);
    let settings = "collectors: [outgoing, incoming, state]";
    let exporter = Exporter::start(&config(&simulator, &url, settings), &[]).await;
    let page = exporter.metrics().await;
    assert_eq!(series(&page, "greenapi_collector_success").len(), 4);
    for (index, requests) in [(0, 2), (1, 1)] {
        for method in [Method::GetIncomingStatuses, Method::GetStateInstance] {
            assert_eq!(simulator.requests(id(index), method).unwrap(), requests, "{method:?}");
        }
    }
}

#[tokio::test]
async fn the_second_request_arrives_a_second_after_the_first() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let (url, seen) = raw_api(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    check_result_of(&config(&simulator, &url, ""), "server_error").await;
    let [first, second] = seen.lock().unwrap().requests[..] else {
        panic!("not two requests")
    };
    assert!(second - first >= Duration::from_secs(1), "{:?}", second - first);
}

#[tokio::test]
async fn a_type_of_incoming_statuses_once_seen_stays_at_0_also_after_a_failure() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let url = api(move |request| {
        let is_incoming = request.uri().path().contains("getIncomingStatuses");
        let turn = if is_incoming {
            counter.fetch_add(1, Ordering::Relaxed)
        } else {
            2
        };
        async move {
            match turn {
                0 => web::text(
                    StatusCode::OK,
                    r#"[{"idMessage": "a", "timestamp": 1, "typeMessage": "imageMessage"}]"#,
                ),
                1 => web::text(StatusCode::INTERNAL_SERVER_ERROR, ""),
                _ => web::text(StatusCode::OK, "[]"),
            }
        }
    });
    let settings = "min_interval: 0s\ncollectors: [outgoing, incoming]";
    let exporter = Exporter::start(&config(&simulator, &url, settings), &[]).await;
    for expected in [Some(1.0), None, Some(0.0)] {
        let before = asked.load(Ordering::Relaxed);
        let mut page = exporter.metrics().await;
        while asked.load(Ordering::Relaxed) == before {
            page = exporter.metrics().await;
        }
        let shown = labelled(
            &page,
            "greenapi_incoming_journal_statuses",
            0,
            "type_message=\"imageMessage\"",
        );
        assert_eq!(shown, expected, "{page}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_from_one_scrape_to_the_next() {
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let (url, seen) = raw_api(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").await;
    let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 0s"), &[]).await;
    while seen.lock().unwrap().requests.len() < 3 {
        exporter.metrics().await;
    }
    assert_eq!(seen.lock().unwrap().connections, 1);
}

#[tokio::test]
async fn as_many_connections_are_kept_as_there_are_requests_at_once() {
    const AT_ONCE: usize = 5;
    let (simulator, _) = simulate(&[Behaviour::Healthy; AT_ONCE]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (connections, together) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(AT_ONCE)));
    let made = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            made.fetch_add(1, Ordering::Relaxed);
            let together = together.clone();
            tokio::spawn(async move {
                while connection.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {
                    together.wait().await;
                    _ = connection
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
                        .await;
                }
            });
        }
    });
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    for times in [1.0, 2.0] {
        let page = exporter.metrics().await;
        let read = labelled(&page, "greenapi_fetches_total", 0, "result=\"ok\"");
        assert_eq!(read, Some(times));
        assert_eq!(connections.load(Ordering::Relaxed), AT_ONCE);
        // After a reload, all are asked again in the same scrape.
        exporter.send(reqwest::Method::POST, "/-/reload", &[]).await;
    }
}

#[tokio::test]
async fn a_retry_that_the_deadline_leaves_no_room_for_is_not_made() {
    let (simulator, url) = simulate(&[Behaviour::BadGateway]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    let impatient = [("X-Prometheus-Scrape-Timeout-Seconds", "1.2")];
    let page = exporter.get_with("/metrics", &impatient).await.text;
    let result = labelled(&page, "greenapi_fetch_result", 0, "result=\"server_error\"");
    assert_eq!(result, Some(1.0));
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 1);
}

#[tokio::test]
async fn after_a_refusal_the_known_result_is_served_again() {
    let refusals = [
        Behaviour::Unauthorized,
        Behaviour::Forbidden,
        Behaviour::RateLimited(None),
        Behaviour::RateLimited(Some(30)),
    ];
    // The last one is asked again after a second, as all would be without a wait.
    let (simulator, url) = simulate(&[&refusals[..], &[Behaviour::Healthy]].concat());
    let settings = "min_interval: 0s\ncollectors: [outgoing, state, incoming]";
    let exporter = Exporter::start(&config(&simulator, &url, settings), &[]).await;
    let first = exporter.metrics().await;
    let mut again = String::new();
    (0..4).for_each(|index| simulator.set_behaviour(id(index), Behaviour::Healthy).unwrap());
    while simulator.requests(id(4), Method::GetOutgoingStatuses).unwrap() < 2 {
        again = exporter.metrics().await;
    }
    let results = |page| series(page, "greenapi_fetch_result").join("\n");
    assert_eq!(results(&first), results(&again));
    for (index, refusal) in (0..).zip(refusals) {
        let statuses = [Method::GetOutgoingStatuses, Method::GetIncomingStatuses];
        // Who may not read statuses may still ask for the state.
        let state = Some(Method::GetStateInstance).filter(|_| refusal != Behaviour::Forbidden);
        for method in statuses.into_iter().chain(state) {
            assert_eq!(
                simulator.requests(id(index), method).unwrap(),
                1,
                "{refusal} {method:?}"
            );
        }
    }
}

#[tokio::test]
async fn an_optional_request_that_hangs_fails_after_the_timeout_and_is_made_again() {
    let (simulator, url) = simulate(&[Behaviour::Hang]);
    let settings = "min_interval: 0s\ntimeout: 500ms\ncollectors: [outgoing, state, incoming]";
    let exporter = Exporter::start(&config(&simulator, &url, settings), &[]).await;
    let patience = [("X-Prometheus-Scrape-Timeout-Seconds", "10")];
    let page = exporter.get_with("/metrics", &patience).await.text;
    let of_both = |page: &str, family: &str| {
        let [one, other] = series(page, family)[..] else {
            panic!("{page}")
        };
        [one, other].map(|line| line.rsplit(' ').next().unwrap().to_owned())
    };
    assert_eq!(of_both(&page, "greenapi_collector_success"), ["0", "0"]);
    for duration in of_both(&page, "greenapi_collector_duration_seconds") {
        assert!((0.5..5.0).contains(&duration.parse().unwrap()), "{duration}");
    }
    simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    let succeeded = async { while of_both(&exporter.metrics().await, "greenapi_collector_success") != ["1", "1"] {} };
    tokio::time::timeout(PATIENCE, succeeded).await.unwrap();
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
async fn without_a_usable_ca_root_nothing_is_asked_and_the_remedy_is_told() {
    let config = instances(1, "https://api.example", "");
    let garbage = TempFile::new("roots.pem", "no certificate");
    for (roots, cause) in [
        ("/nowhere/roots.pem", "No such file or directory"),
        (garbage.path(), "no CA roots"),
    ] {
        let mut once = binary(&["once", "--config.file", config.path()]);
        let finished = run(once.env("SSL_CERT_FILE", roots)).await;
        assert_eq!(finished.code, Some(1), "{}", finished.stdout);
        assert!(finished.stderr.contains("cannot set up TLS: "), "{}", finished.stderr);
        assert!(finished.stderr.contains(cause), "{}", finished.stderr);
        assert!(finished.stderr.contains("\n  hint: install"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn over_http2_more_requests_are_made_at_once_than_a_connection_carries() {
    const AT_ONCE: usize = 150;
    let folder = of_server();
    // It allows 100 requests at a time over a connection, and answers none of them until all have come.
    let all_have_come = Arc::new(Barrier::new(AT_ONCE));
    let api_url = secure_api(folder.path(), move |_| {
        let all_have_come = all_have_come.clone();
        async move {
            all_have_come.wait().await;
            Response::new(web::full("[]"))
        }
    });

    let mut yaml = format!("max_concurrent_requests: {AT_ONCE}\ndefaults: {{api_url: '{api_url}'}}\ninstances:\n");
    for index in 0..AT_ONCE {
        writeln!(yaml, "  - {{id_instance: {}, api_token: a}}", id(index as u64)).unwrap();
    }
    let config = TempFile::new("exporter.yml", &yaml);
    let mut once = binary(&["once", "--config.file", config.path.to_str().unwrap()]);
    let finished = run(once.env("SSL_CERT_FILE", folder.path().join("ca.pem"))).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[tokio::test]
async fn what_a_server_says_on_closing_an_http2_connection_is_not_repeated() {
    const TOKEN: &str = "d75b3a66374942c5b3c019c698abc2067e151558acbd412345";
    let folder = of_server();
    let acceptor = acceptor(folder.path(), &[b"h2"]);

    let said = format!("refused GET /waInstance{}/getOutgoingStatuses/{TOKEN}", id(0));
    let length = u8::try_from(8 + said.len()).unwrap();
    // Frames of RFC 9113: no settings, then GOAWAY with no stream served and ENHANCE_YOUR_CALM.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let mut goaway = vec![0, 0, length, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    goaway.extend(said.as_bytes());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let mut connection = acceptor.accept(connection).await.unwrap();
            connection.write_all(&settings).await.unwrap();
            _ = connection.read(&mut [0; 4096]).await;
            _ = connection.write_all(&goaway).await;
            // It is the client who closes then.
            while connection.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {}
        }
    });

    let yaml = format!(
        "instances: [{{id_instance: {}, api_url: '{api_url}', api_token: {TOKEN}}}]",
        id(0)
    );
    let config = TempFile::new("exporter.yml", &yaml);
    let mut once = binary(&["once", "--config.file", config.path(), "--log.level", "trace"]);
    let finished = run(once.env("SSL_CERT_FILE", folder.path().join("ca.pem"))).await;
    assert!(
        finished.stdout.contains("result=\"interrupted\""),
        "{}",
        finished.stdout
    );
    assert!(finished.stderr.contains("HTTP/2: "), "{}", finished.stderr);
    assert!(!finished.stderr.contains(TOKEN), "{}", finished.stderr);
}

#[tokio::test]
async fn no_more_requests_are_under_way_than_are_allowed() {
    for allowed in [1, 3] {
        let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let together = Arc::new(Barrier::new(allowed));
        let api_url = api({
            let most = most.clone();
            move |_| {
                let (under_way, most, together) = (under_way.clone(), most.clone(), together.clone());
                async move {
                    most.fetch_max(under_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    together.wait().await;
                    // Nothing tells that no other request comes; one that isn't held back comes within a moment.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    under_way.fetch_sub(1, Ordering::Relaxed);
                    Response::new(web::full("[]"))
                }
            }
        });
        let config = instances(6, &api_url, &format!("max_concurrent_requests: {allowed}"));
        let finished = run(&mut binary(&["once", "--config.file", config.path()])).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_eq!(most.load(Ordering::Relaxed), allowed);
    }
}

#[tokio::test]
async fn instances_take_turns_the_journal_of_each_before_what_else_is_asked_of_it() {
    const INSTANCES: u64 = 5;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let api_url = api({
        let asked = asked.clone();
        move |request: Request<_>| {
            asked.lock().unwrap().push(request.uri().path().to_owned());
            async { Response::new(web::full("[]")) }
        }
    });
    let config = instances(INSTANCES, &api_url, "max_concurrent_requests: 1");
    let finished = run(&mut binary(&["once", "--config.file", config.path()])).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
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
