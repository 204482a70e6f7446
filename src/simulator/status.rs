//! A simulated status and its record in a journal, as the API writes it (api.md 1.2, 2.1).

use serde::Serialize;

use super::dice::{Dice, number_of};
use crate::journal::{SendByApi, StatusMessage, TypeMessage};
use crate::label::LabelValue;

/// A status as a journal shows it at some moment.
///
/// In a journal that a test spells out, `Unknown` leaves its field out and `Other` writes a word that nobody documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimStatus {
    /// Its `idMessage`.
    pub id_message: String,
    /// Time of the last action on it, in Unix seconds.
    pub timestamp: u64,
    /// How far it has got.
    pub status_message: StatusMessage,
    /// What it consists of.
    pub type_message: TypeMessage,
    /// Where it was published.
    pub send_by_api: SendByApi,
    /// Chat ids of those it is for; empty for everybody.
    pub participants: Vec<String>,
    /// Text, or caption; an empty caption is left out.
    pub text: String,
    /// Colour behind a text, such as `#228B22`; `None` for any.
    pub background_color: Option<String>,
    /// Font of a text, such as `SERIF`; `None` for any.
    pub font: Option<String>,
    /// Length of a picture's or video's preview, in characters of base64.
    pub thumbnail: usize,
}

impl SimStatus {
    /// A text for everybody, published through the API at `timestamp` (Unix seconds) and still pending.
    pub fn new(id_message: impl Into<String>, timestamp: u64) -> Self {
        Self {
            id_message: id_message.into(),
            timestamp,
            status_message: StatusMessage::Pending,
            type_message: TypeMessage::ExtendedText,
            send_by_api: SendByApi::True,
            participants: Vec::new(),
            text: "Open until eight tonight".to_owned(),
            background_color: None,
            font: None,
            thumbnail: 0,
        }
    }

    /// Chat ids of `count` people.
    pub fn people(count: u64) -> Vec<String> {
        (0..count).map(person).collect()
    }

    /// The record in the journal of published statuses of the account whose own chat id is `owner`.
    pub(super) fn outgoing<'a>(&'a self, owner: &'a str) -> Record<'a> {
        Record {
            participants: (!self.is_text()).then_some(&self.participants),
            status_message: word(self.status_message, StatusMessage::Unknown, StatusMessage::Other),
            send_by_api: match self.send_by_api {
                SendByApi::True => Some(true),
                SendByApi::False => Some(false),
                SendByApi::Unknown => None,
            },
            chat_id: owner,
            ..self.record("outgoing", Some(&self.participants))
        }
    }

    /// The record in the journal of statuses published by contacts: this one by `sender`.
    pub(super) fn incoming<'a>(&'a self, sender: &'a str, name: &'a str) -> Record<'a> {
        Record {
            chat_id: sender,
            sender_id: Some(sender),
            sender_name: Some(name),
            sender_contact_name: Some(name),
            ..self.record("incoming", None)
        }
    }

    /// What both journals have in common.
    fn record<'a>(&'a self, direction: &'static str, participants: Option<&'a [String]>) -> Record<'a> {
        let mut dice = Dice::new(&[number_of(&self.id_message)]);
        let mime_type = match self.type_message {
            TypeMessage::Image => Some("image/jpeg"),
            TypeMessage::Video => Some("video/mp4"),
            TypeMessage::Audio => Some("audio/ogg; codecs=opus"),
            _ => None,
        };
        let extension = match self.type_message {
            TypeMessage::Image => "jpg",
            TypeMessage::Video => "mp4",
            _ => "oga",
        };
        let pictured = matches!(self.type_message, TypeMessage::Image | TypeMessage::Video);
        let file_name = mime_type.map(|_| {
            let lengths = [8, 4, 4, 4, 12];
            let parts = lengths.map(|length| dice.text(super::dice::LOWER_HEX, length));
            format!("{}.{extension}", parts.join("-"))
        });
        Record {
            r#type: direction,
            id_message: &self.id_message,
            timestamp: self.timestamp,
            type_message: word(self.type_message, TypeMessage::Unknown, TypeMessage::Other),
            text_message: self.is_text().then_some(&*self.text),
            extended_text_message: self.is_text().then(|| ExtendedText {
                text: &self.text,
                background_color: self.background_color.as_deref().unwrap_or_else(|| dice.choose(COLORS)),
                font: self.font.as_deref().unwrap_or_else(|| dice.choose(FONTS)),
                participants,
            }),
            download_url: file_name
                .as_ref()
                .map(|name| format!("https://sw-media.storage.greenapi.net/{name}")),
            caption: (pictured && !self.text.is_empty()).then_some(&*self.text),
            jpeg_thumbnail: pictured.then(|| thumbnail(&mut dice, self.thumbnail)),
            mime_type,
            file_name,
            ..Record::default()
        }
    }

    fn is_text(&self) -> bool {
        matches!(self.type_message, TypeMessage::ExtendedText | TypeMessage::Text)
    }
}

const COLORS: &[&str] = &["#228B22", "#87CEEB", "#FF00FF", "#000000"];

/// The fonts of texts (api.md 1.2).
const FONTS: &[&str] = &[
    "SERIF",
    "SANS_SERIF",
    "NORICAN_REGULAR",
    "BRYNDAN_WRITE",
    "OSWALD_HEAVY",
];

/// The chat id of the `number`th person whom everybody knows. Numbers of this form belong to nobody.
pub(super) fn person(number: u64) -> String {
    format!("7000{:07}@c.us", (number % 10_000_000) * 7919 % 10_000_000)
}

/// The API's word for a value, a word it doesn't document for `other`, and none for `unknown`.
fn word<L: LabelValue + PartialEq>(value: L, unknown: L, other: L) -> Option<&'static str> {
    if value == other {
        Some("novelty")
    } else {
        (value != unknown).then(|| value.as_str())
    }
}

/// A preview: base64 that begins as that of a JPEG does.
fn thumbnail(dice: &mut Dice, length: usize) -> String {
    const BEGINNING: &str = "/9j/";
    const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Base64 comes in fours.
    let rest = length.next_multiple_of(4).saturating_sub(BEGINNING.len());
    format!("{BEGINNING}{}", dice.text(BASE64, rest))
}

/// An element of a journal. An absent field is left out.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record<'a> {
    r#type: &'static str,
    id_message: &'a str,
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_message: Option<&'static str>,
    chat_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_contact_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    participants: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_text_message: Option<ExtendedText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jpeg_thumbnail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_by_api: Option<bool>,
}

/// What a text status shows. Its participants stand here, those of media at the top level (api.md 1.2).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtendedText<'a> {
    text: &'a str,
    background_color: &'a str,
    font: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    participants: Option<&'a [String]>,
}
