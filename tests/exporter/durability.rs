//! Counters that lose nothing and count nothing twice: over kills, restarts, absences and disks that refuse.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::time::Duration;

use greenapi_exporter::journal::{Journal, Record, SendByApi, StatusId, StatusMessage, TypeMessage};
use greenapi_exporter::ledger::Ledger;
use greenapi_exporter::simulator::{Behaviour, Method, SimStatus, Simulator};
use greenapi_exporter::store::Store;
use tempfile::TempDir;

use crate::harness::{Exporter, TempFile, binary, config, gauge, id, now, program, run, series, simulate, value};
use crate::publisher::{Publisher, counters};

/// A page that shows what the journal is now.
async fn fresh_page(exporter: &Exporter, simulator: &Simulator) -> String {
    let asked = simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap();
    loop {
        let page = exporter.metrics().await;
        if simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap() > asked {
            return page;
        }
    }
}

struct Setting {
    simulator: Simulator,
    config: String,
    storage: TempDir,
}

impl Setting {
    fn new() -> Self {
        let (simulator, url) = simulate(&[Behaviour::Healthy]);
        simulator.set_journal(id(0), Vec::new()).unwrap();
        Self {
            config: config(&simulator, &url, "min_interval: 0s"),
            simulator,
            storage: TempDir::new().unwrap(),
        }
    }

    fn storage(&self) -> &str {
        self.storage.path().to_str().unwrap()
    }

    async fn start(&self) -> Exporter {
        Exporter::start(&self.config, &["--storage.path", self.storage()]).await
    }
}

#[tokio::test]
async fn no_status_is_lost_or_counted_twice_by_kills_at_any_moment() {
    #[expect(clippy::disallowed_methods, reason = "`make soak` asks for more kills")]
    let kills = std::env::var("KILLS").map_or(50, |kills| kills.parse().unwrap());
    let setting = Setting::new();
    // The baseline is an empty journal, so that everything published counts.
    let exporter = setting.start().await;
    exporter.metrics().await;
    exporter.stop().await;
    let mut publisher = Publisher::new(&setting.simulator, 0, kills);
    let mut shown = BTreeMap::new();
    for _ in 0..kills {
        publisher.act();
        let mut exporter = setting.start().await;
        let (scrape, again) = (exporter.scrape(), exporter.scrape());
        for _ in 0..publisher.dice.below(4) {
            publisher.act();
        }
        // The moment is random on purpose: most of a scrape takes a few milliseconds.
        let moment = Duration::from_micros(publisher.dice.below(30_000));
        let scraped = tokio::time::timeout(moment, async { (scrape.await, again.await).0 }).await;
        exporter.kill().await;
        if let Ok(page) = scraped {
            let page = counters(&page);
            for (series, before) in &shown {
                assert!(page.get(series) >= Some(before), "{series} fell from {before}");
            }
            shown = page;
        }
    }
    let exporter = setting.start().await;
    let page = fresh_page(&exporter, &setting.simulator).await;
    assert_eq!(counters(&page), publisher.truth(), "after {kills} kills");
    assert!(publisher.statuses.len() > 10);
}

#[tokio::test]
async fn what_happens_in_an_absence_is_counted_and_the_gauges_describe_only_the_window() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let setting = Setting {
        config: config(&simulator, &url, "min_interval: 0s\nwindow: 1m"),
        simulator,
        storage: TempDir::new().unwrap(),
    };
    let simulator = &setting.simulator;
    let status = |name: &str, age: u64, status_message| SimStatus {
        status_message,
        ..SimStatus::new(name, now() - age)
    };
    simulator
        .set_journal(id(0), vec![status("old", 30, StatusMessage::Sent)])
        .unwrap();
    let exporter = setting.start().await;
    let page = exporter.metrics().await;
    assert_eq!(counters(&page), BTreeMap::new(), "the baseline counts nothing");
    exporter.stop().await;
    // Both happened longer ago than the window, and one of them within the absence as far as the exporter can tell.
    let meanwhile = vec![
        status("old", 20, StatusMessage::Read),
        status("new", 300, StatusMessage::Delivered),
    ];
    simulator.set_journal(id(0), meanwhile).unwrap();
    let exporter = setting.start().await;
    let page = exporter.metrics().await;
    let counters: Vec<String> = counters(&page).into_keys().collect();
    let count = |text: &str| counters.iter().filter(|series| series.contains(text)).count();
    assert_eq!(
        count("statuses_total"),
        1,
        "the status published in the absence: {counters:?}"
    );
    assert_eq!(count("\"read\""), 1, "the state reached in the absence: {counters:?}");
    let in_window = series(&page, "greenapi_journal_statuses")
        .into_iter()
        .filter(|line| line.ends_with(" 1"));
    assert_eq!(in_window.count(), 1, "the window holds one of the two");
    let asked = simulator.received(id(0)).unwrap();
    let minutes = asked
        .last()
        .unwrap()
        .target
        .split("minutes=")
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!((10..=20).contains(&minutes), "{minutes}");
}

#[tokio::test]
async fn when_a_journal_was_last_read_is_known_after_a_restart_though_it_cannot_be_read_now() {
    let setting = Setting::new();
    let last_success = |page: &str| gauge(page, "greenapi_last_success_timestamp_seconds", 0);
    let exporter = setting.start().await;
    let first = last_success(&exporter.metrics().await).unwrap();
    // The first is on record at once, a later one only when the exporter stops.
    let mut before = first;
    while before.floor() <= first.ceil() {
        before = last_success(&exporter.metrics().await).unwrap();
    }
    exporter.stop().await;
    setting.simulator.set_behaviour(id(0), Behaviour::ServerError).unwrap();
    let page = setting.start().await.metrics().await;
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(0.0));
    assert_eq!(last_success(&page), Some(before.floor()));
}

#[tokio::test]
async fn what_is_published_before_the_first_answer_counts_though_the_exporter_restarts_meanwhile() {
    let setting = Setting::new();
    setting.simulator.set_behaviour(id(0), Behaviour::Forbidden).unwrap();
    let mut exporter = setting.start().await;
    exporter.metrics().await;
    exporter.kill().await;
    let created = now();
    // The next exporter's clock has come to another second than that of the first one's status.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let status = SimStatus::new("early", created);
    setting.simulator.set_journal(id(0), vec![status]).unwrap();
    setting.simulator.set_behaviour(id(0), Behaviour::Healthy).unwrap();
    let exporter = setting.start().await;
    let page = fresh_page(&exporter, &setting.simulator).await;
    let counted: f64 = counters(&page).values().sum();
    assert!(counted >= 2.0, "{page}");
}

#[tokio::test]
async fn without_storage_counters_start_anew_and_their_baseline_counts_nothing() {
    let setting = Setting::new();
    let mut publisher = Publisher::new(&setting.simulator, 0, 7);
    (0..20).for_each(|_| publisher.act());
    for status in &mut publisher.statuses {
        status.timestamp -= 60;
    }
    publisher.show();
    let exporter = Exporter::start(&setting.config, &[]).await;
    let page = exporter.metrics().await;
    assert_eq!(counters(&page), BTreeMap::new());
    // The kinds that are known have their series, so that the next of them is seen as an increase.
    assert!(!series(&page, "greenapi_outgoing_statuses_total").is_empty());
}

#[tokio::test]
async fn a_ledger_that_nobody_has_kept_for_a_month_is_dropped_at_the_next_start() {
    let setting = Setting::new();
    let storage = setting.storage.path();
    let (mut store, _) = Store::open(storage).unwrap();
    let record = Record {
        id: StatusId::of("3EB0"),
        timestamp: 0,
        participants: 0,
        status_message: StatusMessage::Sent,
        type_message: TypeMessage::Text,
        send_by_api: SendByApi::True,
    };
    let changes = Ledger::new(0).changes(&Journal::new(vec![record], 0), 1);
    // One that is configured is kept.
    store.write(&[(id(0), changes.clone()), (id(1), changes)]).unwrap();
    drop(store);
    let exporter = setting.start().await;
    exporter.metrics().await;
    exporter.stop().await;
    let (_, ledgers) = Store::open(storage).unwrap();
    assert_eq!(ledgers.into_keys().collect::<Vec<_>>(), [id(0)]);
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_refused() {
    let setting = Setting::new();
    let _running = setting.start().await;
    let file = TempFile::new("exporter.yml", &setting.config);
    let arguments = [
        "--config.file",
        file.path(),
        "--storage.path",
        setting.storage(),
        "--web.listen-address",
        "127.0.0.1:0",
        "--log.level",
        "warn",
    ];
    let finished = run(&mut binary(&arguments)).await;
    assert_eq!(finished.code, Some(1));
    let stderr = finished.stderr.replace(setting.storage(), "DIR");
    insta::assert_snapshot!(stderr);
}

#[tokio::test]
async fn check_config_says_whether_the_ledger_can_be_opened() {
    let setting = Setting::new();
    let file = TempFile::new("exporter.yml", &setting.config);
    let check = async |directory: &str, code, expected: &str| {
        let arguments = [
            "check-config",
            "--config.file",
            file.path(),
            "--storage.path",
            directory,
        ];
        let finished = run(&mut binary(&arguments)).await;
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert!(finished.stderr.contains(expected), "{}", finished.stderr);
    };
    check(setting.storage(), 0, "there is no ledger yet; one can be made").await;
    assert_eq!(
        std::fs::read_dir(setting.storage()).unwrap().count(),
        0,
        "a check makes nothing"
    );
    let incoming = setting.storage.path().join("incoming");
    symlink("/nowhere", &incoming).unwrap();
    check(setting.storage(), 1, "/incoming`: ").await;
    std::fs::remove_file(&incoming).unwrap();
    check("/nowhere", 1, "cannot use the storage directory `/nowhere`").await;
    // Nobody can make a file there, not even root.
    check("/proc", 1, "cannot open or write the ledger `/proc/ledger.redb`").await;
    let foreign = TempFile::new("ledger.redb", "not a ledger");
    let directory = foreign.path.parent().unwrap().to_str().unwrap();
    check(directory, 1, "it is not a ledger of greenapi-exporter").await;
    let running = setting.start().await;
    running.stop().await;
    check(setting.storage(), 0, "the ledger can be opened").await;
    let incoming = incoming.join("ledger.redb");
    let intact = std::fs::read(&incoming).unwrap();
    std::fs::write(&incoming, "not a ledger").unwrap();
    check(setting.storage(), 1, "incoming/ledger.redb`: it is not a ledger").await;
    std::fs::write(&incoming, intact).unwrap();
    let _running = setting.start().await;
    check(
        setting.storage(),
        0,
        "the ledger is not checked: an exporter has it open",
    )
    .await;
}

/// An exporter whose disk is full, what was published, and the counters that it showed before.
async fn on_a_full_disk(setting: &Setting) -> (Exporter, Publisher, BTreeMap<String, f64>) {
    // A file-size limit is a full disk that needs no disk. Its signal is ignored, as it is where a disk is really full.
    let script = "trap '' XFSZ; ulimit -S -f 512; exec \"$@\"";
    let file = TempFile::new("exporter.yml", &setting.config);
    let arguments = ["-c", script, "sh", env!("CARGO_BIN_EXE_greenapi-exporter"), "serve"];
    let flags = ["--config.file", file.path(), "--storage.path", setting.storage()];
    let exporter = Exporter::start_as("sh", &arguments, &flags).await;
    let mut publisher = Publisher::new(&setting.simulator, 0, 1);
    let mut page = exporter.metrics().await;
    let mut before = counters(&page);
    while value(&page, ERRORS) == Some(0.0) {
        before = counters(&page);
        (0..4000).for_each(|_| publisher.move_on());
        publisher.show();
        page = fresh_page(&exporter, &setting.simulator).await;
    }
    (exporter, publisher, before)
}

const ERRORS: &str = "greenapi_exporter_ledger_errors_total";

#[tokio::test]
async fn where_the_disk_refuses_counters_stand_still_and_the_scrape_still_answers() {
    let setting = Setting::new();
    let (mut exporter, publisher, before) = on_a_full_disk(&setting).await;
    let page = fresh_page(&exporter, &setting.simulator).await;
    assert_eq!(counters(&page), before, "counters ran ahead of the store");
    assert_eq!(gauge(&page, "greenapi_up", 0), Some(1.0));
    assert!(value(&page, ERRORS) >= Some(2.0), "{page}");
    // What was on disk is all there, and the next exporter makes up for what was missed.
    exporter.kill().await;
    let exporter = setting.start().await;
    assert_eq!(
        counters(&fresh_page(&exporter, &setting.simulator).await),
        publisher.truth()
    );
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_of_once_and_so_is_that_it_takes_again() {
    let setting = Setting::new();
    let (mut exporter, mut publisher, _) = on_a_full_disk(&setting).await;
    fresh_page(&exporter, &setting.simulator).await;
    let pid = exporter.pid().to_string();
    let unlimited = run(program("prlimit").args(["--pid", &pid, "--fsize=unlimited:"])).await;
    assert_eq!(unlimited.code, Some(0), "{}", unlimited.stderr);
    // What was only seen while the disk was full counts though no answer has it any more.
    publisher.withdraw();
    for _ in 0..2 {
        // Now and then an act changes nothing.
        (0..10).for_each(|_| publisher.act());
        let page = fresh_page(&exporter, &setting.simulator).await;
        assert_eq!(counters(&page), publisher.truth());
    }
    let (refused, again) = ("cannot write the ledger", "the ledger can be written again");
    exporter.logged(again).await;
    let log = exporter.stop().await.stderr;
    assert_eq!(
        (log.matches(refused).count(), log.matches(again).count()),
        (1, 1),
        "{log}"
    );
}

#[tokio::test]
async fn the_ledger_of_incoming_statuses_is_durable_too() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let storage = TempDir::new().unwrap();
    let flags = ["--storage.path", storage.path().to_str().unwrap()];
    let published = ["a", "b"].map(|name| SimStatus::new(name, now()));
    simulator.set_journal(id(0), published.to_vec()).unwrap();
    let config = config(&simulator, &url, "collectors: [outgoing, incoming]\ntimeout: 1s");
    let mut exporter = Exporter::start(&config, &flags).await;
    let page = exporter.metrics().await;
    let known = series(&page, "greenapi_incoming_statuses_total");
    assert!(!known.is_empty());
    let received = series(&page, "greenapi_incoming_journal_statuses").into_iter();
    let received = received.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    let entries = 2.0 + received.sum::<f64>();
    assert_eq!(value(&page, "greenapi_exporter_ledger_entries"), Some(entries));
    exporter.kill().await;
    // What is shown now can only come from the store.
    simulator.set_behaviour(id(0), Behaviour::Reset).unwrap();
    let exporter = Exporter::start(&config, &flags).await;
    let page = exporter.metrics().await;
    assert_eq!(series(&page, "greenapi_incoming_statuses_total"), known);
    assert_eq!(value(&page, "greenapi_exporter_ledger_entries"), Some(entries));
}
