//! What waits to be sent, and for how long.

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::simulator::{Profile, SimInstance, World};
use serde_json::json;

use crate::scene::{ID, NOON, Scene, Time};

const HOUR: u64 = 3600;

/// What has become of a status sent at noon once the instance has behaved in each of these ways for so long: its state, and
/// how many statuses wait.
async fn check(course: &[(&str, u64)], state: &str, waiting: u64) {
    let time = Time::at(NOON);
    let profile = Profile {
        per_day: 0,
        ..Profile::BUSY
    };
    let instance = SimInstance {
        profile,
        ..SimInstance::new(InstanceId::from(ID)).behaving(course[0].0.parse().unwrap())
    };
    let world = World {
        limits: None,
        ..World::new(7, time.clock(), [instance])
    };
    let scene = Scene::of(world, time);
    assert_eq!(scene.post("sendTextStatus", r#"{"message":"hi"}"#).await.code, 200);
    let mut now = NOON;
    for (behaviour, duration) in course {
        let behaviour = behaviour.parse().unwrap();
        scene.simulator.set_behaviour(scene.id, behaviour).unwrap();
        now += duration;
        scene.time.set(now);
    }
    let journal = scene.get("getOutgoingStatuses?minutes=43200").await.list();
    let count = scene.get("getMessagesCount").await.json();
    assert_eq!(
        (&journal[0]["statusMessage"], count),
        (&json!(state), json!({"count": waiting})),
        "{course:?}"
    );
}

#[tokio::test]
async fn a_status_is_sent_within_minutes_while_the_phone_is_linked() {
    check(&[("healthy", 0)], "pending", 1).await;
    check(&[("healthy", HOUR)], "delivered", 0).await;
    check(&[("state:suspended", HOUR)], "delivered", 0).await;
}

#[tokio::test]
async fn a_status_waits_until_the_phone_is_linked_and_for_a_day_at_most() {
    check(&[("state:notAuthorized", 23 * HOUR)], "pending", 1).await;
    check(
        &[("state:notAuthorized", 12 * HOUR), ("state:pendingCode", 11 * HOUR)],
        "pending",
        1,
    )
    .await;
    check(&[("state:notAuthorized", 23 * HOUR), ("healthy", 0)], "pending", 1).await;
    check(&[("state:notAuthorized", 23 * HOUR), ("healthy", HOUR)], "delivered", 0).await;
    check(&[("state:notAuthorized", 25 * HOUR)], "pending", 0).await;
    check(&[("state:notAuthorized", 25 * HOUR), ("healthy", HOUR)], "pending", 0).await;
}
