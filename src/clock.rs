//! The only place that asks the system for the time. Everything else is given a [`Clock`] or a time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Tells the wall-clock time, and can be replaced by one that tests hold still.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that others are given")]
        Self(Arc::new(SystemTime::now))
    }

    /// A clock told by `now`.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// A clock that agrees with this one at this moment and runs `speed` times as fast from then on.
    #[must_use]
    pub fn accelerated(&self, speed: f64) -> Self {
        let (original, start) = (self.clone(), self.now());
        Self::new(move || {
            let elapsed = original.now().duration_since(start).unwrap_or_default();
            start + Duration::try_from_secs_f64(elapsed.as_secs_f64() * speed).unwrap_or(elapsed)
        })
    }

    /// The time now.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Clock")
    }
}

/// Whole seconds since 1970, as GREEN-API writes times; 0 for any time before.
pub fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
