//! `healthcheck`, the hidden command by which an image without shell and curl asks its own exporter whether it is alive.

use std::net::{Ipv4Addr, TcpListener};

use greenapi_exporter::simulator::Behaviour;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Exporter, Finished, binary, config, run, simulate};

async fn check(address: &str) -> Finished {
    run(&mut binary(&["healthcheck", "--web.listen-address", address])).await
}

/// The address of a server that answers everything with `answer`.
async fn server(answer: &'static [u8]) -> String {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(answer).await.unwrap();
    });
    address
}

#[tokio::test]
async fn a_live_exporter_is_healthy_whatever_its_instances_are() {
    let (simulator, url) = simulate(&[Behaviour::Forbidden]);
    let exporter = Exporter::start_on("0.0.0.0:0", &config(&simulator, &url, ""), &[]).await;
    // The address as it was given to the exporter, which is no address that one could ask.
    let finished = check(exporter.url.trim_start_matches("http://")).await;
    assert_eq!((finished.code, &*finished.stdout, &*finished.stderr), (Some(0), "", ""));
}

#[tokio::test]
async fn an_exporter_on_every_interface_is_found_where_one_of_the_protocols_is_missing() {
    // It listens on IPv4 alone, as on a system without IPv6.
    let address = server(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let (_, port) = address.rsplit_once(':').unwrap();
    assert_eq!(check(&format!(":{port}")).await.code, Some(0));
}

#[tokio::test]
async fn it_asks_where_the_environment_lets_the_exporter_listen() {
    let (simulator, url) = simulate(&[Behaviour::Healthy]);
    let exporter = Exporter::start(&config(&simulator, &url, ""), &[]).await;
    let addresses = format!("{},:1", exporter.url.trim_start_matches("http://"));
    let finished = run(binary(&["healthcheck"]).env("GREENAPI_EXPORTER_WEB_LISTEN_ADDRESS", addresses)).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}

#[tokio::test]
async fn an_exporter_that_refuses_the_request_is_alive() {
    let refusals: [&[u8]; 3] = [
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        // Where TLS is spoken.
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
    ];
    for refusal in refusals {
        let finished = check(&server(refusal).await).await;
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn nobody_silence_and_others_are_not_healthy() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = check(&format!(":{port}")).await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("no answer from"), "{}", nobody.stderr);

    // It is never accepted, so it is connected and stays without an answer.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silence = check(&silent.local_addr().unwrap().to_string()).await;
    assert_eq!(silence.code, Some(1));
    assert!(silence.stderr.contains("within 3s"), "{}", silence.stderr);

    let other = check(&server(b"HTTP/1.1 404 Not Found\r\n\r\n").await).await;
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("served by something else"), "{}", other.stderr);
}
