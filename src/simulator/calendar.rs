//! Writes times as the API does where it doesn't use Unix seconds: in errors and in the partner's list.

use std::time::Duration;

use x509_cert::der::DateTime;

/// A time in Unix seconds as `2025-03-31T16:50:20`, in UTC and without a zone, as in the partner's list (api.md 2.10).
pub(super) fn date_and_time(unix_seconds: u64) -> String {
    let time = DateTime::from_unix_duration(Duration::from_secs(unix_seconds)).unwrap_or(DateTime::INFINITY);
    time.to_string().trim_end_matches('Z').to_owned()
}

/// Seconds in a day.
pub(super) const DAY: u64 = 86_400;

/// Seconds in a year, as subscriptions last.
pub(super) const YEAR: u64 = 365 * DAY;
