//! Keeps the ledgers of all instances: what an answer changes is in the store before it is shown.
//!
//! A ledger goes ahead of the store, so that each answer is compared with the one before it however long the disk takes.

mod state;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::error;

use crate::account::InstanceId;
use crate::clock::unix_seconds;
use crate::journal::Journal;
use crate::ledger::{Ledger, minutes_covering};
use crate::lock::locked;
use crate::snapshot::LedgerView;
use crate::store::{self, Store, StoreError};

use self::state::{Book, State};

/// The books of both journals.
#[derive(Debug, Clone, Default)]
pub struct AllBooks {
    /// Of statuses that accounts published.
    pub outgoing: Arc<Books>,
    /// Of statuses that their contacts published.
    pub incoming: Arc<Books>,
}

impl AllBooks {
    /// The ledgers in the stores in `directory`, each of which is made if there is none. Blocks while it reads.
    ///
    /// # Errors
    /// As for [`store::make_directory`] and [`Store::open`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let outgoing = Books::open(directory)?;
        let incoming = Books::open(&store::make_directory(directory, INCOMING)?)?;
        Ok(Self {
            outgoing: Arc::new(outgoing),
            incoming: Arc::new(incoming),
        })
    }

    /// Says whether the ledgers in `directory` can be opened, and how many statuses they know: see [`Store::check`].
    pub fn check(directory: &Path) -> Result<Option<usize>, StoreError> {
        let outgoing = Store::check(directory)?;
        let incoming = store::existing_directory(directory, INCOMING)?;
        let incoming = incoming.map(|path| Store::check(&path)).transpose()?.flatten();
        Ok(outgoing.into_iter().chain(incoming).reduce(|one, other| one + other))
    }

    /// Statuses known to all ledgers.
    pub fn entries(&self) -> u64 {
        self.each().map(Books::entries).sum()
    }

    /// How often a store could not be written.
    pub fn errors(&self) -> u64 {
        self.each().map(Books::errors).sum()
    }

    /// How many answers have changed something since the last writes began.
    pub fn submitted(&self) -> usize {
        self.each().map(Books::submitted).sum()
    }

    /// Settles both at once: see [`Books::settle`].
    pub async fn settle(&self, deadline: Instant) {
        tokio::join!(self.outgoing.settle(deadline), self.incoming.settle(deadline));
    }

    /// Writes all that isn't on record yet before the program ends, and waits for it until `deadline`.
    pub async fn close(&self, deadline: Instant) {
        for books in self.each() {
            books.state().submit_successes();
        }
        let unsettled = |state: &State, _| state.is_unsettled();
        tokio::join!(
            self.outgoing.write_if(unsettled, deadline),
            self.incoming.write_if(unsettled, deadline)
        );
    }

    /// Drops the ledgers of those whose journal nobody has read for so long before `now` that none of its statuses is known any more,
    /// unless `is_kept`. The store is told when it is next settled; a program that is killed before drops them after its next start.
    pub fn forget_abandoned(&self, now: SystemTime, is_kept: impl Fn(InstanceId) -> bool) {
        for books in self.each() {
            let mut ids = books.abandoned(now);
            ids.retain(|id| !is_kept(*id));
            books.state().forget(ids);
        }
    }

    fn each(&self) -> impl Iterator<Item = &Books> {
        [&*self.outgoing, &*self.incoming].into_iter()
    }
}

/// The directory of the ledgers of incoming statuses, within that of the others.
const INCOMING: &str = "incoming";

/// The ledgers of all instances, and where they are kept.
#[derive(Debug, Default)]
pub struct Books {
    state: Mutex<State>,
    /// Held by the one who writes: batches reach it one after the other. Absent where counters start from zero with the process.
    store: Arc<AsyncMutex<Option<Store>>>,
}

impl Books {
    /// The ledgers in the store in `directory`, which is made if there is none. Blocks while it reads.
    fn open(directory: &Path) -> Result<Self, StoreError> {
        let (store, ledgers) = Store::open(directory)?;
        let books = ledgers.into_iter().map(|(id, ledger)| (id, Book::new(ledger)));
        let state = State {
            by_instance: books.collect(),
            ..State::default()
        };
        Ok(Self {
            state: Mutex::new(state),
            store: Arc::new(AsyncMutex::new(Some(store))),
        })
    }

    /// Sees to it that the instance has a ledger; a new one counts from `now`.
    pub fn begin(&self, id: InstanceId, now: SystemTime) {
        let State {
            by_instance, unwritten, ..
        } = &mut *self.state();
        by_instance.entry(id).or_insert_with(|| {
            let ledger = Ledger::new(unix_seconds(now));
            unwritten.insert(id, ledger.creation());
            Book::new(ledger)
        });
    }

    /// When the instance's journal was last read, as far as the ledger knows: the store is told of it every ten minutes.
    pub fn last_success(&self, id: InstanceId) -> Option<SystemTime> {
        let seconds = self.state().by_instance.get(&id)?.ledger.last_success()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// The minutes to ask the API for, so that nothing is missed since the last answer (spec 7.4).
    pub fn minutes_to_ask(&self, id: InstanceId, window: Duration, now: SystemTime) -> u64 {
        match self.state().by_instance.get(&id) {
            None => minutes_covering(window),
            Some(book) => book.ledger.minutes_to_ask(window, unix_seconds(now)),
        }
    }

    /// Enters the answer to what was asked for at `asked_at`. It is shown once it is settled.
    pub fn submit(&self, id: InstanceId, journal: Journal, asked_at: SystemTime) {
        let mut state = self.state();
        let Some(book) = state.by_instance.get_mut(&id) else {
            error!(%id, "an answer is not counted, as its instance has no ledger: this is a bug");
            return;
        };
        let changes = book.ledger.changes(&journal, unix_seconds(asked_at));
        // A long one's memory is needed now.
        drop(journal);
        if changes.is_empty() {
            book.ledger.commit(changes);
        } else {
            book.ledger.commit(changes.clone());
            state.submitted += 1;
            state.add(id, changes);
        }
    }

    /// How many answers have changed something since the last write began.
    fn submitted(&self) -> usize {
        self.state().submitted
    }

    /// The instances whose journal nobody has read for so long that none of its statuses is known any more.
    fn abandoned(&self, now: SystemTime) -> Vec<InstanceId> {
        let now = unix_seconds(now);
        let state = self.state();
        let abandoned = state
            .by_instance
            .iter()
            .filter(|(_, book)| book.ledger.is_abandoned(now));
        abandoned.map(|(id, _)| *id).collect()
    }

    /// What has been counted of the instance and may be shown.
    pub fn view(&self, id: InstanceId) -> Arc<LedgerView> {
        let shown = self.state().by_instance.get(&id).map(|book| book.shown.clone());
        shown.unwrap_or_default()
    }

    /// Statuses known to all ledgers.
    fn entries(&self) -> u64 {
        self.state().by_instance.values().map(|book| book.shown.entries).sum()
    }

    /// How often the store could not be written.
    fn errors(&self) -> u64 {
        self.state().errors
    }

    /// Writes all that the store doesn't know yet, at once, and waits for it until `deadline`.
    ///
    /// Where the store fails or is slow, what was shown before stays: counters never run ahead of it. After a failure it is left alone for
    /// a while, at most 10 seconds.
    pub async fn settle(self: &Arc<Self>, deadline: Instant) {
        self.write_if(State::is_due, deadline).await;
    }

    /// Writes if it `is_due` when the writes before have ended, and waits for these and for itself until `deadline`.
    async fn write_if(self: &Arc<Self>, is_due: fn(&State, Instant) -> bool, deadline: Instant) {
        let is_idle = !is_due(&self.state(), Instant::now()) && self.store.try_lock().is_ok();
        if is_idle {
            return;
        }
        let written = async {
            let (books, store) = (self.clone(), self.store.clone().lock_owned().await);
            if is_due(&self.state(), Instant::now()) {
                // A task of its own, so that a scraper who hangs up leaves no write half entered.
                _ = tokio::spawn(async move { books.write(store).await }).await;
            }
        };
        // Being late is no error: the next scrape shows it.
        _ = tokio::time::timeout_at(deadline, written).await;
    }

    async fn write(&self, store: OwnedMutexGuard<Option<Store>>) {
        let start = Instant::now();
        let batch = self.state().take();
        let Ok(mut store) = OwnedMutexGuard::try_map(store, Option::as_mut) else {
            return self.state().show(batch);
        };
        // It waits for the disk, and the runtime has better to do.
        let writing = spawn_blocking(move || {
            let written = batch.write(&mut store).map_err(|error| error.to_string());
            (batch, written, store)
        });
        // The store is given back last, so that changes reach it in the order in which they came.
        let Ok((batch, written, _store)) = self.awaited(writing).await else {
            // The program is ending: a write isn't broken off otherwise.
            return;
        };
        let mut state = self.state();
        match written {
            Ok(()) => {
                state.succeeded();
                state.show(batch);
            }
            Err(error) => {
                state.put_back(batch);
                state.refused(&error, start.elapsed(), Instant::now());
            }
        }
    }

    /// What a write comes to. For as long as the disk takes it is told that it fails, once a minute.
    async fn awaited<T>(&self, mut writing: JoinHandle<T>) -> Result<T, JoinError> {
        loop {
            match tokio::time::timeout(LONGEST_WRITE, &mut writing).await {
                Ok(written) => return written,
                Err(_) => self.state().failed("the disk has not answered for a minute"),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

/// How long a write may take until it is said to fail. It goes on: nothing can be known of it until the system answers.
const LONGEST_WRITE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::state::Batch;
    use super::*;
    use crate::journal::Record;
    use crate::journal::StatusMessage::{self, Other, Pending, Read, Sent};
    use crate::ledger::totals::Totals;

    const ID: u64 = 7;

    fn begun(store: Option<Store>) -> Arc<Books> {
        let books = Books {
            store: Arc::new(AsyncMutex::new(store)),
            ..Books::default()
        };
        books.begin(ID.into(), SystemTime::UNIX_EPOCH);
        Arc::new(books)
    }

    /// Submits an answer a minute after the one before, with this status in it.
    fn submit(books: &Books, minute: u64, state: StatusMessage) {
        let record = Record {
            timestamp: minute * 60,
            ..Record::example(0, state)
        };
        let asked_at = SystemTime::UNIX_EPOCH + Duration::from_secs(minute * 60);
        books.submit(ID.into(), Journal::new(vec![record], 0), asked_at);
    }

    async fn settled(books: &Arc<Books>) -> Arc<LedgerView> {
        books.settle(Instant::now() + LONGEST_WRITE).await;
        books.view(ID.into())
    }

    #[tokio::test]
    async fn answers_that_wait_for_the_disk_count_as_if_each_had_been_written() {
        let answers = [(1, Pending), (2, Other), (3, Sent), (4, Read)];
        let swift = begun(None);
        for (minute, state) in answers {
            submit(&swift, minute, state);
            settled(&swift).await;
        }
        let expected = swift.view(ID.into());
        assert_eq!(expected.totals.transitions.iter().len(), 5);

        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let slow = begun(Some(store));
        let disk = slow.store.clone().lock_owned().await;
        for (minute, state) in answers {
            submit(&slow, minute, state);
        }
        assert_eq!(*slow.view(ID.into()).totals, Totals::default(), "ahead of the store");
        drop(disk);
        assert_eq!(settled(&slow).await, expected);

        let failing = begun(None);
        for (minute, state) in answers {
            let batch = failing.state().take();
            submit(&failing, minute, state);
            failing.state().put_back(batch);
        }
        assert_eq!(settled(&failing).await, expected);
        drop(slow);
        let (_, ledgers) = Store::open(directory.path()).unwrap();
        assert_eq!(LedgerView::of(&ledgers[&ID.into()]), *expected);
    }

    /// Drops the ledger while what was submitted is written, and begins it anew an hour later; then the write comes to its `outcome`.
    fn begin_anew_while_written(books: &Books, outcome: fn(&mut State, Batch)) {
        submit(books, 2, Sent);
        let batch = books.state().take();
        books.state().forget(vec![ID.into()]);
        books.begin(ID.into(), SystemTime::UNIX_EPOCH + Duration::from_hours(1));
        outcome(&mut books.state(), batch);
    }

    #[tokio::test]
    async fn a_ledger_that_is_dropped_while_it_is_written_is_not_shown_in_place_of_the_new_one() {
        let outcomes: [fn(&mut State, Batch); 2] = [State::show, State::put_back];
        for outcome in outcomes {
            let books = begun(None);
            begin_anew_while_written(&books, outcome);
            for view in [books.view(ID.into()), settled(&books).await] {
                assert_eq!(*view.totals, Totals::default());
                assert_eq!(view.created, SystemTime::UNIX_EPOCH + Duration::from_hours(1));
            }
        }
    }

    #[tokio::test]
    async fn a_ledger_that_is_dropped_while_it_could_not_be_written_is_not_on_record_in_place_of_the_new_one() {
        let anew = on_record(|books| begin_anew_while_written(books, State::put_back));
        assert_eq!(anew.await, Some(Ledger::new(3600)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_takes_minutes_is_told_as_failing_once_a_minute_until_it_ends() {
        let books = Books::default();
        let (disk, answered) = tokio::sync::oneshot::channel();
        let writing = tokio::spawn(async move { answered.await.unwrap() });
        let check = |errors, is_failing| {
            let state = books.state();
            assert_eq!((state.errors, state.is_failing), (errors, is_failing));
        };
        let watching = async {
            tokio::time::sleep(LONGEST_WRITE / 2).await;
            check(0, false);
            tokio::time::sleep(LONGEST_WRITE).await;
            check(1, true);
            tokio::time::sleep(LONGEST_WRITE).await;
            check(2, true);
            disk.send("written").unwrap();
        };
        let (written, ()) = tokio::join!(books.awaited(writing), watching);
        assert_eq!(written.unwrap(), "written");
        books.state().succeeded();
        check(2, false);
    }

    /// What is on record of the instance once all that `happens` to its ledger is written.
    async fn on_record(happens: fn(&Arc<Books>)) -> Option<Ledger> {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let books = begun(Some(store));
        submit(&books, 1, Pending);
        settled(&books).await;
        happens(&books);
        settled(&books).await;
        drop(books);
        let (_, mut ledgers) = Store::open(directory.path()).unwrap();
        ledgers.remove(&ID.into())
    }

    #[tokio::test]
    async fn a_ledger_that_was_dropped_is_off_the_record_also_if_that_could_not_be_written_at_first() {
        let dropped = on_record(|books| {
            books.state().forget(vec![ID.into()]);
            let batch = books.state().take();
            books.state().put_back(batch);
        });
        assert_eq!(dropped.await, None);
    }

    #[tokio::test]
    async fn a_ledger_that_was_dropped_and_has_begun_anew_is_on_record_as_the_new_one() {
        let anew = on_record(|books| {
            books.state().forget(vec![ID.into()]);
            books.begin(ID.into(), SystemTime::UNIX_EPOCH + Duration::from_hours(1));
        });
        assert_eq!(anew.await, Some(Ledger::new(3600)));
    }

    #[tokio::test]
    async fn both_journals_last_answers_are_on_record_to_the_second_once_the_program_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let books = AllBooks::open(directory.path()).unwrap();
        for books in [&books.outgoing, &books.incoming] {
            books.begin(ID.into(), SystemTime::UNIX_EPOCH);
            submit(books, 1, Pending);
            submit(books, 2, Pending);
        }
        books.close(Instant::now() + LONGEST_WRITE).await;
        drop(books);
        let books = AllBooks::open(directory.path()).unwrap();
        for books in [books.outgoing, books.incoming] {
            let last = SystemTime::UNIX_EPOCH + Duration::from_mins(2);
            assert_eq!(books.last_success(ID.into()), Some(last));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_refuses_is_left_alone_for_nine_times_as_long_as_that_took_and_for_10_seconds_at_most() {
        let check = |tried, rest| {
            let (books, now) = (begun(None), Instant::now());
            let mut state = books.state();
            assert!(state.is_due(now));
            state.refused("full", tried, now);
            let tick = Duration::from_nanos(1);
            assert!(!state.is_due(now + rest - tick), "{tried:?}");
            assert!(state.is_due(now + rest), "{tried:?}");
            state.succeeded();
            assert!(state.is_due(now), "{tried:?}");
        };
        check(Duration::from_millis(70), Duration::from_millis(630));
        check(Duration::from_secs(2), Duration::from_secs(10));
        check(Duration::MAX, Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_write_that_is_refused_is_followed_by_a_rest() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let books = begun(Some(store));
        std::fs::remove_file(directory.path().join(store::FILE)).unwrap();
        settled(&books).await;
        let state = books.state();
        assert!(state.is_failing && state.rests_until.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_while_a_write_is_refused_make_no_attempt_of_their_own() {
        let books = begun(None);
        submit(&books, 1, Pending);
        let disk = books.store.clone().lock_owned().await;
        let refusing = async {
            books.state().refused("full", Duration::from_secs(1), Instant::now());
            drop(disk);
        };
        let (view, ()) = tokio::join!(settled(&books), refusing);
        assert_eq!(*view.totals, Totals::default());
    }

    #[tokio::test]
    async fn answers_are_submitted_until_a_write_begins() {
        let books = begun(None);
        submit(&books, 1, Pending);
        submit(&books, 2, Sent);
        assert_eq!(books.submitted(), 2);
        settled(&books).await;
        assert_eq!(books.submitted(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_at_rest_is_written_to_by_no_scrape_but_once_more_before_the_program_ends() {
        let directory = tempfile::tempdir().unwrap();
        let books = AllBooks::open(directory.path()).unwrap();
        let outgoing = &books.outgoing;
        outgoing.begin(ID.into(), SystemTime::UNIX_EPOCH);
        submit(outgoing, 1, Pending);
        outgoing.state().refused("full", Duration::from_secs(1), Instant::now());
        assert_eq!(*settled(outgoing).await.totals, Totals::default());
        books.close(Instant::now() + LONGEST_WRITE).await;
        assert_eq!(outgoing.view(ID.into()).totals.statuses.iter().len(), 1);
    }

    #[test]
    fn the_errors_of_both_stores_count() {
        let books = AllBooks::default();
        books.outgoing.state().failed("full");
        books.incoming.state().failed("full");
        assert_eq!(books.errors(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_being_written_is_waited_for_by_all_who_settle() {
        let books = begun(None);
        settled(&books).await;
        let _disk = books.store.clone().lock_owned().await;
        let (start, patience) = (Instant::now(), Duration::from_secs(1));
        books.settle(start + patience).await;
        assert_eq!(start.elapsed(), patience);
    }

    #[tokio::test]
    async fn who_has_no_time_to_wait_for_a_write_does_not_break_it_off() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let books = begun(Some(store));
        submit(&books, 1, Pending);
        books.settle(Instant::now()).await;
        let view = settled(&books).await;
        assert_eq!(view.totals.statuses.iter().len(), 1);
    }
}
