//! Every way to fail, as it looks from outside.

use greenapi_exporter::fetch::FetchResult;
use greenapi_exporter::green_api::failure::Failure;
use greenapi_exporter::simulator::{Behaviour, Method, UnknownBehaviour};
use serde_json::Value;

use crate::scene::{Scene, client};

/// What the exporter would make of the journal of an instance that behaves so, and some text of the answer.
async fn check(behaviour: &str, code: u16, result: Option<FetchResult>, text: &str) {
    let scene = Scene::behaving(behaviour.parse().unwrap());
    let answer = scene.get("getOutgoingStatuses").await;
    assert_eq!(answer.code, code, "{behaviour}");
    let failed = (code != 200).then(|| Failure::of_answer(code, answer.body.as_bytes(), None).result);
    assert_eq!(failed, result, "{behaviour}");
    assert!(answer.body.contains(text), "{behaviour}: {}", answer.body);
}

#[tokio::test]
async fn every_result_that_an_answer_can_have_can_be_provoked() {
    for (behaviour, code, result, text) in [
        ("healthy", 200, None, "idMessage"),
        ("state:suspended", 200, None, "idMessage"),
        ("unmarked", 200, None, "idMessage"),
        ("empty", 200, None, "[]"),
        ("null", 200, None, "null"),
        (
            "starting",
            400,
            Some(FetchResult::Starting),
            "instance in starting process try later",
        ),
        (
            "not_authorized",
            400,
            Some(FetchResult::NotAuthorized),
            "instance is starting or not authorized",
        ),
        (
            "expired",
            400,
            Some(FetchResult::Expired),
            "Instance account is expired.",
        ),
        ("deleted", 400, Some(FetchResult::Deleted), "Instance is deleted"),
        ("bad_request", 400, Some(FetchResult::BadRequest), "bad request data"),
        ("unauthorized", 401, Some(FetchResult::Unauthorized), ""),
        (
            "forbidden",
            403,
            Some(FetchResult::Forbidden),
            "<center>nginx/1.14.0 (Ubuntu)</center>",
        ),
        (
            "not_found",
            404,
            Some(FetchResult::NotFound),
            "Cannot GET /waInstance1101000001",
        ),
        ("rate_limited", 429, Some(FetchResult::RateLimited), ""),
        (
            "quota_exceeded",
            466,
            Some(FetchResult::QuotaExceeded),
            r#""method":"getoutgoingstatuses""#,
        ),
        (
            "server_error",
            500,
            Some(FetchResult::ServerError),
            "Internal server error",
        ),
        ("bad_gateway", 502, Some(FetchResult::ServerError), "502 Bad Gateway"),
        (
            "service_unavailable",
            503,
            Some(FetchResult::ServerError),
            "503 Service",
        ),
        (
            "gateway_timeout",
            504,
            Some(FetchResult::ServerError),
            "504 Gateway Time-out",
        ),
        ("redirect", 302, Some(FetchResult::UnexpectedStatus), "302 Found"),
        ("no_content", 204, Some(FetchResult::UnexpectedStatus), ""),
        ("slow:0.001", 200, None, "idMessage"),
        ("garbage", 200, None, "<html>"),
        ("object", 200, None, "{\"message\""),
        ("unfinished", 200, None, "[{"),
        ("malformed", 200, None, "GOOD"),
    ] {
        check(behaviour, code, result, text).await;
    }
}

#[tokio::test]
async fn a_refusal_names_its_remedy_only_where_asked_to() {
    let retry_after = async |behaviour: &str| {
        let answer = Scene::behaving(behaviour.parse().unwrap())
            .get("getOutgoingStatuses")
            .await;
        answer.header("retry-after").map(str::to_owned)
    };
    assert_eq!(retry_after("rate_limited").await, None);
    assert_eq!(retry_after("rate_limited:30").await.as_deref(), Some("30"));
}

#[tokio::test]
async fn without_beta_access_only_the_status_methods_are_forbidden() {
    let scene = Scene::behaving(Behaviour::Forbidden);
    for (method, code) in [
        ("getIncomingStatuses", 403),
        ("getSettings", 200),
        ("getContacts", 200),
        ("getMessagesCount", 200),
    ] {
        assert_eq!(scene.get(method).await.code, code, "{method}");
    }
}

#[tokio::test]
async fn without_notifications_no_status_gets_further_than_sent() {
    let scene = Scene::behaving(Behaviour::Unmarked);
    let journal = scene.get("getOutgoingStatuses").await.list();
    assert!(journal.iter().any(|status| status["statusMessage"] == "sent"));
    assert!(
        journal
            .iter()
            .all(|status| status["statusMessage"] != "delivered" && status["statusMessage"] != "read")
    );
    assert_eq!(scene.get("getSettings").await.json()["outgoingWebhook"], "no");
}

#[tokio::test]
async fn a_reset_connection_ends_without_an_answer() {
    let scene = Scene::behaving(Behaviour::Reset);
    let error = scene
        .call("GET", &scene.path("getOutgoingStatuses"), "")
        .await
        .unwrap_err();
    assert!(error.is_request(), "{error:?}");
}

#[tokio::test]
async fn a_truncated_answer_ends_before_its_announced_length() {
    let scene = Scene::behaving(Behaviour::Truncated);
    let url = format!("{}{}", scene.url, scene.path("getOutgoingStatuses"));
    let mut response = client().get(url).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let sent = response.chunk().await.unwrap().unwrap();
    assert!(response.content_length().unwrap() > u64::try_from(sent.len()).unwrap());
    assert!(response.chunk().await.is_err());
}

#[tokio::test]
async fn a_flaky_instance_fails_two_times_in_a_row_and_recovers() {
    let scene = Scene::behaving(Behaviour::Flaky);
    let mut codes = Vec::new();
    for _ in 0..9 {
        let answer = scene.call("GET", &scene.path("getOutgoingStatuses"), "").await;
        codes.push(answer.map_or(0, |answer| answer.code));
    }
    assert_eq!(codes, [200, 502, 502, 200, 0, 0, 200, 200, 200]);
}

#[tokio::test]
async fn single_requests_can_be_made_to_fail() {
    let scene = Scene::new();
    let next = [Behaviour::BadGateway, Behaviour::Forbidden];
    scene.simulator.set_next_behaviours(scene.id, next).unwrap();
    for code in [502, 403, 200, 200] {
        assert_eq!(scene.get("getOutgoingStatuses").await.code, code);
    }
}

#[tokio::test]
async fn a_huge_journal_is_as_long_as_it_was_asked_to_be_and_an_array_of_distinct_statuses() {
    let scene = Scene::behaving(Behaviour::Huge(1_000_000));
    let answer = scene.get("getOutgoingStatuses").await;
    assert!(
        (1_000_000..1_100_000).contains(&answer.body.len()),
        "{}",
        answer.body.len()
    );
    assert_eq!(answer.header("content-length"), None);
    let mut ids: Vec<Value> = answer.list().iter().map(|status| status["idMessage"].clone()).collect();
    ids.dedup();
    assert!(ids.len() > 100);
    scene.simulator.set_behaviour(scene.id, Behaviour::Huge(0)).unwrap();
    assert_eq!(scene.get("getOutgoingStatuses").await.body, "[]");
}

#[tokio::test]
async fn a_malformed_journal_is_an_array_all_the_same() {
    let scene = Scene::behaving(Behaviour::Malformed);
    let journal = scene.get("getOutgoingStatuses").await.list();
    assert!(journal.iter().any(|status| status["idMessage"] == "GOOD"));
    assert!(journal.iter().any(Value::is_null));
}

#[tokio::test]
async fn what_is_held_is_answered_once_released() {
    let scene = Scene::behaving(Behaviour::Held);
    let (simulator, id) = (scene.simulator.clone(), scene.id);
    let call = tokio::spawn(async move { scene.get("getOutgoingStatuses").await.code });
    simulator.arrived(id, Method::GetOutgoingStatuses, 1).await.unwrap();
    assert!(!call.is_finished());
    simulator.release(id).unwrap();
    assert_eq!(call.await.unwrap(), 200);
}

#[tokio::test]
async fn a_simulator_that_stops_gives_up_what_never_ends() {
    let scene = Scene::behaving(Behaviour::Hang);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let listener = greenapi_exporter::web::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!(
        "http://{}{}",
        listener.local_addr().unwrap(),
        scene.path("getOutgoingStatuses")
    );
    let simulator = scene.simulator.clone();
    let server = tokio::spawn(async move { simulator.serve(vec![listener], async { drop(stopped.await) }).await });
    let call = tokio::spawn(client().get(url).send());
    scene
        .simulator
        .arrived(scene.id, Method::GetOutgoingStatuses, 1)
        .await
        .unwrap();
    stop.send(()).unwrap();
    assert!(call.await.unwrap().is_err());
    server.await.unwrap();
}

#[test]
fn every_behaviour_has_a_text_that_means_it() {
    for behaviour in Behaviour::ALL {
        assert_eq!(behaviour.to_string().parse(), Ok(*behaviour));
    }
}

#[test]
fn a_text_without_a_meaning_is_an_error_that_lists_those_with_one() {
    for text in [
        "",
        "sick",
        "healthy:1",
        "slow:-1",
        "slow:NaN",
        "state:happy",
        "huge:much",
    ] {
        let error = text
            .parse::<Behaviour>()
            .map_err(|error: UnknownBehaviour| error.to_string())
            .unwrap_err();
        assert!(
            error.starts_with(&format!("no behaviour `{text}`: use one of healthy, state, ")),
            "{error}"
        );
    }
}
