//! One connection: its handshake, then its requests, neither of which may take forever.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::activity::Activity;
use super::settings::H2;
use super::{Body, full};

/// Prepares the socket of a new connection.
pub(super) fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch off Nagle's algorithm");
    }
    // A client whose machine is gone without a word would otherwise be waited for while its request is answered.
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        debug!(%error, "cannot switch on keep-alive probes");
    }
}

/// Agrees on keys with the client, who may not take long. `None` where it comes to nothing.
pub(super) async fn handshake(stream: TcpStream, config: Arc<ServerConfig>) -> Option<TlsStream<TcpStream>> {
    let handshake = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
            let mut stream = stream;
            // What is left unread when a connection is closed can take the answer with it.
            _ = stream.read(&mut [0; 4096]).await?;
            stream.write_all(SPEAK_TLS).await?;
            return Err(io::Error::other("the client speaks HTTP without TLS"));
        }
        TlsAcceptor::from(config).accept(stream).await
    };
    match timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            debug!(%error, "cannot complete the TLS handshake");
            None
        }
        Err(_) => {
            debug!(timeout = ?HANDSHAKE_TIMEOUT, "TLS handshake took too long");
            None
        }
    }
}

/// Serves `handler` on a connection over TLS, by the protocol that was agreed on.
pub(super) fn serve_tls<H, F>(stream: TlsStream<TcpStream>, handler: H, connections: &Connections)
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    if stream.get_ref().1.alpn_protocol() == Some(H2) {
        serve_http2(stream, handler, connections);
    } else {
        serve_http1(stream, handler, connections);
    }
}

/// Serves `handler` on a connection by HTTP/1.1 or 1.0.
pub(super) fn serve_http1<S, H, F>(stream: S, handler: H, connections: &Connections)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let connection = http1::Builder::new()
        // A slow head is an idle connection, and that is watched here.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEADER_BYTES.into())
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service(handler, &activity));
    run(connection, activity, connections);
}

fn serve_http2<S, H, F>(stream: S, handler: H, connections: &Connections)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    // For HTTP/1, hyper sees to it that the answer to a HEAD has no body.
    let handler = move |request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let answer = handler(request);
        async move {
            let answer = answer.await;
            if is_head { head_of(answer) } else { answer }
        }
    };
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES.into())
        // No page reads a body, so that what comes of one would be kept until the answer.
        .initial_stream_window_size(UNREAD_BYTES)
        .initial_connection_window_size(UNREAD_BYTES)
        .serve_connection(TokioIo::new(stream), service(handler, &activity));
    run(connection, activity, connections);
}

/// The answer without its body, whose length it still tells.
fn head_of(answer: Response<Body>) -> Response<Body> {
    let length = answer.body().size_hint().exact();
    let mut head = answer.map(|_| full(Bytes::new()));
    if let Some(length) = length {
        head.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    head
}

fn service<H, F>(
    handler: H,
    activity: &Arc<Activity>,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static> + use<H, F>
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let activity = activity.clone();
    service_fn(move |request| {
        let under_way = activity.clone().begin();
        let answer = handler(request);
        async move {
            let answer = answer.await;
            under_way.answered();
            // What is under way is dropped with the body.
            let held = move |error| {
                _ = &under_way;
                error
            };
            Ok(answer.map(|body| body.map_err(held).boxed_unsync()))
        }
    })
}

/// Runs a connection in a task of its own, until it ends or is idle for too long.
fn run<C>(connection: C, activity: Arc<Activity>, connections: &Connections)
where
    C: GracefulConnection<Error = hyper::Error> + Send + 'static,
{
    let connection = connections.graceful.watch(connection);
    let mut stopping = connections.stopping.subscribe();
    tokio::spawn(async move {
        let stopped = async {
            // A client that doesn't say goodbye is not waited for.
            _ = stopping.wait_for(|stopping| *stopping).await;
            activity.idle(FAREWELL).await;
        };
        tokio::select! {
            outcome = connection => {
                if let Err(error) = outcome {
                    debug!(%error, "connection broke off");
                }
            }
            () = activity.idle(IDLE_TIMEOUT) => debug!(timeout = ?IDLE_TIMEOUT, "closed an idle connection"),
            () = stopped => debug!("closed a connection on stopping"),
        }
    });
}

/// The connections that are served.
#[derive(Default)]
pub(super) struct Connections {
    graceful: GracefulShutdown,
    stopping: watch::Sender<bool>,
}

impl Connections {
    /// Completes once the answers under way are sent.
    pub(super) async fn shutdown(self) {
        self.stopping.send_replace(true);
        self.graceful.shutdown().await;
    }
}

/// What a client gets that speaks HTTP where TLS is spoken. It ends with the connection.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    this port speaks TLS: use https://\n";

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take until its next request is complete and until its answer is taken: longer than the usual
/// scrape interval of a minute, so that a scraper keeps its connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long an answer may take to be taken once the server stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// The longest request head that is read.
const MAX_HEADER_BYTES: u16 = 16 * 1024;

/// How much of bodies, which nobody reads, is kept of one connection: the least that HTTP/2 allows.
const UNREAD_BYTES: u32 = 65_535;

/// How many requests a client may make at once over one connection.
const MAX_STREAMS: u32 = 100;

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio::time::Instant;

    use super::super::full;
    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// The beginning of a connection by HTTP/2, with empty settings.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    /// A connection by which 1 MiB is answered to every request, and what watches it.
    fn connection(serve: fn(DuplexStream, &Connections)) -> (DuplexStream, Connections) {
        let (client, server) = tokio::io::duplex(1024);
        let connections = Connections::default();
        serve(server, &connections);
        (client, connections)
    }

    async fn answer(_: Request<Incoming>) -> Response<Body> {
        Response::new(full(vec![b'a'; 1024 * 1024]))
    }

    fn http1(stream: DuplexStream, connections: &Connections) {
        serve_http1(stream, answer, connections);
    }

    fn http2(stream: DuplexStream, connections: &Connections) {
        serve_http2(stream, answer, connections);
    }

    /// How many seconds it takes until the client is given up who sends `pieces`, one every 10 seconds, and doesn't read.
    async fn seconds_until_closed((mut client, connections): (DuplexStream, Connections), pieces: &[&[u8]]) -> u64 {
        let start = Instant::now();
        for piece in pieces {
            if client.write_all(piece).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        while connections.graceful.count() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_keep_a_connection_for_nothing_are_given_up() {
        let check = async |serve: fn(DuplexStream, &Connections), pieces: &[&[u8]], expected: u64| {
            let seconds = seconds_until_closed(connection(serve), pieces).await;
            assert!((expected..=expected + 1).contains(&seconds), "{seconds} s {pieces:?}");
        };
        // Nothing is sent at all; a head never ends; the answer isn't read.
        check(http1, &[], 75).await;
        check(http1, &[&b"G"[..]; 20], 80).await;
        check(http1, &[REQUEST], 75).await;
        check(http2, &[], 75).await;
        // Pings are not answered either.
        check(http2, &[PREFACE], 40).await;
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_not_taken_end_a_connection_by_which_others_are_asked_for() {
        let (client, connections) = connection(http2);
        let mut builder = h2::client::Builder::new();
        let handshake = builder.initial_window_size(0).handshake::<_, Bytes>(client);
        let (mut requests, driver) = handshake.await.unwrap();
        tokio::spawn(driver);
        let start = Instant::now();
        let mut untaken = Vec::new();
        while connections.graceful.count() > 0 {
            let head = Request::get("http://localhost/").body(()).unwrap();
            untaken.extend(requests.send_request(head, true));
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        assert_eq!(start.elapsed().as_secs(), 90, "looked at every 30 s");
    }

    #[tokio::test(start_paused = true)]
    async fn little_is_kept_of_what_nobody_reads() {
        let (client, _connections) = connection(|stream, connections| {
            serve_http2(stream, async |_| std::future::pending().await, connections);
        });
        let (mut requests, driver) = h2::client::handshake(client).await.unwrap();
        tokio::spawn(driver);
        let head = Request::post("http://localhost/").body(()).unwrap();
        let (_answer, mut body) = requests.send_request(head, false).unwrap();
        let mut sent = 0;
        body.reserve_capacity(1024 * 1024);
        let sending = async {
            while let Some(Ok(capacity)) = std::future::poll_fn(|context| body.poll_capacity(context)).await {
                sent += capacity;
                body.send_data(Bytes::from(vec![0; capacity]), false).unwrap();
                body.reserve_capacity(1024 * 1024);
            }
        };
        _ = timeout(Duration::from_secs(2), sending).await;
        assert!(sent <= 64 * 1024, "{sent} bytes are kept of one connection");
    }

    #[tokio::test(start_paused = true)]
    async fn a_scraper_keeps_its_connection_from_minute_to_minute() {
        let (mut client, _connections) = connection(|stream, connections| {
            serve_http1(stream, async |_| Response::new(full("a")), connections);
        });
        for _ in 0..10 {
            client.write_all(REQUEST).await.unwrap();
            let mut status = [0; 15];
            client.read_exact(&mut status).await.unwrap();
            assert_eq!(&status, b"HTTP/1.1 200 OK");
            let mut rest = [0; 1024];
            let length = client.read(&mut rest).await.unwrap();
            assert!(rest[..length].ends_with(b"\r\n\r\na"));
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
    }

    /// Serves an answer that takes so many minutes.
    fn slow_http1<const MINUTES: u64>(stream: DuplexStream, connections: &Connections) {
        let slow = async |_| {
            tokio::time::sleep(Duration::from_mins(MINUTES)).await;
            Response::new(full("a"))
        };
        serve_http1(stream, slow, connections);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_be_under_way_for_long() {
        let (mut client, _connections) = connection(slow_http1::<9>);
        client.write_all(REQUEST).await.unwrap();
        let mut status = [0; 15];
        client.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_for_the_next_request_however_long_the_one_before_took() {
        let (mut client, _connections) = connection(slow_http1::<2>);
        for _ in 0..2 {
            client.write_all(REQUEST).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\na") {
                assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "closed");
            }
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
    }

    #[tokio::test]
    async fn the_system_looks_whether_a_client_is_still_there() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream);
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_get_on_with_the_handshake_is_given_up() {
        for sent in [&b""[..], b"\x16\x03\x01"] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(sent).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let nobody = rustls::server::ResolvesServerCertUsingSni::new();
            let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
            let config = config.with_safe_default_protocol_versions().unwrap();
            let config = config.with_no_client_auth().with_cert_resolver(Arc::new(nobody));
            let start = Instant::now();
            assert!(handshake(stream, Arc::new(config)).await.is_none());
            assert_eq!(start.elapsed(), HANDSHAKE_TIMEOUT, "{sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_say_goodbye_is_not_waited_for() {
        let check = async |serve: fn(DuplexStream, &Connections), sent: &[u8], before: u64, expected: u64| {
            let (mut client, connections) = connection(serve);
            client.write_all(sent).await.unwrap();
            tokio::time::sleep(Duration::from_secs(before)).await;
            let start = Instant::now();
            connections.shutdown().await;
            assert_eq!(start.elapsed().as_secs(), expected, "{sent:?} {before} s before");
        };
        check(http1, b"", 1, 0).await;
        check(http1, REQUEST, 1, 9).await;
        check(http2, PREFACE, 1, 9).await;
        check(http2, PREFACE, 20, 0).await;
    }
}
