//! Serves HTTP: accepts connections, bounds what a client may do, and ends without cutting off an answer.
//!
//! What is answered is the caller's affair: the exporter and the simulator are both served by this. How the exporter is
//! served and to whom, a file can say in the format of Prometheus' exporter-toolkit: a [`WebConfig`].

mod activity;
mod client_certificate;
mod client_policy;
mod connection;
mod offer;
mod rate_limit;
mod settings;
mod tls;
mod users;
mod watched;
mod web_config;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tracing::{debug, warn};

pub use web_config::WebConfig;

use connection::Connections;

/// The body of an answer. An error in it breaks the connection off.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is complete from the start.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer that is plain text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    with_body(status, "text/plain; charset=utf-8", full(text))
}

/// An answer of this type.
pub fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// A body whose blocks are made when they can be sent.
pub fn streamed(blocks: impl Iterator<Item = io::Result<Vec<u8>>> + Send + Unpin + 'static) -> Body {
    Streamed(blocks).boxed_unsync()
}

struct Streamed<I>(I);

impl<I: Iterator<Item = io::Result<Vec<u8>>> + Unpin> hyper::body::Body for Streamed<I> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let block = self.0.next();
        Poll::Ready(block.map(|block| block.map(|bytes| Frame::data(bytes.into()))))
    }
}

/// Binds `address`. The unspecified IPv6 address takes IPv4 connections too, whatever the system's default, and only
/// those where the system has no IPv6.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = |address| {
        Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )
    };
    bind_by(socket, address)
}

fn bind_by(socket: impl Fn(SocketAddr) -> io::Result<Socket>, address: SocketAddr) -> io::Result<TcpListener> {
    let everywhere = |ip: IpAddr| SocketAddr::new(ip, address.port());
    let (address, socket) = match socket(address) {
        Err(_) if address == everywhere(Ipv6Addr::UNSPECIFIED.into()) => {
            let address = everywhere(Ipv4Addr::UNSPECIFIED.into());
            (address, socket(address)?)
        }
        socket => (address, socket?),
    };
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    TcpSocket::from_std_stream(socket.into()).listen(LISTEN_BACKLOG)
}

/// Serves `handler` on `listeners`, in the clear and to everybody, until `stop` completes; then takes no new connections
/// and returns once the answers under way are sent, or 30 seconds are over.
pub async fn serve<H, F>(listeners: Vec<TcpListener>, handler: H, stop: impl Future<Output = ()>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    serve_by(listeners, || None, handler, stop).await;
}

/// Serves as [`serve`] does, but how and to whom `web_config` says.
pub async fn serve_configured<H, F>(
    listeners: Vec<TcpListener>,
    web_config: Arc<WebConfig>,
    handler: H,
    stop: impl Future<Output = ()>,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let of_connections = web_config.clone();
    let guarded = move |request| {
        let (web_config, handler) = (web_config.clone(), handler.clone());
        async move { web_config.answer(request, handler).await }
    };
    serve_by(listeners, move || of_connections.tls(), guarded, stop).await;
}

/// Serves with what `tls` says of each connection.
async fn serve_by<T, H, F>(listeners: Vec<TcpListener>, tls: T, handler: H, stop: impl Future<Output = ()>)
where
    T: Fn() -> Option<Arc<ServerConfig>> + Clone + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let connections = Arc::new(Connections::default());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, tls.clone(), handler.clone(), connections.clone()));
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

async fn accept<T, H, F>(listener: TcpListener, tls: T, handler: H, connections: Arc<Connections>)
where
    T: Fn() -> Option<Arc<ServerConfig>>,
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // In tasks of their own, so that a slow one doesn't hold up the next connection; they end with this loop.
    let mut handshakes = JoinSet::new();
    let mut has_failed = false;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    has_failed = false;
                    connection::prepare(&stream);
                    match tls() {
                        None => connection::serve_http1(stream, handler.clone(), &connections),
                        Some(tls) => {
                            handshakes.spawn(connection::handshake(stream, tls));
                        }
                    }
                }
                Err(error) => {
                    // Most likely there are no descriptors left. Some connection will end; until then, don't spin.
                    if std::mem::replace(&mut has_failed, true) {
                        debug!(%error, "still cannot accept a connection");
                    } else {
                        warn!(%error, "cannot accept a connection");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(shaken) = handshakes.join_next() => {
                if let Ok(Some(stream)) = shaken {
                    connection::serve_tls(stream, handler.clone(), &connections);
                }
            }
        }
    }
}

/// How long answers under way may take once the server stops.
const GRACE: Duration = Duration::from_secs(30);

const LISTEN_BACKLOG: u32 = 1024;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn every_interface_is_every_interface_that_there_is() {
        let without_ipv6 = |address: SocketAddr| match address {
            SocketAddr::V4(_) => Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP)),
            SocketAddr::V6(_) => Err(io::Error::other("address family not supported")),
        };
        let check = |address: &str, expected: Option<Ipv4Addr>| {
            let bound = bind_by(without_ipv6, address.parse().unwrap()).ok();
            let ip = bound.map(|listener| listener.local_addr().unwrap().ip());
            assert_eq!(ip, expected.map(IpAddr::from), "{address}");
        };
        check("[::]:0", Some(Ipv4Addr::UNSPECIFIED));
        check("127.0.0.1:0", Some(Ipv4Addr::LOCALHOST));
        // Whoever asks for an IPv6 address gets no other.
        check("[::1]:0", None);
    }

    #[tokio::test]
    async fn an_address_can_be_taken_again_at_once_after_connections_to_it_were_closed() {
        let first = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = first.local_addr().unwrap();
        let _client = tokio::net::TcpStream::connect(address).await.unwrap();
        // Who closes first has to remember the connection for a while.
        drop(first.accept().await.unwrap());
        drop(first);
        assert_eq!(bind(address).unwrap().local_addr().unwrap(), address);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_too_long_is_not_waited_for_in_the_end() {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (asked, stop) = tokio::sync::mpsc::unbounded_channel();
        let handler = move |_| {
            _ = asked.send(());
            std::future::pending()
        };
        let stop = async {
            let mut stop = stop;
            stop.recv().await.unwrap();
        };
        let start = tokio::time::Instant::now();
        serve(vec![listener], handler, stop).await;
        assert_eq!(start.elapsed(), GRACE);
    }
}
