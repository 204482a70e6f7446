//! The shapes of the API's smaller answers, and what is read from them. Leniently: the API is a beta and changes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::collector::{ContactType, Contacts, EnabledSettings, Recipients, Setting, StateInstance};
use crate::green_api::failure::Failure;
use crate::journal::StatusMessage;
use crate::label::LabelValue;

/// Reads `getStateInstance` (api.md 2.5).
pub fn state(body: &[u8]) -> Result<StateInstance, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "stateInstance")]
        state_instance: String,
    }
    let answer: Answer = read(body)?;
    Ok(StateInstance::spelled(answer.state_instance).unwrap_or(StateInstance::Other))
}

/// Reads `getSettings` (api.md 2.6). A setting that the answer lacks is absent.
pub fn settings(body: &[u8]) -> Result<EnabledSettings, Failure> {
    // Read as they are written: whatever else a value is, it leaves out that setting alone.
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow, rename = "outgoingWebhook")]
        outgoing: Option<&'a RawValue>,
        #[serde(borrow, rename = "outgoingMessageWebhook")]
        outgoing_message: Option<&'a RawValue>,
        #[serde(borrow, rename = "outgoingAPIMessageWebhook")]
        outgoing_api_message: Option<&'a RawValue>,
        #[serde(borrow, rename = "incomingWebhook")]
        incoming: Option<&'a RawValue>,
    }
    let answer: Answer<'_> = read(body)?;
    let settings = [
        (Setting::OutgoingWebhook, answer.outgoing),
        (Setting::OutgoingMessageWebhook, answer.outgoing_message),
        (Setting::OutgoingApiMessageWebhook, answer.outgoing_api_message),
        (Setting::IncomingWebhook, answer.incoming),
    ];
    let known = settings
        .into_iter()
        .filter_map(|(setting, value)| Some((setting, is_on(value?)?)));
    Ok(known.collect())
}

/// What a setting says: "yes" or "no", or a boolean as the newer ones have; leniently, as text or in capitals, too.
fn is_on(setting: &RawValue) -> Option<bool> {
    let word = match setting.get() {
        boolean @ ("true" | "false") => boolean.into(),
        _ => text(Some(setting)),
    };
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// Reads `getMessagesCount` (api.md 2.9).
pub fn queue(body: &[u8]) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        count: u64,
    }
    read(body).map(|answer: Answer| answer.count)
}

/// Reads `getContacts` (api.md 2.7): how many there are of each type, with and without a name in the address book.
pub fn contacts(body: &[u8]) -> Result<Contacts, Failure> {
    #[derive(Default, Deserialize)]
    struct Contact<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
        #[serde(borrow, rename = "contactName")]
        contact_name: Option<&'a RawValue>,
    }
    let mut contacts = Contacts::new();
    read_each_object(body, |contact: Contact<'_>| {
        let kind = ContactType::spelled(&*text(contact.kind)).unwrap_or(ContactType::Other);
        let named = !text(contact.contact_name).is_empty();
        *contacts.entry((kind, named)).or_default() += 1;
    })?;
    Ok(contacts)
}

/// Reads `getStatusStatistic` (api.md 2.2): how many recipients of a status there are in each state. Whether there is a row for each
/// recipient or for each mark is not on record: of several rows the furthest state counts.
pub fn statistic(body: &[u8]) -> Result<Recipients, Failure> {
    #[derive(Default, Deserialize)]
    struct Row<'a> {
        #[serde(borrow)]
        participant: Option<&'a RawValue>,
        #[serde(borrow)]
        status: Option<&'a RawValue>,
    }
    let (mut furthest, mut recipients) = (HashMap::new(), Recipients::new());
    read_each_object(body, |row: Row<'_>| {
        let state = StatusMessage::parse(text(row.status).as_bytes());
        match row.participant {
            Some(participant) => {
                let known = furthest.entry(participant.get()).or_insert(state);
                *known = state.max(*known);
            }
            None => *recipients.entry(state).or_default() += 1,
        }
    })?;
    for state in furthest.into_values() {
        *recipients.entry(state).or_default() += 1;
    }
    Ok(recipients)
}

/// The text of a JSON string; still escaped where it is no text, as half an emoji in a contact's name is none. Empty for anything else.
fn text(value: Option<&RawValue>) -> Cow<'_, str> {
    let quoted = value.map(RawValue::get).unwrap_or_default();
    let escaped = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let escaped = escaped.unwrap_or_default();
    if escaped.contains('\\')
        && let Ok(text) = serde_json::from_str(quoted)
    {
        return Cow::Owned(text);
    }
    Cow::Borrowed(escaped)
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    object(body).map_err(|error| without_values(&error))
}

/// Reads an object. An array is none, though serde would take its elements for the fields.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    if is_object(json) {
        serde_json::from_slice(json)
    } else {
        Err(serde::de::Error::custom("no object"))
    }
}

fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().starts_with(b"{")
}

/// Reads the objects of a JSON array, and leaves out what is none. One that can't be read is as if it were empty.
fn read_each_object<'a, T: Deserialize<'a> + Default>(
    body: &'a [u8],
    mut on_object: impl FnMut(T),
) -> Result<(), Failure> {
    read_each(body, |element| {
        let json = element.get().as_bytes();
        if is_object(json) {
            on_object(serde_json::from_slice(json).unwrap_or_default());
        }
    })
}

/// Reads a JSON array, giving each element to `on_element` and keeping none. `null` is an empty one.
pub(super) fn read_each<'a>(body: &'a [u8], on_element: impl FnMut(&'a RawValue)) -> Result<(), Failure> {
    struct Each<F>(F);

    impl<'a, F: FnMut(&'a RawValue)> Visitor<'a> for Each<F> {
        type Value = ();

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an array")
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }

        fn visit_seq<A: SeqAccess<'a>>(mut self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element()? {
                self.0(element);
            }
            Ok(())
        }
    }

    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let outcome = deserializer
        .deserialize_any(Each(on_element))
        .and_then(|()| deserializer.end());
    outcome.map_err(|error| without_values(&error))
}

/// Says where an answer is not as documented. The error's own text would quote values: phone numbers and tokens.
fn without_values(error: &serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    let kind = match error.classify() {
        serde_json::error::Category::Data => "unexpected value",
        serde_json::error::Category::Eof => "unexpected end",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "no JSON",
    };
    Failure::invalid_json(format!("{kind} at line {line}, column {column}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_contact_or_recipient_leaves_the_others_counted() {
        let check = |element: &str, expected: Option<(ContactType, bool)>| {
            let body = format!(r#"[{{"type":"user","contactName":"Ada"}},{element}]"#);
            let mut all = Contacts::from([((ContactType::User, true), 1)]);
            if let Some(expected) = expected {
                *all.entry(expected).or_default() += 1;
            }
            assert_eq!(contacts(body.as_bytes()), Ok(all), "{element}");
        };
        let named = |contact_type| Some((contact_type, true));
        let unnamed = |contact_type| Some((contact_type, false));
        check(r#"{"type":"group","contactName":"Team"}"#, named(ContactType::Group));
        check(r#"{"type":"gr\u006fup"}"#, unnamed(ContactType::Group));
        check(r#"{"type":"group","contactName":null}"#, unnamed(ContactType::Group));
        check(r#"{"type":"user","contactName":""}"#, unnamed(ContactType::User));
        check(r#"{"type":"user"}"#, unnamed(ContactType::User));
        check(r#"{"type":"user","contactName":5}"#, unnamed(ContactType::User));
        check(r#"{"type":"user","contactName":"\ud83d"}"#, named(ContactType::User));
        check(r#"{"type":5,"contactName":"Bob"}"#, named(ContactType::Other));
        check("{}", unnamed(ContactType::Other));
        for no_contact in ["5", "null", r#"["group","Team"]"#] {
            check(no_contact, None);
        }
        let recipients = Recipients::from([(StatusMessage::Read, 1), (StatusMessage::Unknown, 2)]);
        assert_eq!(
            statistic(br#"[{"status":"r\u0065ad"},{"status":5},{},5,["read"]]"#),
            Ok(recipients)
        );
    }

    #[test]
    fn a_recipient_counts_once_in_the_furthest_state() {
        let check = |rows: &[(&str, &str)], expected: &[(StatusMessage, u64)]| {
            let row = |(participant, status): &(&str, &str)| {
                format!(r#"{{"participant":"{participant}","status":"{status}"}}"#)
            };
            let body = format!("[{}]", rows.iter().map(row).collect::<Vec<_>>().join(","));
            assert_eq!(
                statistic(body.as_bytes()),
                Ok(expected.iter().copied().collect()),
                "{body}"
            );
        };
        check(
            &[("a", "sent"), ("a", "read"), ("a", "delivered")],
            &[(StatusMessage::Read, 1)],
        );
        check(&[("a", "sent"), ("b", "sent")], &[(StatusMessage::Sent, 2)]);
        check(
            &[("a", "read"), ("b", "sent")],
            &[(StatusMessage::Sent, 1), (StatusMessage::Read, 1)],
        );
    }

    #[test]
    fn an_array_is_no_object() {
        for array in [r#"["authorized"]"#, "[5]", "[]"] {
            let array = array.as_bytes();
            let read = [state(array).is_ok(), settings(array).is_ok(), queue(array).is_ok()];
            assert_eq!(read, [false; 3], "{}", String::from_utf8_lossy(array));
        }
    }

    #[test]
    fn a_setting_is_on_or_off_by_word_or_boolean_and_anything_else_leaves_it_out_alone() {
        let check = |value: &str, expected: Option<bool>| {
            let body = format!(r#"{{"outgoingWebhook":{value},"incomingWebhook":"yes","other":1}}"#);
            let mut all = EnabledSettings::from([(Setting::IncomingWebhook, true)]);
            all.extend(expected.map(|on| (Setting::OutgoingWebhook, on)));
            assert_eq!(settings(body.as_bytes()), Ok(all), "{value}");
        };
        for (yes, no) in [(r#""yes""#, r#""no""#), ("true", "false"), (r#""True""#, r#""NO""#)] {
            check(yes, Some(true));
            check(no, Some(false));
        }
        for odd in [r#""maybe""#, r#""""#, "5", "null", "[]", "{}"] {
            check(odd, None);
        }
        for (key, setting) in [
            ("outgoingWebhook", Setting::OutgoingWebhook),
            ("outgoingMessageWebhook", Setting::OutgoingMessageWebhook),
            ("outgoingAPIMessageWebhook", Setting::OutgoingApiMessageWebhook),
            ("incomingWebhook", Setting::IncomingWebhook),
        ] {
            let body = format!(r#"{{"{key}":"no"}}"#);
            assert_eq!(settings(body.as_bytes()), Ok([(setting, false)].into()), "{key}");
        }
        assert_eq!(settings(b"{}"), Ok(EnabledSettings::new()));
    }

    #[test]
    fn a_list_is_an_array_with_nothing_after_it_or_null() {
        let check = |body: &str, is_list| {
            let body = body.as_bytes();
            let read = [contacts(body).is_ok(), statistic(body).is_ok()];
            assert_eq!(read, [is_list; 2], "{}", String::from_utf8_lossy(body));
        };
        for list in ["[]", " [] ", " null "] {
            check(list, true);
        }
        for other in ["", "[", "[] []", "null,", "{}", "5", r#""[]""#, "[}"] {
            check(other, false);
        }
    }
}
