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

use std::borrow::Cow;
use std::time::Duration;

use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;

use crate::journal::{Record, SendByApi, StatusId, StatusMessage, TypeMessage};

use keys::KnownKeys;
use strings::{after_spaces, closing_quote, dense_strings, ends_escaping, short_number, short_plain, unescaped};

mod keys;
mod strings;

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

    /// Goes over the members of an object from a key on, as long as they are plain, and into the one that isn't.
    #[simd]
    fn members<'a, S: Simd>(&mut self, simd: S, object: Role, mut bytes: &'a [u8]) -> Step<'a> {
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
    fn elements<'a, S: Simd>(&mut self, simd: S, role: Role, mut bytes: &'a [u8]) -> Step<'a> {
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

/// How far a number has got (RFC 8259, section 6).
#[derive(Debug, Clone, Copy)]
enum Number {
    Start,
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    /// The number with one more byte; `None` if that doesn't belong to it.
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, b'-') => Self::Minus,
            (Self::Start | Self::Minus, b'0') => Self::Zero,
            (Self::Start | Self::Minus | Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    fn is_complete(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }
}

/// An open container, by what it is as a value.
#[derive(Debug, Clone, Copy)]
enum Container {
    Array(Role),
    Object(Role),
}

/// What a value, or a key, is to the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Journal,
    Element,
    Key,
    IdMessage,
    Timestamp,
    StatusMessage,
    TypeMessage,
    SendByApi,
    Participants,
    Participant,
    ExtendedText,
    TextParticipants,
    TextParticipant,
    Skipped,
}

impl Role {
    /// What the elements of an array are.
    fn of_element(self) -> Self {
        match self {
            Self::Journal => Self::Element,
            Self::Participants => Self::Participant,
            Self::TextParticipants => Self::TextParticipant,
            _ => Self::Skipped,
        }
    }

    /// What a member of a status is, by its key.
    fn in_status(key: &[u8]) -> Self {
        match key {
            b"idMessage" => Self::IdMessage,
            b"timestamp" => Self::Timestamp,
            b"statusMessage" => Self::StatusMessage,
            b"typeMessage" => Self::TypeMessage,
            b"sendByApi" => Self::SendByApi,
            b"participants" => Self::Participants,
            b"extendedTextMessage" => Self::ExtendedText,
            _ => Self::Skipped,
        }
    }

    /// What a member of an object is, by what it would be in a status.
    fn of_member(self, in_status: Self) -> Self {
        match (self, in_status) {
            (Self::Element, role) => role,
            (Self::ExtendedText, Self::Participants) => Self::TextParticipants,
            _ => Self::Skipped,
        }
    }

    /// Whether it is kept until it is complete, if it is a string.
    fn is_captured(self) -> bool {
        matches!(
            self,
            Self::Key | Self::IdMessage | Self::Timestamp | Self::StatusMessage | Self::TypeMessage
        )
    }
}

/// The status at hand, as far as it is known.
#[derive(Debug, Default)]
struct Draft {
    /// Empty unless there is one.
    id_message: Vec<u8>,
    /// `None` unless it is usable.
    timestamp: Option<u64>,
    status_message: Option<StatusMessage>,
    type_message: Option<TypeMessage>,
    send_by_api: Option<SendByApi>,
    participants: u32,
    text_participants: u32,
}

impl Draft {
    /// Takes the first byte of a value, which tells its type, and forgets what an equal key had said before.
    fn begin(&mut self, role: Role, byte: u8) {
        match role {
            Role::Element => {
                self.id_message.clear();
                *self = Self {
                    id_message: std::mem::take(&mut self.id_message),
                    ..Self::default()
                };
            }
            Role::IdMessage => self.id_message.clear(),
            Role::Timestamp => self.timestamp = None,
            Role::StatusMessage => self.status_message = (byte != b'n').then_some(StatusMessage::Other),
            Role::TypeMessage => self.type_message = (byte != b'n').then_some(TypeMessage::Other),
            Role::SendByApi => {
                self.send_by_api = match byte {
                    b't' => Some(SendByApi::True),
                    b'f' => Some(SendByApi::False),
                    _ => None,
                }
            }
            Role::Participants => self.participants = 0,
            Role::ExtendedText | Role::TextParticipants => self.text_participants = 0,
            Role::Participant | Role::TextParticipant => self.participants(role, 1),
            Role::Journal | Role::Key | Role::Skipped => {}
        }
    }

    /// Counts more participants.
    fn participants(&mut self, role: Role, more: u32) {
        let participants = match role {
            Role::Participant => &mut self.participants,
            Role::TextParticipant => &mut self.text_participants,
            _ => return,
        };
        *participants = participants.saturating_add(more);
    }

    /// Takes a text that was captured, which always is one.
    fn captured(&mut self, role: Role, text: &[u8]) {
        match role {
            Role::IdMessage => self.id_message.extend_from_slice(text),
            Role::Timestamp => self.timestamp = timestamp_of_digits(text),
            Role::StatusMessage => self.status_message = Some(StatusMessage::parse(text)),
            Role::TypeMessage => self.type_message = Some(TypeMessage::parse(text)),
            _ => {}
        }
    }

    /// The status; `None` if it is malformed.
    fn record(&self) -> Option<Record> {
        if self.id_message.is_empty() {
            return None;
        }
        Some(Record {
            id: StatusId::of(&self.id_message),
            timestamp: self.timestamp?,
            participants: if self.participants > 0 {
                self.participants
            } else {
                self.text_participants
            },
            status_message: self.status_message.unwrap_or(StatusMessage::Unknown),
            type_message: self.type_message.unwrap_or(TypeMessage::Unknown),
            send_by_api: self.send_by_api.unwrap_or(SendByApi::Unknown),
        })
    }
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

/// The bytes from the first that isn't white space.
#[inline]
fn trim_space(mut bytes: &[u8]) -> &[u8] {
    while let [byte, rest @ ..] = bytes
        && *byte <= b' '
        && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    {
        // Many spaces in a row are an indentation.
        bytes = if *byte == b'\n' { after_spaces(rest) } else { rest };
    }
    bytes
}

/// What comes after `byte`, if that comes next but for white space.
#[inline]
fn after(byte: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = bytes.split_first()?;
    if first == byte {
        return Some(rest);
    }
    // Most journals have no white space at all.
    (first <= b' ').then(|| trim_space(bytes).strip_prefix(&[byte]))?
}

fn timestamp_of_number(number: &str) -> Option<u64> {
    let seconds = if let Ok(seconds) = number.parse() {
        seconds
    } else if number.contains(['e', 'E']) {
        Duration::try_from_secs_f64(number.parse::<f64>().ok()?.trunc())
            .ok()?
            .as_secs()
    } else {
        number.split('.').next()?.parse().ok()?
    };
    in_range(seconds)
}

fn timestamp_of_digits(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit).then_some(text)?;
    in_range(std::str::from_utf8(digits).ok()?.parse().ok()?)
}

fn in_range(timestamp: u64) -> Option<u64> {
    (1..=LATEST_TIMESTAMP).contains(&timestamp).then_some(timestamp)
}

/// The longest raw form of a key, a captured text or a captured number, in bytes and without quotes.
pub const LONGEST_CAPTURED: usize = 1024;

/// How many containers may be open at once: `serde_json` refuses the 128th.
const DEEPEST: usize = 127;

/// The end of the year 9999, in Unix seconds.
const LATEST_TIMESTAMP: u64 = 253_402_300_799;
