//! How many requests may be under way at once, and whose turn it is.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

/// The permits of all instances' requests. Slow ones, as their last requests were, may have half of them, so that a host that hangs keeps
/// nobody waiting but its own instances.
#[derive(Debug)]
pub struct Permits {
    all: Arc<Semaphore>,
    for_slow: Arc<Semaphore>,
    quick_line: Mutex<()>,
    slow_line: Mutex<()>,
}

/// Lets a request be under way until this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _own: Option<OwnedSemaphorePermit>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Permits {
    /// So many permits, at least one.
    pub fn new(requests: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(requests)),
            for_slow: Arc::new(Semaphore::new(requests.div_ceil(2))),
            quick_line: Mutex::default(),
            slow_line: Mutex::default(),
        }
    }

    /// Waits until the lists of requests that came before, of those that are slow or of the others, have had their turns. It is the turn of
    /// the next list once what is returned is dropped: if lists took turns, the end of a long one would wait for all that came later.
    pub(super) async fn turn(&self, is_slow: bool) -> MutexGuard<'_, ()> {
        let line = if is_slow { &self.slow_line } else { &self.quick_line };
        line.lock().await
    }

    /// Waits until a request may be made, a slow one or another one.
    pub(super) async fn permit(&self, is_slow: bool) -> Permit {
        // There always is one in the end: the semaphores are never closed.
        let share = if is_slow {
            self.for_slow.clone().acquire_owned().await.ok()
        } else {
            None
        };
        Permit {
            _own: self.all.clone().acquire_owned().await.ok(),
            _share: share,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// How many slow requests may be under way, and how many others beside them.
    async fn at_once(requests: usize) -> (usize, usize) {
        let permits = Permits::new(requests);
        let mut taken = Vec::new();
        let mut beside = [0, 0];
        for (is_slow, count) in [true, false].into_iter().zip(&mut beside) {
            while let Ok(permit) = timeout(Duration::from_secs(1), permits.permit(is_slow)).await {
                taken.push(permit);
                *count += 1;
            }
        }
        (beside[0], beside[1])
    }

    #[tokio::test(start_paused = true)]
    async fn slow_requests_leave_half_of_the_permits_to_others() {
        assert_eq!(at_once(64).await, (32, 32));
        assert_eq!(at_once(3).await, (2, 1));
        assert_eq!(at_once(2).await, (1, 1));
        assert_eq!(at_once(1).await, (1, 0));
    }
}
