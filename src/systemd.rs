//! Speaks with systemd: tells it how the service is, and takes over sockets that it holds.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

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
    pub fn reloading(&self, monotonic_microseconds: Option<u64>) {
        let time = monotonic_microseconds.map(|time| format!("\nMONOTONIC_USEC={time}"));
        self.say(&format!("RELOADING=1{}", time.unwrap_or_default()));
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

/// Microseconds on the clock by which systemd orders messages, read from `/proc/uptime`'s text. It is rounded up: a message
/// that seems to be from before the reload would be ignored.
pub fn parse_uptime(text: &str) -> Option<u64> {
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
        let folder = std::env::temp_dir().join(format!("greenapi-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&folder).unwrap();
        let notifier = Notifier::new(folder.to_str());
        notifier.ready();
        notifier.reloading(Some(7));
        notifier.reloading(None);
        notifier.stopping();
        std::fs::remove_file(&folder).unwrap();
        let mut buffer = [0; 64];
        for expected in ["READY=1", "RELOADING=1\nMONOTONIC_USEC=7", "RELOADING=1", "STOPPING=1"] {
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(std::str::from_utf8(&buffer[..length]), Ok(expected));
        }
        Notifier::default().ready();
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
