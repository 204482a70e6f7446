//! How tests and people change what is simulated.

use std::collections::BTreeSet;

use greenapi_exporter::clock::Clock;
use greenapi_exporter::journal::{SendByApi, StatusMessage, TypeMessage};
use greenapi_exporter::simulator::{Behaviour, SimInstance, SimStatus, Simulator, World};
use serde_json::json;

use crate::scene::{NOON, Scene, Time};

#[tokio::test]
async fn an_instance_behaves_as_it_was_last_told_over_http() {
    let scene = Scene::new();
    let path = format!("/simulator/instances/{}/behaviour", scene.id);
    let put = async |text: &str| scene.call("PUT", &path, text).await.unwrap();
    assert_eq!(put("forbidden\n").await.code, 200);
    assert_eq!(scene.get("getOutgoingStatuses").await.code, 403);
    assert_eq!(put("healthy").await.code, 200);
    assert_eq!(scene.get("getOutgoingStatuses").await.code, 200);
    let refused = put("sick").await;
    assert_eq!(refused.code, 400);
    assert!(
        refused.body.starts_with("no behaviour `sick`: use one of healthy, "),
        "{}",
        refused.body
    );
    assert_eq!(
        scene
            .call("PUT", "/simulator/instances/17/behaviour", "healthy")
            .await
            .unwrap()
            .code,
        404
    );
}

#[tokio::test]
async fn the_list_of_instances_has_no_tokens() {
    let scene = Scene::behaving(Behaviour::Forbidden);
    let answer = scene.call("GET", "/simulator/instances", "").await.unwrap();
    assert_eq!(
        answer.json(),
        json!([{"id": "1101000001", "name": "1101000001", "behaviour": "forbidden"}])
    );
}

#[tokio::test]
async fn a_journal_can_be_spelled_out_status_by_status() {
    let scene = Scene::new();
    let status = SimStatus::new("A", NOON - 60);
    let journal = async |status: SimStatus, minutes: u32| {
        scene.simulator.set_journal(scene.id, vec![status]).unwrap();
        scene
            .get(&format!("getOutgoingStatuses?minutes={minutes}"))
            .await
            .list()
    };
    let known = journal(status.clone(), 1).await;
    assert_eq!(
        (&known[0]["idMessage"], &known[0]["statusMessage"]),
        (&json!("A"), &json!("pending"))
    );
    assert!(
        journal(
            SimStatus {
                timestamp: NOON - 61,
                ..status.clone()
            },
            1
        )
        .await
        .is_empty()
    );
    let image = SimStatus {
        status_message: StatusMessage::Delivered,
        type_message: TypeMessage::Image,
        send_by_api: SendByApi::False,
        participants: SimStatus::people(2),
        ..status.clone()
    };
    let shown = &journal(image, 1).await[0];
    assert_eq!(shown["statusMessage"], "delivered");
    assert_eq!(shown["participants"], json!(["70000000000@c.us", "70000007919@c.us"]));
    let bare = SimStatus {
        status_message: StatusMessage::Unknown,
        type_message: TypeMessage::Unknown,
        send_by_api: SendByApi::Unknown,
        ..status
    };
    let expected = json!({"type": "outgoing", "idMessage": "A", "timestamp": NOON - 60, "chatId": known[0]["chatId"], "participants": []});
    assert_eq!(journal(bare, 1).await[0], expected);
}

#[tokio::test]
async fn a_journal_can_be_spelled_out_byte_by_byte() {
    let scene = Scene::new();
    scene.simulator.set_journal_body(scene.id, "[{\"odd").unwrap();
    assert_eq!(scene.get("getOutgoingStatuses").await.body, "[{\"odd");
}

#[test]
fn a_demo_has_three_lively_instances_and_the_troubles_of_users() {
    let simulator = Simulator::new(World::demo(7, Clock::system()));
    let behaviours: Vec<String> = simulator
        .logins()
        .iter()
        .map(|login| simulator.behaviour(login.id).unwrap().to_string())
        .collect();
    let expected = [
        "healthy",
        "healthy",
        "healthy",
        "forbidden",
        "healthy",
        "not_authorized",
        "quota_exceeded",
        "slow:3",
        "flaky",
    ];
    assert_eq!(behaviours, expected);
}

#[tokio::test]
async fn a_user_of_the_demo_mistook_a_token() {
    let time = Time::at(NOON);
    let mut scene = Scene::of(World::demo(7, time.clock()), time);
    for login in scene.simulator.logins().to_vec() {
        let code = if login.name == "wrong-token" { 401 } else { 200 };
        (scene.id, scene.token) = (login.id, login.token);
        scene.simulator.set_behaviour(login.id, Behaviour::Healthy).unwrap();
        assert_eq!(scene.get("getStateInstance").await.code, code, "{}", login.name);
    }
}

#[test]
fn a_large_fleet_is_mostly_healthy_and_has_every_fault_of_users() {
    let world = World::fleet(7, 200, Clock::system());
    let behaviours: Vec<Behaviour> = world.instances.iter().map(|instance| instance.behaviour).collect();
    let healthy = behaviours
        .iter()
        .filter(|behaviour| **behaviour == Behaviour::Healthy)
        .count();
    let kinds: BTreeSet<String> = behaviours.iter().map(ToString::to_string).collect();
    assert_eq!((behaviours.len(), healthy, kinds.len()), (200, 180, 15));
}

#[test]
fn a_description_has_all_that_a_user_needs_to_call_and_to_see_failures() {
    let simulator = Simulator::new(World::new(7, Clock::system(), [SimInstance::new(1_101_000_001.into())]));
    let login = &simulator.logins()[0];
    let expected = format!(
        "API URL        http://localhost\npartner token  {}\n\n{}  {}  {}  healthy\n\n\
         To have an instance behave in another way:\n\n  \
           curl -X PUT -d forbidden http://localhost/simulator/instances/ID/behaviour\n\n\
         Behaviours:\n\n",
        simulator.partner_token(),
        login.id,
        login.name,
        login.token
    );
    let description = simulator.describe("http://localhost");
    let behaviours = description.strip_prefix(&expected).expect(&description);
    let behaviours = behaviours.lines().map(|line| {
        let (behaviour, about) = line.trim_start().split_once(' ').expect(line);
        assert!(!about.trim().is_empty(), "{line}");
        behaviour.parse()
    });
    assert_eq!(
        behaviours.collect::<Result<Vec<Behaviour>, _>>().unwrap(),
        Behaviour::ALL
    );
}
