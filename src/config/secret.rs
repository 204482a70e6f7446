//! Where tokens come from: the file itself, a file of their own, or an environment variable.

use std::path::{Path, PathBuf};

use super::Environment;
use crate::account::{AccountError, Token};
use crate::yaml::{Field, Reported, Section, quoted};

/// Where a token was found. It can be shown; the token can't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// In the configuration file itself.
    Inline,
    /// In a file of its own.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
    /// In the list of a partner account's instances.
    Partner,
}

/// The keys by which a section names its token: inline, in a file, in an environment variable.
pub(super) type TokenKeys = [&'static str; 3];

/// An instance's.
pub(super) const INSTANCE: TokenKeys = ["api_token", "api_token_file", "api_token_env"];
/// A partner's.
pub(super) const PARTNER: TokenKeys = ["token", "token_file", "token_env"];

/// Finds the token of `section`. A relative path counts from `folder`.
pub(super) fn token(
    section: &Section<'_>,
    keys: &TokenKeys,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<(Token, TokenSource), Reported> {
    let [inline, file, variable] = keys;
    let given: Vec<_> = keys
        .iter()
        .filter_map(|key| Some((*key, section.field(key)?)))
        .collect();
    let (key, field) = match given.as_slice() {
        [one] => one,
        [] => {
            let hint = format!("give one of `{inline}`, `{file}` and `{variable}`");
            return Err(section.missing(keys, section.path(), "the token is missing", Some(hint)));
        }
        [(first, _), second, more @ ..] => {
            let refuse = |(_, field): &(_, Field<'_>)| {
                let hint = format!("keep one of `{inline}`, `{file}` and `{variable}`");
                field.refuse_with_hint(format!("the token is given already, by `{first}`"), hint)
            };
            for another in more {
                refuse(another);
            }
            return Err(refuse(second));
        }
    };
    let text = field.text()?;
    let (token, source) = if key == inline {
        (
            text.parse().map_err(|error: AccountError| error.to_string()),
            TokenSource::Inline,
        )
    } else if key == file {
        let path = folder.join(text);
        (read(&path), TokenSource::File(path))
    } else {
        (of_variable(text, environment), TokenSource::Variable(text.to_owned()))
    };
    Ok((token.map_err(|message| field.refuse(message))?, source))
}

/// Reads the token in the file at `path`. The error names the path.
pub(super) fn read(path: &Path) -> Result<Token, String> {
    let shown = quoted(&path.display().to_string());
    let text = crate::file::read(path, 64 * 1024).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let text = String::from_utf8(text).map_err(|_| format!("cannot use {shown}: {}", AccountError::TokenCharacters))?;
    text.parse().map_err(|error| format!("cannot use {shown}: {error}"))
}

fn of_variable(name: &str, environment: Environment<'_>) -> Result<Token, String> {
    let shown = quoted(name);
    match environment(name) {
        Some(text) => text
            .parse()
            .map_err(|error| format!("cannot use the environment variable {shown}: {error}")),
        None => Err(format!("the environment variable {shown} is not set")),
    }
}
