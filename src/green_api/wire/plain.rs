//! The shortcut of a fold: goes over what is whole in a chunk and spelled as most are, without a look at the state.
//!
//! Anything else is left to the state machine, which would read it all to the same effect, only slower.

use fearless_simd::Simd;
use fearless_simd_macros::simd;

use super::number::in_range;
use super::space::{after, trim_space};
use super::status::Role;
use super::strings::{closing_quote, dense_strings, short_number, short_plain};
use super::{DEEPEST, Fold, Step};

impl Fold {
    /// Goes over the members of an object from a key on, as long as they are plain, and into the one that isn't.
    #[simd]
    pub(super) fn members<'a, S: Simd>(&mut self, simd: S, object: Role, mut bytes: &'a [u8]) -> Step<'a> {
        while let Some((role, value)) = self.plain_key(simd, bytes) {
            self.role = object.of_member(role);
            let Some(rest) = self.plain_value(simd, value) else {
                return self.value(simd, value);
            };
            let Some(next) = after(b',', rest) else {
                self.end_value();
                return Some(rest);
            };
            bytes = next;
        }
        self.key(simd, bytes)
    }

    /// Goes over the elements of an array, as long as they are strings that nothing captures, and into the one that isn't.
    #[simd]
    pub(super) fn elements<'a, S: Simd>(&mut self, simd: S, role: Role, mut bytes: &'a [u8]) -> Step<'a> {
        let mut is_first = true;
        while role != Role::Element
            && let Some(text) = after(b'"', bytes)
        {
            let Some(quote) = closing_quote(simd, false, text) else {
                break;
            };
            self.draft.begin(role, b'"');
            let rest = &text[quote + 1..];
            let Some(next) = after(b',', rest) else {
                self.end_value();
                return Some(rest);
            };
            bytes = next;
            // How the first one is divided from the second one tells how they all are.
            if std::mem::take(&mut is_first) {
                let (strings, length) = match rest {
                    [b',', b'"', strings @ ..] => dense_strings::<2, _>(simd, strings),
                    [b',', b' ', b'"', strings @ ..] => dense_strings::<3, _>(simd, strings),
                    _ => (0, 0),
                };
                self.draft.participants(role, strings);
                bytes = &bytes[length..];
            }
        }
        self.role = role;
        self.value(simd, bytes)
    }

    /// Goes over a key that is whole and plain, and to its value: what this is in a status, and the bytes from it on.
    #[inline(always)]
    fn plain_key<'a, S: Simd>(&mut self, simd: S, bytes: &'a [u8]) -> Option<(Role, &'a [u8])> {
        let text = after(b'"', bytes)?;
        self.known_keys.find(simd, text).or_else(|| self.new_key(simd, text))
    }

    #[simd]
    #[inline(never)]
    fn new_key<'a, S: Simd>(&mut self, simd: S, text: &'a [u8]) -> Option<(Role, &'a [u8])> {
        let key = short_plain(simd, text)?;
        let value = trim_space(after(b':', &text[key.len() + 1..])?);
        let role = Role::in_status(key);
        self.known_keys.learn(text, value, role);
        Some((role, value))
    }

    /// Goes over the value of a member that is whole and spelled as most are; `None` where it isn't, and nothing is lost.
    #[inline(always)]
    fn plain_value<'a, S: Simd>(&mut self, simd: S, bytes: &'a [u8]) -> Step<'a> {
        let (&first, after) = bytes.split_first()?;
        self.draft.begin(self.role, first);
        match first {
            b'"' if self.role.is_captured() => {
                let text = short_plain(simd, after)?;
                self.draft.captured(self.role, text);
                Some(&after[text.len() + 1..])
            }
            b'"' => Some(&after[closing_quote(simd, false, after)? + 1..]),
            b'1'..=b'9' => {
                let (integer, rest) = short_number(simd, bytes)?;
                if self.role == Role::Timestamp {
                    self.draft.timestamp = in_range(integer);
                }
                Some(rest)
            }
            b'[' if self.open.len() < DEEPEST => after.strip_prefix(b"]"),
            b't' => after.strip_prefix(b"rue"),
            b'f' => after.strip_prefix(b"alse"),
            b'n' => after.strip_prefix(b"ull"),
            _ => None,
        }
    }
}
