//! What a journal shows of what was sent.

use serde_json::{Value, json};

use crate::scene::Scene;

/// The values at these places of the record of a status that was sent so.
async fn check<const N: usize>(method: &str, body: Value, shown: [(&str, Option<Value>); N]) {
    let scene = Scene::new();
    let sent = scene.post(method, &body.to_string()).await.json();
    let journal = scene.get("getOutgoingStatuses").await.list();
    let status = journal
        .iter()
        .find(|status| status["idMessage"] == sent["idMessage"])
        .unwrap();
    for (place, value) in shown {
        assert_eq!(status.pointer(place), value.as_ref(), "{place} of {status}");
    }
}

#[tokio::test]
async fn a_text_is_shown_in_the_colour_and_font_that_were_sent() {
    check(
        "sendTextStatus",
        json!({"message": "hi", "backgroundColor": "#123456", "font": "OSWALD_HEAVY"}),
        [
            ("/extendedTextMessage/text", Some(json!("hi"))),
            ("/extendedTextMessage/backgroundColor", Some(json!("#123456"))),
            ("/extendedTextMessage/font", Some(json!("OSWALD_HEAVY"))),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_text_is_shown_on_black_unless_a_colour_was_sent() {
    let black = [("/extendedTextMessage/backgroundColor", Some(json!("#000000")))];
    check("sendTextStatus", json!({"message": "hi"}), black).await;
}

#[tokio::test]
async fn a_picture_has_a_caption_only_if_one_was_sent() {
    let file = json!({"urlFile": "https://example.com/a.jpg", "fileName": "a.jpg"});
    let captioned = json!({"urlFile": "https://example.com/a.jpg", "fileName": "a.jpg", "caption": "look"});
    check(
        "sendMediaStatus",
        file,
        [("/caption", None), ("/typeMessage", Some(json!("imageMessage")))],
    )
    .await;
    check("sendMediaStatus", captioned, [("/caption", Some(json!("look")))]).await;
}
