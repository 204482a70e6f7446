//! How many requests are answered in a time.

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
        // Past the clock's range nothing could ever be admitted again.
        let next = paid_until.checked_add(limit.interval);
        if ahead > allowance || next.is_none() {
            return false;
        }
        self.paid_until = next;
        true
    }
}

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
}
