//! Where a JSON string ends, and what it says: most of a journal's bytes are in strings, and nearly all of those are only passed over.

use std::borrow::Cow;

use fearless_simd::prelude::*;
use fearless_simd::{i8x64, u8x32, u8x64};
use fearless_simd_macros::simd;

/// Where the quote is that ends a string, if it is in these bytes of it; `escaped` tells whether the first of them is.
///
/// Most strings are short and plain: those are looked through at once.
#[inline(always)]
pub(super) fn closing_quote<S: Simd>(simd: S, escaped: bool, bytes: &[u8]) -> Option<usize> {
    if !escaped && let Some(first) = bytes.first_chunk() {
        let special = first_of(quotes_or_backslashes(block(simd, first)));
        if bytes.get(special) == Some(&b'"') {
            return Some(special);
        }
    }
    closing_quote_of_any(simd, escaped, bytes)
}

/// The same for any string. A function of its own, because the many registers that it takes would have to be saved for every
/// short one.
#[simd]
#[inline(never)]
fn closing_quote_of_any<S: Simd>(simd: S, mut escaped: bool, bytes: &[u8]) -> Option<usize> {
    let (blocks, rest) = bytes.as_chunks();
    for (index, bytes) in blocks.iter().enumerate() {
        let block = block(simd, bytes);
        let quotes = block.simd_eq(b'"').to_bitmask();
        let backslashes = block.simd_eq(b'\\').to_bitmask();
        let ends = if backslashes == 0 && !escaped {
            quotes
        } else {
            quotes & !escaped_bytes(backslashes, &mut escaped)
        };
        if ends != 0 {
            return Some(BLOCK * index + first_of(ends));
        }
    }
    let ends = |byte: u8| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    };
    let quote = rest.iter().copied().position(ends)?;
    Some(bytes.len() - rest.len() + quote)
}

/// Passes over plain strings of an array, from somewhere inside the first of them. Between two there is only a comma (`GAP` 2), or a
/// comma and a space (`GAP` 3): so many bytes are their quotes apart. Returns how many have ended, and where the text of the next one
/// begins, after its opening quote.
///
/// It is for long lists of participants, whose ends would have to be looked for one after the other. No step waits for where the
/// strings of the one before it end.
#[simd]
pub(super) fn dense_strings<const GAP: u32, S: Simd>(simd: S, bytes: &[u8]) -> (u32, usize) {
    let (mut strings, mut next) = (0, 0);
    let mut blocks = bytes.as_chunks().0.iter();
    let Some(first) = blocks.next() else {
        return (strings, next);
    };
    let mut here = Marks::new(simd, first);
    let (mut from, mut begun) = (0, 0);
    loop {
        let there = blocks.next().map(|bytes| Marks::new(simd, bytes));
        let beyond = there.unwrap_or_default();
        // A string ends where the quotes around a comma begin, and the next one begins where they end.
        let mut ends = here.quotes & ahead(1, here.commas, beyond.commas) & ahead(GAP, here.quotes, beyond.quotes);
        if GAP == 3 {
            ends &= ahead(2, here.spaces, beyond.spaces);
        }
        let beginnings = ends << GAP | begun;
        // There may be no other quote, and none that does both: that one is around a string that is a comma.
        let others = (here.quotes ^ (ends | beginnings)) | (ends & beginnings) | here.backslashes;
        if others != 0 {
            ends &= (others ^ (others - 1)) >> (GAP + 1);
        }
        strings += ends.count_ones();
        if let Some(last) = ends.checked_ilog2() {
            next = from + (last + GAP + 1) as usize;
        }
        let (0, Some(there)) = (others, there) else {
            return (strings, next);
        };
        begun = ends >> (u64::BITS - GAP);
        from += BLOCK;
        here = there;
    }
}

/// What may be between the strings of an array, and what may be in them, in a block: a bit for each byte.
#[derive(Clone, Copy, Default)]
struct Marks {
    quotes: u64,
    commas: u64,
    spaces: u64,
    backslashes: u64,
}

impl Marks {
    #[inline(always)]
    fn new<S: Simd>(simd: S, bytes: &[u8; BLOCK]) -> Self {
        let block = block(simd, bytes);
        Self {
            quotes: block.simd_eq(b'"').to_bitmask(),
            commas: block.simd_eq(b',').to_bitmask(),
            spaces: block.simd_eq(b' ').to_bitmask(),
            backslashes: block.simd_eq(b'\\').to_bitmask(),
        }
    }
}

/// What is so many bytes further on.
fn ahead(bytes: u32, here: u64, beyond: u64) -> u64 {
    here >> bytes | beyond << (u64::BITS - bytes)
}

/// Which bytes are escaped, given where the backslashes are; `escaped` tells it of the first byte, and then of the byte after the last.
///
/// In a row of backslashes every other one escapes the byte after it. Adding a row's first bit to the row carries past its end, so
/// that it can be told for all rows at once whether that is at an even or an odd place (the method is simdjson's).
fn escaped_bytes(backslashes: u64, escaped: &mut bool) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let first = u64::from(*escaped);
    let escaping = backslashes & !first;
    let after = escaping << 1 | first;
    let odd_starts = escaping & !EVEN & !after;
    let (ends, overflow) = odd_starts.overflowing_add(escaping);
    *escaped = overflow;
    (EVEN ^ ends << 1) & after
}

/// The text of a string that ends soon and is plain ASCII, as most are.
#[inline(always)]
pub(super) fn short_plain<S: Simd>(simd: S, bytes: &[u8]) -> Option<&[u8]> {
    let block = block(simd, bytes.first_chunk()?);
    // As signed numbers, bytes that aren't ASCII are less than a space, like control characters.
    let signed: i8x64<S> = block.bitcast();
    let unusual = signed.simd_lt(b' '.cast_signed()).to_bitmask();
    let (text, end) = bytes.split_at_checked(first_of(quotes_or_backslashes(block) | unusual))?;
    (end.first() == Some(&b'"')).then_some(text)
}

/// The integer part of a number that begins with a digit other than 0, has no exponent and ends soon, and what comes after it.
#[inline(always)]
pub(super) fn short_number<S: Simd>(simd: S, bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = (half(simd, bytes.first_chunk()?) - b'0').simd_lt(10).to_bitmask();
    let length = digits.trailing_ones() as usize;
    let (integer, mut rest) = bytes.split_at(length);
    if let [b'.', after @ ..] = rest {
        let fraction = (digits >> length >> 1).trailing_ones() as usize;
        rest = after.get(fraction..).filter(|_| fraction > 0)?;
    }
    if length > LONGEST_INTEGER {
        return None;
    }
    let integer = integer
        .iter()
        .fold(0, |integer, digit| 10 * integer + u64::from(digit - b'0'));
    // It may go on in the next chunk, or for longer.
    (!matches!(rest, [] | [b'0'..=b'9' | b'e' | b'E', ..])).then_some((integer, rest))
}

/// Where bytes differ, a bit for each, the first byte's the lowest.
#[inline(always)]
pub(super) fn differences<S: Simd>(simd: S, bytes: &[u8; HALF], others: &[u8; HALF]) -> u64 {
    (!half(simd, bytes).simd_eq(half(simd, others))).to_bitmask()
}

#[inline(always)]
fn quotes_or_backslashes<S: Simd>(block: u8x64<S>) -> u64 {
    (block.simd_eq(b'"') | block.simd_eq(b'\\')).to_bitmask()
}

/// Bytes that are looked at at once. What is found in them is told by a bit for each byte, the first byte's the lowest.
#[inline(always)]
fn block<S: Simd>(simd: S, bytes: &[u8; BLOCK]) -> u8x64<S> {
    u8x64::from_slice(simd, bytes)
}

#[inline(always)]
fn half<S: Simd>(simd: S, bytes: &[u8; HALF]) -> u8x32<S> {
    u8x32::from_slice(simd, bytes)
}

/// Where the first bit is that is set; after the block if none is, which is where to look next.
fn first_of(bits: u64) -> usize {
    bits.trailing_zeros() as usize
}

/// Whether the byte after these bytes of a string is escaped: an even number of backslashes escape each other.
pub(super) fn ends_escaping(bytes: &[u8]) -> bool {
    bytes.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The text between the quotes of a JSON string; `None` if it isn't one.
pub(super) fn unescaped(raw: &[u8]) -> Option<Cow<'_, str>> {
    let needs_unescaping = |&byte: &u8| byte == b'\\' || byte < b' ';
    if raw.iter().fold(false, |any, byte| any | needs_unescaping(byte)) {
        let quoted = [b"\"", raw, b"\""].concat();
        return serde_json::from_slice(&quoted).ok().map(Cow::Owned);
    }
    std::str::from_utf8(raw).ok().map(Cow::Borrowed)
}

/// So many bytes are looked at at once: what the widest register of any machine holds.
const BLOCK: usize = 64;

/// Half of a block, for what is seldom longer.
pub(super) const HALF: usize = BLOCK / 2;

/// Any number of so many digits fits into 64 bits.
const LONGEST_INTEGER: usize = 18;
