//! Counters that lose nothing and count nothing twice: over kills, restarts, absences and disks that refuse.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use greenapi_exporter::clock::unix_seconds;
use greenapi_exporter::journal::{Audience, SendByApi, StatusMessage, TypeMessage};
use greenapi_exporter::label::LabelValue;
use greenapi_exporter::simulator::{Behaviour, Method, SimStatus, Simulator};
use tempfile::TempDir;

use crate::harness::{Exporter, TempFile, binary, config, id, run, series, simulate, value};

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        // Knuth's multiplier; the upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }
}

/// Who publishes statuses, and knows the truth of them.
struct Publisher {
    dice: Dice,
    statuses: Vec<SimStatus>,
    simulator: Simulator,
}

impl Publisher {
    fn new(seed: u64, simulator: &Simulator) -> Self {
        let publisher = Self {
            dice: Dice(seed),
            statuses: Vec::new(),
            simulator: simulator.clone(),
        };
        publisher.show();
        publisher
    }

    fn show(&self) {
        self.simulator.set_journal(id(0), self.statuses.clone()).unwrap();
    }

    /// Publishes a status, or lets one get further, for all to see.
    fn act(&mut self) {
        self.move_on();
        self.show();
    }

    fn move_on(&mut self) {
        const LADDER: [StatusMessage; 4] = [
            StatusMessage::Pending,
            StatusMessage::Sent,
            StatusMessage::Delivered,
            StatusMessage::Read,
        ];
        let now = now();
        if self.statuses.is_empty() || self.dice.below(3) == 0 {
            let participants = self.dice.pick(&[0, 0, 1, 7, 150]);
            let status = SimStatus {
                status_message: self.dice.pick(&LADDER),
                type_message: self
                    .dice
                    .pick(&[TypeMessage::Image, TypeMessage::Video, TypeMessage::ExtendedText]),
                send_by_api: self.dice.pick(&[SendByApi::True, SendByApi::False]),
                participants: SimStatus::people(participants),
                ..SimStatus::new(format!("status-{}", self.statuses.len()), now)
            };
            self.statuses.push(status);
        } else {
            let index = usize::try_from(self.dice.below(self.statuses.len() as u64)).unwrap();
            let status = &mut self.statuses[index];
            let reached = self.dice.pick(&LADDER);
            if reached > status.status_message {
                status.status_message = reached;
                status.timestamp = now;
            }
        }
    }

    /// Every series of the counters as they must be once all is seen.
    fn truth(&self) -> BTreeMap<String, f64> {
        let mut truth = BTreeMap::new();
        let mut count = |series: String| *truth.entry(series).or_default() += 1.0;
        for status in &self.statuses {
            let audience = Audience::of(u32::try_from(status.participants.len()).unwrap());
            let kind = format!(
                "type_message=\"{}\",send_by_api=\"{}\",audience=\"{}\"}}",
                status.type_message.as_str(),
                status.send_by_api.as_str(),
                audience.as_str()
            );
            let id = id(0);
            count(format!("greenapi_outgoing_statuses_total{{id_instance=\"{id}\",{kind}"));
            for state in StatusMessage::ALL {
                if *state >= StatusMessage::Pending && *state <= status.status_message {
                    let state = state.as_str();
                    count(format!(
                        "greenapi_outgoing_status_transitions_total{{id_instance=\"{id}\",status_message=\"{state}\",{kind}"
                    ));
                }
            }
        }
        truth
    }
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the exporter under test lives in real time")]
    unix_seconds(SystemTime::now())
}

/// The counters of statuses that a page shows, without those at 0.
fn counters(page: &str) -> BTreeMap<String, f64> {
    let families = [
        "greenapi_outgoing_statuses_total",
        "greenapi_outgoing_status_transitions_total",
    ];
    let lines = families.into_iter().flat_map(|family| series(page, family));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    let counters = pairs.map(|(series, value)| (series.to_owned(), value.parse().unwrap()));
    counters.filter(|(_, value)| *value > 0.0).collect()
}

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
    let mut publisher = Publisher::new(kills, &setting.simulator);
    let mut shown = BTreeMap::new();
    for _ in 0..kills {
        publisher.act();
        let exporter = setting.start().await;
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
async fn without_storage_counters_start_anew_and_their_baseline_counts_nothing() {
    let setting = Setting::new();
    let mut publisher = Publisher::new(7, &setting.simulator);
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
    check(setting.storage(), 0, "the ledger can be opened").await;
    assert_eq!(
        std::fs::read_dir(setting.storage()).unwrap().count(),
        0,
        "a check makes nothing"
    );
    check("/nowhere", 1, "cannot use the storage directory `/nowhere`").await;
    let foreign = TempFile::new("ledger.redb", "not a ledger");
    let directory = foreign.path.parent().unwrap().to_str().unwrap();
    check(directory, 1, "it is not a ledger of greenapi-exporter").await;
}

#[tokio::test]
async fn the_ledger_is_for_its_owner_only() {
    let setting = Setting::new();
    let exporter = setting.start().await;
    exporter.metrics().await;
    let mode = std::fs::metadata(setting.storage.path().join("ledger.redb"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn where_the_disk_refuses_counters_stand_still_and_the_scrape_still_answers() {
    let setting = Setting::new();
    let file = TempFile::new("exporter.yml", &setting.config);
    // A file-size limit is a full disk that needs no disk. Its signal is ignored, as it is where a disk is really full.
    let script = "trap '' XFSZ; ulimit -f 512; exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_greenapi-exporter");
    let arguments = ["-c", script, "sh", program, "serve"];
    let mut exporter = Exporter::start_as(
        "sh",
        &arguments,
        &["--config.file", file.path(), "--storage.path", setting.storage()],
    )
    .await;
    let mut page = exporter.metrics().await;
    let errors = |page: &str| value(page, "greenapi_exporter_ledger_errors_total").unwrap();
    let mut publisher = Publisher::new(1, &setting.simulator);
    let mut before = counters(&page);
    while errors(&page) == 0.0 {
        before = counters(&page);
        (0..400).for_each(|_| publisher.move_on());
        publisher.show();
        page = fresh_page(&exporter, &setting.simulator).await;
    }
    assert_eq!(counters(&page), before, "counters ran ahead of the store");
    assert_eq!(
        value(&page, &format!("greenapi_up{{id_instance=\"{}\"}}", id(0))),
        Some(1.0)
    );
    exporter.logged("cannot write the ledger").await;
    // What was on disk is all there, and the next exporter makes up for what was missed.
    exporter.kill().await;
    let exporter = setting.start().await;
    assert_eq!(
        counters(&fresh_page(&exporter, &setting.simulator).await),
        publisher.truth()
    );
}
