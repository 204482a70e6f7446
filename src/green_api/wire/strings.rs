//! Where a JSON string ends, and what it says: most of a journal's bytes are in strings, and nearly all of those are only passed over.

use std::borrow::Cow;

use memchr::memchr2;
use wide::i8x32;

/// Where the quote is that ends a string, if it is in these bytes of it; `escaped` tells whether the first of them is.
///
/// Most strings are short and plain: those are looked through at once.
#[inline]
pub(super) fn closing_quote(escaped: bool, bytes: &[u8]) -> Option<usize> {
    if !escaped {
        for (index, block) in blocks(bytes).iter().take(SHORT).enumerate() {
            let special = Block::new(*block).quotes_or_backslashes();
            if special != 0 {
                let at = BLOCK * index + special.trailing_zeros() as usize;
                if bytes[at] == b'"' {
                    return Some(at);
                }
                break;
            }
        }
    }
    closing_quote_of_any(escaped, bytes)
}

/// The same for any string. A function of its own, because the many registers that it takes would have to be saved for every
/// short one.
#[inline(never)]
fn closing_quote_of_any(mut escaped: bool, bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        if !escaped {
            from += memchr2(b'"', b'\\', &bytes[from..])?;
            if bytes[from] == b'"' {
                return Some(from);
            }
        }
        // Where there is one escape there are more, as a rule. They are looked for in many bytes at once, for as long as there are.
        for wide in bytes[from..].as_chunks::<{ 2 * BLOCK }>().0 {
            let (quotes, backslashes) = marks(wide);
            let ends = quotes & !escaped_bytes(backslashes, &mut escaped);
            if ends != 0 {
                return Some(from + ends.trailing_zeros() as usize);
            }
            from += wide.len();
            if backslashes == 0 {
                break;
            }
        }
        let rest = &bytes[from..];
        if rest.len() < 2 * BLOCK {
            let ends = |byte: u8| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            };
            return rest.iter().copied().position(ends).map(|quote| from + quote);
        }
    }
}

/// Passes over strings of an array, from somewhere in the first of them, that are plain and have nothing but a comma between them.
/// How many have ended, and where the one begins, behind its opening quote, that is next.
///
/// It is for long lists of participants, whose ends would have to be looked for one after the other. No step waits for where the
/// strings of the one before it end.
pub(super) fn dense_strings(bytes: &[u8]) -> (u32, usize) {
    let (mut strings, mut next) = (0, 0);
    let mut wides = bytes.as_chunks::<{ 2 * BLOCK }>().0.iter().map(Separators::new);
    let Some(mut here) = wides.next() else {
        return (strings, next);
    };
    let (mut from, mut begun) = (0, 0);
    loop {
        let there = wides.next();
        let (quotes_there, commas_there) = there.as_ref().map_or((0, 0), |there| (there.quotes, there.commas));
        // A string ends where the quotes around a comma begin, and the next one begins where they end.
        let comma_follows = here.commas >> 1 | commas_there << 63;
        let quote_follows = here.quotes >> 2 | quotes_there << 62;
        let mut ends = here.quotes & comma_follows & quote_follows;
        let beginnings = ends << 2 | begun;
        // There may be no other quote, and none that does both: that one is around a string that is a comma.
        let others = (here.quotes ^ (ends | beginnings)) | (ends & beginnings) | here.backslashes;
        if others != 0 {
            ends &= (others ^ (others - 1)) >> 3;
        }
        strings += ends.count_ones();
        if let Some(last) = ends.checked_ilog2() {
            next = from + last as usize + 3;
        }
        let (0, Some(there)) = (others, there) else {
            return (strings, next);
        };
        begun = ends >> 62;
        from += 2 * BLOCK;
        here = there;
    }
}

/// Where bytes differ, a bit for each.
#[inline]
pub(super) fn differences(bytes: &[u8; BLOCK], others: &[u8; BLOCK]) -> u32 {
    !Block::new(*bytes).0.simd_eq(Block::new(*others).0).to_bitmask()
}

/// What comes after some spaces.
pub(super) fn after_spaces(mut bytes: &[u8]) -> &[u8] {
    const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
    while let Some((first, rest)) = bytes.split_first_chunk() {
        let others = u64::from_le_bytes(*first) ^ SPACES;
        if others != 0 {
            return &bytes[others.trailing_zeros() as usize / 8..];
        }
        bytes = rest;
    }
    bytes
}

/// Where quotes and backslashes are in some bytes, a bit for each byte.
fn marks(wide: &[u8; 2 * BLOCK]) -> (u64, u64) {
    let quotes = mask(wide, |block| block.equal(b'"').to_bitmask());
    let backslashes = mask(wide, |block| block.equal(b'\\').to_bitmask());
    (quotes, backslashes)
}

/// What may be between the strings of an array, and what may be in them, in some bytes: a bit for each byte.
struct Separators {
    quotes: u64,
    commas: u64,
    backslashes: u64,
}

impl Separators {
    fn new(wide: &[u8; 2 * BLOCK]) -> Self {
        let (quotes, backslashes) = marks(wide);
        Self {
            quotes,
            commas: mask(wide, |block| block.equal(b',').to_bitmask()),
            backslashes,
        }
    }
}

/// What is found in each block of some bytes. Spelled out, since a loop would take longer than what it does.
#[inline]
fn mask(wide: &[u8; 2 * BLOCK], found: impl Fn(Block) -> u32) -> u64 {
    let [first, second] = blocks(wide) else {
        return 0;
    };
    let found = |block: &[u8; BLOCK]| u64::from(found(Block::new(*block)));
    found(first) | found(second) << BLOCK
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
#[inline]
pub(super) fn short_plain(bytes: &[u8]) -> Option<&[u8]> {
    for (index, block) in blocks(bytes).iter().take(SHORT).enumerate() {
        let special = Block::new(*block).not_plain();
        if special != 0 {
            let length = BLOCK * index + special.trailing_zeros() as usize;
            return (bytes[length] == b'"').then_some(&bytes[..length]);
        }
    }
    None
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

/// Bytes that are looked at at once. What is found is told by a bit for each byte, the first byte's the lowest.
#[derive(Clone, Copy)]
struct Block(i8x32);

impl Block {
    #[inline]
    fn new(bytes: [u8; BLOCK]) -> Self {
        Self(i8x32::new(bytes.map(u8::cast_signed)))
    }

    #[inline]
    fn equal(self, byte: u8) -> i8x32 {
        self.0.simd_eq(i8x32::splat(byte.cast_signed()))
    }

    #[inline]
    fn quotes_or_backslashes(self) -> u32 {
        (self.equal(b'"') | self.equal(b'\\')).to_bitmask()
    }

    /// What isn't plain ASCII or would end it. As signed numbers, bytes that aren't ASCII are less than a space, like control characters.
    #[inline]
    fn not_plain(self) -> u32 {
        let unusual = self.0.simd_lt(i8x32::splat(b' '.cast_signed()));
        (self.equal(b'"') | self.equal(b'\\') | unusual).to_bitmask()
    }
}

fn blocks(bytes: &[u8]) -> &[[u8; BLOCK]] {
    bytes.as_chunks().0
}

/// So many bytes are looked at at once: two registers of any machine.
pub(super) const BLOCK: usize = 32;

/// A string that ends within so many blocks is short.
const SHORT: usize = 2;
