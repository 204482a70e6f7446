//! Reads what the sending methods and the deletion are told (api.md 2.3, 2.4).

use serde::Deserialize;

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
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        // The position is all that the message needs; the text is the caller's own.
        format!("Unexpected token in JSON at position {}", error.column())
    })?;
    let required = |field: Option<String>, name: &str| {
        field
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("Validation failed. Details: '{name}' is required"))
    };
    if method == Method::DeleteStatus {
        return required(body.id_message, "idMessage").map(Order::Delete);
    }
    let (type_message, text) = if method == Method::SendTextStatus {
        (TypeMessage::ExtendedText, required(body.message, "message")?)
    } else {
        required(body.url_file, "urlFile")?;
        let file_name = required(body.file_name, "fileName")?;
        (media(method, &file_name), body.caption.unwrap_or_default())
    };
    Ok(Order::Publish(SimStatus {
        type_message,
        text,
        participants: body.participants.unwrap_or_default(),
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

/// The fields of all four methods together. Those that change nothing in a journal aren't read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    message: Option<String>,
    url_file: Option<String>,
    file_name: Option<String>,
    caption: Option<String>,
    participants: Option<Vec<String>>,
    id_message: Option<String>,
}
