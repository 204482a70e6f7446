//! How a simulated instance behaves: a closed set, each with a text that `simulate` and its control endpoint understand.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::collector::StateInstance;
use crate::label::LabelValue;

/// How an instance answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Everything works.
    Healthy,
    /// The journals work, and the state of the instance is this one (api.md 2.5). What calls publish waits for a linked phone.
    State(StateInstance),
    /// The notifications that marks depend on are off: no status gets further than `sent` (api.md 1.3).
    Unmarked,
    /// The journals are `[]`, as they were during a bug of 2024 (api.md 1.3).
    Empty,
    /// The journals are `null`.
    Null,
    /// 400: the instance is starting.
    Starting,
    /// 400: the phone isn't linked.
    NotAuthorized,
    /// 400: the instance isn't paid for.
    Expired,
    /// 400: the instance was deleted.
    Deleted,
    /// 400 for a reason that the account has nothing to do with.
    BadRequest,
    /// 401: every token is wrong.
    Unauthorized,
    /// 403 from the status methods: no beta access.
    Forbidden,
    /// 404.
    NotFound,
    /// 429, with a `Retry-After` of so many seconds if there is one; none is on record (api.md 4).
    RateLimited(Option<u64>),
    /// 466: the monthly quota is used up.
    QuotaExceeded,
    /// 500.
    ServerError,
    /// 502 from the proxy before the API.
    BadGateway,
    /// 503 from the proxy before the API.
    ServiceUnavailable,
    /// 504 from the proxy before the API.
    GatewayTimeout,
    /// 302 to another path of the same host.
    Redirect,
    /// 204.
    NoContent,
    /// As healthy, after this time.
    Slow(Duration),
    /// Never answers.
    Hang,
    /// Answers once released.
    Held,
    /// Closes the connection without an answer.
    Reset,
    /// Closes the connection in the middle of an answer.
    Truncated,
    /// 200 with a page for people.
    Garbage,
    /// 200 with a JSON object.
    Object,
    /// 200 with an array that doesn't end, in an answer that does.
    Unfinished,
    /// A journal with every oddity that a reader must survive.
    Malformed,
    /// A journal of at least so many bytes, sent as it is made.
    Huge(u64),
    /// By turns healthy, 502 and without an answer, two in a row so that one retry doesn't hide them.
    Flaky,
}

impl Behaviour {
    /// Every behaviour, those with a parameter with a usual one.
    pub const ALL: &[Self] = &[
        Self::Healthy,
        Self::State(StateInstance::Suspended),
        Self::Unmarked,
        Self::Empty,
        Self::Null,
        Self::Starting,
        Self::NotAuthorized,
        Self::Expired,
        Self::Deleted,
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::RateLimited(None),
        Self::QuotaExceeded,
        Self::ServerError,
        Self::BadGateway,
        Self::ServiceUnavailable,
        Self::GatewayTimeout,
        Self::Redirect,
        Self::NoContent,
        Self::Slow(Duration::from_secs(3)),
        Self::Hang,
        Self::Held,
        Self::Reset,
        Self::Truncated,
        Self::Garbage,
        Self::Object,
        Self::Unfinished,
        Self::Malformed,
        Self::Huge(300_000_000),
        Self::Flaky,
    ];

    /// What a flaky instance does with its `number`th request of a kind, counted from 1.
    pub(super) fn turn(self, number: u64) -> Self {
        match (self, number % 8) {
            (Self::Flaky, 2 | 3) => Self::BadGateway,
            (Self::Flaky, 5 | 6) => Self::Reset,
            (Self::Flaky, _) => Self::Healthy,
            (other, _) => other,
        }
    }

    /// The behaviour's word, without a parameter.
    fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::State(_) => "state",
            Self::Unmarked => "unmarked",
            Self::Empty => "empty",
            Self::Null => "null",
            Self::Starting => "starting",
            Self::NotAuthorized => "not_authorized",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::RateLimited(_) => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::ServerError => "server_error",
            Self::BadGateway => "bad_gateway",
            Self::ServiceUnavailable => "service_unavailable",
            Self::GatewayTimeout => "gateway_timeout",
            Self::Redirect => "redirect",
            Self::NoContent => "no_content",
            Self::Slow(_) => "slow",
            Self::Hang => "hang",
            Self::Held => "held",
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::Garbage => "garbage",
            Self::Object => "object",
            Self::Unfinished => "unfinished",
            Self::Malformed => "malformed",
            Self::Huge(_) => "huge",
            Self::Flaky => "flaky",
        }
    }

    /// The state of an instance that behaves so.
    pub(super) fn state(self) -> StateInstance {
        match self {
            Self::State(state) => state,
            Self::NotAuthorized => StateInstance::NotAuthorized,
            Self::Starting => StateInstance::Starting,
            _ => StateInstance::Authorized,
        }
    }

    /// Whether what is published gets as far as the phone, even if not everybody can be written to.
    pub(super) fn is_linked(self) -> bool {
        let linked = [
            StateInstance::Authorized,
            StateInstance::YellowCard,
            StateInstance::Suspended,
        ];
        linked.contains(&self.state())
    }

    /// What it does, for those who choose one.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Healthy => "everything works",
            Self::State(_) => {
                "journals work, and getStateInstance tells this state; sent statuses wait for a linked phone"
            }
            Self::Unmarked => "no status gets further than `sent`: outgoingWebhook is off",
            Self::Empty => "journals are `[]`",
            Self::Null => "journals are `null`",
            Self::Starting => "400: the instance is starting",
            Self::NotAuthorized => "400: the phone is not linked",
            Self::Expired => "400: the instance is not paid for",
            Self::Deleted => "400: the instance was deleted",
            Self::BadRequest => "400: the request is malformed",
            Self::Unauthorized => "401: every token is wrong",
            Self::Forbidden => "403 from the status methods: no beta access",
            Self::NotFound => "404",
            Self::RateLimited(_) => "429; with `:30`, `Retry-After` says 30 seconds",
            Self::QuotaExceeded => "466: the monthly quota is used up",
            Self::ServerError => "500",
            Self::BadGateway => "502 from the proxy before the API",
            Self::ServiceUnavailable => "503 from the proxy before the API",
            Self::GatewayTimeout => "504 from the proxy before the API",
            Self::Redirect => "302 to another path of the same host",
            Self::NoContent => "204",
            Self::Slow(_) => "everything works, after so many seconds",
            Self::Hang => "no request is ever answered",
            Self::Held => "requests are answered once another behaviour is set",
            Self::Reset => "the connection is closed without an answer",
            Self::Truncated => "the connection is closed in the middle of an answer",
            Self::Garbage => "200 with HTML instead of JSON",
            Self::Object => "200 with a JSON object instead of an array",
            Self::Unfinished => "200 with a JSON array that lacks its end",
            Self::Malformed => "a journal with every oddity that a reader must survive",
            Self::Huge(_) => "a journal of at least so many bytes",
            Self::Flaky => "by turns healthy, 502 and without an answer",
        }
    }

    /// The same behaviour with the parameter that `text` spells; `None` if it takes no such parameter.
    fn with_parameter(self, text: &str) -> Option<Self> {
        Some(match self {
            Self::State(_) => Self::State(StateInstance::spelled(text)?),
            Self::RateLimited(_) => Self::RateLimited(Some(text.parse().ok()?)),
            Self::Slow(_) => Self::Slow(Duration::try_from_secs_f64(text.parse().ok()?).ok()?),
            Self::Huge(_) => Self::Huge(text.parse().ok()?),
            _ => return None,
        })
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())?;
        match self {
            Self::State(state) => write!(formatter, ":{}", state.as_str()),
            Self::RateLimited(Some(seconds)) => write!(formatter, ":{seconds}"),
            Self::Slow(time) => write!(formatter, ":{}", time.as_secs_f64()),
            Self::Huge(bytes) => write!(formatter, ":{bytes}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Behaviour {
    type Err = UnknownBehaviour;

    /// Reads a word, with a parameter after a colon where it takes one: `slow:1.5`, `rate_limited:30`, `state:blocked`.
    fn from_str(text: &str) -> Result<Self, UnknownBehaviour> {
        let (word, parameter) = text
            .split_once(':')
            .map_or((text, None), |(word, parameter)| (word, Some(parameter)));
        let usual = Self::ALL.iter().copied().find(|behaviour| behaviour.word() == word);
        match parameter {
            None => usual,
            Some(parameter) => usual.and_then(|behaviour| behaviour.with_parameter(parameter)),
        }
        .ok_or_else(|| UnknownBehaviour(text.to_owned()))
    }
}

/// A text that is none of the behaviours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no behaviour `{0}`: use one of {words}", words = words())]
pub struct UnknownBehaviour(String);

fn words() -> String {
    let words: Vec<&str> = Behaviour::ALL.iter().map(|behaviour| behaviour.word()).collect();
    words.join(", ")
}
