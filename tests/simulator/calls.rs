//! How calls are addressed, limited and answered where nothing is wrong.

use greenapi_exporter::collector::StateInstance;
use greenapi_exporter::simulator::{Behaviour, Method};
use serde_json::{Value, json};

use crate::scene::{Answer, ID, NOON, Scene};

/// A path and what it answers: the code, and how the body begins.
async fn check(verb: &str, path: impl Fn(&Scene) -> String, code: u16, body: &str) {
    let scene = Scene::new();
    let path = path(&scene);
    let answer = scene.call(verb, &path, "").await.unwrap();
    assert_eq!(answer.code, code, "{verb} {path}: {answer:?}");
    assert!(answer.body.starts_with(body), "{verb} {path}: {answer:?}");
}

#[tokio::test]
async fn the_first_letter_of_a_method_may_be_of_either_case() {
    check("GET", |scene| scene.path("getStateInstance"), 200, "{").await;
    check("GET", |scene| scene.path("GetStateInstance"), 200, "{").await;
    check(
        "GET",
        |scene| scene.path("getstateinstance"),
        404,
        "{\"statusCode\":404",
    )
    .await;
    let partner =
        |method: &'static str| move |scene: &Scene| format!("/partner/{method}/{}", scene.simulator.partner_token());
    check("GET", partner("getInstances"), 200, "[").await;
    check("GET", partner("GetInstances"), 200, "[").await;
    check("GET", partner("getinstances"), 404, "<html>").await;
}

#[tokio::test]
async fn a_wrong_number_is_forbidden_by_the_proxy() {
    let of = |id: &'static str| move |scene: &Scene| format!("/waInstance{id}/getSettings/{}", scene.token);
    check("GET", of("1101999999"), 403, "<html>\r\n<head><title>403 Forbidden").await;
    check("GET", of(""), 403, "<html>").await;
    check("GET", of("abc"), 403, "<html>").await;
}

#[tokio::test]
async fn a_wrong_token_is_unauthorized_without_a_word() {
    let path = |scene: &Scene| format!("/waInstance{}/getSettings/wrong", scene.id);
    check("GET", path, 401, "").await;
}

#[tokio::test]
async fn a_wrong_method_verb_or_path_is_not_found() {
    check("GET", |scene| scene.path("getNothing"), 404, "{\"statusCode\":404").await;
    check("GET", |scene| scene.path("sendTextStatus"), 404, "{\"statusCode\":404").await;
    check(
        "POST",
        |scene| scene.path("getOutgoingStatuses"),
        404,
        "{\"statusCode\":404",
    )
    .await;
    check(
        "GET",
        |scene| format!("/waInstance{}/getSettings", scene.id),
        404,
        "{\"statusCode\":404",
    )
    .await;
    check(
        "GET",
        |scene| format!("/v3{}", scene.path("getSettings")),
        404,
        "<html>",
    )
    .await;
    check("GET", |_| "/".to_owned(), 404, "<html>").await;
    let partner = |scene: &Scene| format!("/partner/getInstances/{}", scene.simulator.partner_token());
    check("POST", partner, 404, "{\"statusCode\":404").await;
    check("DELETE", partner, 404, "{\"statusCode\":404").await;
}

#[tokio::test]
async fn a_browser_of_any_origin_is_told_that_it_may_call() {
    check("OPTIONS", |scene| scene.path("getOutgoingStatuses"), 204, "").await;
    check("OPTIONS", |scene| scene.path("sendTextStatus"), 204, "").await;
    check("OPTIONS", |scene| scene.path("getNothing"), 404, "{").await;
    let scene = Scene::new();
    let path = scene.path("sendTextStatus");
    let answer = scene.call("OPTIONS", &path, "").await.unwrap();
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!(answer.header("content-type"), None);
}

#[tokio::test]
async fn what_is_not_found_is_named_without_the_query() {
    for behaviour in [Behaviour::Healthy, Behaviour::NotFound] {
        let scene = Scene::behaving(behaviour);
        let path = scene.path("getNothing?minutes=5");
        let error = scene.call("GET", &path, "").await.unwrap().json();
        let message = format!("Cannot GET {}", path.trim_end_matches("?minutes=5"));
        assert_eq!(
            (&error["message"], &error["path"]),
            (&json!(message), &json!(path)),
            "{behaviour}"
        );
    }
}

#[tokio::test]
async fn a_query_before_the_token_cannot_authenticate() {
    let path = |scene: &Scene| format!("/waInstance{}/getOutgoingStatuses?minutes=60/{}", scene.id, scene.token);
    check("GET", path, 404, "{\"statusCode\":404").await;
}

#[tokio::test]
async fn an_error_repeats_the_path_with_the_token() {
    let scene = Scene::behaving(Behaviour::NotAuthorized);
    let error = scene.get("getOutgoingStatuses?minutes=5").await.json();
    assert_eq!(error["path"], scene.path("getOutgoingStatuses?minutes=5"));
    assert_eq!(error["timestamp"], "2026-09-22T12:00:00.000Z");
}

#[tokio::test]
async fn the_body_of_a_get_is_ignored() {
    let scene = Scene::new();
    let path = scene.path("getOutgoingStatuses");
    let with_body = scene.call("GET", &path, "{\"minutes\":60}").await.unwrap();
    assert!(with_body.body == scene.get("getOutgoingStatuses").await.body);
}

#[tokio::test]
async fn an_answer_has_the_recorded_headers() {
    let answer = Scene::new().get("getOutgoingStatuses").await;
    for (name, value) in [
        ("server", "nginx/1.14.0 (Ubuntu)"),
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", &*answer.body.len().to_string()),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-replenish-rate", "1"),
        ("x-frame-options", "SAMEORIGIN"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.header("etag").unwrap().starts_with("W/\""));
    assert_eq!(answer.headers.get_all("vary").iter().count(), 3);
}

#[tokio::test]
async fn a_status_that_is_sent_gets_on_like_any_other() {
    let scene = Scene::new();
    let body = r#"{"message":"hello","participants":["70000000002@c.us"]}"#;
    let sent = scene.post("sendTextStatus", body).await.json();
    let status = find(&scene, &sent["idMessage"]).await;
    assert_eq!(status["statusMessage"], "pending");
    assert_eq!(status["textMessage"], "hello");
    assert_eq!(
        status["extendedTextMessage"]["participants"],
        json!(["70000000002@c.us"])
    );
    scene.time.set(NOON + 12 * 3600);
    assert_ne!(find(&scene, &sent["idMessage"]).await["statusMessage"], "pending");
}

#[tokio::test]
async fn a_status_that_is_taken_back_is_a_deleted_message_from_then_on() {
    let scene = Scene::new();
    let journal = scene.get("getOutgoingStatuses").await.list();
    let id = journal[0]["idMessage"].clone();
    let deleted = scene.post("deleteStatus", &json!({"idMessage": id}).to_string()).await;
    assert_eq!((deleted.code, &*deleted.body), (200, ""));
    let status = find(&scene, &id).await;
    assert_eq!(status["typeMessage"], "deletedMessage");
    assert_eq!(status["timestamp"], NOON);
    assert_eq!(scene.get("getOutgoingStatuses").await.list().len(), journal.len());
}

#[tokio::test]
async fn what_is_taken_back_keeps_its_statistic_and_leaves_the_queue() {
    let scene = Scene::new();
    let journal = scene.get("getOutgoingStatuses").await.list();
    let read = journal.iter().find(|status| status["statusMessage"] == "read").unwrap();
    let pending = scene.post("sendTextStatus", r#"{"message":"hi"}"#).await.json();
    let statistic = format!("getStatusStatistic?idMessage={}", read["idMessage"].as_str().unwrap());
    let state = async || {
        (
            scene.get(&statistic).await.list(),
            scene.get("getMessagesCount").await.json()["count"].as_u64().unwrap(),
        )
    };
    let (rows, waiting) = state().await;
    for id in [&read["idMessage"], &pending["idMessage"]] {
        assert_eq!(
            scene
                .post("deleteStatus", &json!({"idMessage": id}).to_string())
                .await
                .code,
            200
        );
    }
    assert_eq!(state().await, (rows, waiting - 1));
}

async fn find(scene: &Scene, id: &Value) -> Value {
    let journal = scene.get("getOutgoingStatuses").await.list();
    journal.into_iter().find(|status| status["idMessage"] == *id).unwrap()
}

#[tokio::test]
async fn a_statistic_has_a_row_per_recipient_none_ahead_of_the_status() {
    let scene = Scene::new();
    let statistic = async |id: &str| scene.get(&format!("getStatusStatistic?idMessage={id}")).await.list();
    for status in scene.get("getOutgoingStatuses?minutes=240").await.list() {
        let rows = statistic(status["idMessage"].as_str().unwrap()).await;
        if status["statusMessage"] == "pending" {
            assert!(rows.is_empty());
        } else {
            assert!(
                rows.iter().any(|row| row["status"] == status["statusMessage"]),
                "{status}"
            );
        }
    }
    assert!(statistic("unknown").await.is_empty());
}

#[tokio::test]
async fn the_state_is_that_of_the_behaviour() {
    for (behaviour, state) in [
        (Behaviour::Healthy, "authorized"),
        (Behaviour::Forbidden, "authorized"),
        (Behaviour::NotAuthorized, "notAuthorized"),
        (Behaviour::Starting, "starting"),
        (Behaviour::State(StateInstance::YellowCard), "yellowCard"),
    ] {
        let answer = Scene::behaving(behaviour).get("getStateInstance").await;
        assert_eq!(answer.json(), json!({"stateInstance": state}), "{behaviour}");
    }
}

#[tokio::test]
async fn contacts_are_people_with_and_without_a_name_and_groups() {
    let scene = Scene::new();
    let contacts = async |query: &str| scene.get(&format!("getContacts?{query}")).await.list();
    let of_type = |list: &[Value], text: &str| list.iter().filter(|contact| contact["type"] == text).count();
    let all = contacts("").await;
    assert!(of_type(&all, "user") > of_type(&all, "group") && of_type(&all, "group") > 0);
    assert!(all.iter().any(|contact| contact["contactName"] == ""));
    assert_eq!(contacts("group=true").await.len(), of_type(&all, "group"));
    assert_eq!(contacts("group=false").await.len(), of_type(&all, "user"));
    assert_eq!(contacts("count=5").await.len(), 5);
}

#[tokio::test]
async fn the_queue_is_as_long_as_there_are_pending_statuses() {
    let scene = Scene::new();
    let before = scene.get("getMessagesCount").await.json()["count"].as_u64().unwrap();
    scene.post("sendTextStatus", r#"{"message":"hi"}"#).await;
    assert_eq!(scene.get("getMessagesCount").await.json(), json!({"count": before + 1}));
}

#[tokio::test]
async fn a_partner_sees_all_instances_with_their_tokens() {
    let (scene, _) = Scene::limited();
    let get = async |token: &str| -> Answer {
        scene
            .call("GET", &format!("/partner/getInstances/{token}"), "")
            .await
            .unwrap()
    };
    let list = get(scene.simulator.partner_token()).await.list();
    let of = |field: &str| list.iter().map(|instance| instance[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("idInstance"), [ID, ID + 1]);
    assert_eq!(of("apiTokenInstance")[0], scene.token);
    assert_eq!(of("timeCreated")[0], "2025-09-22T12:00:00");
    assert!(list[0].get("apiUrl").is_none());
    let refused = get("wrong").await;
    assert_eq!(
        (refused.code, refused.json()),
        (200, json!({"code": 401, "description": "Unauthorized"}))
    );
}

#[tokio::test]
async fn a_partner_sees_the_same_times_whenever_they_are_asked_for() {
    let check = async |behaviour: Behaviour, deleted: &str, expiration: &str| {
        let scene = Scene::behaving(behaviour);
        scene.time.set(NOON + 3600);
        let path = format!("/partner/getInstances/{}", scene.simulator.partner_token());
        let instance = &scene.call("GET", &path, "").await.unwrap().list()[0];
        let times = ["timeCreated", "timeDeleted", "expirationDate"].map(|field| instance[field].clone());
        assert_eq!(times, ["2025-09-22T12:00:00", deleted, expiration], "{behaviour}");
    };
    let never = "0001-01-01T00:00:00";
    check(Behaviour::Healthy, never, "2027-09-22T12:00:00").await;
    check(Behaviour::Expired, never, "2026-09-22T12:00:00").await;
    check(Behaviour::Deleted, "2026-09-22T12:00:00", "2027-09-22T12:00:00").await;
}

#[tokio::test]
async fn requests_are_counted_and_remembered() {
    let scene = Scene::new();
    scene.get("getOutgoingStatuses?minutes=90").await;
    assert_eq!(scene.simulator.requests(scene.id, Method::GetOutgoingStatuses), Ok(1));
    assert_eq!(scene.simulator.requests(scene.id, Method::GetSettings), Ok(0));
    let received = &scene.simulator.received(scene.id).unwrap()[0];
    assert_eq!(received.target, scene.path("getOutgoingStatuses?minutes=90"));
    assert_eq!(received.headers.get("referer"), None);
}
