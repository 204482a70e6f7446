//! How a lock is taken.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What `mutex` guards, once nobody else holds it.
///
/// A mutex is poisoned when its holder panics. A release doesn't live to see that: a panic ends it at once. Where panics unwind, as in tests,
/// the rest goes on rather than panic as well, for a panic has been reported already.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
