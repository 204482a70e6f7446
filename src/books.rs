//! Keeps the ledgers of all instances: what an answer changes is in the store before it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::Instant;
use tracing::{error, info};

use crate::account::InstanceId;
use crate::clock::unix_seconds;
use crate::journal::Journal;
use crate::ledger::{Changes, Ledger};
use crate::snapshot::LedgerView;
use crate::store::{self, Store, StoreError};

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
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let outgoing = Books::open(directory)?;
        let incoming = Books::open(&store::make_directory(directory, INCOMING)?)?;
        Ok(Self {
            outgoing: Arc::new(outgoing),
            incoming: Arc::new(incoming),
        })
    }

    /// Says whether the ledgers in `directory` can be opened, and how many statuses they know: see [`Store::check`].
    pub fn check(directory: &Path) -> Result<usize, StoreError> {
        let outgoing = Store::check(directory)?;
        let path = directory.join(INCOMING);
        let incoming = if path.exists() { Store::check(&path)? } else { 0 };
        Ok(outgoing + incoming)
    }

    /// Statuses known to all ledgers.
    pub fn entries(&self) -> u64 {
        self.each().map(Books::entries).sum()
    }

    /// How often a store could not be written.
    pub fn errors(&self) -> u64 {
        self.each().map(Books::errors).sum()
    }

    /// How many answers wait to be entered in their ledgers.
    pub fn pending(&self) -> usize {
        self.each().map(Books::pending).sum()
    }

    /// Settles both at once: see [`Books::settle`].
    pub async fn settle(&self, deadline: Instant) {
        tokio::join!(self.outgoing.settle(deadline), self.incoming.settle(deadline));
    }

    /// Drops the ledgers of those who are `gone` and of those whose journal nobody has read for so long before `now` that none of its
    /// statuses is known any more, unless `is_kept`.
    pub async fn forget(&self, gone: &[InstanceId], now: SystemTime, is_kept: impl Fn(InstanceId) -> bool) {
        for books in self.each() {
            let ids = [gone, &books.abandoned(now)].concat();
            books.forget(ids, &is_kept).await;
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
    /// Held by the one who writes: batches reach it one after the other.
    store: Arc<AsyncMutex<MaybeStore>>,
}

/// Absent where counters start from zero with the process.
type MaybeStore = Option<Store>;

#[derive(Debug, Default)]
struct State {
    by_instance: BTreeMap<InstanceId, Book>,
    /// The answers that change something, until they are entered in the ledgers.
    pending: Answers,
    /// Those whose ledgers are new, until these are in the store.
    begun: BTreeSet<InstanceId>,
    /// How often the store could not be written.
    errors: u64,
    /// Whether it could not be written the last time.
    is_failing: bool,
}

/// What each instance answered since its ledger was last written, and when that was asked for, in Unix seconds.
type Answers = BTreeMap<InstanceId, (Journal, u64)>;

/// What is written at once.
type Batch = Vec<(InstanceId, Changes)>;

/// What is kept of one instance.
#[derive(Debug)]
struct Book {
    ledger: Ledger,
    /// What is shown of the ledger.
    shown: Arc<LedgerView>,
}

impl Book {
    fn new(ledger: Ledger) -> Self {
        Self {
            shown: Arc::new(LedgerView::of(&ledger)),
            ledger,
        }
    }
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
        let State { by_instance, begun, .. } = &mut *self.state();
        by_instance.entry(id).or_insert_with(|| {
            begun.insert(id);
            Book::new(Ledger::new(unix_seconds(now)))
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
            None => crate::journal::minutes(window),
            Some(book) => book.ledger.minutes_to_ask(window, unix_seconds(now)),
        }
    }

    /// Takes the answer to what was asked for at `asked_at`. It counts once it is settled.
    ///
    /// Nearly every answer changes nothing and is entered at once: to keep a whole fleet's answers until then would take much memory.
    pub fn submit(&self, id: InstanceId, journal: Journal, asked_at: SystemTime) {
        let asked_at = unix_seconds(asked_at);
        let mut state = self.state();
        if let Some(book) = state.by_instance.get_mut(&id) {
            let changes = book.ledger.changes(&journal, asked_at);
            if changes.is_empty() {
                book.ledger.commit(changes);
            } else {
                add(&mut state.pending, id, (journal, asked_at));
            }
        }
    }

    /// How many answers wait to be entered in their ledgers.
    fn pending(&self) -> usize {
        self.state().pending.len()
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

    /// Drops the ledgers of these instances, from the store too, unless they are kept.
    async fn forget(&self, mut ids: Vec<InstanceId>, is_kept: impl Fn(InstanceId) -> bool) {
        ids.retain(|id| !is_kept(*id));
        if ids.is_empty() {
            return;
        }
        let mut store = self.store.clone().lock_owned().await;
        // By now it may be known what was not when the store began to be waited for.
        ids.retain(|id| !is_kept(*id));
        self.state().forget(&ids);
        let forgetting = spawn_blocking(move || store.as_mut().map_or(Ok(()), |store| store.forget(&ids)));
        let forgotten = forgetting.await.map_err(|error| error.to_string());
        if let Err(error) = forgotten.and_then(|forgotten| forgotten.map_err(|error| error.to_string())) {
            self.state().errors += 1;
            error!(
                error,
                "cannot drop the ledgers of removed instances; they return at the next start, for up to 32 days"
            );
        }
    }

    /// What has been counted of the instance and may be shown.
    pub fn view(&self, id: InstanceId) -> Arc<LedgerView> {
        let state = self.state();
        state
            .by_instance
            .get(&id)
            .map(|book| book.shown.clone())
            .unwrap_or_default()
    }

    /// Statuses known to all ledgers.
    fn entries(&self) -> u64 {
        self.state().by_instance.values().map(|book| book.shown.entries).sum()
    }

    /// How often the store could not be written.
    fn errors(&self) -> u64 {
        self.state().errors
    }

    /// Enters all answers taken so far in their ledgers, in one write to the store, and waits for it until `deadline`.
    ///
    /// Where the store fails or is slow, what was shown before stays: counters never run ahead of it.
    pub async fn settle(self: &Arc<Self>, deadline: Instant) {
        let is_settled = self.state().is_settled() && self.store.try_lock().is_ok();
        if is_settled {
            return;
        }
        let settled = async {
            let (books, store) = (self.clone(), self.store.clone().lock_owned().await);
            // A task of its own, so that a scraper who hangs up leaves no write half entered.
            tokio::spawn(async move { books.settle_all(store).await }).await
        };
        // Being late is no error: the next scrape shows it.
        _ = tokio::time::timeout_at(deadline, settled).await;
    }

    async fn settle_all(&self, mut store: OwnedMutexGuard<MaybeStore>) {
        let (answers, begun, batch) = self.state().take();
        if store.is_none() || batch.is_empty() {
            return self.state().commit(batch);
        }
        // It waits for the disk, and the runtime has better to do.
        let writing = spawn_blocking(move || {
            let written = store.as_mut().map_or(Ok(()), |store| store.write(&batch));
            (written.map(|()| batch), store)
        });
        // The store is given back last, so that answers reach it in the order in which they came.
        let (written, _store) = match self.awaited(writing).await {
            Ok((written, store)) => (written.map_err(|error| error.to_string()), Some(store)),
            Err(error) => (Err(error.to_string()), None),
        };
        let mut state = self.state();
        match written {
            Ok(batch) => state.written(batch),
            Err(error) => {
                state.put_back(answers, begun);
                state.failed(&error);
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.begun.is_empty()
    }

    /// All that isn't entered yet, and what it changes.
    fn take(&mut self) -> (Answers, BTreeSet<InstanceId>, Batch) {
        let (answers, begun) = (std::mem::take(&mut self.pending), std::mem::take(&mut self.begun));
        let batch = self.changes(&answers, &begun);
        (answers, begun, batch)
    }

    /// What `answers` change, and what puts those that have `begun` without any on record.
    fn changes(&self, answers: &Answers, begun: &BTreeSet<InstanceId>) -> Batch {
        let changes = answers.iter().filter_map(|(id, (journal, asked_at))| {
            let book = self.by_instance.get(id)?;
            Some((*id, book.ledger.changes(journal, *asked_at)))
        });
        let unanswered = begun.iter().filter(|id| !answers.contains_key(id));
        let creations = unanswered.filter_map(|id| Some((*id, self.by_instance.get(id)?.ledger.creation())));
        changes.chain(creations).collect()
    }

    fn written(&mut self, batch: Batch) {
        if std::mem::take(&mut self.is_failing) {
            info!("the ledger can be written again");
        }
        self.commit(batch);
    }

    fn commit(&mut self, batch: Batch) {
        for (id, changes) in batch {
            if let Some(book) = self.by_instance.get_mut(&id) {
                let is_changed = !changes.is_empty();
                book.ledger.commit(changes);
                if is_changed {
                    book.shown = Arc::new(LedgerView::of(&book.ledger));
                }
            }
        }
    }

    fn failed(&mut self, error: &str) {
        self.errors += 1;
        if !std::mem::replace(&mut self.is_failing, true) {
            error!(
                error,
                "cannot write the ledger; counters stand still until it can be written"
            );
        }
    }

    /// Has `answers` wait again: what they showed may be gone from the next ones.
    fn put_back(&mut self, answers: Answers, begun: BTreeSet<InstanceId>) {
        for (id, later) in std::mem::replace(&mut self.pending, answers) {
            add(&mut self.pending, id, later);
        }
        self.begun.extend(begun);
    }

    fn forget(&mut self, ids: &[InstanceId]) {
        for id in ids {
            self.by_instance.remove(id);
            self.pending.remove(id);
            self.begun.remove(id);
        }
    }
}

/// Adds an answer, together with an earlier one of the same instance.
fn add(answers: &mut Answers, id: InstanceId, (journal, asked_at): (Journal, u64)) {
    let journal = match answers.remove(&id) {
        Some((earlier, _)) => earlier.followed_by(journal),
        None => journal,
    };
    answers.insert(id, (journal, asked_at));
}

/// How long a write may take until it is said to fail. It goes on: nothing can be known of it until the system answers.
const LONGEST_WRITE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

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
        books.state().written(Vec::new());
        check(2, false);
    }
}
