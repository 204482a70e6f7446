//! The client of GREEN-API. A request comes to facts or to a [`Failure`]; neither holds a URL.

pub mod answers;
mod connector;
pub mod failure;
pub mod partner;
mod proxies;
mod resolver;
pub mod wire;

use std::num::IntErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, HeaderValue, PROXY_AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Sleep;

use crate::account::{Credentials, InstanceId};
use crate::clock::Clock;
use crate::journal::Record;
use crate::label::{LabelValue, label_values};

pub use self::connector::{Connector, TlsError};
use self::failure::Failure;
pub use self::proxies::Proxies;
use self::wire::Fold;

/// Calls the API of any instance over kept-alive connections.
#[derive(Debug, Clone)]
pub struct Client {
    /// At least one. They share no connections: over HTTP/2 each has a single one to a host.
    http: Arc<[legacy::Client<Connector, Empty<Bytes>>]>,
    connector: Connector,
    clock: Clock,
    max_response_bytes: u64,
}

label_values! {
    /// A journal's method: both answer in the same shape.
    JournalMethod {
        /// Statuses that the account published.
        Outgoing => "getOutgoingStatuses",
        /// Statuses that its contacts published.
        Incoming => "getIncomingStatuses",
    }
}

impl Client {
    /// A client that reads answers of up to `max_response_bytes` and makes up to `requests` at once.
    pub fn new(connector: Connector, max_response_bytes: u64, requests: usize, clock: Clock) -> Self {
        let http = || {
            legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_max_idle_per_host(requests.min(STREAMS))
                .pool_idle_timeout(IDLE_TIMEOUT)
                .http1_max_buf_size(READ_BUFFER)
                .timer(TokioTimer::new())
                .http2_keep_alive_interval(SILENCE)
                .http2_keep_alive_timeout(SILENCE)
                .http2_keep_alive_while_idle(true)
                .build(connector.clone())
        };
        Self {
            http: (0..requests.div_ceil(STREAMS).max(1)).map(|_| http()).collect(),
            connector,
            clock,
            max_response_bytes,
        }
    }

    /// The same with other limits, over connections of its own.
    #[must_use]
    pub fn with_limits(&self, max_response_bytes: u64, requests: usize) -> Self {
        Self::new(self.connector.clone(), max_response_bytes, requests, self.clock.clone())
    }

    /// Reads a journal of the last `minutes` within `timeout`, giving every status to `on_record` as it arrives.
    ///
    /// Returns how many elements were malformed. What was given before a failure is to be thrown away.
    pub async fn journal(
        &self,
        method: JournalMethod,
        id: InstanceId,
        credentials: &Credentials,
        minutes: u64,
        timeout: Duration,
        mut on_record: impl FnMut(&[u8], Record),
    ) -> Result<u64, Failure> {
        let url = credentials.url(id, method.as_str(), &format!("?minutes={minutes}"));
        let mut body = self.get(&url, id.into(), timeout).await?;
        let mut fold = Fold::default();
        while let Some(chunk) = body.chunk().await? {
            fold.feed(&chunk, &mut on_record)?;
        }
        Ok(fold.finish()?)
    }

    /// Calls a method whose answer is small or read as a whole, and returns the body of a 200 that is complete within `timeout`. `query` is
    /// empty or begins with `?`.
    pub async fn call(
        &self,
        method: &str,
        query: &str,
        id: InstanceId,
        credentials: &Credentials,
        timeout: Duration,
    ) -> Result<Bytes, Failure> {
        self.get_whole(&credentials.url(id, method, query), id.into(), timeout)
            .await
    }

    /// Calls a method of a partner account, and returns the body of a 200 that is complete within `timeout`.
    pub async fn call_partner(
        &self,
        method: &str,
        credentials: &Credentials,
        timeout: Duration,
    ) -> Result<Bytes, Failure> {
        self.get_whole(&credentials.partner_url(method), 0, timeout).await
    }

    async fn get_whole(&self, url: &str, turn: u64, timeout: Duration) -> Result<Bytes, Failure> {
        let mut body = self.get(url, turn, timeout).await?;
        body.left = body.left.min(MAX_WHOLE_BYTES);
        let mut whole = BytesMut::new();
        while let Some(chunk) = body.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// Gets `url` and returns the body of a 200 whose declared length, if any, is within the limit. All of it must come
    /// within `timeout`. `turn` chooses the client: taking turns by id spreads the requests of a scrape evenly, since instances are
    /// asked in the order of their ids, most of which follow one another.
    async fn get(&self, url: &str, turn: u64, timeout: Duration) -> Result<Body, Failure> {
        let http = usize::try_from(turn % self.http.len() as u64).unwrap_or_default();
        let mut deadline = Deadline::after(timeout);
        let answer = deadline.keep(self.http[http].request(self.request(url)?)).await?;
        let answer = answer.map_err(|error| Failure::of_request(&error))?;
        let status = answer.status();
        if status == StatusCode::OK {
            if answer.body().size_hint().exact() > Some(self.max_response_bytes) {
                return Err(Failure::too_large());
            }
            return Ok(Body {
                answer,
                deadline,
                left: self.max_response_bytes,
            });
        }
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| parse_retry_after(text, self.clock.now()));
        // Only a 400 is told apart by its text. That the text can't be read, or doesn't come, doesn't change that it is a 400. What comes at
        // once is read of any, since that lets the connection be used again.
        let patience = match status {
            StatusCode::BAD_REQUEST => REASON_TIMEOUT,
            _ => REST_TIMEOUT,
        };
        let mut reason = BytesMut::new();
        let mut body = Body {
            answer,
            deadline,
            left: MAX_REASON_BYTES,
        };
        let reading = async {
            while let Ok(Some(chunk)) = body.chunk().await {
                reason.extend_from_slice(&chunk);
            }
        };
        _ = tokio::time::timeout(patience, reading).await;
        Err(Failure::of_answer(status.as_u16(), &reason, retry_after))
    }

    fn request(&self, url: &str) -> Result<Request<Empty<Bytes>>, Failure> {
        let uri = Uri::try_from(url).map_err(|error| Failure::of_url(&error))?;
        let proxy_authorization = self.connector.proxy_authorization(&uri);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(NAME));
        headers.extend(proxy_authorization.map(|authorization| (PROXY_AUTHORIZATION, authorization)));
        Ok(request)
    }
}

/// When all of an answer must have come.
struct Deadline {
    timeout: Duration,
    /// One for all chunks, looked at before the next of them: one made anew for each would never end before a chunk that is there.
    end: Pin<Box<Sleep>>,
}

impl Deadline {
    fn after(timeout: Duration) -> Self {
        Self {
            timeout,
            end: Box::pin(tokio::time::sleep(timeout)),
        }
    }

    /// What `work` comes to, or a failure where that is not known in time.
    async fn keep<F: Future>(&mut self, work: F) -> Result<F::Output, Failure> {
        tokio::select! {
            biased;
            () = &mut self.end => Err(Failure::timeout(self.timeout)),
            done = work => Ok(done),
        }
    }
}

/// A body that is read up to a limit.
struct Body {
    answer: Response<Incoming>,
    deadline: Deadline,
    left: u64,
}

impl Body {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let frame = self.deadline.keep(self.answer.frame()).await?;
        let Some(frame) = frame.transpose().map_err(|error| Failure::of_body(&error))? else {
            return Ok(None);
        };
        // What isn't data are trailers, which say nothing.
        let chunk = frame.into_data().unwrap_or_default();
        self.left = self
            .left
            .checked_sub(chunk.len() as u64)
            .ok_or_else(Failure::too_large)?;
        Ok(Some(chunk))
    }
}

/// Reads `Retry-After`: a number of seconds or a date.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    match text.parse() {
        Ok(seconds) => return Some(Duration::from_secs(seconds)),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => return Some(Duration::MAX),
        Err(_) => {}
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The API takes one request a second per instance and method (api.md 4).
pub const SPACING: Duration = Duration::from_secs(1);

/// What the exporter calls itself.
const NAME: &str = concat!("greenapi-exporter/", env!("CARGO_PKG_VERSION"));

/// How long a connection is kept without use: longer than the usual scrape interval of a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// How long a connection is silent before it is asked whether it is still there, and how long it may take to say so. Without this, one of
/// HTTP/2, which all requests share, would be used until the system gives it up after a quarter of an hour, or for ever where only the
/// server's program hangs.
const SILENCE: Duration = Duration::from_secs(15);

/// How much of an answer over HTTP/1.1 is read at a time, at most. hyper's own 400 KB don't fit the nearest cache.
const READ_BUFFER: usize = 64 * 1024;

/// How many requests at once a server allows over one HTTP/2 connection, as a rule; RFC 9113 recommends no fewer.
const STREAMS: usize = 100;

/// The longest answer that is read as a whole, since that takes memory: contacts and instances of a partner account have some 200 bytes.
const MAX_WHOLE_BYTES: u64 = 32 * 1024 * 1024;

/// How long to wait for the text of a 400, at most: its status code and `Retry-After` are known already.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait for the rest of an error answer of which nothing more is asked, at most.
const REST_TIMEOUT: Duration = Duration::from_millis(50);

/// The reasons on record have fewer than 300 bytes.
const MAX_REASON_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use rustls::{RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::Notify;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::fetch::FetchResult;

    #[tokio::test(start_paused = true)]
    async fn what_comes_after_the_deadline_is_late_even_if_it_was_there_at_once() {
        let mut deadline = Deadline::after(Duration::from_secs(2));
        let mut chunk = async || deadline.keep(std::future::ready(())).await;
        assert_eq!(chunk().await, Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(chunk().await, Ok(()));
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..3 {
            assert_eq!(chunk().await, Err(Failure::timeout(Duration::from_secs(2))));
        }
    }

    #[tokio::test]
    async fn an_http2_connection_that_does_not_answer_for_half_a_minute_is_given_up() {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(key.cert.der().clone()).unwrap();
        let mut tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.into()], key.signing_key.into())
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        // Over the first connection answers begin, until it is told to hang; then it is neither served nor closed.
        let hang = Arc::new(Notify::new());
        let hangs = hang.clone();
        tokio::spawn(async move {
            let mut silent = Vec::new();
            for is_whole in [false, true] {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = acceptor.accept(stream).await.unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let mut bodies = Vec::new();
                let serve = async {
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        let mut body = respond.send_response(Response::new(()), false).unwrap();
                        body.send_data("[]".into(), is_whole).unwrap();
                        bodies.push(body);
                    }
                };
                tokio::select! {
                    () = serve => {}
                    () = hangs.notified() => {}
                }
                silent.push((connection, bodies));
            }
        });

        let connector = Connector::trusting(roots, Proxies::of(|_| None));
        let client = Client::new(connector, 1000, 1, Clock::system());
        let mut body = client.get(&url, 0, Duration::from_mins(10)).await.unwrap();
        assert_eq!(body.chunk().await, Ok(Some("[]".into())));
        hang.notify_one();
        tokio::task::yield_now().await;
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        let failure = body.chunk().await.unwrap_err();
        assert_eq!(
            (failure.result, start.elapsed().as_secs()),
            (FetchResult::Interrupted, 30)
        );
        tokio::time::resume();
        let next = client.get_whole(&url, 0, Duration::from_mins(1)).await;
        assert_eq!(next, Ok("[]".into()));
    }

    #[tokio::test]
    async fn a_connection_that_nobody_uses_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            while stream.read(&mut head).await.unwrap() > 0 {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
                    .await
                    .unwrap();
            }
        });
        let client = Client::new(Connector::example(), 1000, 1, Clock::system());
        for _ in 0..2 {
            let answer = client.get_whole(&url, 0, Duration::from_mins(1)).await;
            assert_eq!(answer, Ok("[]".into()));
        }
        assert!(!server.is_finished());
        // Time passes as soon as there is nothing else to do.
        tokio::time::pause();
        let closed = tokio::time::timeout(10 * IDLE_TIMEOUT, server).await;
        closed.unwrap().unwrap();
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_anything_else_is_ignored() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |text, seconds: Option<u64>| {
            assert_eq!(parse_retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        };
        check("7", Some(7));
        check(" 120 ", Some(120));
        check("18446744073709551615", Some(u64::MAX));
        check("Sun, 06 Nov 1994 08:50:07 GMT", Some(30));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        assert_eq!(parse_retry_after("18446744073709551616", now), Some(Duration::MAX));
        check("-1", None);
        check("soon", None);
        check("", None);
    }
}
