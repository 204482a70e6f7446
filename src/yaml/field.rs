//! Reads a tree of nodes key by key and reports what is wrong on the way, each problem with its place and key path.

use std::collections::HashSet;
use std::fmt::Display;
use std::str::FromStr;

use super::problem::{Position, Problems, Reported, closest, may_hold_secret};
use super::tree::{Node, Value};

/// A value with the path of keys that leads to it, such as `instances[0].window`.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    path: String,
    node: &'a Node,
    problems: &'a Problems,
}

impl<'a> Field<'a> {
    /// The whole file.
    pub(crate) fn root(node: &'a Node, problems: &'a Problems) -> Self {
        Self {
            path: String::new(),
            node,
            problems,
        }
    }

    /// The line it stands in.
    pub(crate) fn line(&self) -> u64 {
        self.node.at.line
    }

    /// Whether nothing is written here, or `null`.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self.node.value, Value::Nothing)
    }

    /// Reports that the whole file can't be used.
    pub(crate) fn refuse_file(&self, message: impl Into<String>) -> Reported {
        self.problems.add(None, "", message, None)
    }

    /// Reports that this value can't be used.
    pub(crate) fn refuse(&self, message: impl Into<String>) -> Reported {
        self.problems.add(Some(self.node.at), &self.path, message, None)
    }

    /// Reports that this value can't be used, and what to do.
    pub(crate) fn refuse_with_hint(&self, message: impl Into<String>, hint: impl Into<String>) -> Reported {
        self.problems
            .add(Some(self.node.at), &self.path, message, Some(hint.into()))
    }

    /// Whether the value stands in quotes, or is a block of text: then YAML takes it for text, whatever it looks like.
    pub(crate) fn is_quoted(&self) -> bool {
        matches!(self.node.value, Value::Text { is_quoted: true, .. })
    }

    /// The single value, as text.
    pub(crate) fn text(&self) -> Result<&'a str, Reported> {
        self.peek()
            .ok_or_else(|| self.refuse("a single value is expected here"))
    }

    /// The single value, if it is one; for those who look at it again after [`text`](Self::text) has reported.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The single value as a `T`, whose errors must not repeat it.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, Reported> {
        self.text()?
            .parse()
            .map_err(|error: T::Err| self.refuse(error.to_string()))
    }

    /// A boolean, in any of the words of YAML 1.1.
    pub(crate) fn boolean(&self) -> Result<bool, Reported> {
        match self.text()? {
            _ if self.is_quoted() => Err(self.refuse("`true` or `false` is expected, without quotes")),
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Ok(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Ok(false),
            _ => Err(self.refuse("`true` or `false` is expected")),
        }
    }

    /// The items of a list.
    pub(crate) fn list(&self) -> Result<Vec<Self>, Reported> {
        let Value::List(items) = &self.node.value else {
            return Err(self.refuse("a list is expected here"));
        };
        let item = |(index, node)| Self {
            path: format!("{}[{index}]", self.path),
            node,
            problems: self.problems,
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The keys of a section whose keys are the user's own, such as names, with their values; each once.
    pub(crate) fn fields(&self) -> Result<Vec<(&'a str, Self)>, Reported> {
        let mut read: Vec<(&str, Self)> = Vec::new();
        let mut keys = HashSet::new();
        for (at, key, node) in self.pairs()? {
            let path = format!("{}.{}", self.path, shown(key));
            if !keys.insert(key) {
                self.problems.add(Some(*at), &path, "given twice", None);
                continue;
            }
            let problems = self.problems;
            read.push((key, Self { path, node, problems }));
        }
        Ok(read)
    }

    /// The keys of a section, of which `known` are allowed.
    pub(crate) fn section(&self, known: &[&'static str]) -> Result<Section<'a>, Reported> {
        let mut section = Section {
            whole: self.clone(),
            fields: Vec::new(),
            misspelt: Vec::new(),
        };
        for (at, key, node) in self.pairs()? {
            section.add(*at, key, node, known);
        }
        Ok(section)
    }

    fn pairs(&self) -> Result<&'a [(Position, String, Node)], Reported> {
        match &self.node.value {
            Value::Section(pairs) => Ok(pairs),
            _ => Err(self.refuse("keys with values are expected here")),
        }
    }
}

/// Keys with their values.
pub(crate) struct Section<'a> {
    whole: Field<'a>,
    fields: Vec<(&'static str, Position, &'a Node)>,
    misspelt: Vec<(&'static str, Reported)>,
}

impl<'a> Section<'a> {
    /// The value of `key`; a key with nothing after it counts as absent.
    pub(crate) fn field(&self, key: &str) -> Option<Field<'a>> {
        self.written(key).filter(|field| !field.is_nothing())
    }

    /// What stands after `key`, if it is written, even if that is nothing.
    pub(crate) fn written(&self, key: &str) -> Option<Field<'a>> {
        let (key, _, node) = self.fields.iter().find(|(name, ..)| *name == key)?;
        Some(Field {
            path: self.path_of(key),
            node,
            problems: self.whole.problems,
        })
    }

    /// What `read` makes of the value of `key`, if there is one.
    pub(crate) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        self.field(key).as_ref().map(read).transpose()
    }

    /// The value of `key`; reports where it is missing.
    pub(crate) fn required(&self, key: &'static str) -> Result<Field<'a>, Reported> {
        self.field(key)
            .ok_or_else(|| self.missing(&[key], &self.path_of(key), "missing", None))
    }

    /// The first of `keys` that is here, or else the section itself: where to report what comes of them together.
    pub(crate) fn first_of(&self, keys: &[&str]) -> Field<'a> {
        let mut fields = keys.iter().filter_map(|key| self.field(key));
        fields.next().unwrap_or_else(|| self.whole.clone())
    }

    /// Reports that none of `keys` is here, unless one was misspelt, which is reported already.
    pub(crate) fn missing(&self, keys: &[&'static str], path: &str, message: &str, hint: Option<String>) -> Reported {
        match self.misspelt.iter().find(|(meant, _)| keys.contains(meant)) {
            Some((_, reported)) => *reported,
            None => self.whole.problems.add(Some(self.whole.node.at), path, message, hint),
        }
    }

    /// The keys that lead here.
    pub(crate) fn path(&self) -> &str {
        &self.whole.path
    }

    fn path_of(&self, key: &str) -> String {
        if self.whole.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.whole.path)
        }
    }

    fn add(&mut self, at: Position, key: &str, node: &'a Node, known: &[&'static str]) {
        let problems = self.whole.problems;
        let Some(name) = known.iter().find(|name| **name == key) else {
            let meant = closest(key, known);
            let hint = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known keys are {}", known.join(", ")),
            };
            let reported = problems.add(Some(at), &self.path_of(&shown(key)), "unknown key", Some(hint));
            self.misspelt.extend(meant.map(|meant| (meant, reported)));
            return;
        };
        match self.fields.iter().find(|(earlier, ..)| earlier == name) {
            Some((_, first, _)) => {
                let message = format!("given twice, first in line {}", first.line);
                problems.add(Some(at), &self.path_of(key), message, None);
            }
            None => self.fields.push((name, at, node)),
        }
    }
}

/// `key`, unless it might be a token: one can land where a key is expected, after a slip of a colon or a line break.
fn shown(key: &str) -> String {
    if may_hold_secret(key) {
        "?".to_owned()
    } else {
        key.escape_debug().to_string()
    }
}
