//! Reads the single values of a configuration and says what is wrong with them.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::InstanceApiUrl;
use crate::account::{AccountError, ApiUrl};
use crate::collector::Collector;
use crate::duration::PrometheusDuration;
use crate::label::LabelValue;
use crate::yaml::{Field, Reported, all, closest, may_hold_secret, quoted};

const NAME_LIMIT: usize = 128;

/// A duration within `bounds`.
pub(super) fn duration(field: &Field<'_>, bounds: &RangeInclusive<Duration>) -> Result<Duration, Reported> {
    let text = field.text()?;
    match text.parse::<PrometheusDuration>() {
        Ok(PrometheusDuration(duration)) if bounds.contains(&duration) => Ok(duration),
        Ok(_) => {
            let [least, most] = [bounds.start(), bounds.end()].map(|bound| PrometheusDuration(*bound));
            Err(field.refuse(format!("{} is out of bounds: from {least} to {most}", quoted(text))))
        }
        Err(error) => Err(field.refuse_with_hint(format!("{error}: {}", quoted(text)), error.hint())),
    }
}

/// A whole number within `bounds`.
pub(super) fn number<T: TryFrom<u64>>(field: &Field<'_>, bounds: RangeInclusive<u64>) -> Result<T, Reported> {
    let number = field.text()?.parse().ok().filter(|number| bounds.contains(number));
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        let most = if *bounds.end() == u64::MAX {
            " or more".to_owned()
        } else {
            format!(" to {}", bounds.end())
        };
        field.refuse(format!("a whole number is expected: {}{most}", bounds.start()))
    })
}

/// The URL of an API.
pub(super) fn api_url(field: &Field<'_>) -> Result<ApiUrl, Reported> {
    url(field, field.text()?)
}

/// The URL of an API in which `{prefix}` may stand for a part.
pub(super) fn instance_api_url(field: &Field<'_>) -> Result<InstanceApiUrl, Reported> {
    url(field, &field.text()?.replace("{prefix}", ""))
}

/// `field` as a URL; `rest` is what is left of it without the placeholder that it may have.
fn url<T: FromStr<Err = AccountError>>(field: &Field<'_>, rest: &str) -> Result<T, Reported> {
    match fault_of_url(rest) {
        Some((fault, hint)) => Err(field.refuse_with_hint(fault, hint)),
        None => field.parse(),
    }
}

/// Why a text can't be the URL of an API, and what to do, if that shows before it is parsed: it has a token, a
/// placeholder or no scheme.
pub(super) fn fault_of_url(text: &str) -> Option<(&'static str, &'static str)> {
    if may_hold_secret(text) {
        Some((
            "the URL seems to hold a token",
            "give only the part before `/waInstance`",
        ))
    } else if text.contains(['{', '}']) {
        let hint = "the only placeholder is `{prefix}`, and only in `partner.instance_api_url`";
        Some(("unknown placeholder", hint))
    } else if !text.contains("://") {
        Some(("not a URL", "begin it with `https://`"))
    } else {
        None
    }
}

/// An instance's name: short, printable text.
pub(super) fn name<'a>(field: &Field<'a>) -> Result<&'a str, Reported> {
    let name = field.text()?;
    fault_of_name(name).map_or(Ok(name), |fault| Err(field.refuse(fault)))
}

/// Why a text can't be an instance's name, if it can't.
pub(crate) fn fault_of_name(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        Some("a name can't be empty".to_owned())
    } else if name.trim() != name || name.chars().any(char::is_control) {
        Some("a name has no control characters and no white space at its ends".to_owned())
    } else if name.chars().count() > NAME_LIMIT {
        Some(format!("a name has at most {NAME_LIMIT} characters"))
    } else if may_hold_secret(name) {
        let fault =
            "a name has at most 32 letters and digits in a row: names are shown, and a longer run may be a secret";
        Some(fault.to_owned())
    } else {
        None
    }
}

/// The names of collectors, each once.
pub(super) fn collectors(field: &Field<'_>) -> Result<BTreeSet<Collector>, Reported> {
    let known: Vec<_> = Collector::ALL.iter().map(|collector| collector.as_str()).collect();
    let mut collectors = BTreeSet::new();
    let read = |item: Field<'_>| {
        let text = item.text()?;
        match Collector::spelled(text) {
            Some(collector) if collectors.insert(collector) => Ok(()),
            Some(_) => Err(item.refuse(format!("`{text}` is listed twice"))),
            None => {
                let hint = match closest(text, &known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the collectors are {}", known.join(", ")),
                };
                Err(item.refuse_with_hint(format!("unknown collector: {}", quoted(text)), hint))
            }
        }
    };
    let all_known: Result<(), _> = all(field.list()?.into_iter().map(read));
    if !collectors.contains(&Collector::Outgoing) {
        // `up` tells of the journal of published statuses, so there is no instance without it.
        let message = "the collectors must include `outgoing`";
        return Err(field.refuse_with_hint(message, "add `outgoing` to the list"));
    }
    all_known.map(|()| collectors)
}
