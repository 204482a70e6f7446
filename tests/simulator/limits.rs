//! How many calls are answered in a second.

use crate::scene::{NOON, Scene};

/// The code of each of several equal calls within a second, and how many more the answer says there may be.
async fn check(verb: &str, path: impl Fn(&Scene) -> String, answers: &[(u16, &str)]) {
    let (scene, limits) = Scene::limited();
    let path = path(&scene);
    // The next second is like the first.
    for second in [NOON, NOON + 1] {
        limits.set(second);
        for (number, expected) in answers.iter().enumerate() {
            let answer = scene.call(verb, &path, r#"{"message":"hi"}"#).await.unwrap();
            let remaining = answer.header("x-ratelimit-remaining").unwrap();
            assert_eq!((answer.code, remaining), *expected, "{number}: {path}");
        }
    }
}

#[tokio::test]
async fn a_second_call_within_a_clock_second_is_one_too_many() {
    let path = |scene: &Scene| scene.path("getOutgoingStatuses");
    check("GET", path, &[(200, "0"), (429, "0"), (429, "0")]).await;
}

#[tokio::test]
async fn five_statuses_may_be_sent_a_second() {
    let sent = [(200, "4"), (200, "3"), (200, "2"), (200, "1"), (200, "0"), (429, "0")];
    check("POST", |scene| scene.path("sendTextStatus"), &sent).await;
}

#[tokio::test]
async fn calls_that_the_api_refuses_count_too() {
    let wrong = |scene: &Scene| format!("/waInstance{}/getSettings/wrong", scene.id);
    check("GET", wrong, &[(401, "0"), (429, "0")]).await;
    check("GET", |scene| scene.path("deleteStatus"), &[(404, "9"), (404, "8")]).await;
    check("GET", |scene| scene.path("getNothing"), &[(404, "49"), (404, "48")]).await;
}

#[tokio::test]
async fn a_call_too_many_is_refused_without_a_word() {
    let (scene, _) = Scene::limited();
    scene.get("getOutgoingStatuses").await;
    let refused = scene.get("getOutgoingStatuses").await;
    assert_eq!((refused.code, &*refused.body), (429, ""));
    assert_eq!(refused.header("x-ratelimit-replenish-rate"), Some("1"));
    assert_eq!(refused.header("retry-after"), None);
}

#[tokio::test]
async fn limits_are_per_method_and_instance() {
    let (mut scene, _) = Scene::limited();
    assert_eq!(scene.get("getOutgoingStatuses").await.code, 200);
    assert_eq!(scene.get("getIncomingStatuses").await.code, 200);
    let other = scene.simulator.logins()[1].clone();
    (scene.id, scene.token) = (other.id, other.token);
    assert_eq!(scene.get("getOutgoingStatuses").await.code, 200);
}
