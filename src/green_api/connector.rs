//! How the API's host is reached: directly or through a proxy, in the clear or over TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{self, Connected, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::SILENCE;

/// Opens connections to any host, through the proxy that the process' environment names for it, if any.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    /// To the API, by HTTP/2 where its host speaks that.
    to_api: Hop,
    to_proxy: Hop,
    proxies: Arc<Matcher>,
}

impl Connector {
    /// A connector that trusts the system's CA roots. An error, which says why, where there are none.
    pub(super) fn new() -> Result<Self, String> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(loaded.certs);
        if roots.is_empty() {
            let error = loaded.errors.first().map(ToString::to_string);
            return Err(error.unwrap_or_else(|| "the system has no CA roots".to_owned()));
        }
        Ok(Self::trusting(roots))
    }

    /// The same with these CA roots.
    pub(super) fn trusting(roots: RootCertStore) -> Self {
        let to_proxy = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut to_api = to_proxy.clone();
        to_api.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Self {
            to_api: Hop::new(to_api),
            to_proxy: Hop::new(to_proxy),
            proxies: Arc::new(Matcher::from_env()),
        }
    }

    /// What a request in the clear to `uri` says to the proxy that passes it on. One over TLS goes through a tunnel, which needs that no more.
    pub(super) fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if is_secure(uri) {
            return None;
        }
        self.proxies.intercept(uri)?.basic_auth().cloned()
    }

    async fn connect(self, uri: Uri) -> Result<Connection, BoxError> {
        let Some(proxy) = self.proxies.intercept(&uri) else {
            return self.to_api.connect(uri).await;
        };
        if !speaks_http(&proxy) {
            let scheme = proxy.uri().scheme_str().unwrap_or_default();
            return Err(format!("a proxy is spoken to by http or https, not by {scheme}").into());
        }
        if !is_secure(&uri) {
            return Ok(Connection {
                is_proxy: true,
                ..self.to_proxy.connect(proxy.uri().clone()).await?
            });
        }
        let name = (USER_AGENT, HeaderValue::from_static(super::NAME));
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy).with_headers(HeaderMap::from_iter([name]));
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let tunnel = tunnel.call(uri.clone()).await?;
        self.to_api.secure(&uri, TokioIo::new(tunnel)).await
    }
}

/// The variables of the `environment` whose proxy can't be used. Who has no other goes without, or fails to connect.
pub fn unusable_proxies(environment: impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
    let is_unusable = |proxy: &str| {
        let matcher = Matcher::builder().all(proxy).build();
        let proxy = matcher.intercept(&Uri::from_static("https://api.green-api.com"));
        !proxy.is_some_and(|proxy| speaks_http(&proxy))
    };
    let is_at_fault = |name: &&str| environment(name).is_some_and(|proxy| !proxy.is_empty() && is_unusable(&proxy));
    PROXY_VARIABLES.into_iter().filter(is_at_fault).collect()
}

fn speaks_http(proxy: &Intercept) -> bool {
    matches!(proxy.uri().scheme_str(), Some("http" | "https"))
}

/// Connects to the very host that a URI names.
#[derive(Debug, Clone)]
struct Hop {
    tcp: HttpConnector,
    tls: Arc<ClientConfig>,
}

impl Hop {
    fn new(tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
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
pub(super) struct Connection {
    stream: TokioIo<Box<dyn Stream>>,
    is_http2: bool,
    /// Whether requests are for a proxy to pass on.
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

/// Those that [`Matcher::from_env`] reads.
const PROXY_VARIABLES: [&str; 6] = [
    "ALL_PROXY",
    "all_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
];

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

    fn call(&mut self, uri: Uri) -> Connecting {
        Box::pin(self.clone().connect(uri))
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
