//! What is known of every instance, and of the exporter itself, at one moment. A page is a function of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::account::Account;
use crate::collector::Collected;
use crate::fetch::FetchResult;
use crate::journal::{Journal, Kind, Record, StatusMessage, Tally, TypeMessage};
use crate::ledger::Ledger;
use crate::ledger::entry::Entry;
use crate::ledger::totals::{Counts, Totals};
use crate::shard::Shard;

/// All that a page shows.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The instances, in order of their id.
    pub instances: Vec<Instance>,
    /// The exporter's own facts; absent where only an instance was asked for.
    pub exporter: Option<Exporter>,
}

/// What is known of one instance. It is made for a page, of parts that it shares with those who keep them.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Who it is.
    pub account: Account,
    /// The stretch of time that its journal is asked for.
    pub window: Duration,
    /// What fetching its journal has come to.
    pub fetched: Arc<Fetched>,
    /// What has been counted of its statuses.
    pub ledger: Arc<LedgerView>,
    /// What has been counted of the statuses of its contacts, where these are collected.
    pub incoming_ledger: Option<Arc<LedgerView>>,
    /// What the optional collectors found out.
    pub collected: Collected,
}

/// What fetching an instance's journal has come to.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Since when its counters count.
    pub created: SystemTime,
    /// The latest fetch; absent before the first.
    pub latest: Option<Fetch>,
    /// When a journal was last read; absent before the first time.
    pub last_success: Option<SystemTime>,
    /// The statuses in the window when a journal was last read. Only shown while the instance is up.
    pub tally: Tally,
    /// What has been counted since `created`.
    pub counters: FetchCounters,
}

/// What has been counted of an instance's statuses, by its ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerView {
    /// Since when the ledger counts.
    pub created: SystemTime,
    /// How many statuses the ledger knows.
    pub entries: u64,
    /// The kinds of all statuses known or counted, in the order of their texts. Each has its series, at 0 before the first is counted: or else
    /// `increase()` would miss the first.
    pub kinds: Vec<Kind>,
    /// What has been counted.
    pub totals: Arc<Totals>,
}

impl LedgerView {
    /// What is shown of a ledger.
    pub fn of(ledger: &Ledger) -> Self {
        let mut kinds: Vec<Kind> = ledger.entries().iter().map(Entry::kind).collect();
        kinds.extend(ledger.totals().statuses.iter().map(|(kind, _)| kind));
        // A status of the baseline counts only in the states that it reaches.
        kinds.extend(ledger.totals().transitions.iter().map(|(labels, _)| labels.kind));
        kinds.sort_unstable();
        kinds.dedup();
        kinds.sort_unstable_by_key(|kind| kind.texts());
        kinds.shrink_to_fit();
        Self {
            created: SystemTime::UNIX_EPOCH + Duration::from_secs(ledger.created()),
            entries: ledger.entries().len() as u64,
            kinds,
            totals: ledger.totals().clone(),
        }
    }
}

impl Default for LedgerView {
    /// Nothing counted, since 1970.
    fn default() -> Self {
        Self {
            created: SystemTime::UNIX_EPOCH,
            entries: 0,
            kinds: Vec::new(),
            totals: Arc::default(),
        }
    }
}

/// How a fetch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// What it came to.
    pub result: FetchResult,
    /// How long it took.
    pub duration: Duration,
}

/// What is counted of an instance beside its statuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchCounters {
    fetches: Counts<FetchResult>,
    /// Journal elements that were skipped, at each reading.
    pub malformed_records: u64,
    /// Values of `statusMessage` that were not recognised, at each reading.
    pub unknown_status_messages: u64,
    /// Values of `typeMessage` that were not recognised, at each reading.
    pub unknown_type_messages: u64,
}

impl FetchCounters {
    /// How many requests ended with `result`.
    pub fn fetches(&self, result: FetchResult) -> u64 {
        self.fetches.get(result)
    }

    /// Counts a request that ended with `result`.
    pub fn count_fetch(&mut self, result: FetchResult) {
        self.fetches.add(result);
    }

    /// Counts what was wrong with a journal that was read.
    pub fn count_defects(&mut self, journal: &Journal) {
        let count = |is_unknown: fn(&Record) -> bool| {
            let unknown = journal.records().iter().filter(|record| is_unknown(record));
            unknown.count() as u64
        };
        self.malformed_records += journal.malformed();
        self.unknown_status_messages += count(|record| record.status_message == StatusMessage::Other);
        self.unknown_type_messages += count(|record| record.type_message == TypeMessage::Other);
    }
}

impl Instance {
    /// An instance of which nothing is known yet.
    pub fn new(account: Account, window: Duration, created: SystemTime) -> Self {
        Self {
            account,
            window,
            fetched: Arc::new(Fetched::nothing(created)),
            ledger: Arc::default(),
            incoming_ledger: None,
            collected: Collected::default(),
        }
    }

    /// Whether the latest fetch succeeded; `None` before the first.
    pub fn up(&self) -> Option<bool> {
        self.fetched.latest.map(|fetch| fetch.result == FetchResult::Ok)
    }

    /// The statuses in the window; `None` while the instance is not up, when nobody knows.
    pub fn present_tally(&self) -> Option<&Tally> {
        (self.up() == Some(true)).then_some(&self.fetched.tally)
    }
}

impl Fetched {
    /// What there is before the first fetch.
    pub fn nothing(created: SystemTime) -> Self {
        Self {
            created,
            latest: None,
            last_success: None,
            tally: Tally::default(),
            counters: FetchCounters::default(),
        }
    }

    /// What a scrape shows that ran out of time, after `waited`, before the answer came.
    #[must_use]
    pub fn overdue(&self, waited: Duration) -> Self {
        Self {
            latest: Some(Fetch {
                result: FetchResult::Timeout,
                duration: waited,
            }),
            ..self.clone()
        }
    }
}

/// What the exporter says of itself.
#[derive(Debug, Clone)]
pub struct Exporter {
    /// Since when its counters count: its start.
    pub started: SystemTime,
    /// What it was built from.
    pub build: Build,
    /// Whether the configuration was accepted when it was last loaded.
    pub config_last_reload_successful: bool,
    /// When a configuration was last accepted.
    pub config_last_reload_success: SystemTime,
    /// How many instances are on the page.
    pub instances: u64,
    /// Statuses known to all ledgers.
    pub ledger_entries: u64,
    /// How often the store of the ledgers could not be written.
    pub ledger_errors: u64,
    /// Which replica this is of those that share the instances.
    pub shard: Shard,
    /// How many answers were given, by the page's path, or `other`, and the status code.
    pub http_requests: BTreeMap<(&'static str, u16), u64>,
    /// What the operating system says of the process.
    pub process: Process,
}

/// What the program was built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// The version of the package.
    pub version: &'static str,
    /// The commit, or `unknown`.
    pub revision: &'static str,
    /// The compiler's version.
    pub rustc: &'static str,
}

/// What the operating system says of the process; absent where it doesn't.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// User and system time, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// The limit on open file descriptors; absent where unlimited.
    pub max_fds: Option<u64>,
    /// Virtual memory, in bytes.
    pub virtual_memory_bytes: Option<u64>,
    /// The limit on virtual memory, in bytes; absent where unlimited.
    pub virtual_memory_max_bytes: Option<u64>,
    /// Resident memory, in bytes.
    pub resident_memory_bytes: Option<u64>,
    /// When the process started.
    pub start_time: Option<SystemTime>,
    /// Bytes received over the network.
    pub network_receive_bytes: Option<u64>,
    /// Bytes sent over the network.
    pub network_transmit_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use TypeMessage::{Deleted, Image, Text};

    use super::*;
    use crate::journal::{Audience, Labels, SendByApi};
    use crate::ledger::Summary;
    use crate::ledger::entry::States;

    #[test]
    fn a_kind_of_which_a_status_is_known_or_was_ever_counted_is_shown_once_in_order_of_its_text() {
        let kind = |type_message: &TypeMessage| Kind {
            type_message: *type_message,
            send_by_api: SendByApi::True,
            audience: Audience::One,
        };
        let labels = |type_message: &TypeMessage| Labels {
            status_message: StatusMessage::Sent,
            kind: kind(type_message),
        };
        let check =
            |known: &[TypeMessage], counted: &[TypeMessage], passed: &[TypeMessage], expected: &[TypeMessage]| {
                let entry = |(id, of): (u128, _)| Entry::restore(id.into(), 0, 0, kind(of), States::default());
                let totals = Totals {
                    statuses: Counts::new(counted.iter().map(|of| (kind(of), 1)).collect()),
                    transitions: Counts::new(passed.iter().map(|of| (labels(of), 1)).collect()),
                    ..Totals::default()
                };
                let summary = Summary {
                    created: 0,
                    last_success: None,
                    reach: None,
                    totals: Arc::new(totals),
                };
                let ledger = Ledger::restore(summary, (0..).zip(known).map(entry).collect());
                let expected: Vec<Kind> = expected.iter().map(kind).collect();
                assert_eq!(
                    LedgerView::of(&ledger).kinds,
                    expected,
                    "{known:?} {counted:?} {passed:?}"
                );
            };
        check(&[], &[], &[], &[]);
        check(&[Image], &[], &[], &[Image]);
        check(&[], &[Image], &[], &[Image]);
        check(&[], &[], &[Image], &[Image]);
        check(&[Text, Image, Text], &[Text, Deleted], &[Text], &[Deleted, Image, Text]);
    }
}
