//! Where a JSON string ends, and what it says: most of a journal's bytes are in strings, and nearly all of those are only passed over.

use std::borrow::Cow;

#[cfg(not(target_arch = "x86_64"))]
use memchr::arch::all::memchr::One;
#[cfg(target_arch = "x86_64")]
use memchr::arch::x86_64::sse2::memchr::One;
use memchr::memchr;

/// Where the quote is that ends a string, if it is in these bytes of it; `escaped` tells whether the first of them is.
pub(super) fn closing_quote(escaped: bool, bytes: &[u8]) -> Option<usize> {
    let from = usize::from(escaped);
    let piece = &bytes[from..];
    let quote = find_quote(piece)?;
    if ends_escaping(&piece[..quote]) {
        return closing_quote_after(from + quote + 1, bytes);
    }
    Some(from + quote)
}

/// The same for a text with escapes, behind `from`, where the latest of them ends. A function of its own, because the many
/// registers that it takes would have to be saved for every short string.
#[inline(never)]
fn closing_quote_after(mut from: usize, bytes: &[u8]) -> Option<usize> {
    loop {
        from += without_end(&bytes[from..]);
        let piece = &bytes[from..];
        let quote = find_quote(piece)?;
        if !ends_escaping(&piece[..quote]) {
            return Some(from + quote);
        }
        from += quote + 1;
    }
}

/// Where the first quote is. Most strings are short: the quote is found before `memchr` would have begun.
fn find_quote(bytes: &[u8]) -> Option<usize> {
    let beginning = &bytes[..bytes.len().min(SHORT)];
    find_soon(beginning).or_else(|| memchr(b'"', bytes))
}

/// The first quote, found without the choice of the machine's best instructions that `memchr` begins with.
#[cfg(target_arch = "x86_64")]
fn find_soon(bytes: &[u8]) -> Option<usize> {
    One::new(b'"').and_then(|quote| quote.find(bytes))
}

#[cfg(not(target_arch = "x86_64"))]
fn find_soon(bytes: &[u8]) -> Option<usize> {
    One::new(b'"').find(bytes)
}

/// The length of a beginning of a string that surely has no end in it; its first byte is not escaped, nor is the byte after it.
///
/// It is for texts full of escapes, which would have `memchr` begin again and again. Of four blocks side by side each byte of
/// `marks` tells where there is a quote (one of the lower bits) or a backslash (one of the upper). There is no branch in it.
fn without_end(bytes: &[u8]) -> usize {
    let mut escaped = 0;
    let mut length = 0;
    for blocks in bytes.as_chunks::<{ 4 * BLOCK }>().0 {
        let mut marks = [0_u8; BLOCK];
        for (index, mark) in marks.iter_mut().enumerate() {
            for block in 0..4 {
                let byte = blocks[BLOCK * block + index];
                *mark |= u8::from(byte == b'"') << block;
                *mark |= u8::from(byte == b'\\') << (4 + block);
            }
        }
        let marks = u128::from_le_bytes(marks);
        let (quotes, backslashes) = (marks & LOWER, (marks >> 4) & LOWER);
        // The byte after the last of a block is the first of the next one.
        let after = (backslashes << 8) | (backslashes >> 120 << 1) | escaped;
        if quotes & !after != 0 || backslashes & after != 0 {
            break;
        }
        escaped = backslashes >> 123;
        length += blocks.len();
    }
    length - usize::from(escaped != 0)
}

/// The text of a string that ends soon and is plain ASCII, as most are. Eight bytes are looked at at once.
pub(super) fn short_plain(bytes: &[u8]) -> Option<&[u8]> {
    for (index, word) in bytes.as_chunks::<8>().0.iter().take(SHORT / 8).enumerate() {
        let word = u64::from_le_bytes(*word);
        // The highest bit of the first byte that is a quote, a backslash, a control character or not ASCII; of those after it
        // nothing can be said.
        let marks = (zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES) | zeros(word & CONTROLS) | word) & HIGHEST_BITS;
        if marks != 0 {
            let length = 8 * index + marks.trailing_zeros() as usize / 8;
            return (bytes[length] == b'"').then_some(&bytes[..length]);
        }
    }
    None
}

/// Marks the first byte that is zero, and perhaps others after it.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(u64::from_ne_bytes([1; 8])) & !word
}

/// Whether the byte after these bytes of a string is escaped: an even number of backslashes escape each other.
pub(super) fn ends_escaping(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\\") && bytes.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
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

/// A string that ends within so many bytes is short.
const SHORT: usize = 64;

/// How many bytes are looked at at once: as many as fit in a register of any machine.
const BLOCK: usize = 16;

/// The lower half of each byte.
const LOWER: u128 = u128::from_ne_bytes([0x0f; 16]);

const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
/// The bits of a byte of which a control character has none.
const CONTROLS: u64 = u64::from_ne_bytes([0xe0; 8]);
const HIGHEST_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
