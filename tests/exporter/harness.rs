//! Starts the real binary and speaks to it; makes configurations for simulated instances.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::clock::{Clock, unix_seconds};
use greenapi_exporter::simulator::{Behaviour, SimInstance, Simulator, World};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// How often programs of others are asked for what they don't tell by themselves.
pub(crate) const POLLING: Duration = Duration::from_millis(50);

/// The present, in Unix seconds.
#[expect(clippy::disallowed_methods, reason = "the exporter under test lives in real time")]
pub(crate) fn now() -> u64 {
    unix_seconds(std::time::SystemTime::now())
}

/// The id of the `index`th simulated instance.
pub(crate) fn id(index: u64) -> InstanceId {
    InstanceId::from(1_101_000_001 + index)
}

/// A simulator with an instance for each of `behaviours`, and its URL.
pub(crate) fn simulate(behaviours: &[Behaviour]) -> (Simulator, String) {
    let instances = (0..).zip(behaviours);
    let instances = instances.map(|(index, behaviour)| SimInstance::new(id(index)).behaving(*behaviour));
    // The exporter keeps to one request a second by itself; here, the limit would only tell of two exporters in a row.
    let world = World {
        limits: None,
        ..World::new(1, Clock::system(), instances)
    };
    let simulator = Simulator::new(world);
    let url = simulator.start().unwrap();
    (simulator, url)
}

/// A configuration of every instance of `simulator`, with `defaults` as lines of YAML.
pub(crate) fn config(simulator: &Simulator, api_url: &str, defaults: &str) -> String {
    config_where(simulator, api_url, defaults, |_| true)
}

/// As [`config`], but only of those instances whose index `is_there`.
pub(crate) fn config_where(
    simulator: &Simulator,
    api_url: &str,
    defaults: &str,
    is_there: impl Fn(u64) -> bool,
) -> String {
    let mut yaml = format!("defaults:\n  api_url: {api_url}\n");
    for line in defaults.lines() {
        writeln!(yaml, "  {line}").unwrap();
    }
    yaml.push_str("instances:\n");
    for (index, login) in (0..).zip(simulator.logins()).filter(|(index, _)| is_there(*index)) {
        assert_eq!(login.id, id(index));
        writeln!(yaml, "  - id_instance: {}\n    api_token: {}", login.id, login.token).unwrap();
    }
    yaml
}

/// A configuration of a partner account, whose token is in the file.
pub(crate) fn partner_config(api_url: &str, token: &TempFile) -> String {
    let token = token.path();
    format!("partner:\n  api_url: {api_url}\n  token_file: {token}\n  instance_api_url: {api_url}\n")
}

/// The real binary, without the environment of the test.
pub(crate) fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenapi-exporter"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// What a run of the binary came to.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that the suite tests against.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a program to its end.
pub(crate) async fn run(command: &mut Command) -> Finished {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap();
    let output = output.unwrap_or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let program = command.as_std().get_program().display();
            panic!("{program} is missing: run `make test-programs`")
        }
        _ => panic!("{error}"),
    });
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A file with `text` in a folder of its own, which is gone when this is dropped.
pub(crate) struct TempFile {
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

impl TempFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Self { path, _folder: folder }
    }

    pub(crate) fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// A serving exporter.
pub(crate) struct Exporter {
    child: Child,
    stdout: ChildStdout,
    log: watch::Receiver<String>,
    logging: JoinHandle<()>,
    http: reqwest::Client,
    config: Option<TempFile>,
    /// Where it serves, such as `http://127.0.0.1:12345`.
    pub(crate) url: String,
}

/// An answer of the exporter.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Exporter {
    /// Serves `config` on a free port, with more `flags`.
    pub(crate) async fn start(config: &str, flags: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", config, flags).await
    }

    /// Serves `config` on `address`, with more `flags`.
    pub(crate) async fn start_on(address: &str, config: &str, flags: &[&str]) -> Self {
        let file = TempFile::new("exporter.yml", config);
        let mut command = binary(&["serve", "--config.file", file.path(), "--web.listen-address", address]);
        command.args(flags);
        Self::spawn(command, Some(file)).await
    }

    /// Serves on a free port as `program` starts it with `arguments` and `flags`.
    pub(crate) async fn start_as(program: &str, arguments: &[&str], flags: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(flags)
            .args(["--web.listen-address", "127.0.0.1:0"]);
        command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        Self::spawn(command, None).await
    }

    /// Serves by `command`, which keeps to `config`.
    pub(crate) async fn spawn(mut command: Command, config: Option<TempFile>) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, log) = watch::channel(String::new());
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let logging = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        let mut exporter = Self {
            stdout: child.stdout.take().unwrap(),
            child,
            log,
            logging,
            http: reqwest::Client::new(),
            config,
            url: String::new(),
        };
        let line = exporter.logged("serving metrics").await;
        let address = line
            .split("address")
            .nth(1)
            .unwrap()
            .trim_start_matches(['=', '"', ':']);
        let address = address.split([' ', '"']).next().unwrap();
        exporter.url = format!("http://{address}");
        exporter
    }

    /// The first line of the log that holds `text`, once there is one.
    pub(crate) async fn logged(&mut self, text: &str) -> String {
        self.logged_times(1, text).await
    }

    /// The line of the log that is the `count`th to hold `text`, once there is one.
    pub(crate) async fn logged_times(&mut self, count: usize, text: &str) -> String {
        let line = |log: &String| {
            let mut lines = log.lines().filter(|line| line.contains(text));
            lines.nth(count - 1).map(str::to_owned)
        };
        let found = async { line(&*self.log.wait_for(|log| line(log).is_some()).await.ok()?) };
        let found = tokio::time::timeout(PATIENCE, found).await.ok().flatten();
        found.unwrap_or_else(|| panic!("`{text}` was not logged:\n{}", self.log()))
    }

    /// All that was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// The answer to a GET with `headers`.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(reqwest::Method::GET, path, headers).await
    }

    /// The headers of the answer to a HEAD.
    pub(crate) async fn head(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(reqwest::Method::HEAD, path, headers).await
    }

    pub(crate) async fn send(&self, method: reqwest::Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .timeout(PATIENCE);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// A scrape of its own, over a connection of its own.
    pub(crate) fn scrape(&self) -> impl Future<Output = String> + Send + use<> {
        let request = reqwest::Client::new().get(format!("{}/metrics", self.url));
        async move { request.send().await.unwrap().text().await.unwrap() }
    }

    /// The metrics page as text.
    pub(crate) async fn metrics(&self) -> String {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200);
        answer.text
    }

    /// Puts another configuration in the place of the present one, which stays in force until a reload.
    pub(crate) fn configure(&self, config: &str) {
        let path = &self.config.as_ref().unwrap().path;
        let next = path.with_extension("next");
        std::fs::write(&next, config).unwrap();
        // All at once: half a file may well be a configuration too, of fewer instances.
        std::fs::rename(next, path).unwrap();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let status = std::process::Command::new("kill")
            .args([signal, &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// What it came to once it ends.
    pub(crate) async fn finished(mut self) -> Finished {
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap();
        self.logging.await.unwrap();
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).await.unwrap();
        Finished {
            code: status.code(),
            stdout,
            stderr: self.log.borrow().clone(),
        }
    }

    /// Ends it as a loss of power would: at once.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops it and tells what it came to.
    pub(crate) async fn stop(self) -> Finished {
        self.signal("-TERM");
        self.finished().await
    }
}

/// The value of the series that begins with `series`, such as `greenapi_up{id_instance="1"}`; `None` where absent.
pub(crate) fn value(page: &str, series: &str) -> Option<f64> {
    let mut lines = page
        .lines()
        .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    lines.next().map(|value| value.parse().unwrap())
}

/// The value of the gauge or counter `name` of the `index`th simulated instance; `None` where absent.
pub(crate) fn gauge(page: &str, name: &str, index: u64) -> Option<f64> {
    value(page, &format!("{name}{{id_instance=\"{}\"}}", id(index)))
}

/// As [`gauge`], where the series has `labels` besides, such as `result="ok"`.
pub(crate) fn labelled(page: &str, name: &str, index: u64, labels: &str) -> Option<f64> {
    value(page, &format!("{name}{{id_instance=\"{}\",{labels}}}", id(index)))
}

/// The names and labels of the series of `family` on a page, with their values.
pub(crate) fn series<'a>(page: &'a str, family: &str) -> Vec<&'a str> {
    let of_family = |line: &&str| {
        line.strip_prefix(family)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    page.lines().filter(of_family).collect()
}

/// A program of others, such as Prometheus, that serves until this is dropped.
pub(crate) struct Daemon {
    _child: Child,
}

impl Daemon {
    /// Runs `command` until it says `ready` on its standard error.
    pub(crate) async fn start(mut command: Command, ready: &str) -> Self {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = spawned.unwrap_or_else(|_| panic!("{program} is missing: run `make test-programs`"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let started = async {
            while !said.contains(ready) {
                let line = lines.next_line().await.unwrap();
                said += &line.unwrap_or_else(|| panic!("{program} has ended:\n{said}"));
                said.push('\n');
            }
        };
        tokio::time::timeout(PATIENCE, started).await.unwrap();
        // What it says from now on is read and dropped, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { _child: child }
    }
}

/// An address for a program that can't tell which port it took: one that was free a moment ago.
pub(crate) fn free_address() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// The text of a file of the repository.
pub(crate) fn repository_file(path: &str) -> String {
    let path = repository_path(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where a file of the repository is.
pub(crate) fn repository_path(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
