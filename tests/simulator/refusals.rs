//! What can't be done, and the words in which that is told.

use serde_json::json;

use crate::scene::Scene;

/// The message of the bad request that a call of a method with this body is.
async fn check(method: &str, body: &str, message: &str) {
    let verb = if method.starts_with("get") { "GET" } else { "POST" };
    let scene = Scene::new();
    let answer = scene.call(verb, &scene.path(method), body).await.unwrap();
    assert_eq!(
        (answer.code, &answer.json()["message"]),
        (400, &json!(message)),
        "{method} {body}"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let message = |name: &str| format!("Validation failed. Details: '{name}' is required");
    check("sendTextStatus", "{}", &message("message")).await;
    check("sendTextStatus", r#"{"message":""}"#, &message("message")).await;
    check("sendMediaStatus", "{}", &message("urlFile")).await;
    check("sendVoiceStatus", r#"{"urlFile":"x"}"#, &message("fileName")).await;
    check("deleteStatus", "{}", &message("idMessage")).await;
    check("getStatusStatistic", "", &message("idMessage")).await;
    check("getStatusStatistic?idMessage=", "", &message("idMessage")).await;
}

#[tokio::test]
async fn what_is_of_the_wrong_type_is_named() {
    let message = |text: &str| format!("Validation failed. Details: {text}");
    check("sendTextStatus", "[]", &message("'value' must be of type object")).await;
    check("sendTextStatus", "null", &message("'value' must be of type object")).await;
    check(
        "sendTextStatus",
        r#"{"message":5}"#,
        &message("'message' must be a string"),
    )
    .await;
    check(
        "deleteStatus",
        r#"{"idMessage":[]}"#,
        &message("'idMessage' must be a string"),
    )
    .await;
    let color = r#"{"message":"hi","backgroundColor":5}"#;
    check("sendTextStatus", color, &message("'backgroundColor' must be a string")).await;
    check(
        "sendTextStatus",
        r#"{"message":"hi","font":5}"#,
        &message("'font' must be a string"),
    )
    .await;
    let participants = message("'participants' must be an array of strings");
    check(
        "sendTextStatus",
        r#"{"message":"hi","participants":"70000000002@c.us"}"#,
        &participants,
    )
    .await;
    check(
        "sendTextStatus",
        r#"{"message":"hi","participants":[5]}"#,
        &participants,
    )
    .await;
}

#[tokio::test]
async fn what_is_not_json_is_told_with_what_was_unexpected_and_its_place_from_0() {
    let message = |token: &str, position: u32| format!("Unexpected token {token} in JSON at position {position}");
    check("sendTextStatus", "<html>", &message("<", 0)).await;
    check("sendTextStatus", "{message:5}", &message("m", 1)).await;
    check("sendTextStatus", r#"{"message":"hi",}"#, &message("}", 16)).await;
    check("sendTextStatus", "{\n\n  \"message\": hi}", &message("h", 16)).await;
    check("sendTextStatus", "{\"message\":\"hi\n\"}", &message("\n", 14)).await;
    check("sendTextStatus", r#"{"message":"🕗"é}"#, &message("é", 15)).await;
    check("sendTextStatus", "", "Unexpected end of JSON input").await;
    check("sendTextStatus", r#"{"message":"hi"#, "Unexpected end of JSON input").await;
}

#[tokio::test]
async fn what_was_never_published_cannot_be_deleted() {
    check("deleteStatus", r#"{"idMessage":"nobody's"}"#, "ID message notfound").await;
}
