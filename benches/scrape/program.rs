//! A program under measurement, and what the system says of it.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Ends with this value.
pub(crate) struct Program {
    child: Child,
    address: Option<String>,
    connection: Cell<Option<BufReader<TcpStream>>>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display())),
            address: None,
            connection: Cell::default(),
        }
    }

    /// Starts a server, which tells its address in a line of its own on standard error.
    pub(crate) fn serve(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut seen = String::new();
        let address = lines.by_ref().find_map(|line| {
            seen.push_str(&line);
            seen.push('\n');
            let port = line.split_once("127.0.0.1:")?.1;
            let digits = port.split(|byte: char| !byte.is_ascii_digit()).next()?;
            Some(format!("127.0.0.1:{digits}"))
        });
        let address = address.unwrap_or_else(|| panic!("no address was told:\n{seen}"));
        thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: Some(address),
            connection: Cell::default(),
        }
    }

    /// The size of the body under `path`, which must be answered with success. As Prometheus does, it keeps the connection if it can.
    pub(crate) fn get(&self, path: &str, headers: &str) -> usize {
        let address = self.address.as_ref().unwrap();
        let kept = self.connection.take();
        let mut stream = kept.unwrap_or_else(|| BufReader::new(TcpStream::connect(address).unwrap()));
        // In one piece, or the program would wake up for each.
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let head: Vec<String> = (&mut stream)
            .lines()
            .map(Result::unwrap)
            .take_while(|line| !line.is_empty())
            .collect();
        assert!(head[0].contains(" 200 "), "{path}: {}", head[0]);
        let header = |name: &str| {
            let mut headers = head.iter().filter_map(|line| line.split_once(": "));
            headers.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
        };
        let mut body = Vec::new();
        if let Some(length) = header("Content-Length") {
            body.resize(length.parse().unwrap(), 0);
            stream.read_exact(&mut body).unwrap();
        } else if header("Transfer-Encoding").is_some() {
            loop {
                let mut size = String::new();
                stream.read_line(&mut size).unwrap();
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
                let start = body.len();
                body.resize(start + size + 2, 0);
                stream.read_exact(&mut body[start..]).unwrap();
                body.truncate(start + size);
                if size == 0 {
                    break;
                }
            }
        } else {
            stream.read_to_end(&mut body).unwrap();
            return body.len();
        }
        // Python's server closes it.
        let is_kept = head[0].starts_with("HTTP/1.1");
        self.connection.set(is_kept.then_some(stream));
        body.len()
    }

    /// Its CPU time so far, also that of threads that have ended.
    pub(crate) fn cpu(&self) -> Duration {
        let clock = clock_getcpuclockid(Pid::from_raw(self.child.id().try_into().unwrap())).unwrap();
        clock.now().unwrap().into()
    }

    /// Resident memory in bytes at its peak.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Resident memory in bytes now.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        1024 * memory.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    /// Sockets that it has open.
    pub(crate) fn sockets(&self) -> usize {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let links = descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
        links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
