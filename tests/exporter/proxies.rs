//! Requests through a proxy that the environment names.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use greenapi_exporter::simulator::{Behaviour, Method};
use greenapi_exporter::web;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificates::of_server;
use crate::fetching::{acceptor, api, check_result, closing, raw_api, secure_api};
use crate::harness::{TempFile, binary, config, id, run, simulate};

/// What a proxy was asked, in the order of the requests.
type Asked = Arc<Mutex<Vec<String>>>;

/// A configuration of the first instance, whose API is at `api_url`.
fn one_instance(api_url: &str) -> TempFile {
    let yaml = format!(
        "instances: [{{id_instance: {}, api_token: a, api_url: '{api_url}'}}]",
        id(0)
    );
    TempFile::new("exporter.yml", &yaml)
}

#[tokio::test]
async fn in_the_clear_the_proxy_that_the_environment_names_is_asked_in_place_of_the_api() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let asked = Asked::default();
    let proxy = api({
        let asked = asked.clone();
        move |request: Request<_>| {
            let authorization = request.headers().get("proxy-authorization");
            let authorization = authorization.map(|value| value.to_str().unwrap());
            asked
                .lock()
                .unwrap()
                .push(format!("{} {authorization:?}", request.uri()));
            async { Response::new(web::full("[]")) }
        }
    });
    let proxied = format!(
        "  - {{id_instance: {}, api_token: a, api_url: 'http://api.example'}}\n",
        id(1)
    );
    let config = TempFile::new("exporter.yml", &(config(&simulator, &url, "") + &proxied));
    let check = async |proxy: &str, authorization: Option<&str>| {
        let mut once = binary(&["once", "--config.file", config.path()]);
        let finished = run(once.env("HTTP_PROXY", proxy).env("NO_PROXY", "127.0.0.1")).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let url = format!(
            "http://api.example/waInstance{}/getOutgoingStatuses/a?minutes=1440",
            id(1)
        );
        assert_eq!(*asked.lock().unwrap(), [format!("{url} {authorization:?}")]);
        asked.lock().unwrap().clear();
    };
    check(&proxy, None).await;
    let with_password = proxy.replace("http://", "http://user:p%40ss@");
    check(&with_password, Some("Basic dXNlcjpwQHNz")).await;
    assert_eq!(simulator.requests(id(0), Method::GetOutgoingStatuses).unwrap(), 2);
}

/// Tunnels what is asked of it, over TLS itself where it has a certificate.
async fn tunnels(tls: Option<TlsAcceptor>, asked: Asked) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (tls, asked) = (tls.clone(), asked.clone());
            tokio::spawn(async move {
                match tls {
                    None => tunnel(connection, &asked).await,
                    Some(tls) => tunnel(tls.accept(connection).await.unwrap(), &asked).await,
                }
            });
        }
    });
    address
}

async fn tunnel(mut from: impl AsyncRead + AsyncWrite + Unpin, asked: &Asked) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let host = head.split(' ').nth(1).unwrap().to_owned();
    asked.lock().unwrap().push(head);
    let mut to = TcpStream::connect(host).await.unwrap();
    from.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    // How it ends is the others' business.
    _ = copy_bidirectional(&mut from, &mut to).await;
}

#[tokio::test]
async fn over_tls_the_proxy_makes_a_tunnel_and_never_sees_a_token() {
    let folder = of_server();
    let api_url = secure_api(folder.path(), |request| async move {
        assert!(!request.headers().contains_key("proxy-authorization"));
        Response::new(web::full("[]"))
    });
    let host = api_url.strip_prefix("https://").unwrap();
    let config = one_instance(&api_url);

    for (scheme, tls) in [
        ("http", None),
        ("https", Some(acceptor(folder.path(), &[b"h2", b"http/1.1"]))),
    ] {
        let asked = Asked::default();
        let proxy = format!("{scheme}://user:p%40ss@{}", tunnels(tls, asked.clone()).await);
        let mut once = binary(&["once", "--config.file", config.path()]);
        once.env("HTTPS_PROXY", proxy)
            .env("SSL_CERT_FILE", folder.path().join("ca.pem"));
        let finished = run(&mut once).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let asked = asked.lock().unwrap();
        let [head] = &asked[..] else { panic!("{asked:?}") };
        assert!(head.starts_with(&format!("CONNECT {host} HTTP/1.1\r\n")), "{head}");
        assert!(
            head.to_lowercase().contains("\r\nproxy-authorization: basic "),
            "{head}"
        );
        assert!(head.contains(" dXNlcjpwQHNz\r\n"), "{head}");
        assert!(head.contains(": greenapi-exporter/"), "{head}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_a_failure_to_connect_that_says_whose_it_is() {
    let check = async |api_url: &str, proxy: &str| {
        let config = one_instance(api_url);
        let mut once = binary(&["once", "--config.file", config.path()]);
        let finished = run(once.env("ALL_PROXY", proxy)).await;
        check_result(&finished.stdout, 0, "connect");
        let cause = "cause=\"the proxy can't be used: ";
        assert!(finished.stderr.contains(cause), "{}", finished.stderr);
    };
    let (http, https) = ("http://api.example", "https://api.example");
    let (resetting, closing) = (closing(1).await, closing(65536).await);
    for proxy in [resetting, closing] {
        check(https, &format!("http://{proxy}")).await;
    }
    for answer in [
        &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
    ] {
        let (proxy, _) = raw_api(answer).await;
        check(https, &proxy).await;
    }
    // The handshake fails: the proxy ends it, or it is none that we trust.
    let untrusted = tunnels(Some(acceptor(of_server().path(), &[])), Asked::default()).await;
    for proxy in [resetting, closing, untrusted] {
        for api_url in [http, https] {
            check(api_url, &format!("https://{proxy}")).await;
        }
    }
}

#[tokio::test]
async fn a_handshake_with_the_api_that_fails_is_one_of_tls_also_behind_a_proxy() {
    let check = async |api_url: &str, roots: &Path| {
        let config = one_instance(api_url);
        for proxy in [
            String::new(),
            format!("http://{}", tunnels(None, Asked::default()).await),
        ] {
            let mut once = binary(&["once", "--config.file", config.path()]);
            once.env("SSL_CERT_FILE", roots).env("HTTPS_PROXY", proxy);
            check_result(&run(&mut once).await.stdout, 0, "tls");
        }
    };
    let (folder, other) = (of_server(), of_server());
    let api_url = secure_api(folder.path(), |_| async { Response::new(web::full("[]")) });
    check(&api_url, &other.path().join("ca.pem")).await;
    check(
        &format!("https://{}", closing(65536).await),
        &folder.path().join("ca.pem"),
    )
    .await;
}

#[tokio::test]
async fn a_proxy_of_another_protocol_is_a_failure_to_connect_that_says_so() {
    let config = one_instance("https://api.example");
    let mut once = binary(&["once", "--config.file", config.path()]);
    let finished = run(once.env("ALL_PROXY", "socks5://user:secret@127.0.0.1:1080")).await;
    check_result(&finished.stdout, 0, "connect");
    let cause = "a proxy is spoken to by http or https, not by socks5";
    assert!(finished.stderr.contains(cause), "{}", finished.stderr);
    assert!(!finished.stderr.contains("secret"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_variable_whose_proxy_cannot_be_used_is_named_without_its_value() {
    let config = one_instance("https://api.example");
    let check = async |name: &str, value: &str, is_named: bool| {
        let mut command = binary(&["check-config", "--config.file", config.path()]);
        let finished = run(command.env(name, value)).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert_eq!(
            finished.stderr.contains(&format!(" variable={name} ")),
            is_named,
            "{name}={value}: {}",
            finished.stderr
        );
        assert!(!finished.stderr.contains("secret"), "{}", finished.stderr);
    };
    for usable in [
        "",
        "proxy",
        "proxy:3128",
        "http://user:secret@proxy:3128",
        "https://[::1]/",
    ] {
        check("HTTPS_PROXY", usable, false).await;
    }
    for unusable in [
        "htps://user:secret@proxy",
        "socks5h://secret",
        "http://secret proxy",
        "://secret",
    ] {
        check("HTTPS_PROXY", unusable, true).await;
        check("all_proxy", unusable, true).await;
    }
}
