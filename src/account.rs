//! Who an account instance is and how it is addressed. A token has one way out: a URL that [`Credentials`] makes for a request.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::Url;

/// The number of an account instance (`idInstance`): up to 12 digits today (api.md 2.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(u64);

impl InstanceId {
    /// The first four digits, which in every recorded sample name the host of the instance's pool (api.md 4).
    pub fn prefix(self) -> String {
        self.to_string().chars().take(4).collect()
    }
}

impl From<u64> for InstanceId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}

impl From<InstanceId> for u64 {
    fn from(id: InstanceId) -> Self {
        id.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for InstanceId {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        match text.parse() {
            Ok(id) if canonical => Ok(Self(id)),
            _ => Err(AccountError::InstanceId),
        }
    }
}

/// The secret of an account instance or of a partner account (`apiTokenInstance`, `partnerToken`).
///
/// It implements neither `Display` nor `Debug`, so that no type that holds it can be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl FromStr for Token {
    type Err = AccountError;

    /// Surrounding white space is dropped: secret files usually end in a newline.
    fn from_str(text: &str) -> Result<Self, AccountError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AccountError::EmptyToken);
        }
        // A token is a path segment of the URL; what would end the segment can't be part of it.
        let fits_a_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        if text.bytes().all(fits_a_path) && text != "." && text != ".." {
            Ok(Self(text.into()))
        } else {
            Err(AccountError::TokenCharacters)
        }
    }
}

/// Where an instance's API is served, such as `https://1101.api.green-api.com`, perhaps with a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiUrl(Arc<str>);

impl Default for ApiUrl {
    /// Where the API is served unless said otherwise (spec section 3).
    fn default() -> Self {
        Self("https://api.green-api.com".into())
    }
}

impl FromStr for ApiUrl {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let url = Url::parse(text).map_err(AccountError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AccountError::UrlScheme);
        }
        // A host such as `{region}.example` is some template's, and can't be asked for.
        let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if url.domain().is_some_and(|domain| !domain.bytes().all(is_of_host)) {
            return Err(AccountError::Url(url::ParseError::InvalidDomainCharacter));
        }
        // A URL is shown to people, so it may not hold a secret; a query would end up before the token.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AccountError::UrlPassword);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AccountError::UrlQuery);
        }
        Ok(Self(url.as_str().trim_end_matches('/').into()))
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An account instance as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: InstanceId,
    /// Its name, as configured or as the partner account lists it; its number where none is given.
    pub name: Arc<str>,
}

/// How the API of an instance, or of a partner account, is called.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Where the API is served.
    pub api_url: ApiUrl,
    /// The secret of the instance or the partner account.
    pub token: Token,
}

impl Credentials {
    /// The URL of an API method of the instance `id`; `query` is empty or begins with `?`. It holds the token: it is for the request alone,
    /// never for people.
    pub fn url(&self, id: InstanceId, method: &str, query: &str) -> String {
        format!("{}/waInstance{id}/{method}/{}{query}", self.api_url, self.token.0)
    }

    /// The URL of an API method of a partner account, of which the same is true.
    pub fn partner_url(&self, method: &str) -> String {
        format!("{}/partner/{method}/{}", self.api_url, self.token.0)
    }
}

/// Why a text is no instance number, token or API URL. The text itself is not repeated: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not a number from 1 to 2^64 - 1 in its only decimal spelling.
    #[error("an instance id has only digits and no leading zero, such as `1101000001`")]
    InstanceId,
    /// Nothing but white space.
    #[error("the token is empty")]
    EmptyToken,
    /// A character that can't be part of a URL's path segment.
    #[error("a token has only letters, digits, `-`, `_`, `.` and `~`")]
    TokenCharacters,
    /// Not a URL at all.
    #[error("not a URL: {0}")]
    Url(url::ParseError),
    /// Neither http nor https.
    #[error("an API URL begins with `https://` or `http://`")]
    UrlScheme,
    /// A user name or password in the URL.
    #[error("an API URL has no user name or password")]
    UrlPassword,
    /// A query or fragment in the URL.
    #[error("an API URL has no query and no fragment")]
    UrlQuery,
}

#[cfg(test)]
impl Credentials {
    /// Those of an API at `api_url`.
    pub(crate) fn example(api_url: &str, token: &str) -> Self {
        Self {
            api_url: api_url.parse().unwrap(),
            token: token.parse().unwrap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_in_its_only_spelling() {
        let check = |text: &str, expected| assert_eq!(text.parse(), expected, "{text}");
        check("1", Ok(InstanceId(1)));
        check("18446744073709551615", Ok(InstanceId(u64::MAX)));
        for text in ["", "0", "01", "+1", "-1", " 1", "1 ", "1.0", "18446744073709551616"] {
            check(text, Err(AccountError::InstanceId));
        }
    }

    #[test]
    fn the_prefix_of_an_id_is_its_first_four_digits() {
        let check = |id, expected| assert_eq!(InstanceId(id).prefix(), expected);
        check(7_103_000_001, "7103");
        check(7103, "7103");
        check(71, "71");
    }

    #[test]
    fn a_token_is_a_segment_of_a_path() {
        let check = |text: &str, expected: Result<&str, AccountError>| {
            let token = text.parse().map(|Token(token)| token);
            assert_eq!(token.as_deref(), expected.as_ref().copied(), "{text}");
        };
        check(" a1-_.~\n", Ok("a1-_.~"));
        check("...", Ok("..."));
        for text in ["", " \n"] {
            check(text, Err(AccountError::EmptyToken));
        }
        for text in [".", "..", "a/b", "a?b", "a#b", "a%20", "a b", "é"] {
            check(text, Err(AccountError::TokenCharacters));
        }
    }

    #[test]
    fn an_api_url_is_only_host_and_path_without_a_slash_at_its_end() {
        let check = |text: &str, expected: Result<&str, AccountError>| {
            let url = text.parse().map(|ApiUrl(url)| url);
            assert_eq!(url.as_deref(), expected.as_ref().copied(), "{text}");
        };
        check(&ApiUrl::default().to_string(), Ok("https://api.green-api.com"));
        check("https://X", Ok("https://x"));
        check("http://x:8080/a/b//", Ok("http://x:8080/a/b"));
        check("https://m\u{fc}nchen_1.x", Ok("https://xn--mnchen_1-65a.x"));
        check("http://[::1]:8080", Ok("http://[::1]:8080"));
        check("ftp://x", Err(AccountError::UrlScheme));
        for text in ["https://{region}.x", "https://\"x\"", "https://x*"] {
            check(text, Err(AccountError::Url(url::ParseError::InvalidDomainCharacter)));
        }
        for text in ["https://u@x", "https://:p@x", "https://u:p@x"] {
            check(text, Err(AccountError::UrlPassword));
        }
        for text in ["https://x/?q", "https://x/#f", "https://x?", "https://x#"] {
            check(text, Err(AccountError::UrlQuery));
        }
    }
}
