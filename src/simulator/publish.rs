//! Reads what the sending methods and the deletion are told (api.md 2.3, 2.4).

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::method::Method;
use super::status::SimStatus;
use crate::journal::TypeMessage;

/// What a call wants done.
pub(super) enum Order {
    /// To publish this; its id and time are the simulator's to give.
    Publish(SimStatus),
    /// To take back the status with this `idMessage`.
    Delete(String),
}

/// What the body of a call of `method` orders, or the message of the error.
pub(super) fn order(method: Method, body: &[u8]) -> Result<Order, String> {
    let mut fields = Fields::read(&String::from_utf8_lossy(body))?;
    if method == Method::DeleteStatus {
        return fields.required("idMessage").map(Order::Delete);
    }
    let (type_message, text) = if method == Method::SendTextStatus {
        (TypeMessage::ExtendedText, fields.required("message")?)
    } else {
        fields.required("urlFile")?;
        let file_name = fields.required("fileName")?;
        (media(method, &file_name), fields.text("caption")?.unwrap_or_default())
    };
    Ok(Order::Publish(SimStatus {
        type_message,
        text,
        // Black unless another colour is sent; which fonts are refused, and how, is not on record (api.md 1.2).
        background_color: fields.text("backgroundColor")?.or_else(|| Some("#000000".to_owned())),
        font: fields.text("font")?,
        participants: fields.take("participants", "an array of strings")?.unwrap_or_default(),
        thumbnail: 1600,
        ..SimStatus::new("", 0)
    }))
}

fn media(method: Method, file_name: &str) -> TypeMessage {
    let video = |extension: &str| {
        ["mp4", "mov", "3gp", "webm"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    };
    if method == Method::SendVoiceStatus {
        TypeMessage::Audio
    } else if file_name
        .rsplit_once('.')
        .is_some_and(|(_, extension)| video(extension))
    {
        TypeMessage::Video
    } else {
        TypeMessage::Image
    }
}

/// What the body of a call has, by its name.
struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body. What isn't JSON is told in the words of V8.
    fn read(text: &str) -> Result<Self, String> {
        let value = serde_json::from_str(text).map_err(|error| {
            let lines_before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
            let read = lines_before.map(str::len).sum::<usize>() + error.column();
            // What was read last is what was wrong.
            match text.char_indices().take_while(|(start, _)| *start < read).last() {
                Some((start, token)) if !error.is_eof() => {
                    let position = text[..start].encode_utf16().count();
                    format!("Unexpected token {token} in JSON at position {position}")
                }
                _ => "Unexpected end of JSON input".to_owned(),
            }
        })?;
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(invalid("value", "must be of type object")),
        }
    }

    /// The value of a field, which must be `what` if there is one.
    fn take<T: DeserializeOwned>(&mut self, name: &str, what: &str) -> Result<Option<T>, String> {
        let value = self.0.remove(name).unwrap_or_default();
        serde_json::from_value(value).map_err(|_| invalid(name, &format!("must be {what}")))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        self.take(name, "a string")
    }

    fn required(&mut self, name: &str) -> Result<String, String> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| invalid(name, "is required"))
    }
}

/// The message of the error where a field isn't as it must be. Only `is required` is on record; the rest follows it (api.md 3).
pub(super) fn invalid(name: &str, fault: &str) -> String {
    format!("Validation failed. Details: '{name}' {fault}")
}
