//! How many calls are answered in a second.

use crate::scene::{NOON, Scene};

#[tokio::test]
async fn a_second_call_within_a_clock_second_is_one_too_many() {
    let (scene, limits) = Scene::limited();
    assert_eq!(scene.get("getOutgoingStatuses").await.code, 200);
    let refused = scene.get("getOutgoingStatuses").await;
    assert_eq!((refused.code, &*refused.body), (429, ""));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(refused.header("retry-after"), None);
    limits.set(NOON + 1);
    assert_eq!(scene.get("getOutgoingStatuses").await.code, 200);
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

#[tokio::test]
async fn five_statuses_may_be_sent_a_second() {
    let (scene, _) = Scene::limited();
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(scene.post("sendTextStatus", r#"{"message":"hi"}"#).await.code);
    }
    assert_eq!(codes, [200, 200, 200, 200, 200, 429]);
}
