//! Durations as they are written: by Prometheus, such as `30s` and `1d12h`, and by Go, such as `0.5s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A span of time in Prometheus' notation (spec section 3): whole numbers with units, the largest unit first, each at
/// most once. A year has 365 days. It displays as Prometheus does: `24h` as `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrometheusDuration(pub Duration);

/// Prometheus' units from the largest to the smallest, in milliseconds; whether one is written only where nothing remains.
const UNITS: [(&str, u64, bool); 7] = [
    ("y", 365 * 86_400_000, true),
    ("w", 7 * 86_400_000, true),
    ("d", 86_400_000, false),
    ("h", 3_600_000, false),
    ("m", 60_000, false),
    ("s", 1_000, false),
    ("ms", 1, false),
];

/// In milliseconds. Prometheus counts nanoseconds in 63 bits, which is 292 years.
const LONGEST: u64 = i64::MAX.unsigned_abs() / 1_000_000;

impl FromStr for PrometheusDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if text.is_empty() {
            return Err(DurationError::Syntax);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DurationError::NoUnit);
        }
        let (mut rest, mut units, mut total) = (text, UNITS.iter(), 0_u64);
        while !rest.is_empty() {
            let (number, after) = split_before(rest, |character| !character.is_ascii_digit());
            let (unit, after) = split_before(after, |character| character.is_ascii_digit());
            // The units still to come are all smaller, so one out of order or given twice is not found.
            let milliseconds = units.find(|(name, ..)| *name == unit).ok_or(DurationError::Syntax)?.1;
            if number.is_empty() {
                return Err(DurationError::Syntax);
            }
            total = number
                .parse::<u64>()
                .ok()
                .and_then(|number| number.checked_mul(milliseconds)?.checked_add(total))
                .filter(|total| *total <= LONGEST)
                .ok_or(DurationError::TooLong)?;
            rest = after;
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for PrometheusDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return formatter.write_str("0s");
        }
        for (unit, milliseconds, only_if_exact) in UNITS {
            if rest >= milliseconds && (!only_if_exact || rest.is_multiple_of(milliseconds)) {
                write!(formatter, "{}{unit}", rest / milliseconds)?;
                rest %= milliseconds;
            }
        }
        Ok(())
    }
}

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number alone.
    #[error("a duration needs a unit")]
    NoUnit,
    /// Anything that is not numbers with units, the largest first.
    #[error("not a duration")]
    Syntax,
    /// More than 292 years.
    #[error("the duration is too long")]
    TooLong,
}

impl DurationError {
    /// What to write instead.
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoUnit => "add a unit, such as `30s`",
            Self::Syntax => {
                "write whole numbers with the units y, w, d, h, m, s and ms, largest first, such as `1d12h`"
            }
            Self::TooLong => "write a shorter one, such as `24h`",
        }
    }
}

/// A span of time as Go writes it: decimal numbers with units, such as `1h30m` and `0.5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl FromStr for GoDuration {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected a duration such as `100ms`, `0.5s`, `1s` or `1m30s`";
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if text.is_empty() {
            return Err(EXPECTED);
        }
        let is_of_number = |character: char| character.is_ascii_digit() || character == '.';
        let (mut rest, mut total) = (text, Duration::ZERO);
        while !rest.is_empty() {
            let (number, after) = split_before(rest, |character| !is_of_number(character));
            let (unit, after) = split_before(after, is_of_number);
            let (_, seconds) = GO_UNITS.iter().find(|(name, _)| *name == unit).ok_or(EXPECTED)?;
            let number: f64 = number.parse().map_err(|_| EXPECTED)?;
            let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| EXPECTED)?;
            total = total.checked_add(part).ok_or(EXPECTED)?;
            rest = after;
        }
        Ok(Self(total))
    }
}

/// Go's units and their seconds. Both signs for micro are in use.
const GO_UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("\u{b5}s", 1e-6),
    ("\u{3bc}s", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Splits `text` before the first character that `ends` its first part.
fn split_before(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_and_written_as_prometheus_does() {
        let check = |text: &str, milliseconds: u64, written: &str| {
            let duration: PrometheusDuration = text.parse().unwrap();
            assert_eq!(duration.0, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(duration.to_string(), written);
        };
        check("0", 0, "0s");
        check("0s", 0, "0s");
        check("500ms", 500, "500ms");
        check("1500ms", 1_500, "1s500ms");
        check("30s", 30_000, "30s");
        check("90s", 90_000, "1m30s");
        check("24h", 86_400_000, "1d");
        check("1d12h", 129_600_000, "1d12h");
        check("7d", 604_800_000, "1w");
        check("8d", 691_200_000, "8d");
        check("1y", 31_536_000_000, "1y");
        check("1y2w3d4h5m6s7ms", 33_019_506_007, "382d4h5m6s7ms");
        for text in [
            "", "1", "s", "1S", "1s1m", "1s1s", "1.5h", "-1s", "+1s", " 1s", "1s ", "1 s", "1µs", "1ms1s", "293y",
        ] {
            assert!(text.parse::<PrometheusDuration>().is_err(), "{text}");
        }
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

    proptest! {
        #[test]
        fn a_duration_is_read_as_it_was_written(milliseconds in 0..9_223_372_036_854_u64) {
            let duration = PrometheusDuration(Duration::from_millis(milliseconds));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn no_text_is_too_odd_for_a_duration(text in "([0-9]{1,20}[.]?(y|w|d|h|m|s|ms|us|ns|)){0,4}") {
            let _ = (text.parse::<PrometheusDuration>(), text.parse::<GoDuration>());
        }
    }
}
