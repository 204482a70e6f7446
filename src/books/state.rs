//! What the books hold: ledgers, and what of them the store doesn't know yet. It knows no task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info};

use crate::account::InstanceId;
use crate::ledger::{Changes, Ledger};
use crate::snapshot::LedgerView;
use crate::store::{Store, StoreError};

/// The ledgers, and what is to be written of them.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) by_instance: BTreeMap<InstanceId, Book>,
    /// What the store doesn't know yet of the ledgers.
    pub(super) unwritten: BTreeMap<InstanceId, Changes>,
    /// Whose ledgers the store still has though they are gone.
    pub(super) forgotten: BTreeSet<InstanceId>,
    /// How many answers have changed something since the last write began.
    pub(super) submitted: usize,
    /// How often the store could not be written.
    pub(super) errors: u64,
    /// Whether it could not be written the last time.
    pub(super) is_failing: bool,
    /// Until when it is left alone, after it refused.
    pub(super) rests_until: Option<Instant>,
}

/// What is kept of one instance.
#[derive(Debug)]
pub(super) struct Book {
    /// All that was answered, also what the store doesn't know yet.
    pub(super) ledger: Ledger,
    /// What is shown of the ledger: what the store knows.
    pub(super) shown: Arc<LedgerView>,
}

/// What is written at once, and what is shown of it then.
pub(super) struct Batch {
    pub(super) forgotten: BTreeSet<InstanceId>,
    pub(super) changes: Vec<(InstanceId, Changes)>,
    pub(super) shown: Vec<(InstanceId, Arc<LedgerView>)>,
}

impl State {
    /// Whether there is anything that the store doesn't know.
    pub(super) fn is_unsettled(&self) -> bool {
        !(self.unwritten.is_empty() && self.forgotten.is_empty())
    }

    /// The same, unless the store has refused just before `now`.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_unsettled() && self.rests_until.is_none_or(|end| end <= now)
    }

    /// Adds changes that the store doesn't know yet to those before them.
    pub(super) fn add(&mut self, id: InstanceId, changes: Changes) {
        let changes = match self.unwritten.remove(&id) {
            Some(earlier) => earlier.then(changes),
            None => changes,
        };
        self.unwritten.insert(id, changes);
    }

    /// Submits when each journal was last read, where the record is less precise.
    pub(super) fn submit_successes(&mut self) {
        let changes = |(id, book): (&InstanceId, &mut Book)| {
            let changes = book.ledger.precise_success();
            book.ledger.commit(changes.clone());
            (!changes.is_empty()).then_some((*id, changes))
        };
        let changes: Vec<_> = self.by_instance.iter_mut().filter_map(changes).collect();
        for (id, changes) in changes {
            self.add(id, changes);
        }
    }

    /// Drops the ledgers of these instances.
    pub(super) fn forget(&mut self, ids: Vec<InstanceId>) {
        for id in &ids {
            self.by_instance.remove(id);
            self.unwritten.remove(id);
        }
        self.forgotten.extend(ids);
    }

    /// All that the store doesn't know yet.
    pub(super) fn take(&mut self) -> Batch {
        self.submitted = 0;
        let changes: Vec<_> = std::mem::take(&mut self.unwritten).into_iter().collect();
        // The ledgers are now as they will be in the store.
        let view = |(id, _): &(InstanceId, _)| Some((*id, Arc::new(LedgerView::of(&self.by_instance.get(id)?.ledger))));
        Batch {
            forgotten: std::mem::take(&mut self.forgotten),
            shown: changes.iter().filter_map(view).collect(),
            changes,
        }
    }

    /// Shows what was written, except of ledgers that were dropped meanwhile.
    pub(super) fn show(&mut self, batch: Batch) {
        for (id, shown) in batch.shown {
            let is_forgotten = self.forgotten.contains(&id);
            if let Some(book) = self.by_instance.get_mut(&id).filter(|_| !is_forgotten) {
                book.shown = shown;
            }
        }
    }

    /// Puts back what could not be written, except of ledgers that were dropped meanwhile.
    pub(super) fn put_back(&mut self, batch: Batch) {
        for (id, changes) in batch.changes {
            if !self.forgotten.contains(&id)
                && let Some(later) = self.unwritten.insert(id, changes)
            {
                self.add(id, later);
            }
        }
        self.forgotten.extend(batch.forgotten);
    }

    pub(super) fn succeeded(&mut self) {
        self.rests_until = None;
        if std::mem::take(&mut self.is_failing) {
            info!("the ledger can be written again");
        }
    }

    /// The store has just refused, at `now`, after it was tried for so long.
    ///
    /// An attempt looks at all that is unwritten, and reads the whole file anew. Where each probe made one, a full disk would leave time for
    /// nothing else.
    pub(super) fn refused(&mut self, error: &str, tried: Duration, now: Instant) {
        let rest = tried.saturating_mul(RESTS_PER_TRY).min(LONGEST_REST);
        self.rests_until = Some(now + rest);
        self.failed(error);
    }

    pub(super) fn failed(&mut self, error: &str) {
        self.errors += 1;
        if !std::mem::replace(&mut self.is_failing, true) {
            error!(
                error,
                "cannot write the ledger; counters stand still until it can be written"
            );
        }
    }
}

/// How many times as long as an attempt took is rested after it: a tenth of the time goes to attempts, unless one takes longer than a second.
const RESTS_PER_TRY: u32 = 9;

/// The longest rest, so that counters are seldom late by more than that once the disk takes writes again.
const LONGEST_REST: Duration = Duration::from_secs(10);

impl Book {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            shown: Arc::new(LedgerView::of(&ledger)),
            ledger,
        }
    }
}

impl Batch {
    /// Forgets first: an instance that was forgotten may have begun anew.
    pub(super) fn write(&self, store: &mut Store) -> Result<(), StoreError> {
        if !self.forgotten.is_empty() {
            let forgotten: Vec<InstanceId> = self.forgotten.iter().copied().collect();
            store.forget(&forgotten)?;
        }
        store.write(&self.changes)
    }
}
