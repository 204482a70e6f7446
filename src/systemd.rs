//! Speaks with systemd: tells it how the service is, and takes over sockets that it holds.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::TcpListener;
use tracing::warn;

/// Where systemd listens for what a service says of itself; silent where there is no systemd.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Option<SocketAddr>);

impl Notifier {
    /// Speaks to the socket that `NOTIFY_SOCKET` names, if it names one.
    pub fn new(notify_socket: Option<&str>) -> Self {
        let address = notify_socket.and_then(|path| match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(path).ok(),
        });
        Self(address)
    }

    /// The service is up.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// The service loads its configuration anew, and says [`Notifier::ready`] when it has.
    pub fn reloading(&self) {
        if self.0.is_some() {
            let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
            self.say(&reloading_at(&uptime));
        }
    }

    /// The service ends.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, state: &str) {
        let Some(address) = &self.0 else {
            return;
        };
        let said = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(state.as_bytes(), address));
        if let Err(error) = said {
            warn!(%error, state, "cannot tell systemd");
        }
    }
}

/// The sockets that systemd passed on to this process.
///
/// # Errors
/// Where there is none, or one can't be used.
pub fn sockets() -> io::Result<Vec<TcpListener>> {
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        if let Some(listener) = passed.take_tcp_listener(index)? {
            if !SockRef::from(&listener).is_listener()? {
                let complaint =
                    "systemd has passed a connection in place of a socket\n  hint: the socket unit needs `Accept=no`";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, complaint));
            }
            listener.set_nonblocking(true)?;
            listeners.push(TcpListener::from_std(listener)?);
        }
    }
    if listeners.is_empty() {
        let complaint =
            "systemd has passed no socket\n  hint: `--web.systemd-socket` is for a service with a socket unit";
        return Err(io::Error::new(io::ErrorKind::NotFound, complaint));
    }
    Ok(listeners)
}

fn reloading_at(uptime: &str) -> String {
    let time = parse_uptime(uptime).map(|time| format!("\nMONOTONIC_USEC={time}"));
    format!("RELOADING=1{}", time.unwrap_or_default())
}

/// Microseconds since the system started, from the text of `/proc/uptime`, rounded up. That is never behind the monotonic clock by which
/// systemd orders messages; one that seems to be from before the reload would be ignored.
fn parse_uptime(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let (seconds, hundredths): (u64, u64) = (seconds.parse().ok()?, hundredths.parse().ok()?);
    seconds
        .checked_mul(1_000_000)?
        .checked_add(hundredths.checked_add(1)?.checked_mul(10_000)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told_what_the_service_is_doing() {
        let folder = tempfile::tempdir().unwrap();
        let socket_path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&socket_path).unwrap();
        let notifier = Notifier::new(socket_path.to_str());
        notifier.ready();
        notifier.stopping();
        let mut buffer = [0; 64];
        for expected in ["READY=1", "STOPPING=1"] {
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(std::str::from_utf8(&buffer[..length]), Ok(expected));
        }
        Notifier::default().ready();
    }

    #[test]
    fn a_reload_says_when_it_began_if_the_system_tells() {
        assert_eq!(
            reloading_at("5204.83 9843.11\n"),
            "RELOADING=1\nMONOTONIC_USEC=5204840000"
        );
        assert_eq!(reloading_at(""), "RELOADING=1");
    }

    #[test]
    fn the_uptime_is_read_in_microseconds() {
        let check = |text, expected| assert_eq!(parse_uptime(text), expected, "{text}");
        check("5204.83 9843.11\n", Some(5_204_840_000));
        check("0.00 0.00\n", Some(10_000));
        check("99999999999999999999.00 0.00", None);
        check("", None);
        check("soon", None);
    }
}
