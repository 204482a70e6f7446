//! Serves HTTP: accepts connections, bounds what a client may do, and ends without cutting off an answer.
//!
//! What is answered is the caller's affair: the exporter and the simulator are both served by this.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// The body of an answer. An error in it breaks the connection off.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is complete from the start.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Binds `address`. The unspecified IPv6 address takes IPv4 connections too, whatever the system's default.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM.nonblocking(),
        Some(socket2::Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    TcpSocket::from_std_stream(socket.into()).listen(LISTEN_BACKLOG)
}

/// Serves `handler` on `listeners` until `stop` completes; then takes no new connections and returns once the answers
/// under way are sent, or `GRACE` is over.
pub async fn serve<H, F>(listeners: Vec<TcpListener>, handler: H, stop: impl Future<Output = ()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let connections = Arc::new(GracefulShutdown::new());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, handler.clone(), connections.clone()));
    }
    stop.await;
    accepting.shutdown().await;
    // The accepting tasks are gone, and with them the other owners of the connections.
    let Some(connections) = Arc::into_inner(connections) else {
        return;
    };
    if tokio::time::timeout(GRACE, connections.shutdown()).await.is_err() {
        warn!(grace = ?GRACE, "stopped with answers under way");
    }
}

async fn accept<H, F>(listener: TcpListener, handler: H, connections: Arc<GracefulShutdown>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve_connection(stream, handler.clone(), &connections),
            Err(error) => {
                // Most likely there are no descriptors left. Some connection will end; until then, don't spin.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn serve_connection<H, F>(stream: TcpStream, handler: H, connections: &GracefulShutdown)
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch off Nagle's algorithm");
    }
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "connection broke off");
        }
    });
}

/// How long a client may take until its next request is complete, slow or idle: longer than the usual scrape interval
/// of a minute, so that a scraper keeps its connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// The longest request head that is read.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// How long answers under way may take once the server stops.
const GRACE: Duration = Duration::from_secs(30);

const LISTEN_BACKLOG: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What a client gets that sends `request` and then nothing. Time runs ahead whenever all wait.
    async fn check(request: &[u8], expected: &str) {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let handler = |_| async { Response::new(full("here")) };
        let server = tokio::spawn(serve(vec![listener], handler, std::future::pending()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request).await.unwrap();
        let begun = tokio::time::Instant::now();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected), "{answer}");
        assert!(begun.elapsed() <= 2 * HEADER_TIMEOUT, "{:?}", begun.elapsed());
        server.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_are_slow_or_idle_are_dropped() {
        check(b"", "").await;
        check(b"GET / HTTP/1.1\r\nHost", "").await;
        check(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK").await;
    }
}
