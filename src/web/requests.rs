//! The requests of a connection, and whether there are any.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::lock::locked;

/// The requests of a connection. One rule ends all that would never end by itself: a client that sends nothing, that
/// sends a head byte by byte, that doesn't take its answer, or that is gone.
pub(super) struct Requests(Mutex<Load>);

struct Load {
    under_way: usize,
    /// When one was last begun or answered.
    moved: Instant,
}

impl Default for Requests {
    fn default() -> Self {
        let moved = Instant::now();
        Self(Mutex::new(Load { under_way: 0, moved }))
    }
}

impl Requests {
    /// A request is under way until what is returned is dropped.
    pub(super) fn begin(self: Arc<Self>) -> UnderWay {
        self.step(|under_way| under_way + 1);
        UnderWay(self)
    }

    fn step(&self, change: impl FnOnce(usize) -> usize) {
        let mut load = locked(&self.0);
        load.under_way = change(load.under_way);
        load.moved = Instant::now();
    }

    /// Completes once nothing was under way, asked or answered for `limit`.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let look_again = {
                let load = locked(&self.0);
                let since = if load.under_way == 0 { load.moved } else { now };
                since + limit
            };
            if look_again <= now {
                return;
            }
            sleep_until(look_again).await;
        }
    }
}

pub(super) struct UnderWay(Arc<Requests>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.step(|under_way| under_way.saturating_sub(1));
    }
}
