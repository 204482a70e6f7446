//! What the simulated owners publish, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::journal::{Audience, StatusMessage};
use greenapi_exporter::label::LabelValue;
use greenapi_exporter::simulator::{Profile, SimInstance, World};
use serde_json::Value;

use crate::scene::{ID, NOON, Scene, Time};

const MONTH: &str = "getOutgoingStatuses?minutes=43200";
const DAY: u64 = 86_400;

/// A scene whose owner publishes so, with previews as short as they get: nothing here is about their length.
fn scene_of(seed: u64, profile: Profile) -> Scene {
    let time = Time::at(NOON);
    let profile = Profile {
        thumbnail: 0,
        ..profile
    };
    let instance = SimInstance {
        profile,
        ..SimInstance::new(InstanceId::from(ID))
    };
    Scene::of(
        World {
            limits: None,
            ..World::new(seed, time.clock(), [instance])
        },
        time,
    )
}

fn participants(status: &Value) -> &Vec<Value> {
    let text = &status["extendedTextMessage"];
    let holder = if text.is_object() { text } else { status };
    holder["participants"].as_array().unwrap()
}

#[tokio::test]
async fn the_same_seed_and_time_make_the_same_bytes() {
    let body = async |seed| scene_of(seed, Profile::BUSY).get(MONTH).await.body;
    assert_eq!(body(7).await, body(7).await);
    assert_ne!(body(7).await, body(8).await);
}

#[tokio::test]
async fn there_is_a_past_of_30_days_and_nothing_of_the_future() {
    let journal = scene_of(7, Profile::BUSY).get(MONTH).await.list();
    let times: Vec<u64> = journal
        .iter()
        .map(|status| status["timestamp"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted());
    assert!(
        times[0] >= NOON - 30 * DAY && times[0] < NOON - 29 * DAY,
        "{}",
        times[0]
    );
    assert!(times[times.len() - 1] <= NOON && times[times.len() - 1] > NOON - 3600);
}

#[tokio::test]
async fn owners_publish_40_to_150_statuses_a_day() {
    for profile in [Profile::BUSY, Profile::TEXT_ONLY, Profile::MOSTLY_PHONE] {
        let published = scene_of(7, profile).get("getOutgoingStatuses").await.list().len();
        assert!((30..=150).contains(&published), "{published} of {profile:?}");
    }
}

#[tokio::test]
async fn a_month_has_every_state_type_origin_and_audience() {
    let journal = scene_of(7, Profile::BUSY).get(MONTH).await.list();
    let texts = |field: &str| {
        journal
            .iter()
            .map(|status| status[field].to_string())
            .collect::<BTreeSet<_>>()
    };
    let audience = |status| Audience::of(u32::try_from(participants(status).len()).unwrap());
    assert_eq!(texts("statusMessage").len(), 4);
    assert_eq!(texts("typeMessage").len(), 4);
    assert_eq!(texts("sendByApi").len(), 2);
    assert_eq!(texts("idMessage").len(), journal.len());
    assert_eq!(
        journal.iter().map(audience).collect::<BTreeSet<_>>().len(),
        Audience::ALL.len()
    );
}

#[tokio::test]
async fn participants_of_texts_are_nested_and_those_of_media_are_not() {
    for status in scene_of(7, Profile::BUSY).get(MONTH).await.list() {
        let text = status["typeMessage"] == "extendedTextMessage";
        assert_eq!(
            status["extendedTextMessage"]["participants"].is_array(),
            text,
            "{status}"
        );
        assert_eq!(status["participants"].is_array(), !text, "{status}");
        assert_eq!(status["downloadUrl"].is_string(), !text, "{status}");
    }
}

#[tokio::test]
async fn what_comes_from_the_phone_is_for_everybody() {
    let journal = scene_of(7, Profile::MOSTLY_PHONE).get(MONTH).await.list();
    let from_phone = journal.iter().filter(|status| status["sendByApi"] == false);
    assert!(from_phone.clone().count() > 500);
    assert!(from_phone.into_iter().all(|status| participants(status).is_empty()));
}

#[tokio::test]
async fn as_time_goes_by_a_status_never_goes_back_and_never_vanishes_within_its_window() {
    let scene = scene_of(7, Profile::BUSY);
    let mut known: BTreeMap<String, (StatusMessage, u64, u64)> = BTreeMap::new();
    for now in (NOON..NOON + DAY).step_by(2700) {
        scene.time.set(now);
        let journal = scene.get("getOutgoingStatuses?minutes=2880").await.list();
        for status in &journal {
            let state = StatusMessage::parse(status["statusMessage"].as_str().unwrap_or_default().as_bytes());
            let timestamp = status["timestamp"].as_u64().unwrap();
            let id = status["idMessage"].as_str().unwrap();
            let (past_state, past_timestamp, _) = known.get(id).copied().unwrap_or((state, timestamp, now));
            assert!(past_state <= state && past_timestamp <= timestamp, "{status}");
            assert_eq!(past_state == state, past_timestamp == timestamp, "{status}");
            known.insert(id.to_owned(), (state, timestamp, now));
        }
        let in_window = |(_, timestamp, _): &&(_, u64, u64)| *timestamp >= now - 2 * DAY;
        assert_eq!(known.values().filter(in_window).count(), journal.len());
    }
    assert!(known.len() > 200);
}

#[tokio::test]
async fn a_window_holds_what_was_last_acted_on_in_it() {
    let scene = scene_of(7, Profile::BUSY);
    let month = scene.get(MONTH).await.list();
    for minutes in [1, 60, 1440, 10_080] {
        let window = scene
            .get(&format!("getOutgoingStatuses?minutes={minutes}"))
            .await
            .list();
        let recent = |status: &&Value| status["timestamp"].as_u64().unwrap() >= NOON - minutes * 60;
        assert_eq!(
            window,
            month.iter().filter(recent).cloned().collect::<Vec<_>>(),
            "{minutes} minutes"
        );
    }
}

#[tokio::test]
async fn a_window_is_a_day_unless_a_positive_number_says_otherwise_and_30_days_at_most() {
    let scene = scene_of(7, Profile::BUSY);
    for (asked, same_as) in [
        ("", "1440"),
        ("0", "1440"),
        ("-5", "1440"),
        ("soon", "1440"),
        ("99999999", "43200"),
    ] {
        let same_as = scene.get(&format!("getOutgoingStatuses?minutes={same_as}")).await.body;
        let asked = scene.get(&format!("getOutgoingStatuses?minutes={asked}")).await.body;
        assert!(asked == same_as);
    }
}

#[tokio::test]
async fn contacts_publish_too() {
    let journal = scene_of(7, Profile::BUSY).get("getIncomingStatuses").await.list();
    assert!(journal.len() > 20);
    for status in journal {
        assert_eq!(status["type"], "incoming");
        assert!(
            status["senderId"].is_string() && status.get("statusMessage").is_none(),
            "{status}"
        );
    }
}
