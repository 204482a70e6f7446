//! Durations as Prometheus writes them, such as `30s` and `1d12h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A span of time in Prometheus' notation (spec section 3): whole numbers with units, the largest unit first, each at
/// most once. A year has 365 days. It displays as Prometheus does: `24h` as `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrometheusDuration(pub Duration);

/// The units from the largest to the smallest, in milliseconds; whether one is written only where nothing remains.
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
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DurationError::NoUnit);
        }
        if text.is_empty() {
            return Err(DurationError::Syntax);
        }
        let (mut rest, mut units, mut total) = (text, UNITS.iter(), 0_u64);
        while !rest.is_empty() {
            let (number, after) = split_where(rest, |byte| !byte.is_ascii_digit());
            let (unit, after) = split_where(after, |byte| byte.is_ascii_digit());
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

/// Splits `text` before the first byte that `ends` its first part; both bytes that ever do are ASCII or follow ASCII.
fn split_where(text: &str, ends: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(ends).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
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
