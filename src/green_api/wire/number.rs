//! The numbers of a journal: where one ends, and which of them are timestamps.

use std::time::Duration;

/// How far a number has got (RFC 8259, section 6).
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Start,
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    /// The number with one more byte; `None` if that doesn't belong to it.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, b'-') => Self::Minus,
            (Self::Start | Self::Minus, b'0') => Self::Zero,
            (Self::Start | Self::Minus | Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    /// Whether it may end here.
    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }
}

/// The timestamp that a number is, if it is one.
pub(super) fn timestamp_of_number(number: &str) -> Option<u64> {
    let seconds = if let Ok(seconds) = number.parse() {
        seconds
    } else if number.contains(['e', 'E']) {
        Duration::try_from_secs_f64(number.parse::<f64>().ok()?.trunc())
            .ok()?
            .as_secs()
    } else {
        number.split('.').next()?.parse().ok()?
    };
    in_range(seconds)
}

/// The timestamp that a text is, if it is one.
pub(super) fn timestamp_of_digits(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    in_range(std::str::from_utf8(digits).ok()?.parse().ok()?)
}

/// These seconds as a timestamp, if they are one.
pub(super) fn in_range(timestamp: u64) -> Option<u64> {
    (1..=LATEST_TIMESTAMP).contains(&timestamp).then_some(timestamp)
}

/// The end of the year 9999, in Unix seconds.
const LATEST_TIMESTAMP: u64 = 253_402_300_799;
