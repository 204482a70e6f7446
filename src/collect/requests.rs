//! An attempt to fetch something, and when the next may be made.

use std::time::Duration;

use tokio::time::Instant;

use crate::fetch::FetchResult;
use crate::flight::Landing;
use crate::green_api::SPACING;
use crate::green_api::failure::Failure;

/// The latest value of something fetched, and what the next fetch must know of the requests before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempt<T> {
    pub(super) value: T,
    /// How many requests in succession were rate limited.
    rate_limited_in_a_row: u32,
    last_request: Option<Instant>,
}

/// When a fetch began, which may have waited for its turn, and when it made its last request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) start: Instant,
    pub(super) last: Instant,
}

impl<T> Attempt<T> {
    /// None yet, but for the value that is known.
    pub(super) fn of(value: T) -> Self {
        Self {
            value,
            rate_limited_in_a_row: 0,
            last_request: None,
        }
    }

    /// Waits until a second after the last request. That second may not be over yet if a reload ended the wait.
    pub(super) async fn spaced(&self) {
        if let Some(next) = self.last_request.map(|last| last + SPACING)
            && next > Instant::now()
        {
            tokio::time::sleep_until(next).await;
        }
    }

    /// The landing, with `value`, of the fetch after this one, which has just ended with `failure` or none.
    ///
    /// The next starts once all of these are over: `min_interval` from this one's start, `spacing` from its last request (which not even a
    /// reload shortens), and the wait that the result prescribes. After a failure `spacing` is cut to `LONGEST_RETRY`, because there is
    /// nothing to show until the next attempt.
    pub(super) fn landing(
        &self,
        value: T,
        failure: Option<&Failure>,
        asked: Asked,
        spacing: Duration,
        min_interval: Duration,
    ) -> Landing<Self> {
        let is_limited = failure.is_some_and(|failure| failure.result == FetchResult::RateLimited);
        let rate_limited_in_a_row = if is_limited { self.rate_limited_in_a_row + 1 } else { 0 };
        let (earliest, spaced, waited) = match failure {
            // The second is waited for by the fetch itself.
            None => (asked.last + spacing - SPACING, asked.last + spacing, asked.last),
            Some(failure) => {
                let wait = failure.result.wait(failure.retry_after, rate_limited_in_a_row);
                let spaced = asked.last + spacing.min(LONGEST_RETRY);
                (asked.last, spaced, Instant::now() + wait)
            }
        };
        Landing {
            value: Self {
                value,
                rate_limited_in_a_row,
                last_request: Some(asked.last),
            },
            due: (asked.start + min_interval).max(spaced).max(waited),
            earliest,
        }
    }
}

/// The most of a method's own spacing that counts after a failure: what it would tell is missing until it succeeds.
const LONGEST_RETRY: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after a fetch the next may begin, and how long if the wait is ended. It asked at once, after so many that were rate
    /// limited, and failed with `failure`.
    fn next(
        failure: Option<&Failure>,
        limited_before: u32,
        spacing: Duration,
        min_interval: Duration,
    ) -> [Duration; 2] {
        let start = Instant::now();
        let previous = Attempt {
            value: (),
            rate_limited_in_a_row: limited_before,
            last_request: None,
        };
        let landing = previous.landing((), failure, Asked { start, last: start }, spacing, min_interval);
        [landing.due - start, landing.earliest - start]
    }

    fn failure(result: FetchResult, retry_after: Option<u64>) -> Failure {
        Failure {
            result,
            cause: String::new(),
            retry_after: retry_after.map(Duration::from_secs),
            is_transient: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_waits_as_the_result_prescribes_and_never_less_than_a_second() {
        let check = |result, retry_after, limited_before, seconds| {
            let failure = failure(result, retry_after);
            let next = next(Some(&failure), limited_before, SPACING, Duration::ZERO);
            assert_eq!(
                next,
                [Duration::from_secs(seconds), Duration::ZERO],
                "{result:?} {retry_after:?} {limited_before}"
            );
        };
        check(FetchResult::Unauthorized, None, 0, 60);
        check(FetchResult::Forbidden, None, 0, 60);
        check(FetchResult::RateLimited, None, 0, 2);
        check(FetchResult::RateLimited, None, 1, 4);
        check(FetchResult::RateLimited, None, 4, 32);
        check(FetchResult::RateLimited, None, 5, 60);
        check(FetchResult::RateLimited, None, u32::MAX - 1, 60);
        check(FetchResult::RateLimited, Some(7), 3, 7);
        check(FetchResult::RateLimited, Some(0), 0, 1);
        check(FetchResult::RateLimited, Some(86_400), 0, 3600);
        check(FetchResult::NotAuthorized, None, 0, 1);
        check(FetchResult::ServerError, Some(30), 0, 1);
        assert_eq!(next(None, 3, SPACING, Duration::ZERO), [SPACING, Duration::ZERO]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_configured_interval_and_the_methods_own_hold_where_they_are_longer() {
        let forbidden = failure(FetchResult::Forbidden, None);
        let check = |failure, spacing, min_interval, expected: [Duration; 2]| {
            assert_eq!(
                next(failure, 0, spacing, min_interval),
                expected,
                "{spacing:?} {min_interval:?}"
            );
        };
        let short_of_an_hour = Duration::from_secs(3599);
        let (minutes, hour, at_once) = (Duration::from_mins, Duration::from_hours(1), Duration::ZERO);
        check(None, SPACING, minutes(2), [minutes(2), at_once]);
        check(Some(&forbidden), SPACING, minutes(2), [minutes(2), at_once]);
        check(None, hour, minutes(2), [hour, short_of_an_hour]);
        check(None, hour, 2 * hour, [2 * hour, short_of_an_hour]);
        check(Some(&forbidden), hour, minutes(2), [minutes(5), at_once]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_interval_counts_from_the_start_the_spacing_from_the_last_request_and_a_wait_from_the_end() {
        let seconds = Duration::from_secs;
        let forbidden = failure(FetchResult::Forbidden, None);
        let server_error = failure(FetchResult::ServerError, None);
        let check = async |failure, spacing, min_interval, expected: [u64; 2]| {
            let start = Instant::now();
            let last = start + seconds(5);
            tokio::time::advance(seconds(8)).await;
            let (spacing, min_interval) = (seconds(spacing), seconds(min_interval));
            let landing = Attempt::default().landing((), failure, Asked { start, last }, spacing, min_interval);
            let next = [landing.due - start, landing.earliest - start];
            assert_eq!(next, expected.map(seconds), "{failure:?} {spacing:?} {min_interval:?}");
            assert_eq!(landing.value.last_request, Some(last));
        };
        check(None, 1, 0, [6, 5]).await;
        check(None, 1, 10, [10, 5]).await;
        check(None, 60, 10, [65, 64]).await;
        check(Some(&server_error), 1, 0, [8, 5]).await;
        check(Some(&server_error), 60, 10, [65, 5]).await;
        check(Some(&server_error), 3600, 10, [305, 5]).await;
        check(Some(&forbidden), 1, 10, [68, 5]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_rate_limited_itself_goes_on_with_a_row_of_rate_limited_requests() {
        let check = |result: Option<FetchResult>, expected| {
            let previous = Attempt {
                rate_limited_in_a_row: 3,
                ..Attempt::default()
            };
            let (now, failure) = (Instant::now(), result.map(|result| failure(result, None)));
            let asked = Asked { start: now, last: now };
            let landing = previous.landing((), failure.as_ref(), asked, SPACING, Duration::ZERO);
            assert_eq!(landing.value.rate_limited_in_a_row, expected, "{result:?}");
        };
        check(Some(FetchResult::RateLimited), 4);
        check(Some(FetchResult::ServerError), 0);
        check(None, 0);
    }
}
