//! What a page says, in every format: goldens that people and other programs can read, and laws that hold for any page.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test can't do without may end it"
)]

#[path = "exposition/fixture.rs"]
mod fixture;
#[path = "exposition/generated.rs"]
mod generated;
#[path = "exposition/oracle.rs"]
mod oracle;
#[path = "exposition/reading.rs"]
mod reading;

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use fixture::HISTOGRAMS;
use greenapi_exporter::catalogue::{FAMILIES, Family, MetricType};
use greenapi_exporter::exposition::negotiation::{Format, Version};
use greenapi_exporter::exposition::{Options, Page, render};
use greenapi_exporter::snapshot::{Instance, Snapshot};
use insta::{assert_binary_snapshot, assert_snapshot};
use proptest::prelude::*;
use reading::{approves, gunzip, messages, of_page, of_protobuf, of_text, spelled, with_short_bounds, without_starts};

const OPENMETRICS: Format = Format::OpenMetrics(Version::V1_0_0);

/// The page as bytes, with or without the series that tell since when others count.
fn written(page: &Page, format: Format, openmetrics_created: bool) -> Vec<u8> {
    let blocks: Result<Vec<_>, _> = page.clone().blocks(format, Options { openmetrics_created }).collect();
    blocks.unwrap().concat()
}

/// The page as text, in either text format.
fn text(page: &Page, format: Format) -> String {
    String::from_utf8(written(page, format, false)).unwrap()
}

fn fleet() -> Page {
    Page::new(&FAMILIES, fixture::snapshot())
}

fn histograms() -> Page {
    Page::new(&HISTOGRAMS, fixture::snapshot())
}

fn promtool_approves(page: &[u8]) {
    // promtool would have only counters end in `_total`; this name is the spec's, and a gauge.
    let exception = "greenapi_exporter_shard_total";
    let page = String::from_utf8_lossy(page);
    let page: String = page
        .split_inclusive('\n')
        .filter(|line| !line.contains(exception))
        .collect();
    approves("promtool", "promtool", &["check", "metrics"], page.as_bytes());
}

fn openmetrics_parser_approves(page: &[u8]) {
    let script = "import sys; from prometheus_client.openmetrics import parser\n\
                  sys.stdin.reconfigure(encoding='utf-8', newline='\\n')\n\
                  assert list(parser.text_fd_to_metric_families(sys.stdin))";
    approves("/usr/bin/python3", "python3-prometheus-client", &["-c", script], page);
}

#[test]
fn the_catalogue_is_what_was_agreed_on() {
    let mut table = String::new();
    for family in &*FAMILIES {
        let labels = family.all_labels().join(",");
        let metric_type = family.metric_type.as_str();
        writeln!(table, "{} {metric_type} {{{labels}}}\n    {}", family.name, family.help).unwrap();
    }
    assert_snapshot!("catalogue", table);
}

#[test]
fn the_page_in_prometheus_text_is_one_that_promtool_approves() {
    let page = written(&fleet(), Format::Text, false);
    promtool_approves(&page);
    assert_binary_snapshot!("page_prometheus.txt", page);
}

#[test]
fn the_page_in_openmetrics_is_one_that_a_strict_parser_approves() {
    let page = written(&fleet(), OPENMETRICS, false);
    openmetrics_parser_approves(&page);
    assert_binary_snapshot!("page_openmetrics.txt", page);
}

#[test]
fn since_when_counters_count_can_be_told_in_openmetrics() {
    let page = written(&fleet(), OPENMETRICS, true);
    openmetrics_parser_approves(&page);
    assert_binary_snapshot!("page_openmetrics_created.txt", page);
}

#[test]
fn the_page_in_protobuf_tells_since_when_counters_count() {
    let page = written(&fleet(), Format::Protobuf, false);
    assert_snapshot!("page_protobuf", spelled(&page));
}

#[test]
fn histograms_are_shown_in_every_format() {
    let prometheus = written(&histograms(), Format::Text, false);
    let openmetrics = written(&histograms(), OPENMETRICS, true);
    promtool_approves(&prometheus);
    openmetrics_parser_approves(&openmetrics);
    assert_binary_snapshot!("histograms_prometheus.txt", prometheus);
    assert_binary_snapshot!("histograms_openmetrics.txt", openmetrics);
    let protobuf = written(&histograms(), Format::Protobuf, false);
    assert_snapshot!("histograms_protobuf", spelled(&protobuf));
}

#[test]
fn what_is_not_known_is_not_shown() {
    let check = |instance: Instance, expected: &[&str]| {
        let snapshot = Snapshot {
            instances: vec![instance],
            exporter: None,
        };
        let page = Page::new(&FAMILIES, Arc::new(snapshot));
        let is_shown = |family: &&Family| {
            let mut is_shown = false;
            page.samples(family, |_| is_shown = true);
            is_shown
        };
        let names: Vec<&str> = page
            .families()
            .iter()
            .filter(is_shown)
            .map(|family| family.name)
            .collect();
        assert_eq!(names, expected);
    };
    check(
        fixture::never_fetched(),
        &[
            "greenapi_fetches_total",
            "greenapi_instance_info",
            "greenapi_journal_gap_seconds_total",
            "greenapi_journal_gaps_total",
            "greenapi_journal_window_seconds",
            "greenapi_malformed_records_total",
            "greenapi_outgoing_status_delay_seconds",
            "greenapi_outgoing_status_participants",
            "greenapi_unknown_values_total",
        ],
    );
    check(
        fixture::unauthorized(),
        &[
            "greenapi_fetch_duration_seconds",
            "greenapi_fetch_result",
            "greenapi_fetches_total",
            "greenapi_forbidden",
            "greenapi_instance_info",
            "greenapi_journal_gap_seconds_total",
            "greenapi_journal_gaps_total",
            "greenapi_journal_window_seconds",
            "greenapi_malformed_records_total",
            "greenapi_outgoing_status_delay_seconds",
            "greenapi_outgoing_status_participants",
            "greenapi_unknown_values_total",
            "greenapi_up",
        ],
    );
    check(
        fixture::timed_out(),
        &[
            "greenapi_fetch_duration_seconds",
            "greenapi_fetch_result",
            "greenapi_fetches_total",
            "greenapi_forbidden",
            "greenapi_incoming_statuses_total",
            "greenapi_instance_info",
            "greenapi_journal_gap_seconds_total",
            "greenapi_journal_gaps_total",
            "greenapi_journal_window_seconds",
            "greenapi_last_success_timestamp_seconds",
            "greenapi_malformed_records_total",
            "greenapi_outgoing_status_delay_seconds",
            "greenapi_outgoing_status_participants",
            "greenapi_outgoing_status_transitions_total",
            "greenapi_outgoing_statuses_total",
            "greenapi_unknown_values_total",
            "greenapi_up",
        ],
    );
}

#[test]
fn a_page_is_announced_and_compressed_as_the_scraper_prefers() {
    let check = |accept: Option<&str>, accept_encoding: Option<&str>, headers: (&str, Option<&str>), format: Format| {
        let rendered = render(fixture::snapshot(), accept, accept_encoding, Options::default()).unwrap();
        assert_eq!((rendered.content_type, rendered.content_encoding), headers);
        let body = rendered.body.collect::<Result<Vec<_>, _>>().unwrap().concat();
        let body = match headers.1 {
            Some(_) => gunzip(&body),
            None => body,
        };
        assert!(body == written(&fleet(), format, false), "the body of {headers:?}");
    };
    check(
        None,
        None,
        ("text/plain; version=0.0.4; charset=utf-8", None),
        Format::Text,
    );
    check(
        Some("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"),
        Some("gzip"),
        (
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            Some("gzip"),
        ),
        OPENMETRICS,
    );
    check(
        Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"),
        Some("gzip"),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            Some("gzip"),
        ),
        Format::Protobuf,
    );
}

#[test]
fn the_text_of_a_large_fleet_comes_in_blocks() {
    for format in [Format::Text, OPENMETRICS] {
        let blocks = large_fleet().blocks(format, Options::default()).map(Result::unwrap);
        let blocks: Vec<_> = blocks.collect();
        let (last, others) = blocks.split_last().unwrap();
        assert!(others.len() > 10 && !last.is_empty());
        assert!(
            others
                .iter()
                .all(|block| (64 * 1024..128 * 1024).contains(&block.len()))
        );
        let text = String::from_utf8(blocks.concat()).unwrap();
        assert_eq!(text.matches("# TYPE greenapi_up ").count(), 1);
        assert_eq!(text.matches("\ngreenapi_up{").count(), 1_001);
    }
}

#[test]
fn a_large_fleet_is_still_one_message_for_each_family() {
    let page = large_fleet();
    let protobuf = written(&page, Format::Protobuf, false);
    assert!(of_protobuf(&protobuf) == of_page(&page));
    let shown = text(&page, Format::Text)
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .count();
    assert_eq!(messages(&protobuf).len(), shown);
}

#[test]
fn a_page_of_nothing_is_still_a_page() {
    let nothing = Snapshot {
        instances: Vec::new(),
        exporter: None,
    };
    let page = Page::new(&FAMILIES, Arc::new(nothing));
    assert_eq!(text(&page, Format::Text), "");
    assert_eq!(text(&page, OPENMETRICS), "# EOF\n");
    assert_eq!(written(&page, Format::Protobuf, false), b"");
}

/// A line without its value, and the value as a number: the same number may be spelled in more than one way.
fn split_value(line: &str) -> (String, Option<f64>) {
    match line.rsplit_once(' ') {
        Some((series, value)) if !line.starts_with('#') => (series.to_owned(), Some(value.parse().unwrap())),
        _ => (line.to_owned(), None),
    }
}

/// All families but histograms, whose lines the official client has in another order.
static PLAIN_FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let is_plain = |family: &&Family| !matches!(family.metric_type, MetricType::Histogram { .. });
    FAMILIES.iter().filter(is_plain).copied().collect()
});

proptest! {
    #[test]
    fn openmetrics_is_line_by_line_that_of_the_official_client(snapshot in generated::snapshot()) {
        let page = Page::new(&PLAIN_FAMILIES, snapshot);
        let (ours, theirs) = (text(&page, OPENMETRICS), oracle::openmetrics(&page));
        prop_assert_eq!(
            ours.lines().map(split_value).collect::<Vec<_>>(),
            theirs.lines().map(split_value).collect::<Vec<_>>()
        );
    }

    #[test]
    fn everything_is_that_of_the_official_client_but_for_the_order(snapshot in generated::snapshot()) {
        // It writes the sum first and `le` as the first label; a metric's lines and labels have no order of their own.
        let sorted = |text: String| {
            let mut series = of_text(&text);
            for series in &mut series {
                series.labels.sort();
            }
            series.sort_by_key(|series| format!("{series:?}"));
            series
        };
        let page = Page::new(&FAMILIES, snapshot);
        prop_assert_eq!(sorted(text(&page, OPENMETRICS)), sorted(oracle::openmetrics(&page)));
    }

    #[test]
    fn protobuf_is_that_of_the_official_client_but_for_since_when_counters_count(snapshot in generated::snapshot()) {
        let page = Page::new(&FAMILIES, snapshot);
        let protobuf = written(&page, Format::Protobuf, false);
        let ours: Vec<_> = messages(&protobuf).into_iter().map(without_starts).collect();
        prop_assert_eq!(ours, oracle::messages(&page));
    }

    #[test]
    fn what_is_written_is_what_is_read_back(snapshot in generated::snapshot()) {
        let page = Page::new(&FAMILIES, snapshot);
        let series = of_page(&page);
        prop_assert_eq!(&of_text(&text(&page, Format::Text)), &series);
        prop_assert_eq!(&of_text(&with_short_bounds(&text(&page, OPENMETRICS))), &series);
        prop_assert_eq!(&of_protobuf(&written(&page, Format::Protobuf, false)), &series);
    }

    #[test]
    fn series_come_in_the_order_of_their_labels_and_only_once(snapshot in generated::snapshot()) {
        let page = Page::new(&FAMILIES, snapshot);
        for family in page.families() {
            let mut previous: Option<(Option<u64>, Vec<String>)> = None;
            page.samples(family, |sample| {
                let id = sample.id_instance.map(|id| id.parse().unwrap());
                let labels = sample.labels.iter().map(|value| (*value).to_owned()).collect();
                let present = Some((id, labels));
                assert!(previous < present, "{}: {previous:?}, then {present:?}", family.name);
                previous = present;
            });
        }
    }
}

/// More instances than are written in one go.
fn large_fleet() -> Page {
    let with_id = |id: u64| {
        let mut instance = fixture::up();
        instance.account.id = id.into();
        instance
    };
    let fleet = Snapshot {
        instances: (1..=1_001).map(with_id).collect(),
        ..(*fixture::snapshot()).clone()
    };
    Page::new(&FAMILIES, Arc::new(fleet))
}
