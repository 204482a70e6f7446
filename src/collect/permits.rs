//! How many requests may be under way at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits of all instances' requests. Those that were not answered in time when they were last made may have half of them, so that a
/// host that hangs keeps nobody waiting but its own instances.
#[derive(Debug)]
pub struct Permits {
    all: Arc<Semaphore>,
    for_unanswered: Arc<Semaphore>,
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
            for_unanswered: Arc::new(Semaphore::new(requests.div_ceil(2))),
        }
    }

    /// Waits until a request may be made, one that `was_unanswered` the last time or another one.
    pub(super) async fn permit(&self, was_unanswered: bool) -> Permit {
        // There always is one in the end: the semaphores are never closed.
        let share = if was_unanswered {
            self.for_unanswered.clone().acquire_owned().await.ok()
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

    /// How many requests may be under way, all of which were unanswered, and how many others beside them.
    async fn at_once(requests: usize) -> (usize, usize) {
        let permits = Permits::new(requests);
        let mut taken = Vec::new();
        let mut beside = [0, 0];
        for (was_unanswered, count) in [true, false].into_iter().zip(&mut beside) {
            while let Ok(permit) = timeout(Duration::from_secs(1), permits.permit(was_unanswered)).await {
                taken.push(permit);
                *count += 1;
            }
        }
        (beside[0], beside[1])
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_were_unanswered_leave_half_of_the_permits_to_others() {
        assert_eq!(at_once(64).await, (32, 32));
        assert_eq!(at_once(3).await, (2, 1));
        assert_eq!(at_once(2).await, (1, 1));
        assert_eq!(at_once(1).await, (1, 0));
    }
}
