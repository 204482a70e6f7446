//! Misfortune for as long as one likes: whatever the API, the clients, operators and kills do, in the end nothing has leaked, nothing
//! is lost and nothing was counted twice.
//!
//! `SOAK_SECONDS` says how long, and `SOAK_SEED` what happens; by default a few seconds of the same every time.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use greenapi_exporter::simulator::{Behaviour, Simulator};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::harness::{Exporter, PATIENCE, config_where, gauge, id, simulate};
use crate::publisher::{Dice, Publisher, counters};

/// Instances that are configured all the time. What they publish is compared with what is counted.
const STAYING: u64 = 4;

/// Instances that come and go: each time they come, their counters begin anew. They also misbehave in ways that make statuses up.
const PASSING: u64 = 3;

/// What so much more memory or so many more descriptors would be, were they growth and not chance.
const MEMORY_TOLERANCE: f64 = 2048.0;
const DESCRIPTOR_TOLERANCE: u32 = 8;

#[tokio::test]
async fn after_every_misfortune_nothing_has_leaked_is_lost_or_was_counted_twice() {
    let lasting = Duration::from_secs(number("SOAK_SECONDS").unwrap_or(5));
    let seed = number("SOAK_SEED").unwrap_or(1);
    println!("SOAK_SECONDS={} SOAK_SEED={seed}", lasting.as_secs());
    let mut soak = Soak::start(seed).await;
    let mut clients = JoinSet::new();
    let (stop, stopped) = watch::channel(false);
    let scrapes = Arc::new(AtomicU64::new(0));
    for (url, is_mortal) in [(&soak.lasting.url, false), (&soak.mortal.url, true)] {
        for habit in HABITS {
            let client = Client {
                habit,
                url: url.subscribe(),
                is_mortal,
                dice: Dice(soak.dice.below(u64::MAX)),
                scrapes: scrapes.clone(),
            };
            clients.spawn(client.run(stopped.clone()));
        }
    }
    let mut usage = Usage::new(soak.lasting.exporter.pid());
    let start = Instant::now();
    while start.elapsed() < lasting {
        soak.happen().await;
        usage.sample(start.elapsed());
        sleep(Duration::from_millis(soak.dice.below(60))).await;
        while let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
    }
    stop.send_replace(true);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let scrapes = scrapes.load(Ordering::Relaxed);
    println!(
        "{scrapes} scrapes, {} kills, {} reloads, {} changes of behaviour, {} statuses",
        soak.kills,
        soak.reloads,
        soak.changes,
        soak.statuses()
    );
    println!("{}", usage.must_not_grow());
    soak.end(usage.descriptors_before).await;
}

#[expect(clippy::disallowed_methods, reason = "`make soak` asks for more")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// An exporter with a ledger, and where it serves at present.
struct Served {
    exporter: Exporter,
    storage: TempDir,
    config: String,
    url: watch::Sender<String>,
}

impl Served {
    async fn start(config: String) -> Self {
        let storage = TempDir::new().unwrap();
        let exporter = Exporter::start(&config, &["--storage.path", storage.path().to_str().unwrap()]).await;
        Self {
            url: watch::Sender::new(exporter.url.clone()),
            exporter,
            storage,
            config,
        }
    }

    async fn kill_and_start(&mut self) {
        self.exporter.kill().await;
        let flags = ["--storage.path", self.storage.path().to_str().unwrap()];
        self.exporter = Exporter::start(&self.config, &flags).await;
        self.url.send_replace(self.exporter.url.clone());
    }

    fn configure(&mut self, config: String) {
        self.exporter.configure(&config);
        self.config = config;
    }

    async fn reload(&self) {
        let answer = self.exporter.send(reqwest::Method::POST, "/-/reload", &[]).await;
        assert_eq!((answer.status, &*answer.text), (200, "reloaded\n"));
    }
}

/// Everything that misfortune befalls.
struct Soak {
    dice: Dice,
    simulator: Simulator,
    api_url: String,
    publishers: Vec<Publisher>,
    /// One that lives to the end, and one that is killed again and again.
    lasting: Served,
    mortal: Served,
    kills: u64,
    reloads: u64,
    changes: u64,
}

impl Soak {
    async fn start(seed: u64) -> Self {
        let count = usize::try_from(STAYING + PASSING).unwrap();
        let (simulator, api_url) = simulate(&vec![Behaviour::Healthy; count]);
        let publishers = (0..STAYING)
            .map(|index| Publisher::new(&simulator, index, seed + index))
            .collect();
        let config = configuration(&simulator, &api_url, |_| true);
        let soak = Self {
            dice: Dice(seed),
            lasting: Served::start(config.clone()).await,
            mortal: Served::start(config).await,
            simulator,
            api_url,
            publishers,
            kills: 0,
            reloads: 0,
            changes: 0,
        };
        // The baseline is an empty journal, so that everything published counts.
        for served in [&soak.lasting, &soak.mortal] {
            let page = served.exporter.metrics().await;
            assert!(all_up(&page), "{page}");
        }
        soak
    }

    /// Lets one thing happen.
    async fn happen(&mut self) {
        match self.dice.below(100) {
            0..55 => {
                let publisher = usize::try_from(self.dice.below(STAYING)).unwrap();
                self.publishers[publisher].act();
            }
            55..85 => {
                let index = self.dice.below(STAYING + PASSING);
                let behaviour = self.behaviour(index);
                self.simulator.set_behaviour(id(index), behaviour).unwrap();
                self.changes += 1;
            }
            85..97 => {
                let mask = self.dice.below(1 << PASSING);
                let is_there = |index: u64| index < STAYING || mask >> (index - STAYING) & 1 == 1;
                let config = configuration(&self.simulator, &self.api_url, is_there);
                let by_signal = self.dice.below(2) == 0;
                let served = if self.dice.below(2) == 0 {
                    &mut self.lasting
                } else {
                    &mut self.mortal
                };
                served.configure(config);
                if by_signal {
                    served.exporter.signal("-HUP");
                } else {
                    served.reload().await;
                }
                self.reloads += 1;
            }
            _ => {
                self.mortal.kill_and_start().await;
                self.kills += 1;
            }
        }
    }

    fn behaviour(&mut self, index: u64) -> Behaviour {
        if self.dice.below(3) == 0 {
            return Behaviour::Healthy;
        }
        match self.dice.pick(Behaviour::ALL) {
            // These tell of statuses that nobody published.
            Behaviour::Malformed | Behaviour::Huge(_) if index < STAYING => Behaviour::Flaky,
            Behaviour::Huge(_) => Behaviour::Huge(1_000_000),
            other => other,
        }
    }

    fn statuses(&self) -> usize {
        self.publishers.iter().map(|publisher| publisher.statuses.len()).sum()
    }

    /// Once nothing happens any more, both must come to the truth, and to rest.
    async fn end(mut self, descriptors_before: usize) {
        for index in 0..STAYING + PASSING {
            self.simulator.set_behaviour(id(index), Behaviour::Healthy).unwrap();
        }
        let truth: BTreeMap<String, f64> = self.publishers.iter().flat_map(Publisher::truth).collect();
        let config = configuration(&self.simulator, &self.api_url, |_| true);
        for served in [&mut self.lasting, &mut self.mortal] {
            served.configure(config.clone());
            served.reload().await;
        }
        for served in [&self.lasting, &self.mortal] {
            let mut counted = BTreeMap::new();
            let settled = timeout(PATIENCE, async {
                loop {
                    let page = served.exporter.metrics().await;
                    counted = of_staying(&page);
                    if all_up(&page) && counted == truth {
                        break;
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            });
            if settled.await.is_err() {
                assert_eq!(counted, truth);
                panic!("not everybody is up");
            }
        }
        let pid = self.lasting.exporter.pid();
        let closed = timeout(PATIENCE, async {
            while descriptors(pid) > descriptors_before + DESCRIPTOR_TOLERANCE as usize {
                sleep(Duration::from_millis(100)).await;
            }
        });
        assert!(
            closed.await.is_ok(),
            "{} descriptors are open, {descriptors_before} were before",
            descriptors(pid)
        );
        for served in [self.lasting, self.mortal] {
            let finished = served.exporter.stop().await;
            assert_eq!(finished.code, Some(0), "{}", finished.stderr);
            assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
        }
    }
}

/// A configuration of those instances that are there.
fn configuration(simulator: &Simulator, api_url: &str, is_there: impl Fn(u64) -> bool) -> String {
    config_where(simulator, api_url, "min_interval: 0s\ntimeout: 1s", is_there) + "max_response_bytes: 4000000\n"
}

/// Whether all instances that stay are up.
fn all_up(page: &str) -> bool {
    (0..STAYING).all(|index| gauge(page, "greenapi_up", index) == Some(1.0))
}

/// The counters of the instances that stay.
fn of_staying(page: &str) -> BTreeMap<String, f64> {
    let mut counters = counters(page);
    counters.retain(|series, _| (0..STAYING).any(|index| series.contains(&id(index).to_string())));
    counters
}

/// How a client scrapes.
#[derive(Clone, Copy)]
enum Habit {
    /// As one who reads every page to its end and compares it with the one before.
    Watchful,
    /// As Prometheus does, with these headers.
    Accepting(&'static str, &'static str),
    /// Takes its time to read.
    Slow,
    /// Goes away in the middle of a request or an answer.
    Leaving,
    /// Looks at everything that there is.
    Curious,
}

const HABITS: [Habit; 6] = [
    Habit::Watchful,
    Habit::Accepting("application/openmetrics-text;version=1.0.0", "gzip"),
    Habit::Accepting(
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
        "zstd",
    ),
    Habit::Slow,
    Habit::Leaving,
    Habit::Curious,
];

struct Client {
    habit: Habit,
    url: watch::Receiver<String>,
    is_mortal: bool,
    dice: Dice,
    scrapes: Arc<AtomicU64>,
}

impl Client {
    async fn run(mut self, stopped: watch::Receiver<bool>) {
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let mut shown = BTreeMap::new();
        while !*stopped.borrow() {
            let url = self.url.borrow().clone();
            let done = self.scrape(&http, &url, &mut shown).await;
            // Only who asks one that is killed may be left without an answer.
            assert!(done.is_ok() || self.is_mortal, "{done:?}");
            self.scrapes.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(10 + self.dice.below(100))).await;
        }
    }

    async fn scrape(
        &mut self,
        http: &reqwest::Client,
        url: &str,
        shown: &mut BTreeMap<String, f64>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let request = |path: &str| http.get(format!("{url}{path}"));
        match self.habit {
            Habit::Watchful => {
                let page = request("/metrics").send().await?.error_for_status()?.text().await?;
                let page = of_staying(&page);
                for (series, before) in &*shown {
                    assert!(page.get(series) >= Some(before), "{series} fell from {before}");
                }
                *shown = page;
            }
            Habit::Accepting(accept, encoding) => {
                let request = request("/metrics")
                    .header("Accept", accept)
                    .header("Accept-Encoding", encoding);
                let answer = request.send().await?.error_for_status()?;
                assert_eq!(answer.headers()["content-encoding"], encoding);
                assert!(!answer.bytes().await?.is_empty());
            }
            Habit::Curious => {
                let target = format!("/probe?target={}", id(self.dice.below(STAYING)));
                let path = self
                    .dice
                    .pick(&[&*target, "/", "/config", "/sd", "/-/healthy", "/-/ready"]);
                request(path).send().await?.error_for_status()?.bytes().await?;
            }
            Habit::Slow => {
                let mut stream = self.connection(url).await?;
                stream.write_all(REQUEST).await?;
                let mut buffer = [0; 2000];
                while stream.read(&mut buffer).await? > 0 {
                    sleep(Duration::from_millis(self.dice.below(30))).await;
                }
            }
            Habit::Leaving => {
                let mut stream = self.connection(url).await?;
                let length = usize::try_from(self.dice.below(2 * REQUEST.len() as u64)).unwrap();
                stream.write_all(&REQUEST[..length.min(REQUEST.len())]).await?;
                let moment = Duration::from_millis(self.dice.below(50));
                let _ = timeout(moment, stream.read(&mut [0; 100])).await;
            }
        }
        Ok(())
    }

    async fn connection(&self, url: &str) -> std::io::Result<TcpStream> {
        TcpStream::connect(url.trim_start_matches("http://")).await
    }
}

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n";

/// What a process uses, over time.
struct Usage {
    pid: u32,
    descriptors_before: usize,
    /// Seconds, KiB of memory and descriptors.
    samples: Vec<(f64, f64, f64)>,
}

impl Usage {
    fn new(pid: u32) -> Self {
        Self {
            pid,
            descriptors_before: descriptors(pid),
            samples: Vec::new(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no process has so many")]
    fn sample(&mut self, at: Duration) {
        let memory = memory(self.pid) as f64;
        self.samples
            .push((at.as_secs_f64(), memory, descriptors(self.pid) as f64));
    }

    /// The first third is to warm up; the other two must be alike. Tells how alike they are.
    fn must_not_grow(&self) -> String {
        let third = self.samples.len() / 3;
        let (middle, last) = self.samples[third..].split_at(third);
        let growth = |of: fn(&(f64, f64, f64)) -> f64| mean(last.iter().map(of)) - mean(middle.iter().map(of));
        let (memory, descriptors) = (growth(|sample| sample.1), growth(|sample| sample.2));
        let slope = slope(&self.samples[third..]) * 60.0;
        let now = self.samples.last().map_or(0.0, |sample| sample.1);
        assert!(memory < MEMORY_TOLERANCE, "memory grew by {memory} KiB");
        assert!(
            descriptors < f64::from(DESCRIPTOR_TOLERANCE),
            "descriptors grew by {descriptors}"
        );
        format!("memory {now} KiB, slope {slope:.0} KiB/min, growth {memory:.0} KiB; descriptors {descriptors:+.1}")
    }
}

/// The memory's slope by least squares, in KiB a second.
fn slope(samples: &[(f64, f64, f64)]) -> f64 {
    let time = mean(samples.iter().map(|sample| sample.0));
    let memory = mean(samples.iter().map(|sample| sample.1));
    let covariance: f64 = samples
        .iter()
        .map(|sample| (sample.0 - time) * (sample.1 - memory))
        .sum();
    covariance / samples.iter().map(|sample| (sample.0 - time).powi(2)).sum::<f64>()
}

#[expect(clippy::cast_precision_loss, reason = "nobody samples so often")]
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The memory that is the process's own, in KiB.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    memory.trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}
