//! One fetch at a time of one thing, whoever asks, and its latest result for all of them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lock::locked;

/// Fetches a `T` when it is due. Those who ask while a fetch is under way share its result, and none of them can cancel it.
#[derive(Debug)]
pub struct Flight<T> {
    state: Mutex<State<T>>,
    /// Told whenever a fetch has ended.
    ended: Notify,
}

#[derive(Debug)]
struct State<T> {
    latest: T,
    /// When the next fetch may start; `None` while one is under way.
    due: Option<Instant>,
    /// When it may start once nobody has to wait any more.
    earliest: Instant,
    /// When the latest fetch started.
    departed: Instant,
    /// When it landed; absent before the first did.
    landed: Option<Instant>,
    /// Whether the wait was ended while a fetch was under way: then the wait that this fetch asks for on landing is skipped.
    is_wait_over: bool,
}

/// What a fetch came to, and when the next may start.
#[derive(Debug)]
pub struct Landing<T> {
    /// The new value.
    pub value: T,
    /// When the next fetch may start; not before `earliest`.
    pub due: Instant,
    /// When it may start if the wait is ended.
    pub earliest: Instant,
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// A flight that has not started; `latest` is served until the first lands.
    pub fn new(latest: T) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            latest,
            due: Some(now),
            earliest: now,
            departed: now,
            landed: None,
            is_wait_over: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            ended: Notify::new(),
        })
    }

    /// Starts `fetch`, which is given the latest value and the time, if it is due and not under way.
    pub fn start_if_due<F>(self: &Arc<Self>, fetch: impl FnOnce(T, Instant) -> F + Send + 'static)
    where
        F: Future<Output = Landing<T>> + Send + 'static,
    {
        if let Some(departure) = self.depart_if_due() {
            tokio::spawn(departure.fly(fetch));
        }
    }

    /// The next fetch, for the one who makes it, if it is due; it is under way from now on.
    pub fn depart_if_due(self: &Arc<Self>) -> Option<Departure<T>> {
        let start = Instant::now();
        let mut state = self.state();
        if state.due.is_none_or(|due| due > start) {
            return None;
        }
        state.due = None;
        state.departed = start;
        Some(Departure { flight: self.clone() })
    }

    /// The latest value, once a fetch that was under way at `asked` has landed; `None` if it still is at `deadline`.
    ///
    /// A fetch that started later is somebody else's: what was to be known by `asked` has landed before.
    pub async fn landed(&self, asked: Instant, deadline: Instant) -> Option<T> {
        let landed = async {
            loop {
                // Made before looking, so that a fetch that ends between the look and the wait is not missed.
                let ended = self.ended.notified();
                if let Some(landed) = self.unless_awaited(asked) {
                    return landed;
                }
                ended.await;
            }
        };
        tokio::time::timeout_at(deadline, landed).await.ok()
    }

    /// Lets the next fetch start as early as it may. If one is under way, it is the wait after that one that ends.
    pub fn end_wait(&self) {
        let mut state = self.state();
        match state.due {
            Some(due) => state.due = Some(due.min(state.earliest)),
            None => state.is_wait_over = true,
        }
    }

    /// Whether no fetch is under way, none landed within `rest`, and the next may start.
    pub fn is_idle(&self, rest: Duration) -> bool {
        let (state, now) = (self.state(), Instant::now());
        let has_rested = state.landed.is_none_or(|landed| landed + rest <= now);
        has_rested && state.due.is_some_and(|due| due <= now)
    }

    /// The latest value as it is now.
    pub fn latest(&self) -> T {
        self.state().latest.clone()
    }

    fn unless_awaited(&self, asked: Instant) -> Option<T> {
        let state = self.state();
        let is_awaited = state.due.is_none() && state.departed <= asked;
        (!is_awaited).then(|| state.latest.clone())
    }
}

impl<T> Flight<T> {
    fn land(&self, Landing { value, due, earliest }: Landing<T>) {
        let mut state = self.state();
        let due = if state.is_wait_over { due.min(earliest) } else { due };
        *state = State {
            latest: value,
            due: Some(due.max(earliest)),
            earliest,
            departed: state.departed,
            landed: Some(Instant::now()),
            is_wait_over: false,
        };
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        locked(&self.state)
    }
}

/// A fetch that is under way, also while it waits for its turn.
#[derive(Debug)]
pub struct Departure<T> {
    flight: Arc<Flight<T>>,
}

impl<T: Clone> Departure<T> {
    /// Fetches, given the latest value and when the fetch started; then lands.
    pub async fn fly<F: Future<Output = Landing<T>>>(self, fetch: impl FnOnce(T, Instant) -> F) {
        let (latest, start) = {
            let state = self.flight.state();
            (state.latest.clone(), state.departed)
        };
        self.flight.land(fetch(latest, start).await);
    }
}

impl<T> Drop for Departure<T> {
    /// A fetch that ends without landing, as by the end of the runtime, doesn't block the next.
    fn drop(&mut self) {
        self.flight.state().due.get_or_insert_with(Instant::now);
        self.flight.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_hours(1);

    fn in_an_hour() -> Instant {
        Instant::now() + LONG
    }

    /// What is told to one who asks now and has time.
    async fn landed(flight: &Flight<u32>) -> Option<u32> {
        flight.landed(Instant::now(), in_an_hour()).await
    }

    fn land(value: u32, fresh_for: Duration) -> impl FnOnce(u32, Instant) -> std::future::Ready<Landing<u32>> {
        move |_, start| std::future::ready(landing(value, start, fresh_for))
    }

    /// A landing of a fetch that began at `start`: there may be another a second later, if need be.
    fn landing(value: u32, start: Instant, fresh_for: Duration) -> Landing<u32> {
        Landing {
            value,
            due: start + fresh_for,
            earliest: start + SECOND,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_while_a_fetch_is_under_way_share_its_result() {
        let flight = Flight::new(0);
        let (answer, answered) = oneshot::channel();
        flight.start_if_due(|_, start| async move { landing(answered.await.unwrap(), start, LONG) });
        flight.start_if_due(|_, _| async { unreachable!("a second fetch") });
        let waiting = tokio::spawn({
            let flight = flight.clone();
            async move { landed(&flight).await }
        });
        answer.send(7).unwrap();
        assert_eq!(landed(&flight).await, Some(7));
        assert_eq!(waiting.await.unwrap(), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_asked_before_a_fetch_began_need_not_wait_for_it() {
        let flight = Flight::new(0);
        flight.start_if_due(land(1, SECOND));
        let asked = Instant::now();
        tokio::time::advance(SECOND).await;
        assert_eq!(flight.landed(asked, in_an_hour()).await, Some(1));
        let (answer, answered) = oneshot::channel();
        flight.start_if_due(|_, start| async move { landing(answered.await.unwrap(), start, LONG) });
        assert_eq!(flight.landed(asked, in_an_hour()).await, Some(1));
        answer.send(2).unwrap();
        assert_eq!(landed(&flight).await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_young_result_is_served_again_and_an_old_one_is_not() {
        let flight = Flight::new(0);
        flight.start_if_due(land(1, Duration::from_secs(10)));
        assert_eq!(landed(&flight).await, Some(1));
        tokio::time::advance(Duration::from_secs(9)).await;
        flight.start_if_due(land(2, Duration::from_secs(10)));
        assert_eq!(landed(&flight).await, Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        flight.start_if_due(land(3, Duration::from_secs(10)));
        assert_eq!(landed(&flight).await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_can_be_ended_but_for_the_earliest_time_also_while_a_fetch_is_under_way() {
        let flight = Flight::new(0);
        flight.start_if_due(land(1, LONG));
        assert_eq!(landed(&flight).await, Some(1));
        flight.end_wait();
        flight.start_if_due(land(2, LONG));
        assert_eq!(landed(&flight).await, Some(1));
        tokio::time::advance(SECOND).await;
        let (answer, answered) = oneshot::channel();
        flight.start_if_due(|_, start| async move { landing(answered.await.unwrap(), start, LONG) });
        flight.end_wait();
        answer.send(3).unwrap();
        assert_eq!(landed(&flight).await, Some(3));
        flight.start_if_due(land(4, LONG));
        assert_eq!(landed(&flight).await, Some(3));
        tokio::time::advance(SECOND).await;
        flight.start_if_due(land(5, LONG));
        assert_eq!(landed(&flight).await, Some(5));
        tokio::time::advance(SECOND).await;
        flight.start_if_due(land(6, LONG));
        assert_eq!(landed(&flight).await, Some(5), "a wait is ended once");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_gives_up_cancels_it_for_nobody() {
        let flight = Flight::new(0);
        let (answer, answered) = oneshot::channel();
        flight.start_if_due(|_, start| async move { landing(answered.await.unwrap(), start, LONG) });
        assert_eq!(
            flight
                .landed(Instant::now(), Instant::now() + Duration::from_secs(1))
                .await,
            None
        );
        answer.send(7).unwrap();
        assert_eq!(landed(&flight).await, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_panics_does_not_block_the_next() {
        let flight = Flight::new(0);
        flight.start_if_due(|_, _| async { panic!("lost") });
        assert_eq!(landed(&flight).await, Some(0));
        flight.start_if_due(land(1, LONG));
        assert_eq!(landed(&flight).await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_next_is_due_is_for_the_fetch_to_say_which_is_told_when_it_started() {
        let flight = Flight::new(0);
        let slow = |value: u32| {
            move |before: u32, start| async move {
                tokio::time::sleep(3 * SECOND).await;
                landing(10 * before + value, start, 10 * SECOND)
            }
        };
        let started = Instant::now();
        flight.start_if_due(slow(1));
        assert_eq!(landed(&flight).await, Some(1));
        assert_eq!(started.elapsed(), 3 * SECOND);
        tokio::time::advance(Duration::from_millis(6_999)).await;
        flight.start_if_due(slow(2));
        assert_eq!(landed(&flight).await, Some(1));
        tokio::time::advance(Duration::from_millis(1)).await;
        flight.start_if_due(slow(2));
        assert_eq!(landed(&flight).await, Some(12));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_unless_a_fetch_is_under_way_or_landed_just_now_or_the_next_must_wait() {
        let flight = Flight::new(0);
        let check = |expected| assert_eq!(flight.is_idle(2 * SECOND), expected);
        check(true);
        let (answer, answered) = oneshot::channel();
        flight.start_if_due(|_, start| async move { landing(answered.await.unwrap(), start, 10 * SECOND) });
        check(false);
        tokio::time::advance(9 * SECOND).await;
        answer.send(1).unwrap();
        assert_eq!(landed(&flight).await, Some(1));
        tokio::time::advance(SECOND).await;
        check(false);
        tokio::time::advance(SECOND).await;
        check(true);
        flight.start_if_due(land(2, 10 * SECOND));
        assert_eq!(landed(&flight).await, Some(2));
        tokio::time::advance(9 * SECOND).await;
        check(false);
        tokio::time::advance(SECOND).await;
        check(true);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_is_never_due_before_the_earliest_time() {
        let flight = Flight::new(0);
        flight.start_if_due(land(1, Duration::ZERO));
        assert_eq!(landed(&flight).await, Some(1));
        flight.start_if_due(land(2, Duration::ZERO));
        assert_eq!(landed(&flight).await, Some(1));
        tokio::time::advance(SECOND).await;
        flight.start_if_due(land(3, Duration::ZERO));
        assert_eq!(landed(&flight).await, Some(3));
    }
}
