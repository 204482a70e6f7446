//! Pseudo-random numbers that are a function of what they are drawn for. Integers only: the same on every machine.

/// A sequence of numbers that depends on nothing but what it was made from.
pub(super) struct Dice(u64);

impl Dice {
    /// The sequence that belongs to `parts`, such as a seed, an instance and a position in time.
    pub(super) fn new(parts: &[u64]) -> Self {
        Self(parts.iter().fold(0, |state, part| mix(state ^ mix(*part))))
    }

    /// Any number.
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 up to, but not including, `end`; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// A number from `first` to `last`, both included.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// A number from `first` to `last`, small ones more often: every doubling is as likely as the next.
    pub(super) fn spread(&mut self, first: u64, last: u64) -> u64 {
        let doublings = last
            .checked_div(first)
            .map_or(0, |ratio| u64::from(ratio.max(1).ilog2()));
        let start = first << self.below(doublings + 1);
        self.between(start, (start * 2).min(last))
    }

    /// True in `percent` of 100 cases.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, or the type's default where there are none.
    pub(super) fn choose<T: Copy + Default>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.below(u64::try_from(choices.len()).unwrap_or(u64::MAX)));
        index
            .ok()
            .and_then(|index| choices.get(index))
            .copied()
            .unwrap_or_default()
    }

    /// `length` characters of `alphabet`.
    pub(super) fn text(&mut self, alphabet: &str, length: usize) -> String {
        let bytes = alphabet.as_bytes();
        (0..length).map(|_| char::from(self.choose(bytes))).collect()
    }
}

/// Scrambles a number: different numbers stay different, and neighbours have nothing in common (the finish of `SplitMix64`).
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The number that stands for a text.
pub(super) fn number_of(text: &str) -> u64 {
    text.bytes().fold(0, |state, byte| mix(state ^ u64::from(byte)))
}

/// An odd number without a pattern in its bits: the golden ratio's fraction.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hexadecimal digits, as ids and tokens have them.
pub(super) const LOWER_HEX: &str = "0123456789abcdef";
