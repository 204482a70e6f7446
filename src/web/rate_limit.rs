//! How many requests are answered in a time.

use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

/// Requests may come `interval` apart; after a pause, `burst` at once. Neither is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateLimit {
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

/// The requests that were admitted so far, kept as the time up to which they are paid for.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    paid_until: Option<Instant>,
}

impl Admitted {
    /// Admits a request at `now`, unless it goes beyond `limit`.
    pub(super) fn admit(&mut self, limit: &RateLimit, now: Instant) -> bool {
        let paid_until = self.paid_until.map_or(now, |until| until.max(now));
        let ahead = paid_until.duration_since(now);
        let allowance = limit.interval.saturating_mul(limit.burst - 1);
        // A time too far off to be told would be admitted never again.
        let next = paid_until.checked_add(limit.interval);
        if ahead > allowance || next.is_none() {
            return false;
        }
        self.paid_until = next;
        true
    }
}

/// A span of time as Go writes it: decimal numbers with units, such as `1h30m` and `0.5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GoDuration(pub(super) Duration);

impl FromStr for GoDuration {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected a duration such as `100ms`, `1s` or `1m30s`";
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let (mut rest, mut total) = (text, Duration::ZERO);
        while !rest.is_empty() || text.is_empty() {
            let is_number = |character: char| character.is_ascii_digit() || character == '.';
            let (number, after) = rest.split_at(rest.find(|character| !is_number(character)).ok_or(EXPECTED)?);
            let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
            let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(EXPECTED)?;
            let number: f64 = number.parse().map_err(|_| EXPECTED)?;
            let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| EXPECTED)?;
            total = total.checked_add(part).ok_or(EXPECTED)?;
            rest = after;
        }
        Ok(Self(total))
    }
}

/// The units and their seconds. Both signs for micro are in use.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("\u{b5}s", 1e-6),
    ("\u{3bc}s", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_admitted_at_once_and_then_one_request_an_interval() {
        let limit = RateLimit {
            interval: Duration::from_secs(10),
            burst: 3,
        };
        let start = Instant::now();
        let mut admitted = Admitted::default();
        let mut check = |seconds: u64, expected: bool| {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(admitted.admit(&limit, now), expected, "after {seconds} s");
        };
        check(0, true);
        check(0, true);
        check(0, true);
        check(0, false);
        check(9, false);
        check(10, true);
        check(10, false);
        // A pause, however long, saves up no more than a burst.
        for expected in [true, true, true, false] {
            check(1000, expected);
        }
    }

    #[test]
    fn an_interval_that_no_clock_can_tell_admits_nothing() {
        let limit = RateLimit {
            interval: Duration::MAX,
            burst: 2,
        };
        assert!(!Admitted::default().admit(&limit, Instant::now()));
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let check = |text: &str, milliseconds: Option<u64>| {
            let duration = text.parse().ok().map(|GoDuration(duration)| duration);
            assert_eq!(duration, milliseconds.map(Duration::from_millis), "{text}");
        };
        check("0", Some(0));
        check("0s", Some(0));
        check("100ms", Some(100));
        check("1.5h", Some(5_400_000));
        check("1h30m.5s", Some(5_400_500));
        check("2000\u{b5}s", Some(2));
        for text in [
            "",
            "1",
            "s",
            "-1s",
            "1d",
            "1.2.3s",
            "1s ",
            "9999999999999999999999h",
            ".s",
            "1s2",
        ] {
            check(text, None);
        }
    }
}
