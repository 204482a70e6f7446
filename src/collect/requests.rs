//! The requests of a fetch: how far apart they are, when one is made once more, and when the next fetch may begin.

use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::Target;
use super::permits::Permit;
use crate::fetch::{FetchResult, in_a_row};
use crate::flight::Landing;
use crate::green_api::SPACING;
use crate::green_api::failure::Failure;
use crate::label::LabelValue;

/// The latest value of something fetched, and what the next fetch must know of the requests before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Paced<T> {
    pub(super) value: T,
    /// How many requests in succession were rate limited.
    rate_limited_in_a_row: u32,
    /// How many fetches in succession were slow: had a request that took half of its timeout or more, whatever it came to.
    pub(super) slow_in_a_row: u32,
    /// When the last request ended.
    last_ended: Option<Instant>,
}

/// The requests of one fetch.
#[derive(Debug)]
pub(super) struct Requests {
    /// When the fetch began. It may have waited for its turn before the first request.
    start: Instant,
    /// The deadline that a repeated request must leave room before; absent where no scrape waits.
    deadline: Option<Instant>,
    /// Allows the first, where its turn has come already.
    permit: Option<Permit>,
    /// Whether the fetch before was slow.
    was_slow: bool,
    /// Whether this one is.
    pub(super) is_slow: bool,
    first_made: Option<Instant>,
    last_made: Option<Instant>,
    /// When the last request ended, of this fetch or of the one before.
    last_ended: Option<Instant>,
    /// What a request came to that was repeated.
    pub(super) repeated: Option<FetchResult>,
}

impl Requests {
    /// These, of a scrape with this `deadline`: a request is repeated only if that leaves room before it.
    pub(super) fn until(self, deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// These, the first of which `permit` allows: its turn has come already.
    pub(super) fn permitted(self, permit: Permit) -> Self {
        Self {
            permit: Some(permit),
            ..self
        }
    }

    /// Makes a request when its turn comes, and repeats it after a transient failure, if that leaves room before the deadline (spec 6).
    pub(super) async fn make<T, F: Future<Output = Result<T, Failure>>>(
        &mut self,
        target: &Target,
        method: &str,
        mut request: impl FnMut() -> F,
    ) -> Result<T, Failure> {
        let outcome = self.make_one(target, &mut request).await;
        match outcome {
            Err(failure) if failure.is_transient && self.have_room() => {
                let (result, cause) = (failure.result.as_str(), &failure.cause);
                debug!(instance = %target.account().name, method, result, cause, "asking once more");
                self.repeated = Some(failure.result);
                self.make_one(target, &mut request).await
            }
            outcome => outcome,
        }
    }

    /// Makes a request a second after the last one ended: it may have arrived just before its answer was sent, however early it was sent.
    async fn make_one<F: Future>(&mut self, target: &Target, request: &mut impl FnMut() -> F) -> F::Output {
        if let Some(last) = self.last_ended {
            tokio::time::sleep_until(last + SPACING).await;
        }
        let _permit = if let Some(permit) = self.permit.take() {
            permit
        } else {
            let is_slow = self.was_slow || target.api.hosts.hangs(target.api_url());
            target.api.permits.permit(is_slow).await
        };
        let now = Instant::now();
        self.first_made.get_or_insert(now);
        self.last_made = Some(now);
        let outcome = request().await;
        self.is_slow |= now.elapsed() >= target.config.settings.timeout / 2;
        self.last_ended = Some(Instant::now());
        outcome
    }

    fn have_room(&self) -> bool {
        let next = self.last_ended.map(|last| last + SPACING);
        self.deadline.is_none_or(|deadline| next < Some(deadline))
    }

    /// How long it is since the first was made.
    pub(super) fn duration(&self) -> Duration {
        self.first_made.unwrap_or(self.start).elapsed()
    }
}

impl<T> Paced<T> {
    /// No request yet; `value` is what is known without one.
    pub(super) fn of(value: T) -> Self {
        Self {
            value,
            rate_limited_in_a_row: 0,
            slow_in_a_row: 0,
            last_ended: None,
        }
    }

    /// The requests of the next fetch, which began at `start`.
    pub(super) fn requests(&self, start: Instant) -> Requests {
        Requests {
            start,
            deadline: None,
            permit: None,
            was_slow: self.slow_in_a_row > 0,
            is_slow: false,
            first_made: None,
            last_made: None,
            last_ended: self.last_ended,
            repeated: None,
        }
    }

    /// The landing, with `value`, of the next fetch, which has just ended after `requests` with `failure` or none.
    ///
    /// The one after it starts once all of these are over: `min_interval` from this one's start, `spacing` from its last request (a
    /// reload shortens that only after a failure), and the wait that the result prescribes.
    pub(super) fn landing(
        &self,
        value: T,
        failure: Option<&Failure>,
        requests: &Requests,
        spacing: Duration,
        min_interval: Duration,
    ) -> Landing<Self> {
        let is_limited = failure.is_some_and(|failure| failure.result == FetchResult::RateLimited);
        let rate_limited_in_a_row = in_a_row(self.rate_limited_in_a_row, is_limited);
        let last = requests.last_made.unwrap_or(requests.start);
        let (earliest, spaced, waited) = match failure {
            // `Requests` themselves wait for the last second.
            None => (last + spacing - SPACING, last + spacing, last),
            Some(failure) => {
                let wait = failure.result.wait(failure.retry_after, rate_limited_in_a_row);
                (last, last + spacing, Instant::now() + wait)
            }
        };
        Landing {
            value: Self {
                value,
                rate_limited_in_a_row,
                slow_in_a_row: in_a_row(self.slow_in_a_row, requests.is_slow),
                last_ended: requests.last_ended,
            },
            due: (requests.start + min_interval).max(spaced).max(waited),
            earliest,
        }
    }
}

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
        let previous = Paced {
            rate_limited_in_a_row: limited_before,
            ..Paced::of(())
        };
        let landing = previous.landing((), failure, &requests(start, start), spacing, min_interval);
        [landing.due - start, landing.earliest - start]
    }

    /// Those of a fetch that began at `start`, the last of which was made at `last`.
    fn requests(start: Instant, last: Instant) -> Requests {
        Requests {
            last_made: Some(last),
            ..Paced::of(()).requests(start)
        }
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
        check(Some(&forbidden), hour, minutes(2), [hour, at_once]);
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
            let landing = Paced::of(()).landing((), failure, &requests(start, last), spacing, min_interval);
            let next = [landing.due - start, landing.earliest - start];
            assert_eq!(next, expected.map(seconds), "{failure:?} {spacing:?} {min_interval:?}");
        };
        check(None, 1, 0, [6, 5]).await;
        check(None, 1, 10, [10, 5]).await;
        check(None, 60, 10, [65, 64]).await;
        check(Some(&server_error), 1, 0, [8, 5]).await;
        check(Some(&server_error), 60, 10, [65, 5]).await;
        check(Some(&server_error), 3600, 10, [3605, 5]).await;
        check(Some(&forbidden), 1, 10, [68, 5]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_rate_limited_itself_goes_on_with_a_row_of_rate_limited_requests() {
        let check = |result: Option<FetchResult>, expected| {
            let previous = Paced {
                rate_limited_in_a_row: 3,
                ..Paced::of(())
            };
            let (now, failure) = (Instant::now(), result.map(|result| failure(result, None)));
            let landing = previous.landing((), failure.as_ref(), &requests(now, now), SPACING, Duration::ZERO);
            assert_eq!(landing.value.rate_limited_in_a_row, expected, "{result:?}");
        };
        check(Some(FetchResult::RateLimited), 4);
        check(Some(FetchResult::ServerError), 0);
        check(None, 0);
    }
}
