//! What happens on a connection: which requests are under way, and since when none is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::lock::locked;

/// The requests of a connection. One rule ends all that would never end by itself: a client that sends nothing, that
/// sends a head byte by byte, that doesn't take its answer, or that is gone.
pub(super) struct Activity(Mutex<State>);

struct State {
    /// The requests by their number; each with the time at which its answer could be taken, once it can.
    under_way: BTreeMap<u64, Option<Instant>>,
    /// The number of the next request.
    next: u64,
    /// When a request was last begun or its answer taken.
    moved: Instant,
}

impl Default for Activity {
    fn default() -> Self {
        Self(Mutex::new(State {
            under_way: BTreeMap::new(),
            next: 0,
            moved: Instant::now(),
        }))
    }
}

impl Activity {
    /// A request is under way until what is returned is dropped.
    pub(super) fn begin(self: Arc<Self>) -> UnderWay {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.under_way.insert(number, None);
        state.moved = Instant::now();
        drop(state);
        UnderWay { activity: self, number }
    }

    /// Completes once nothing was under way for `limit`, or an answer hasn't been taken for as long, whatever else is asked meanwhile.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let look_again = self.state().idle_since().unwrap_or(now) + limit;
            if look_again <= now {
                return;
            }
            sleep_until(look_again).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }
}

impl State {
    /// Since when the client is waited for; `None` while it waits itself.
    fn idle_since(&self) -> Option<Instant> {
        let longest_untaken = self.under_way.values().flatten().min();
        let is_idle = self.under_way.is_empty();
        longest_untaken.copied().or_else(|| is_idle.then_some(self.moved))
    }
}

/// A request that is answered, or whose answer isn't taken yet.
pub(super) struct UnderWay {
    activity: Arc<Activity>,
    number: u64,
}

impl UnderWay {
    /// The answer is there for the client to take.
    pub(super) fn answered(&self) {
        self.activity
            .state()
            .under_way
            .insert(self.number, Some(Instant::now()));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.under_way.remove(&self.number);
        state.moved = Instant::now();
    }
}
