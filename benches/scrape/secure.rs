//! The same API over TLS, by HTTP/2 or HTTP/1.1: served as the exporter serves itself.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use greenapi_exporter::web::{self, WebConfig};
use hyper::Response;
use tokio::runtime::Builder;

/// An API over TLS. It is there until the benchmark ends.
pub(crate) struct SecureApi {
    pub(crate) address: SocketAddr,
    /// The certificate that its clients have to trust.
    pub(crate) roots: PathBuf,
}

impl SecureApi {
    /// Answers with `body` after `latency`.
    pub(crate) fn start(body: String, latency: Duration, http2: bool) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("secure");
        fs::create_dir_all(&folder).unwrap();
        let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let roots = folder.join(if http2 { "h2.pem" } else { "h1.pem" });
        fs::write(&roots, identity.cert.pem()).unwrap();
        let key = roots.with_extension("key");
        fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
        let file = roots.with_extension("yml");
        let config = format!(
            "tls_server_config: {{cert_file: {}, key_file: {}}}\nhttp_server_config: {{http2: {http2}}}\n",
            roots.display(),
            key.display()
        );
        fs::write(&file, config).unwrap();
        let body = Bytes::from(body);
        let (tell, told) = channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = web::bind(([127, 0, 0, 1], 0).into()).unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let web_config = Arc::new(WebConfig::open(&file).unwrap());
                let handler = move |_| {
                    let body = body.clone();
                    async move {
                        tokio::time::sleep(latency).await;
                        Response::new(web::full(body))
                    }
                };
                web::serve_configured(vec![listener], web_config, handler, std::future::pending()).await;
            });
        });
        Self {
            address: told.recv().unwrap(),
            roots,
        }
    }
}
