//! The YAML shape: text becomes a tree of nodes that know their place. The only user of the YAML crate, whose errors quote
//! the file and are kept away from people.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Options, Spanned};

use super::problem::Position;

/// A value and where it stands.
pub(crate) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What can stand after a key.
pub(super) enum Value {
    /// Nothing, or `null`.
    Nothing,
    /// A single value, as it is written but for quotes.
    Text { text: String, is_quoted: bool },
    /// A list.
    List(Vec<Node>),
    /// Keys with values. A key may occur twice.
    Section(Vec<(Position, String, Node)>),
}

/// Reads `source`. The error says where and why it is not YAML, and repeats nothing of it.
pub(super) fn parse(source: &str) -> Result<Node, (Option<Position>, String)> {
    serde_saphyr::from_str_with_options::<Spanned<Raw>>(source, options())
        .map(|root| node(root, source))
        .map_err(|error| (error.location().map(position), reason(&error)))
}

fn options() -> Options {
    serde_saphyr::options! {
        // An error's snippet would show the neighbouring lines, which are secrets.
        with_snippet: false,
        // Told by the reader of the tree, together with the other problems.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // Enough for tens of thousands of instances; a file that unfolds to more is an attack on the memory.
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 1_000_000,
            max_events: 2_000_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 500_000,
            max_replay_stack_depth: 8,
        },
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => reason(error),
        Error::Eof { .. } => "the file is empty".to_owned(),
        Error::MultipleDocuments { .. } => "more than one YAML document".to_owned(),
        Error::UnknownAnchor { .. } => "an alias refers to an anchor that is not defined above it".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias within its own anchor".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => "the YAML is too large or too deeply nested".to_owned(),
        // The scanner's messages are fixed sentences; the one that quotes the file does so after a backtick.
        Error::ExternalMessage { msg, .. } => {
            let fixed = msg.split('`').next().unwrap_or_default();
            format!("not valid YAML: {}", fixed.trim_end_matches([' ', ':']))
        }
        _ => "not valid YAML for a configuration".to_owned(),
    }
}

fn position(location: Location) -> Position {
    Position {
        line: location.line(),
        column: location.column(),
    }
}

fn node(spanned: Spanned<Raw>, source: &str) -> Node {
    let value = match spanned.value {
        Raw::Null => Value::Nothing,
        Raw::Text(text) => Value::Text {
            text,
            is_quoted: written(spanned.defined, source).starts_with(['"', '\'', '|', '>']),
        },
        Raw::Number => Value::Text {
            text: written(spanned.defined, source).to_owned(),
            is_quoted: false,
        },
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, source)).collect()),
        Raw::Section(entries) => {
            let entry = |(key, value): (Spanned<String>, _)| (position(key.defined), key.value, node(value, source));
            Value::Section(entries.into_iter().map(entry).collect())
        }
    };
    Node {
        at: position(spanned.defined),
        value,
    }
}

/// The text at `location`.
fn written(location: Location, source: &str) -> &str {
    let span = location.span();
    let range = || {
        let start = usize::try_from(span.byte_offset()?).ok()?;
        source.get(start..start.checked_add(usize::try_from(span.byte_len()?).ok()?)?)
    };
    range().unwrap_or_default().trim()
}

/// What the YAML crate makes of a node.
enum Raw {
    Null,
    Text(String),
    /// A number or a boolean. Its text is taken from the source: a token of digits is more than a number can hold.
    Number,
    List(Vec<Spanned<Self>>),
    Section(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut section = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            section.push(entry);
        }
        Ok(Raw::Section(section))
    }
}
