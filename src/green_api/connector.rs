//! How the API's host is reached: directly or through a proxy, in the clear or over TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{self, Connected, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::SILENCE;
use super::proxies::{Proxies, speaks_http};
use super::resolver::Resolver;

/// Opens connections to any host, directly or through its proxy.
#[derive(Debug, Clone)]
pub struct Connector {
    /// To the API, by HTTP/2 where its host speaks that.
    to_api: Hop,
    to_proxy: Hop,
    proxies: Arc<Proxies>,
}

/// The system's CA roots can't be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot set up TLS: {0}\n  hint: install the system's CA roots (package `ca-certificates`), or name a file of them by `SSL_CERT_FILE`"
)]
pub struct TlsError(String);

/// It is the proxy that can't be connected to, or that makes no tunnel.
#[derive(Debug, thiserror::Error)]
#[error("the proxy can't be used")]
pub(super) struct ProxyError(#[source] BoxError);

impl Connector {
    /// A connector that trusts the system's CA roots. An error where there are none.
    pub fn new(proxies: Proxies) -> Result<Self, TlsError> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(loaded.certs);
        if roots.is_empty() {
            let error = loaded.errors.first().map(ToString::to_string);
            return Err(TlsError(
                error.unwrap_or_else(|| "the system has no CA roots".to_owned()),
            ));
        }
        Ok(Self::trusting(roots, proxies))
    }

    /// The same with these CA roots.
    pub(crate) fn trusting(roots: RootCertStore, proxies: Proxies) -> Self {
        let to_proxy = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut to_api = to_proxy.clone();
        to_api.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        let resolver = Resolver::default();
        Self {
            to_api: Hop::new(to_api, resolver.clone()),
            to_proxy: Hop::new(to_proxy, resolver),
            proxies: Arc::new(proxies),
        }
    }

    /// What a request in the clear to `uri` says to the proxy that passes it on. Over TLS the proxy was told when it was asked for the
    /// tunnel; the request is for the API alone, which must not learn the password.
    pub(super) fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if is_secure(uri) {
            return None;
        }
        self.proxies.between(uri)?.basic_auth().cloned()
    }

    async fn connect(self, uri: Uri) -> Result<Connection, BoxError> {
        let Some(proxy) = self.proxies.between(&uri) else {
            return self.to_api.connect(uri).await;
        };
        if !speaks_http(&proxy) {
            let scheme = proxy.uri().scheme_str().unwrap_or_default();
            return Err(format!("a proxy is spoken to by http or https, not by {scheme}").into());
        }
        if !is_secure(&uri) {
            let connection = self.to_proxy.connect(proxy.uri().clone()).await;
            return Ok(Connection {
                is_proxy: true,
                ..connection.map_err(ProxyError)?
            });
        }
        let name = (USER_AGENT, HeaderValue::from_static(super::NAME));
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy).with_headers(HeaderMap::from_iter([name]));
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let tunnel = tunnel.call(uri.clone()).await;
        let tunnel = tunnel.map_err(|error| ProxyError(error.into()))?;
        self.to_api.secure(&uri, TokioIo::new(tunnel)).await
    }
}

#[cfg(test)]
impl Connector {
    /// One that trusts nobody and knows no proxy.
    pub(crate) fn example() -> Self {
        Self::trusting(RootCertStore::empty(), Proxies::of(|_| None))
    }
}

/// Connects to the very host that a URI names.
#[derive(Debug, Clone)]
struct Hop {
    tcp: HttpConnector<Resolver>,
    tls: Arc<ClientConfig>,
}

impl Hop {
    fn new(tls: ClientConfig, resolver: Resolver) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(SILENCE));
        tcp.set_keepalive_interval(Some(SILENCE));
        tcp.set_keepalive_retries(Some(2));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(2 * SILENCE));
        Self {
            tcp,
            tls: Arc::new(tls),
        }
    }

    async fn connect(mut self, uri: Uri) -> Result<Connection, BoxError> {
        let tcp = self.tcp.call(uri.clone()).await?.into_inner();
        if is_secure(&uri) {
            return self.secure(&uri, tcp).await;
        }
        Ok(Connection::over(tcp))
    }

    /// A connection over TLS to the host of `uri`, which `stream` leads to.
    async fn secure(self, uri: &Uri, stream: impl Stream + 'static) -> Result<Connection, BoxError> {
        // A URI has an IPv6 address in brackets, a certificate doesn't.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned())?;
        let tls = TlsConnector::from(self.tls).connect(name, stream).await?;
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok(Connection {
            is_http2,
            ..Connection::over(tls)
        })
    }
}

/// What HTTP is spoken over.
pub struct Connection {
    stream: TokioIo<Box<dyn Stream>>,
    is_http2: bool,
    /// Whether it leads to a proxy that passes requests on, which therefore name the API's host.
    is_proxy: bool,
}

impl Connection {
    fn over(stream: impl Stream + 'static) -> Self {
        Self {
            stream: TokioIo::new(Box::new(stream)),
            is_http2: false,
            is_proxy: false,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Connecting = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

fn is_secure(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS)
}

/// How long it may take to connect, through a proxy and with the handshakes of TLS.
const LONGEST_CONNECTING: Duration = Duration::from_secs(30);

/// As TLS negotiates it.
const HTTP2: &[u8] = b"h2";

// What hyper asks of a connector and of its connections.

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    /// Where another connection comes free meanwhile, hyper goes on with this one, and nobody else sets it a limit.
    fn call(&mut self, uri: Uri) -> Connecting {
        let connecting = tokio::time::timeout(LONGEST_CONNECTING, self.clone().connect(uri));
        Box::pin(async {
            connecting
                .await
                .map_err(|_| format!("no connection within {LONGEST_CONNECTING:?}"))?
        })
    }
}

impl Service<Uri> for Hop {
    type Response = Connection;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        Box::pin(self.clone().connect(uri))
    }
}

impl connect::Connection for Connection {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.is_proxy);
        if self.is_http2 {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_nobody_waits_for_is_given_up_if_its_handshake_hangs() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("https://{}/", listener.local_addr().unwrap());
        let start = tokio::time::Instant::now();
        let connection = Connector::example().call(uri.parse().unwrap()).await;
        assert_eq!(connection.err().unwrap().to_string(), "no connection within 30s");
        assert_eq!(start.elapsed().as_secs(), LONGEST_CONNECTING.as_secs());
    }
}
