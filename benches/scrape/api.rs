//! A sender of journals: the same bytes to whoever asks, after some latency. It costs as little as it can, a thread per connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::Duration;

/// The API, while the benchmark runs.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    answer: Arc<RwLock<Answer>>,
    marks: Receiver<Sender<()>>,
}

#[derive(Clone, Default)]
struct Answer {
    bytes: Arc<[u8]>,
    latency: Duration,
}

impl Api {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(RwLock::new(Answer::default()));
        let (mark, marks) = channel();
        let (shared, mark) = (answer.clone(), Arc::new(Mutex::new(mark)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, mark) = (shared.clone(), mark.clone());
                let serving = thread::Builder::new().stack_size(64 * 1024);
                serving
                    .spawn(move || serve(&mut stream.unwrap(), &shared, &mark))
                    .unwrap();
            }
        });
        Self { address, answer, marks }
    }

    /// Answers with `body` after `latency` from now on.
    pub(crate) fn answer(&self, body: &str, latency: Duration) {
        let bytes = with_head(body.as_bytes());
        *self.answer.write().unwrap() = Answer { bytes, latency };
    }

    /// Waits until somebody asks for `/mark`, and answers once `look` has seen what it had to.
    pub(crate) fn marked<T>(&self, look: impl FnOnce() -> T) -> T {
        let waiting = self.marks.recv_timeout(Duration::from_mins(2)).unwrap();
        let seen = look();
        waiting.send(()).unwrap();
        seen
    }
}

fn serve(stream: &mut TcpStream, answer: &RwLock<Answer>, mark: &Mutex<Sender<Sender<()>>>) {
    stream.set_nodelay(true).unwrap();
    let (mut request, mut filled) = ([0; 4096], 0);
    loop {
        match stream.read(&mut request[filled..]) {
            Ok(read) if read > 0 => filled += read,
            _ => return,
        }
        if !request[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let sent = if request.starts_with(b"GET /mark") {
            let (seen, wait) = channel();
            mark.lock().unwrap().send(seen).unwrap();
            wait.recv().unwrap();
            stream.write_all(&with_head(b"[]"))
        } else {
            let Answer { bytes, latency } = answer.read().unwrap().clone();
            thread::sleep(latency);
            send(stream, &bytes)
        };
        if sent.is_err() {
            return;
        }
        filled = 0;
    }
}

/// Sends all of it without ever falling asleep. To wake a sender up costs its receiver time, but not where they are on two machines.
fn send(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    stream.set_nonblocking(false)
}

fn with_head(body: &[u8]) -> Arc<[u8]> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}
