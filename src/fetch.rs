//! What one request for a journal came to, and how long to wait after it. It knows the rules of spec section 6, not HTTP.

use std::time::Duration;

use crate::label::label_values;

label_values! {
    /// How a request for a journal ended (spec section 6).
    FetchResult {
        /// 200 with an array, or with `null`.
        Ok => "ok",
        /// 400: the instance is starting.
        Starting => "starting",
        /// 400: the phone is not linked.
        NotAuthorized => "not_authorized",
        /// 400: the instance isn't paid for.
        Expired => "expired",
        /// 400: the instance was deleted.
        Deleted => "deleted",
        /// 400 with any other text.
        BadRequest => "bad_request",
        /// 401: the token is wrong.
        Unauthorized => "unauthorized",
        /// 403: no beta access, or wrong id or host.
        Forbidden => "forbidden",
        /// 404.
        NotFound => "not_found",
        /// 429.
        RateLimited => "rate_limited",
        /// 466.
        QuotaExceeded => "quota_exceeded",
        /// 5xx.
        ServerError => "server_error",
        /// Any other code, redirects included.
        UnexpectedStatus => "unexpected_status",
        /// No complete answer in time.
        Timeout => "timeout",
        /// No connection.
        Connect => "connect",
        /// No encrypted connection.
        Tls => "tls",
        /// The connection broke before the answer was complete.
        Interrupted => "interrupted",
        /// The answer is longer than `max_response_bytes`.
        TooLarge => "too_large",
        /// 200 with anything but an array or `null`.
        InvalidJson => "invalid_json",
    }
}

impl FetchResult {
    /// What the result means and what to do about it, in a sentence for people.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Ok => "the journal was read",
            Self::Starting => "the instance is starting; if it still is after 5 minutes, reboot it in the console",
            Self::NotAuthorized => "the phone is not linked; scan the QR code in the console",
            Self::Expired => "the instance is not paid for; renew it in the console",
            Self::Deleted => "the instance was deleted; remove it from the configuration",
            Self::BadRequest => "the API refused the request as malformed",
            Self::Unauthorized => "the token is wrong; take apiTokenInstance from the console",
            Self::Forbidden => {
                "no access to the beta of the status methods, or the id or the API URL is wrong; \
                 check both in the console, then ask GREEN-API's support for access"
            }
            Self::NotFound => "the API does not know the method at this URL; check the API URL",
            Self::RateLimited => {
                "more than one request a second was made for this instance; is something else reading its journal?"
            }
            Self::QuotaExceeded => "the monthly quota is used up; change the tariff in the console",
            Self::ServerError => "the API itself has failed (5xx); wait until it recovers",
            Self::UnexpectedStatus => "the API answered with a status code it does not document; check the API URL",
            Self::Timeout => "no complete answer came in time",
            Self::Connect => "no connection could be made; check the API URL, DNS, proxy and firewall",
            Self::Tls => "no encrypted connection could be made; check the API URL and the certificates",
            Self::Interrupted => "the connection broke before the answer was complete",
            Self::TooLarge => "the answer is longer than max_response_bytes",
            Self::InvalidJson => "the answer is not the JSON array that the API documents",
        }
    }

    /// How long after this result the next request must wait, at least.
    ///
    /// `retry_after` is the answer's `Retry-After`; `in_a_row` is how many requests have now been rate limited in succession.
    pub fn wait(self, retry_after: Option<Duration>, in_a_row: u32) -> Duration {
        const LONGEST: Duration = Duration::from_mins(1);
        // An answer that asks for days is a mistake that nobody would be there to notice.
        const LONGEST_ASKED_FOR: Duration = Duration::from_hours(1);
        match self {
            Self::Unauthorized | Self::Forbidden => LONGEST,
            Self::RateLimited => {
                let doubled = Duration::from_secs(2).saturating_mul(1 << in_a_row.saturating_sub(1).min(5));
                retry_after.map_or(doubled.min(LONGEST), |asked| asked.min(LONGEST_ASKED_FOR))
            }
            _ => Duration::ZERO,
        }
    }
}

/// How many times in succession something has happened now, if it did so `before` times and does so `again` or not.
pub fn in_a_row(before: u32, again: bool) -> u32 {
    if again { before.saturating_add(1) } else { 0 }
}
