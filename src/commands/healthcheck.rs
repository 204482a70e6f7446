//! Asks the exporter of this machine whether it is alive, for containers that have no other program to ask with.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use greenapi_exporter::cli::Healthcheck;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks the exporter of this machine whether it is alive.
pub(crate) async fn healthcheck(flags: &Healthcheck) -> anyhow::Result<ExitCode> {
    let address = *flags.listen_addresses.first().context("no address is given")?;
    let answer = tokio::time::timeout(HEALTHCHECK_TIMEOUT, ask_health(&ways_to(address)))
        .await
        .map_err(|_| anyhow!("no answer from `{address}` within {HEALTHCHECK_TIMEOUT:?}"))?
        .with_context(|| format!("no answer from `{address}`"))?;
    // An exporter that asks for a password (401) or for TLS (400, to a request that is not at fault), or that has had enough
    // requests (429), is alive; no secret is needed to find that out.
    let is_alive = matches!(
        &answer,
        b"HTTP/1.1 200" | b"HTTP/1.1 400" | b"HTTP/1.1 401" | b"HTTP/1.1 429"
    );
    let no_exporter = || anyhow!("`{address}` is served by something else");
    is_alive.then_some(ExitCode::SUCCESS).ok_or_else(no_exporter)
}

/// Where an exporter that listens on `address` can be reached from this machine.
fn ways_to(address: SocketAddr) -> Vec<SocketAddr> {
    let hosts: Vec<IpAddr> = match address.ip() {
        // It takes both, and the system may have but one.
        IpAddr::V6(ip) if ip.is_unspecified() => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
        IpAddr::V4(ip) if ip.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
        ip => vec![ip],
    };
    hosts
        .into_iter()
        .map(|host| SocketAddr::new(host, address.port()))
        .collect()
}

/// The first bytes of the answer of the exporter at the first of `addresses` that can be reached; as many as there are, padded with zeros.
async fn ask_health(addresses: &[SocketAddr]) -> io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect(addresses).await?;
    let request = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 12];
    let mut length = 0;
    while length < answer.len() {
        match stream.read(&mut answer[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    Ok(answer)
}

/// How long a live exporter takes to say so, at most.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);
