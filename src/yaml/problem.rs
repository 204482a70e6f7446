//! What is wrong with a file, all of it at once, in words that can't hold a secret.

use std::cell::RefCell;
use std::fmt;

/// A place in a file; both numbers begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// Everything that is wrong with a file, for which it isn't used. Displays a line for each problem, in the order of the
/// file, with the remedy as a `hint:` line below it; of very many problems only the first [`SHOWN`](Refusal::SHOWN).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    file: Option<String>,
    problems: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    at: Option<Position>,
    key: String,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    /// How many problems are displayed: one slip in a generated file should not fill the log.
    pub const SHOWN: usize = 100;
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().take(Self::SHOWN).enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            let position = problem.at.map(|at| format!("{}:{}", at.line, at.column));
            let place = [self.file.as_ref(), position.as_ref()].map(|part| part.map_or("", |part| part));
            let place = place
                .iter()
                .filter(|part| !part.is_empty())
                .copied()
                .collect::<Vec<_>>()
                .join(":");
            for part in [&place, &problem.key].into_iter().filter(|part| !part.is_empty()) {
                write!(formatter, "{part}: ")?;
            }
            formatter.write_str(&problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(formatter, "\n  hint: {hint}")?;
            }
        }
        match self.problems.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(formatter, "\nand {more} more"),
        }
    }
}

/// Collects problems, so that one doesn't hide the next.
#[derive(Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

/// Proof that a problem was reported; only reporting makes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reported(());

impl From<&Self> for Reported {
    fn from(reported: &Self) -> Self {
        *reported
    }
}

/// Every one of `results`, each of which is looked at, so that a problem with one doesn't hide that with the next.
pub(crate) fn all<T, C: FromIterator<T>>(
    results: impl IntoIterator<Item = Result<T, Reported>>,
) -> Result<C, Reported> {
    let results: Vec<_> = results.into_iter().collect();
    results.into_iter().collect()
}

impl Problems {
    /// Reports a problem.
    pub(crate) fn add(
        &self,
        at: Option<Position>,
        key: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Reported {
        let problem = Problem {
            at,
            key: key.to_owned(),
            message: message.into(),
            hint,
        };
        self.0.borrow_mut().push(problem);
        Reported(())
    }

    /// `value`, unless a problem turned up.
    pub(crate) fn or<T>(self, file: Option<String>, value: Result<T, Reported>) -> Result<T, Refusal> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| problem.at);
        match value {
            Ok(value) if problems.is_empty() => Ok(value),
            _ => Err(Refusal { file, problems }),
        }
    }
}

/// `text` in backticks, unless it might be a token that slipped into the wrong place.
pub(crate) fn quoted(text: &str) -> String {
    if may_hold_secret(text) {
        "(not shown: it may be a secret)".to_owned()
    } else {
        format!("`{}`", text.escape_debug())
    }
}

/// A token has at least 34 letters and digits in a row; words that people write here are shorter.
pub(crate) fn may_hold_secret(text: &str) -> bool {
    text.split(|character: char| !character.is_ascii_alphanumeric())
        .any(|word| word.len() > 32)
}

/// The one of `known` that was probably meant by `word`.
pub(crate) fn closest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    // A word this long is no slip of the pen, and the work grows with the product of the lengths.
    let distance = |known: &str| match word.len() {
        ..=40 => strsim::levenshtein(word, known),
        _ => usize::MAX,
    };
    let part = |known: &str| word.len() > 2 && (known.contains(word) || word.contains(known));
    known
        .iter()
        .map(|known| (distance(known), *known))
        .filter(|(distance, known)| *distance <= 2 && *distance < word.len() || part(known))
        .min()
        .map(|(_, known)| known)
}
