//! What the ledger has counted of an instance: numbers that only rise.

use std::ops::Deref;

use crate::journal::{Kind, Labels, StatusMessage};

/// Everything counted of an instance's statuses (spec section 5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Statuses first seen.
    pub statuses: Counts<Kind>,
    /// Times a status reached a state. `unknown` is no state and never among them.
    pub transitions: Counts<Labels>,
    /// Audience sizes of statuses first seen that list participants.
    pub participants: Histogram<{ PARTICIPANTS.len() }>,
    /// Delays until `sent`, `delivered` and `read`, in this order.
    pub delays: [Histogram<{ DELAY_SECONDS.len() }>; DELAYED.len()],
    /// Times that something may have been missed, because the last answer was more than 30 days ago.
    pub gaps: u64,
    /// Seconds that no answer covered.
    pub gap_seconds: u64,
}

/// Upper bounds of the buckets of [`Totals::participants`].
pub const PARTICIPANTS: [u64; 9] = [1, 5, 10, 25, 50, 100, 250, 500, 1024];

/// Upper bounds of the buckets of [`Totals::delays`], in seconds.
pub const DELAY_SECONDS: [u64; 10] = [5, 15, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400];

/// The states of [`Totals::delays`].
pub const DELAYED: [StatusMessage; 3] = [StatusMessage::Sent, StatusMessage::Delivered, StatusMessage::Read];

impl Totals {
    /// The delays until this state; `None` where none are measured.
    pub fn delay(&self, status_message: StatusMessage) -> Option<&Histogram<{ DELAY_SECONDS.len() }>> {
        let index = DELAYED.iter().position(|delayed| *delayed == status_message)?;
        self.delays.get(index)
    }

    /// Counts a delay until this state; nothing where none are measured.
    pub(super) fn observe_delay(&mut self, status_message: StatusMessage, seconds: u64) {
        for (delayed, delays) in DELAYED.iter().zip(&mut self.delays) {
            if *delayed == status_message {
                delays.observe(&DELAY_SECONDS, seconds);
            }
        }
    }
}

/// How often each label set was counted. What was never counted takes no space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts<K>(Vec<(K, u64)>);

impl<K: Copy + Ord> Counts<K> {
    /// Counts with these numbers, each label set once.
    pub fn new(mut counts: Vec<(K, u64)>) -> Self {
        counts.sort_unstable_by_key(|(labels, _)| *labels);
        Self(counts)
    }

    /// How often these labels were counted.
    pub fn get(&self, labels: K) -> u64 {
        self.position(labels).map_or(0, |index| self.0[index].1)
    }

    /// The label sets ever counted, in their own order, which is not that of their texts.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (K, u64)> {
        self.0.iter().copied()
    }

    /// Counts these labels once more.
    pub(crate) fn add(&mut self, labels: K) {
        match self.position(labels) {
            Ok(index) => self.0[index].1 = self.0[index].1.saturating_add(1),
            Err(index) => self.0.insert(index, (labels, 1)),
        }
    }

    fn position(&self, labels: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&labels, |(present, _)| *present)
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Observations by size. As long as nothing was observed it takes no space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram<const BUCKETS: usize>(Option<Box<Observations<BUCKETS>>>);

/// What a histogram has observed. The bounds of the buckets are the metric's, and not kept with each histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observations<const BUCKETS: usize> {
    /// Observations within each bucket's bound and above the one before.
    pub buckets: [u64; BUCKETS],
    /// Observations above the last bound.
    pub beyond: u64,
    /// Sum of all observations.
    pub sum: u64,
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    pub(super) fn observe(&mut self, bounds: &[u64; BUCKETS], value: u64) {
        let observations = self.0.get_or_insert_with(|| Box::new(Observations::NONE));
        let index = bounds.partition_point(|bound| *bound < value);
        let bucket = observations.buckets.get_mut(index).unwrap_or(&mut observations.beyond);
        *bucket = bucket.saturating_add(1);
        observations.sum = observations.sum.saturating_add(value);
    }
}

impl<const BUCKETS: usize> From<Observations<BUCKETS>> for Histogram<BUCKETS> {
    fn from(observations: Observations<BUCKETS>) -> Self {
        Self((observations != Observations::NONE).then(|| Box::new(observations)))
    }
}

impl<const BUCKETS: usize> Deref for Histogram<BUCKETS> {
    type Target = Observations<BUCKETS>;

    fn deref(&self) -> &Observations<BUCKETS> {
        self.0.as_deref().unwrap_or(const { &Observations::NONE })
    }
}

impl<const BUCKETS: usize> Observations<BUCKETS> {
    /// Nothing.
    pub const NONE: Self = Self {
        buckets: [0; BUCKETS],
        beyond: 0,
        sum: 0,
    };
}
