//! Keeps the ledgers of all instances: what an answer changes is in the store before it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::{error, info};

use crate::account::InstanceId;
use crate::clock::unix_seconds;
use crate::journal::Journal;
use crate::ledger::{Changes, Ledger};
use crate::lock::locked;
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
    by_instance: Mutex<BTreeMap<InstanceId, Book>>,
    /// The answers that change something, until they are entered in the ledgers.
    pending: Mutex<Answers>,
    /// Those whose ledgers are new, until these are in the store.
    begun: Mutex<BTreeSet<InstanceId>>,
    /// Absent where counters start from zero with the process.
    store: Option<Arc<Mutex<Store>>>,
    /// Held by the one who writes: batches reach the store one after the other.
    turn: Arc<tokio::sync::Mutex<()>>,
    errors: Mutex<Errors>,
}

/// What each instance answered since its ledger was last written, and when it last did, in Unix seconds.
type Answers = BTreeMap<InstanceId, (Journal, u64)>;

/// What is kept of one instance.
#[derive(Debug)]
struct Book {
    ledger: Ledger,
    /// What is shown of the ledger.
    shown: Arc<LedgerView>,
}

#[derive(Debug, Default)]
struct Errors {
    count: u64,
    is_failing: bool,
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
        Ok(Self {
            by_instance: Mutex::new(books.collect()),
            store: Some(Arc::new(Mutex::new(store))),
            ..Self::default()
        })
    }

    /// Sees to it that the instance has a ledger; a new one counts from `now`.
    pub fn begin(&self, id: InstanceId, now: SystemTime) {
        locked(&self.by_instance).entry(id).or_insert_with(|| {
            if self.store.is_some() {
                locked(&self.begun).insert(id);
            }
            Book::new(Ledger::new(unix_seconds(now)))
        });
    }

    /// When the instance's journal was last read, as far as the ledger knows: the store is told of it every ten minutes.
    pub fn last_success(&self, id: InstanceId) -> Option<SystemTime> {
        let books = locked(&self.by_instance);
        let seconds = books.get(&id)?.ledger.last_success()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// The minutes to ask the API for, so that nothing is missed since the last answer (spec 7.4).
    pub fn minutes_to_ask(&self, id: InstanceId, window: Duration, now: SystemTime) -> u64 {
        let books = locked(&self.by_instance);
        let now = unix_seconds(now);
        match books.get(&id) {
            None => crate::journal::minutes(window),
            Some(book) => book.ledger.minutes_to_ask(window, now),
        }
    }

    /// Takes an answer that was asked for at `now`. It counts once it is settled.
    ///
    /// Nearly every answer changes nothing and is entered at once: to keep a whole fleet's answers until then would take much memory.
    pub fn submit(&self, id: InstanceId, journal: Journal, now: SystemTime) {
        let now = unix_seconds(now);
        if let Some(book) = locked(&self.by_instance).get_mut(&id) {
            let changes = book.ledger.changes(&journal, now);
            if changes.is_empty() {
                book.ledger.commit(changes);
            } else {
                add(&mut locked(&self.pending), id, (journal, now));
            }
        }
    }

    /// How many answers wait to be entered in their ledgers.
    fn pending(&self) -> usize {
        locked(&self.pending).len()
    }

    /// The instances whose journal nobody has read for so long that none of its statuses is known any more.
    fn abandoned(&self, now: SystemTime) -> Vec<InstanceId> {
        let now = unix_seconds(now);
        let books = locked(&self.by_instance);
        let abandoned = books.iter().filter(|(_, book)| book.ledger.is_abandoned(now));
        abandoned.map(|(id, _)| *id).collect()
    }

    /// Drops the ledgers of these instances, from the store too, unless they are kept.
    async fn forget(&self, mut ids: Vec<InstanceId>, is_kept: impl Fn(InstanceId) -> bool) {
        ids.retain(|id| !is_kept(*id));
        if ids.is_empty() {
            return;
        }
        let _turn = self.turn.lock().await;
        // By now it may be known what was not when the turn began to be waited for.
        ids.retain(|id| !is_kept(*id));
        for id in &ids {
            locked(&self.by_instance).remove(id);
            locked(&self.pending).remove(id);
            locked(&self.begun).remove(id);
        }
        let Some(store) = self.store.clone() else {
            return;
        };
        let forgotten = tokio::task::spawn_blocking(move || locked(&store).forget(&ids));
        match forgotten.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    /// What has been counted of the instance and may be shown.
    pub fn view(&self, id: InstanceId) -> Arc<LedgerView> {
        let shown = locked(&self.by_instance).get(&id).map(|book| book.shown.clone());
        shown.unwrap_or_default()
    }

    /// Statuses known to all ledgers.
    fn entries(&self) -> u64 {
        locked(&self.by_instance).values().map(|book| book.shown.entries).sum()
    }

    /// How often the store could not be written.
    fn errors(&self) -> u64 {
        locked(&self.errors).count
    }

    /// Enters all answers taken so far in their ledgers, in one write to the store, and waits for it until `deadline`.
    ///
    /// Where the store fails or is slow, what was shown before stays: counters never run ahead of it.
    pub async fn settle(self: &Arc<Self>, deadline: Instant) {
        let is_idle = self.pending() == 0 && locked(&self.begun).is_empty() && self.turn.try_lock().is_ok();
        if is_idle {
            return;
        }
        let settled = async {
            let (books, turn) = (self.clone(), self.turn.clone().lock_owned().await);
            // A task of its own, so that a scraper who hangs up leaves no write half entered.
            tokio::spawn(async move { books.settle_all(turn).await }).await
        };
        // Being late is no error: the next scrape shows it.
        _ = tokio::time::timeout_at(deadline, settled).await;
    }

    async fn settle_all(&self, _turn: OwnedMutexGuard<()>) {
        let answers = std::mem::take(&mut *locked(&self.pending));
        let begun = std::mem::take(&mut *locked(&self.begun));
        if answers.is_empty() && begun.is_empty() {
            return;
        }
        let batch = match self.write(self.changes(&answers, &begun)).await {
            Ok(batch) => batch,
            Err(error) => {
                self.put_back(answers);
                locked(&self.begun).extend(begun);
                return self.failed(&error);
            }
        };
        if std::mem::take(&mut locked(&self.errors).is_failing) {
            info!("the ledger can be written again");
        }
        self.commit(batch);
    }

    fn failed(&self, error: &str) {
        let mut errors = locked(&self.errors);
        errors.count += 1;
        if !errors.is_failing {
            error!(
                error,
                "cannot write the ledger; counters stand still until it can be written"
            );
        }
        errors.is_failing = true;
    }

    /// What `answers` change, and what puts those that have `begun` without any on record.
    fn changes(&self, answers: &Answers, begun: &BTreeSet<InstanceId>) -> Vec<(InstanceId, Changes)> {
        let books = locked(&self.by_instance);
        let changes = answers.iter().filter_map(|(id, (journal, now))| {
            let book = books.get(id)?;
            Some((*id, book.ledger.changes(journal, *now)))
        });
        let unanswered = begun.iter().filter(|id| !answers.contains_key(id));
        let creations = unanswered.filter_map(|id| Some((*id, books.get(id)?.ledger.creation())));
        changes.chain(creations).collect()
    }

    /// Has `answers` wait again: what they showed may be gone from the next ones.
    fn put_back(&self, answers: Answers) {
        let mut pending = locked(&self.pending);
        for (id, later) in std::mem::replace(&mut *pending, answers) {
            add(&mut pending, id, later);
        }
    }

    async fn write(&self, batch: Vec<(InstanceId, Changes)>) -> Result<Vec<(InstanceId, Changes)>, String> {
        let Some(store) = self.store.clone() else {
            return Ok(batch);
        };
        if batch.iter().all(|(_, changes)| changes.is_empty()) {
            return Ok(batch);
        }
        // It waits for the disk, and the runtime has better to do.
        let writing = tokio::task::spawn_blocking(move || {
            let changes: Vec<_> = batch.iter().map(|(id, changes)| (*id, changes)).collect();
            locked(&store).write(&changes)?;
            Ok(batch)
        });
        let written = writing.await.map_err(|error| error.to_string())?;
        written.map_err(|error: StoreError| error.to_string())
    }

    fn commit(&self, batch: Vec<(InstanceId, Changes)>) {
        let mut books = locked(&self.by_instance);
        for (id, changes) in batch {
            if let Some(book) = books.get_mut(&id) {
                let is_changed = !changes.is_empty();
                book.ledger.commit(changes);
                if is_changed {
                    book.shown = Arc::new(LedgerView::of(&book.ledger));
                }
            }
        }
    }
}

/// Adds an answer, together with an earlier one of the same instance.
fn add(answers: &mut Answers, id: InstanceId, (journal, now): (Journal, u64)) {
    let journal = match answers.remove(&id) {
        Some((earlier, _)) => earlier.followed_by(journal),
        None => journal,
    };
    answers.insert(id, (journal, now));
}
