//! From the texts of flags to their values. Errors say what is expected; clap says of which flag.

use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::duration::{DurationError, GoDuration, PrometheusDuration};
use crate::journal::LONGEST_WINDOW;
use crate::pages::PageName;

/// A reader of whole numbers within `bounds`.
pub(super) fn whole_number<T>(
    bounds: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| format!("expected a whole number from {} to {}", bounds.start(), bounds.end()))
    }
}

/// Reads `HOST:PORT` with a numeric host, or `:PORT` for every interface.
pub(super) fn parse_listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    const EXPECTED: &str =
        "expected `IP:PORT`, `[IPv6]:PORT`, `localhost:PORT` or `:PORT`; host names are not resolved";
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| EXPECTED)?;
        return Ok((Ipv6Addr::UNSPECIFIED, port).into());
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| EXPECTED)?;
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| EXPECTED)
}

/// Reads a number, or the one that ends the name of a StatefulSet's pod: `greenapi-exporter-3`.
pub(super) fn parse_ordinal(text: &str) -> Result<u32, &'static str> {
    let number = match text.rsplit_once('-') {
        Some((name, number)) if !name.is_empty() => number,
        _ => text,
    };
    number
        .parse()
        .map_err(|_| "expected a number, or a name that ends in `-` and a number")
}

pub(super) fn parse_telemetry_path(text: &str) -> Result<String, &'static str> {
    // Browsers take `//x` for a host.
    let is_plain = text.starts_with('/')
        && !text.starts_with("//")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    let is_taken = PageName::at(text).is_some() || text.starts_with("/-/");
    match (is_plain, is_taken) {
        (true, false) => Ok(text.to_owned()),
        (true, true) => Err("another page has this path"),
        (false, _) => Err("expected a path such as `/metrics`"),
    }
}

pub(super) fn parse_offset(text: &str) -> Result<Duration, &'static str> {
    text.parse().map(|GoDuration(offset)| offset)
}

pub(super) fn parse_since(text: &str) -> Result<Duration, String> {
    let PrometheusDuration(since) = text.parse().map_err(|error: DurationError| error.to_string())?;
    let bounds = Duration::from_mins(1)..=LONGEST_WINDOW;
    let is_within = bounds.contains(&since);
    is_within
        .then_some(since)
        .ok_or_else(|| "expected a duration from 1m to 30d".to_owned())
}

pub(super) fn parse_speed(text: &str) -> Result<f64, &'static str> {
    let speed = text
        .parse()
        .ok()
        .filter(|speed: &f64| (0.0..=100_000.0).contains(speed));
    speed.ok_or("expected a number from 0 to 100000")
}
