//! The keys of a journal: its statuses have the same ones, spelled alike, so that one that came before is told at once.

use fearless_simd::prelude::*;

use super::status::Role;
use super::strings::{HALF, differences};

/// Keys that came before.
#[derive(Debug)]
pub(super) struct KnownKeys {
    keys: Vec<KnownKey>,
    /// Which of them came last.
    latest: u8,
    /// Which of them is expected.
    expected: u8,
    /// Which of them a key may be, by its slot; the first, where there is none.
    by_slot: [u8; SLOTS],
}

#[derive(Debug)]
struct KnownKey {
    /// The key from after its opening quote on, and what comes until its value.
    spelled: [u8; HALF],
    /// A bit for each byte of that. It follows from the length, but computing it per key slows a fold by 5 %.
    bits: u64,
    length: u8,
    /// What the value of such a member is in a status.
    role: Role,
    /// The key that came after it when it came last.
    next: u8,
}

impl Default for KnownKeys {
    fn default() -> Self {
        Self {
            keys: Vec::with_capacity(USUAL),
            latest: 0,
            expected: 0,
            by_slot: [0; SLOTS],
        }
    }
}

impl KnownKeys {
    /// The key that these bytes begin with, after its opening quote, if it is known: what its value is in a status, and the bytes
    /// from that value on.
    ///
    /// The one that is expected is tried first: then where its value begins is known without waiting for what the bytes are.
    #[inline(always)]
    pub(super) fn find<'a, S: Simd>(&mut self, simd: S, bytes: &'a [u8]) -> Option<(Role, &'a [u8])> {
        let start = bytes.first_chunk()?;
        let mut at = self.expected;
        if !self.is_at(simd, at, start) {
            at = self.by_slot[slot(start)];
            if !self.is_at(simd, at, start) {
                return None;
            }
            self.link(at);
        }
        let known = self.keys.get(usize::from(at))?;
        (self.latest, self.expected) = (at, known.next);
        Some((known.role, &bytes[usize::from(known.length)..]))
    }

    /// Keeps the key that these bytes begin with, after its opening quote, if what comes until its value is short, too.
    pub(super) fn learn(&mut self, bytes: &[u8], value: &[u8], role: Role) {
        let Some(spelled) = bytes.first_chunk() else { return };
        let Ok(length @ 1..=LONGEST) = u8::try_from(bytes.len() - value.len()) else {
            return;
        };
        if self.keys.len() == MOST {
            // It isn't much of a journal.
            self.keys.clear();
        }
        let Ok(at) = u8::try_from(self.keys.len()) else { return };
        self.keys.push(KnownKey {
            spelled: *spelled,
            bits: (1 << length) - 1,
            length,
            role,
            next: 0,
        });
        self.by_slot[slot(spelled)] = at;
        self.link(at);
        (self.latest, self.expected) = (at, 0);
    }

    #[inline(always)]
    fn is_at<S: Simd>(&self, simd: S, at: u8, start: &[u8; HALF]) -> bool {
        self.keys
            .get(usize::from(at))
            .is_some_and(|known| known.begins(simd, start))
    }

    /// Keeps which key came after the latest.
    fn link(&mut self, at: u8) {
        if let Some(latest) = self.keys.get_mut(usize::from(self.latest)) {
            latest.next = at;
        }
    }
}

impl KnownKey {
    #[inline(always)]
    fn begins<S: Simd>(&self, simd: S, start: &[u8; HALF]) -> bool {
        differences(simd, start, &self.spelled) & self.bits == 0
    }
}

/// Where a key is looked for: by a hash of its first letters, and nothing that comes after it.
#[inline]
fn slot(start: &[u8; HALF]) -> usize {
    const EACH: u64 = u64::MAX / 0xff;
    let letters = start.first_chunk().map_or(0, |letters| u64::from_le_bytes(*letters));
    // The lowest bit that is set here is the highest of the first quote.
    let others = letters ^ (EACH * u64::from(b'"'));
    let quotes = others.wrapping_sub(EACH) & !others & (EACH << 7);
    let key = letters & (quotes ^ quotes.wrapping_sub(1));
    let [slot, ..] = key.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    slot.into()
}

/// The longest key that is kept, with what comes until its value. The longest that the API documents takes 21 bytes.
const LONGEST: u8 = 32;

/// How many distinct keys a journal usually has.
const USUAL: usize = 16;

/// How many are kept.
const MOST: usize = 64;

const SLOTS: usize = u8::MAX as usize + 1;
