//! Reads a journal, the answer of `getOutgoingStatuses` (api.md 1.2), while it streams: no part of it is kept but the status at hand.
//!
//! A journal is a JSON array, or `null` for an empty one. Each element is a status, or malformed and only counted:
//! - It is an object with a nonempty string `idMessage` and a `timestamp` that is a number, or a string of digits, whose integer part
//!   is from 1 to the end of the year 9999. Milliseconds are therefore refused.
//! - `statusMessage` and `typeMessage` are unknown if missing, null or empty, and other if they are not a string.
//! - `sendByApi` is unknown unless it is a boolean.
//! - Its participants are the elements of the array `participants`, or, if there are none, of the one directly in `extendedTextMessage`.
//! - Of equal keys the last wins, whatever it holds. Keys and texts are compared unescaped.
//! - A captured text (`idMessage`, `timestamp`, `statusMessage`, `typeMessage`) or number (`timestamp`) of more than
//!   [`LONGEST_CAPTURED`] raw bytes is a value of a wrong type, and such a key is an unknown one.
//!
//! What is not JSON is refused, just as `serde_json` would refuse it, except for:
//! - The contents of skipped strings, which are all those but keys and captured texts, and these too where they are too long. Such a
//!   string only has to end: control characters, bad escapes, lone surrogates and invalid UTF-8 in it are let pass.
//! - Numbers out of the range of `f64`.

#![expect(
    clippy::inline_always,
    reason = "only what is inlined is built for the widest registers of the machine"
)]

mod keys;
mod number;
mod plain;
mod space;
mod status;
mod strings;

use std::borrow::Cow;

use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;

use crate::journal::Record;

use self::keys::KnownKeys;
use self::number::{Number, timestamp_of_number};
use self::space::trim_space;
use self::status::{Draft, Role};
use self::strings::{closing_quote, ends_escaping, unescaped};

/// The fold of a journal: takes its bytes as they come, cut anywhere, and gives its statuses.
#[derive(Debug)]
pub struct Fold {
    level: Level,
    state: State,
    /// What the value at hand, or the next one, is to the journal.
    role: Role,
    /// The containers around it, outermost first.
    open: Vec<Container>,
    /// The beginning of a captured token that was cut: what it lacks is in the next chunk.
    scratch: Vec<u8>,
    known_keys: KnownKeys,
    draft: Draft,
    malformed: u64,
    /// How many bytes came before this chunk, or before the one that was refused.
    offset: u64,
    /// How many bytes of this chunk there are from the one that was refused.
    refused: usize,
}

/// The body is not the JSON of a journal. It says where, and never quotes: a journal holds texts and phone numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON array at byte {offset}")]
pub struct InvalidJson {
    /// How many bytes came before the one that can't be there, or before the early end.
    pub offset: u64,
}

impl Default for Fold {
    fn default() -> Self {
        Self::at(Level::new())
    }
}

impl Fold {
    /// A fold by the registers of `level`. The default takes the widest that the machine has.
    pub fn at(level: Level) -> Self {
        Self {
            level,
            state: State::default(),
            role: Role::default(),
            open: Vec::new(),
            scratch: Vec::new(),
            known_keys: KnownKeys::default(),
            draft: Draft::default(),
            malformed: 0,
            offset: 0,
            refused: 0,
        }
    }

    /// Takes the next bytes. `on_record` gets each status that is complete with them: its `idMessage`, in UTF-8, and what is counted.
    ///
    /// Once it has failed, it fails for ever.
    pub fn feed(&mut self, chunk: &[u8], on_record: &mut dyn FnMut(&[u8], Record)) -> Result<(), InvalidJson> {
        dispatch!(self.level, simd => self.feed_by(simd, chunk, on_record))
    }

    #[simd]
    fn feed_by<S: Simd>(
        &mut self,
        simd: S,
        chunk: &[u8],
        on_record: &mut dyn FnMut(&[u8], Record),
    ) -> Result<(), InvalidJson> {
        if matches!(self.state, State::Invalid) {
            return Err(InvalidJson { offset: self.offset });
        }
        let mut rest = chunk;
        while !rest.is_empty() {
            let Some(remaining) = self.step(simd, rest, on_record) else {
                self.state = State::Invalid;
                self.offset += (chunk.len() - self.refused) as u64;
                return Err(InvalidJson { offset: self.offset });
            };
            rest = remaining;
        }
        self.offset += chunk.len() as u64;
        Ok(())
    }

    /// The end of the body: how many elements were malformed.
    pub fn finish(self) -> Result<u64, InvalidJson> {
        match self.state {
            State::End => Ok(self.malformed),
            _ => Err(InvalidJson { offset: self.offset }),
        }
    }

    /// Takes some of the bytes: as many as are easily taken at once, so that the state is seldom looked at.
    #[inline(always)]
    fn step<'a, S: Simd>(&mut self, simd: S, bytes: &'a [u8], on_record: &mut dyn FnMut(&[u8], Record)) -> Step<'a> {
        match self.state {
            State::Text { escaped } => return self.text(simd, escaped, bytes),
            State::Number(number) => return self.number(number, bytes),
            State::Literal(missing) => return self.literal(missing, bytes),
            State::Value => return self.value(simd, bytes),
            State::Key => return self.key(simd, bytes),
            _ => {}
        }
        let bytes = trim_space(bytes);
        let Some((byte, after)) = bytes.split_first() else {
            return Some(bytes);
        };
        match (self.state, byte, self.open.last()) {
            (State::Comma, b',', Some(&Container::Array(role))) => self.elements(simd, role.of_element(), after),
            (State::Comma, b',', Some(&Container::Object(role))) => self.members(simd, role, after),
            (State::Comma | State::FirstElement, b']', Some(Container::Array(_)))
            | (State::Comma | State::FirstKey, b'}', Some(Container::Object(_))) => {
                self.close(on_record);
                Some(after)
            }
            (State::FirstElement, _, Some(&Container::Array(role))) => self.elements(simd, role.of_element(), bytes),
            (State::FirstKey, _, Some(&Container::Object(role))) => self.members(simd, role, bytes),
            (State::Colon, b':', _) => self.value(simd, after),
            _ => self.refuse(bytes),
        }
    }

    /// Goes on to a key, and over it.
    #[simd]
    fn key<'a, S: Simd>(&mut self, simd: S, bytes: &'a [u8]) -> Step<'a> {
        self.state = State::Key;
        self.role = Role::Key;
        match trim_space(bytes) {
            [] => Some(&[]),
            [b'"', after @ ..] => self.text(simd, false, after),
            refused => self.refuse(refused),
        }
    }

    /// Goes on to a value, and over it unless it is a container.
    #[simd]
    fn value<'a, S: Simd>(&mut self, simd: S, bytes: &'a [u8]) -> Step<'a> {
        self.state = State::Value;
        let bytes = trim_space(bytes);
        let Some((&byte, after)) = bytes.split_first() else {
            return Some(bytes);
        };
        match self.role {
            Role::Skipped => {}
            Role::Journal if !matches!(byte, b'[' | b'n') => return self.refuse(bytes),
            Role::Element if byte != b'{' => self.malformed += 1,
            role => self.draft.begin(role, byte),
        }
        match byte {
            b'"' => return self.text(simd, false, after),
            b'-' | b'0'..=b'9' => return self.number(Number::Start, bytes),
            b't' => return self.literal(b"true", bytes),
            b'f' => return self.literal(b"false", bytes),
            b'n' => return self.literal(b"null", bytes),
            b'[' | b'{' if self.open.len() == DEEPEST => return self.refuse(bytes),
            b'[' => {
                self.open.push(Container::Array(self.role));
                self.state = State::FirstElement;
            }
            b'{' => {
                self.open.push(Container::Object(self.role));
                self.state = State::FirstKey;
            }
            _ => return self.refuse(bytes),
        }
        Some(after)
    }

    /// Ends the innermost container, and with it perhaps a status.
    fn close(&mut self, on_record: &mut dyn FnMut(&[u8], Record)) {
        if let Some(Container::Object(Role::Element)) = self.open.pop() {
            match self.draft.record() {
                Some(record) => on_record(&self.draft.id_message, record),
                None => self.malformed += 1,
            }
        }
        self.end_value();
    }

    /// Refuses the first of these bytes.
    #[cold]
    fn refuse<'a>(&mut self, bytes: &[u8]) -> Step<'a> {
        self.refused = bytes.len();
        None
    }

    fn end_value(&mut self) {
        self.state = if self.open.is_empty() { State::End } else { State::Comma };
    }

    fn literal<'a>(&mut self, missing: &'static [u8], rest: &'a [u8]) -> Step<'a> {
        let found = missing
            .iter()
            .zip(rest)
            .take_while(|(wanted, byte)| wanted == byte)
            .count();
        let (missing, rest) = (&missing[found..], &rest[found..]);
        match (missing, rest) {
            ([], _) => self.end_value(),
            (_, []) => self.state = State::Literal(missing),
            _ => return self.refuse(rest),
        }
        Some(rest)
    }

    fn number<'a>(&mut self, mut number: Number, rest: &'a [u8]) -> Step<'a> {
        for (length, &byte) in rest.iter().enumerate() {
            if matches!(number, Number::Integer | Number::Fraction) && byte.is_ascii_digit() {
                continue;
            }
            if let Some(next) = number.next(byte) {
                number = next;
                continue;
            }
            let (piece, rest) = rest.split_at(length);
            if !number.is_complete() {
                return self.refuse(rest);
            }
            if self.role == Role::Timestamp {
                let raw = whole(&mut self.scratch, piece);
                if raw.len() <= LONGEST_CAPTURED {
                    self.draft.timestamp = std::str::from_utf8(&raw).ok().and_then(timestamp_of_number);
                }
            }
            self.end_value();
            return Some(rest);
        }
        if self.role == Role::Timestamp {
            keep(&mut self.scratch, rest);
        }
        self.state = State::Number(number);
        Some(&[])
    }

    /// Goes on with a string, somewhere after its opening quote.
    #[simd]
    fn text<'a, S: Simd>(&mut self, simd: S, escaped: bool, bytes: &'a [u8]) -> Step<'a> {
        let Some(quote) = closing_quote(simd, escaped, bytes) else {
            if self.role.is_captured() {
                keep(&mut self.scratch, bytes);
            }
            self.state = State::Text {
                escaped: ends_escaping(&bytes[usize::from(escaped)..]),
            };
            return Some(&[]);
        };
        let (piece, bytes) = bytes.split_at(quote);
        if !self.role.is_captured() {
            return Some(self.end_text(None, bytes));
        }
        let raw = whole(&mut self.scratch, piece);
        if raw.len() > LONGEST_CAPTURED {
            return Some(self.end_text(None, bytes));
        }
        let Some(text) = unescaped(&raw) else {
            return self.refuse(bytes);
        };
        Some(self.end_text(Some(text.as_bytes()), bytes))
    }

    /// Goes over the closing quote of a string, with its text if that is captured.
    fn end_text<'a>(&mut self, text: Option<&[u8]>, bytes: &'a [u8]) -> &'a [u8] {
        let after = &bytes[1..];
        if self.role == Role::Key {
            self.role = match (self.open.last(), text) {
                (Some(Container::Object(role)), Some(key)) => role.of_member(Role::in_status(key)),
                _ => Role::Skipped,
            };
            self.state = State::Colon;
            return after;
        }
        if let Some(text) = text {
            self.draft.captured(self.role, text);
        }
        self.end_value();
        after
    }
}

/// The bytes that remain after a step; `None` if one was refused.
type Step<'a> = Option<&'a [u8]>;

/// What may come next, or goes on.
#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// A value.
    #[default]
    Value,
    /// The first element of an array, or its end.
    FirstElement,
    /// The first key of an object, or its end.
    FirstKey,
    /// A key.
    Key,
    /// A colon.
    Colon,
    /// A comma, or the end of the innermost container.
    Comma,
    /// The rest of a string.
    Text {
        /// Whether its next byte follows a backslash, and so doesn't end it.
        escaped: bool,
    },
    /// The rest of a number.
    Number(Number),
    /// The rest of `true`, `false` or `null`.
    Literal(&'static [u8]),
    /// Nothing but white space.
    End,
    /// Nothing: the body was refused.
    Invalid,
}

/// An open container, by what it is as a value.
#[derive(Debug, Clone, Copy)]
enum Container {
    Array(Role),
    Object(Role),
}

/// Keeps a piece of a token, though never more of it than shows that it is too long.
fn keep(scratch: &mut Vec<u8>, piece: &[u8]) {
    let room = LONGEST_CAPTURED + 1 - scratch.len();
    scratch.extend_from_slice(&piece[..piece.len().min(room)]);
}

/// A whole token, with the pieces of it that were kept.
fn whole<'a>(scratch: &mut Vec<u8>, last: &'a [u8]) -> Cow<'a, [u8]> {
    if scratch.is_empty() {
        return Cow::Borrowed(last);
    }
    keep(scratch, last);
    Cow::Owned(std::mem::take(scratch))
}

/// The longest raw form of a key, a captured text or a captured number, in bytes and without quotes.
pub const LONGEST_CAPTURED: usize = 1024;

/// How many containers may be open at once: `serde_json` refuses the 128th.
const DEEPEST: usize = 127;
