//! Many scrapes at once, slow instances, and scrapers without patience.

use std::time::{Duration, Instant};

use greenapi_exporter::journal::StatusMessage;
use greenapi_exporter::simulator::{Behaviour, Method, SimStatus};
use greenapi_exporter::web;
use hyper::Response;

use crate::harness::{
    Exporter, PATIENCE, TempFile, config, gauge, id, labelled, now, partner_config, series, simulate,
};

#[tokio::test]
async fn ten_parallel_scrapes_make_one_request_per_instance() {
    let (simulator, url) = simulate(&[Behaviour::Held, Behaviour::Held]);
    let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 0s"), &[]).await;
    let release = async {
        for index in 0..2 {
            simulator
                .arrived(id(index), Method::GetOutgoingStatuses, 1)
                .await
                .unwrap();
            simulator.set_behaviour(id(index), Behaviour::Healthy).unwrap();
        }
    };
    let mut pages = Vec::new();
    tokio::join!(release, async {
        let mut scrapes: tokio::task::JoinSet<String> = (0..10).map(|_| exporter.scrape()).collect();
        while let Some(page) = scrapes.join_next().await {
            pages.push(page.unwrap());
        }
    });
    assert_eq!(pages.len(), 10);
    for page in pages {
        let up = [0, 1].map(|index| gauge(&page, "greenapi_up", index));
        assert_eq!(up, [Some(1.0), Some(1.0)]);
    }
    for index in 0..2 {
        assert_eq!(simulator.requests(id(index), Method::GetOutgoingStatuses).unwrap(), 1);
    }
}

#[tokio::test]
async fn a_hung_instance_leaves_the_others_complete_and_the_scrape_under_its_deadline() {
    let mut behaviours = [Behaviour::Healthy; 51];
    behaviours[20] = Behaviour::Hang;
    behaviours[40] = Behaviour::Hang;
    let (simulator, url) = simulate(&behaviours);
    let exporter = Exporter::start(&config(&simulator, &url, "timeout: 10m"), &[]).await;
    // But for the scrape's deadline, there would be no page for ten minutes.
    let page = exporter
        .get_with("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "8")])
        .await
        .text;
    for index in (0..51).filter(|index| ![20, 40].contains(index)) {
        assert_eq!(gauge(&page, "greenapi_up", index), Some(1.0), "instance {index}");
    }
    for index in [20, 40] {
        assert_eq!(gauge(&page, "greenapi_up", index), Some(0.0));
        assert_eq!(
            labelled(&page, "greenapi_fetch_result", index, "result=\"timeout\""),
            Some(1.0)
        );
        // They were waited for until half a second before the scraper's patience ends.
        assert!(
            gauge(&page, "greenapi_fetch_duration_seconds", index) >= Some(7.4),
            "{page}"
        );
    }
    assert!(!series(&page, "greenapi_journal_statuses").is_empty());
    // What the others answered is counted by now, too.
    assert!(!series(&page, "greenapi_outgoing_statuses_total").is_empty());
}

#[tokio::test]
async fn what_one_scraper_waits_for_is_not_awaited_by_another_who_has_its_answer() {
    let (simulator, url) = simulate(&[Behaviour::Hang, Behaviour::Healthy]);
    let config = config(&simulator, &url, "timeout: 10m\nmin_interval: 0s");
    let exporter = Exporter::start(&config, &[]).await;
    let method = Method::GetOutgoingStatuses;
    let patient = [("X-Prometheus-Scrape-Timeout-Seconds", "8")];
    let patient = exporter.get_with("/metrics", &patient);
    let impatient = async {
        simulator.arrived(id(1), method, 1).await.unwrap();
        simulator.set_behaviour(id(1), Behaviour::Held).unwrap();
        while simulator.requests(id(1), method).unwrap() < 2 {
            let hurry = [("X-Prometheus-Scrape-Timeout-Seconds", "0.6")];
            exporter.get_with("/metrics", &hurry).await;
        }
    };
    let (page, ()) = tokio::join!(patient, impatient);
    let up = [0, 1].map(|index| gauge(&page.text, "greenapi_up", index));
    assert_eq!(up, [Some(0.0), Some(1.0)]);
}

#[tokio::test]
async fn instances_that_hang_as_before_keep_no_other_waiting() {
    let hanging = [Behaviour::Hang; 3];
    let (simulator, url) = simulate(&[&hanging[..], &[Behaviour::Healthy]].concat());
    let config = config(&simulator, &url, "timeout: 1s\nmin_interval: 0s");
    let exporter = Exporter::start(&format!("max_concurrent_requests: 2\n{config}"), &[]).await;
    let scrape = async || {
        let hurry = [("X-Prometheus-Scrape-Timeout-Seconds", "1.2")];
        exporter.get_with("/metrics", &hurry).await.text
    };
    let fetches = |page: &str, index, result: &str| {
        labelled(page, "greenapi_fetches_total", index, &format!("result=\"{result}\"")).unwrap_or_default()
    };
    // Nobody knows of the first one that it hangs.
    let mut page = scrape().await;
    while (0..3).any(|index| fetches(&page, index, "timeout") < 1.0) {
        page = scrape().await;
    }
    let before = fetches(&page, 3, "ok");
    while fetches(&page, 3, "ok") < before + 3.0 {
        page = scrape().await;
        assert_eq!(gauge(&page, "greenapi_up", 3), Some(1.0), "{page}");
    }
}

#[tokio::test]
async fn a_partner_account_that_does_not_answer_leaves_the_listed_instances_complete() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    // Connections are made by the system, and nobody ever reads from them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let partner = format!("http://{}", silent.local_addr().unwrap());
    let token = TempFile::new("token", simulator.partner_token());
    let config = config(&simulator, &url, "timeout: 10m") + &partner_config(&partner, &token);
    let check = async |path: &str| {
        let exporter = Exporter::start(&config, &[]).await;
        let headers = [("X-Prometheus-Scrape-Timeout-Seconds", "4")];
        let page = exporter.get_with(path, &headers).await.text;
        assert_eq!(gauge(&page, "greenapi_up", 0), Some(1.0), "{path}");
    };
    check("/metrics").await;
    check(&format!("/probe?target={}", id(0))).await;
    check(&format!("/probe?target={}&debug=true", id(0))).await;
}

#[tokio::test]
async fn a_scraper_that_hangs_up_cancels_nothing_for_the_others() {
    let (simulator, url) = simulate(&[Behaviour::Held]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    let impatient = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            _ = exporter.metrics() => panic!("answered what is held back"),
            arrived = simulator.arrived(id(0), Method::GetOutgoingStatuses, 1) => arrived.unwrap(),
        }
    });
    impatient.await.unwrap();
    let release = async { simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap() };
    let (page, ()) = tokio::join!(exporter.metrics(), release);
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(1.0));
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 1);
}

#[tokio::test]
async fn a_late_answer_is_served_to_the_next_scrape() {
    let (simulator, url) = simulate(&[Behaviour::Held]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    let page = exporter
        .get_with("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "0.6")])
        .await
        .text;
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(0.0));
    simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    assert_eq!(gauge(&exporter.metrics().await, "greenapi_up", 0), Some(1.0));
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 1);
}

#[tokio::test]
async fn a_late_answer_counts_before_the_next_takes_its_place() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let flags = ["--log.level", "debug"];
    let mut exporter = Exporter::start(&config(&simulator, &url, "min_interval: 0s"), &flags).await;
    let now = now();
    let status = |name: &str, status_message| SimStatus {
        status_message,
        ..SimStatus::new(name, now)
    };
    simulator.set_journal(id(0), Vec::new()).unwrap();
    exporter.metrics().await;
    simulator.set_behaviour(id(0), Behaviour::Held).unwrap();
    let impatient = [("X-Prometheus-Scrape-Timeout-Seconds", "0.6")];
    // The answer comes so late that the next scrape asks again at once.
    let mut asked = Instant::now();
    while asked.elapsed() < Duration::from_millis(1100) {
        if simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap() < 2 {
            asked = Instant::now();
        }
        exporter.get_with("/metrics", &impatient).await;
    }
    let late = vec![
        status("gone", StatusMessage::Sent),
        status("here", StatusMessage::Pending),
    ];
    simulator.set_journal(id(0), late).unwrap();
    simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    exporter.logged_times(2, "read the journal").await;
    simulator
        .set_journal(id(0), vec![status("here", StatusMessage::Sent)])
        .unwrap();
    let page = exporter.metrics().await;
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 3);
    let counted = series(&page, "greenapi_outgoing_statuses_total");
    assert!(counted.len() == 1 && counted[0].ends_with(" 2"), "{counted:?}");
    let delays = series(&page, "greenapi_outgoing_status_delay_seconds_count");
    let sent = delays.iter().find(|line| line.contains("\"sent\"")).unwrap();
    assert!(sent.ends_with(" 1"), "{delays:?}");
}

#[tokio::test]
async fn what_a_collector_found_before_is_not_shown_while_its_next_answer_is_late() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let settings = "min_interval: 0s\ncollectors: [outgoing, state]";
    let exporter = Exporter::start(&config(&simulator, &url, settings), &[]).await;
    let success = |page: &str| labelled(page, "greenapi_collector_success", 0, "collector=\"state\"");
    let mut page = exporter.metrics().await;
    assert_eq!(success(&page), Some(1.0));
    simulator.set_behaviour(id(0), Behaviour::Held).unwrap();
    let impatient = [("X-Prometheus-Scrape-Timeout-Seconds", "0.6")];
    while simulator.requests(id(0), Method::GetStateInstance).unwrap() < 2 {
        page = exporter.get_with("/metrics", &impatient).await.text;
    }
    assert_eq!(success(&page), Some(0.0));
    assert_eq!(series(&page, "greenapi_instance_state"), Vec::<&str>::new());
}

#[tokio::test]
async fn a_young_result_is_served_again() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 1h"), &[]).await;
    for _ in 0..3 {
        assert_eq!(gauge(&exporter.metrics().await, "greenapi_up", 0), Some(1.0));
    }
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 1);
}

#[tokio::test]
async fn a_label_set_once_seen_stays_at_zero_and_a_failure_removes_all() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 0s"), &[]).await;
    let lively = exporter.metrics().await;
    let before = series(&lively, "greenapi_journal_statuses");
    assert!(before.iter().any(|line| !line.ends_with(" 0")), "{before:?}");
    let scrape_after_change = async |behaviour| {
        let requests = simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap();
        simulator.set_behaviour(id(0), behaviour).unwrap();
        loop {
            let page = exporter.metrics().await;
            if simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap() > requests {
                return page;
            }
        }
    };
    let empty = scrape_after_change(Behaviour::Empty).await;
    let after = series(&empty, "greenapi_journal_statuses");
    let labels = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(&before), labels(&after));
    assert!(after.iter().all(|line| line.ends_with(" 0")), "{after:?}");
    let failed = scrape_after_change(Behaviour::ServerError).await;
    assert_eq!(series(&failed, "greenapi_journal_statuses"), Vec::<&str>::new());
}

#[tokio::test]
async fn what_is_wrong_with_a_journal_is_counted_at_each_reading() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let journal = r#"[7, null, {"idMessage": "no time"},
        {"idMessage": "a", "timestamp": 1, "statusMessage": "played", "typeMessage": "imageMessage"},
        {"idMessage": "b", "timestamp": 1, "statusMessage": "heard", "typeMessage": "pollMessage"},
        {"idMessage": "c", "timestamp": 1}]"#;
    simulator.set_journal_body(id(0), journal).unwrap();
    let exporter = Exporter::start(&config(&simulator, &url, "min_interval: 0s"), &[]).await;
    for (reading, expected) in [(1, [3.0, 2.0, 1.0]), (2, [6.0, 4.0, 2.0])] {
        let mut page = String::new();
        while simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap() < reading {
            page = exporter.metrics().await;
        }
        let unknown = |field: &str| labelled(&page, "greenapi_unknown_values_total", 0, field);
        let counters = [
            gauge(&page, "greenapi_malformed_records_total", 0),
            unknown("field=\"status_message\""),
            unknown("field=\"type_message\""),
        ];
        assert_eq!(counters, expected.map(Some), "{page}");
    }
}

#[tokio::test]
async fn optional_collectors_show_what_they_found() {
    let (simulator, url) = simulate(&[Behaviour::Healthy, Behaviour::NotAuthorized]);
    let collectors = "collectors: [outgoing, incoming, state, settings, statistic, contacts, queue]";
    let exporter = Exporter::start(&config(&simulator, &url, collectors), &[]).await;
    let page = exporter.metrics().await;
    let of = |family: &str, index: u64, labels: &str| labelled(&page, family, index, labels);
    for collector in ["incoming", "state", "settings", "contacts", "queue"] {
        let labels = format!("collector=\"{collector}\"");
        assert_eq!(of("greenapi_collector_success", 0, &labels), Some(1.0), "{collector}");
        assert!(
            of("greenapi_collector_duration_seconds", 0, &labels) > Some(0.0),
            "{collector}"
        );
    }
    assert_eq!(of("greenapi_instance_state", 0, "state=\"authorized\""), Some(1.0));
    assert_eq!(of("greenapi_instance_state", 0, "state=\"notAuthorized\""), Some(0.0));
    assert_eq!(of("greenapi_instance_state", 1, "state=\"notAuthorized\""), Some(1.0));
    assert_eq!(
        of("greenapi_setting_enabled", 0, "setting=\"outgoing_webhook\""),
        Some(1.0)
    );
    assert!(of("greenapi_contacts", 0, "type=\"user\",named=\"true\"") > Some(0.0));
    assert!(gauge(&page, "greenapi_queued_messages", 0).is_some());
    assert!(!series(&page, "greenapi_incoming_journal_statuses").is_empty());
    assert!(!series(&page, "greenapi_incoming_statuses_total").is_empty());
    // Nobody waits for the recipients of every status; they fill up behind the scenes, one status a second.
    simulator.arrived(id(0), Method::GetStatusStatistic, 1).await.unwrap();
    for method in [
        Method::GetStateInstance,
        Method::GetSettings,
        Method::GetContacts,
        Method::GetMessagesCount,
    ] {
        assert_eq!(simulator.requests(id(0), method).unwrap(), 1, "{method:?}");
    }
}

#[tokio::test]
async fn recipients_are_those_of_the_window_and_one_status_that_is_refused_hides_no_other() {
    let now = now();
    let status = |name: &str, timestamp| format!(r#"{{"idMessage":"{name}","timestamp":{timestamp}}}"#);
    // Of ten minutes that are asked for, the window is one.
    let journal = [
        status("A", now),
        status("B", now),
        status("C", now),
        status("old", now - 300),
    ]
    .join(",");
    let listener = web::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = move |request: hyper::Request<_>| {
        let mut answer = match request.uri().query().unwrap() {
            "idMessage=B" => Response::new(web::full("{}")),
            query if query.starts_with("minutes") => Response::new(web::full(format!("[{journal}]"))),
            _ => Response::new(web::full(r#"[{"status":"read"},{"status":"sent"}]"#)),
        };
        if request.uri().query() == Some("idMessage=B") {
            *answer.status_mut() = hyper::StatusCode::BAD_REQUEST;
        }
        async { answer }
    };
    tokio::spawn(web::serve(vec![listener], api, std::future::pending()));
    let (simulator, _) = simulate(&[Behaviour::Healthy]);
    let defaults = "window: 1m\nmin_interval: 0s\ncollectors: [outgoing, statistic]";
    let exporter = Exporter::start(&config(&simulator, &url, defaults), &[]).await;
    let shown = async {
        loop {
            let page = exporter.metrics().await;
            let recipients = series(&page, "greenapi_status_recipients");
            if !recipients.is_empty() {
                return recipients
                    .iter()
                    .map(|line| line.split_once(',').unwrap().1.to_owned())
                    .collect::<Vec<_>>();
            }
        }
    };
    let recipients = tokio::time::timeout(PATIENCE, shown).await.unwrap();
    assert_eq!(recipients, ["status_message=\"read\"} 2", "status_message=\"sent\"} 2"]);
}
