//! Writes times as the API does where it doesn't use Unix seconds: in errors and in the partner's list.

/// A time in Unix seconds as `2025-03-31T16:50:20`, in UTC and without a zone, as in the partner's list (api.md 2.10).
pub(super) fn date_and_time(unix_seconds: u64) -> String {
    let (day, second) = (unix_seconds / DAY, unix_seconds % DAY);
    let (year, month, day) = date(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of the day that comes `days` after 1 January 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // Years are counted from March: the leap day comes last, and the lengths of the months follow a line.
    let days = days + DAYS_FROM_YEAR_0;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// Seconds in a day.
pub(super) const DAY: u64 = 86_400;

/// Seconds in a year, as subscriptions last.
pub(super) const YEAR: u64 = 365 * DAY;

/// Days in 400 years, after which the calendar repeats.
const ERA: u64 = 146_097;

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_FROM_YEAR_0: u64 = 719_468;
