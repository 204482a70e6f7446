//! What the fold must make of a journal, by `serde_json`. Also what `fuzz` compares it with.

use std::collections::BTreeMap;

use fearless_simd::Level;
use greenapi_exporter::green_api::wire::{Fold, InvalidJson, LONGEST_CAPTURED};
use greenapi_exporter::journal::{Record, SendByApi, StatusId, StatusMessage, TypeMessage};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a journal says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) statuses: Vec<(String, Record)>,
    pub(crate) malformed: u64,
}

/// What the fold makes of a document that comes in these pieces.
///
/// It must be the same whatever registers it takes: all that the machine has take turns, by where the document is cut first.
pub(crate) fn fold<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Answer, InvalidJson> {
    let mut chunks = chunks.into_iter().peekable();
    let turn = chunks.peek().map_or(0, |first| first.len());
    let mut fold = Fold::at(level(turn));
    let mut answer = Answer::default();
    for chunk in chunks {
        fold.feed(chunk, &mut |id_message, record| {
            let id_message = String::from_utf8(id_message.to_vec()).unwrap();
            answer.statuses.push((id_message, record));
        })?;
    }
    answer.malformed = fold.finish()?;
    Ok(answer)
}

#[cfg(target_arch = "x86_64")]
fn level(turn: usize) -> Level {
    let widest = Level::new();
    let narrower = match turn % 4 {
        0 => widest.as_sse2().map(Level::Sse2),
        1 => widest.as_sse4_2().map(Level::Sse4_2),
        2 => widest.as_avx2().map(Level::Avx2),
        _ => None,
    };
    narrower.unwrap_or(widest)
}

/// Others have but one.
#[cfg(not(target_arch = "x86_64"))]
fn level(_: usize) -> Level {
    Level::new()
}

/// Panics unless `serde_json` agrees with what became of the document. Where it refuses what was folded, it must not once what is
/// skipped is blank.
pub(crate) fn must_agree(document: &[u8], folded: &Result<Answer, InvalidJson>) {
    match (folded, read(document)) {
        (Ok(answer), Some(expected)) => assert_eq!(*answer, expected, "{}", String::from_utf8_lossy(document)),
        (Ok(answer), None) => {
            let blank = blanked(document);
            assert_eq!(
                Some(answer),
                read(&blank).as_ref(),
                "{document:?} {}",
                String::from_utf8_lossy(&blank)
            );
        }
        (Err(error), Some(_)) => panic!("{error}: {}", String::from_utf8_lossy(document)),
        (Err(_), None) => {}
    }
}

/// The oracle: what a journal says to one who reads it whole. `None` if `serde_json` refuses it.
fn read(document: &[u8]) -> Option<Answer> {
    let value: Value = serde_json::from_slice(document).ok()?;
    if !value.is_array() && !value.is_null() {
        return None;
    }
    let elements: Option<Vec<&RawValue>> = serde_json::from_slice(document).unwrap();
    let statuses: Vec<_> = elements.unwrap_or_default().into_iter().map(read_status).collect();
    Some(Answer {
        malformed: statuses.iter().filter(|status| status.is_none()).count() as u64,
        statuses: statuses.into_iter().flatten().collect(),
    })
}

fn read_status(element: &RawValue) -> Option<(String, Record)> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(element.get()).ok()?;
    let value = |key: &str| match members.get(key) {
        Some(raw)
            if raw.get().len() - if raw.get().starts_with('"') { 2 } else { 0 } > LONGEST_CAPTURED
                && !raw.get().starts_with(['[', '{']) =>
        {
            Value::from(vec!["too long"])
        }
        Some(raw) => serde_json::from_str(raw.get()).unwrap(),
        None => Value::Null,
    };
    let word = |key: &str| match value(key) {
        Value::Null => String::new(),
        Value::String(text) => text,
        _ => "not a string".to_owned(),
    };
    let id_message = value("idMessage").as_str().filter(|text| !text.is_empty())?.to_owned();
    let record = Record {
        id: StatusId::of(&id_message),
        timestamp: match value("timestamp") {
            Value::Number(_) => read_timestamp(members["timestamp"].get())?,
            Value::String(digits) if digits.chars().all(|digit| digit.is_ascii_digit()) => digits.parse().ok()?,
            _ => return None,
        },
        participants: [
            members.get("participants").copied(),
            nested(members.get("extendedTextMessage").copied()),
        ]
        .into_iter()
        .flatten()
        .filter_map(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok())
        .map(|participants| u32::try_from(participants.len()).unwrap())
        .find(|participants| *participants > 0)
        .unwrap_or_default(),
        status_message: StatusMessage::parse(word("statusMessage").as_bytes()),
        type_message: TypeMessage::parse(word("typeMessage").as_bytes()),
        send_by_api: match members.get("sendByApi").map(|raw| raw.get()) {
            Some("true") => SendByApi::True,
            Some("false") => SendByApi::False,
            _ => SendByApi::Unknown,
        },
    };
    (1..=253_402_300_799)
        .contains(&record.timestamp)
        .then_some((id_message, record))
}

fn nested(extended_text: Option<&RawValue>) -> Option<&RawValue> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(extended_text?.get()).ok()?;
    members.get("participants").copied()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is in the range, and whole"
)]
fn read_timestamp(number: &str) -> Option<u64> {
    if number.contains(['e', 'E']) {
        let seconds: f64 = number.parse().unwrap();
        return (1.0..1e12).contains(&seconds).then_some(seconds.floor() as u64);
    }
    let (integer, _) = number.split_once('.').unwrap_or((number, ""));
    integer.parse().ok()
}

/// A document without what may be wrong in it: contents of skipped strings, numbers out of range. Assumes that it is JSON but for these.
fn blanked(document: &[u8]) -> Vec<u8> {
    let mut blank = document.to_vec();
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut at = 0;
    while at < document.len() {
        let start = at;
        match document[at] {
            b'[' => path.push(b"element".to_vec()),
            b'{' => path.push(b"member".to_vec()),
            b']' | b'}' => drop(path.pop()),
            b'"' => {
                at += 1;
                while document[at] != b'"' {
                    at += if document[at] == b'\\' { 2 } else { 1 };
                }
                let after = document[at + 1..].iter().find(|byte| !b" \t\r\n".contains(byte));
                let contents = start + 1..at;
                let is_key = after == Some(&b':');
                let is_captured = is_key || path.len() == 2 && CAPTURED.iter().any(|key| path[1] == **key);
                if contents.len() > LONGEST_CAPTURED || !is_captured {
                    blank[contents.clone()].fill(b'x');
                }
                if is_key {
                    let key = serde_json::from_slice::<String>(&blank[start..=at]).unwrap_or_default();
                    *path.last_mut().unwrap() = key.into_bytes();
                }
            }
            b'-' | b'0'..=b'9' => {
                while matches!(document[at + 1], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    at += 1;
                }
                let is_huge = serde_json::from_slice::<f64>(&document[start..=at]).is_err();
                if is_huge {
                    blank[start..=at].fill(b' ');
                    blank[start] = b'0';
                }
            }
            _ => {}
        }
        at += 1;
    }
    blank
}

const CAPTURED: [&[u8]; 4] = [b"idMessage", b"timestamp", b"statusMessage", b"typeMessage"];
