//! How an instance's requests are made, kept apart and counted, against a simulated API.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::*;
use crate::account::Credentials;
use crate::clock::unix_seconds;
use crate::config::Settings;
use crate::green_api::failure::Failure;
use crate::green_api::{Connector, JournalMethod};
use crate::journal::StatusMessage;
use crate::simulator::{Behaviour, SimInstance, SimStatus, Simulator, World};

fn api() -> Arc<Api> {
    api_at(Clock::system())
}

fn api_at(clock: Clock) -> Arc<Api> {
    Arc::new(Api {
        client: Client::new(Connector::example(), 1_000_000, 1, clock.clone()),
        books: AllBooks::default(),
        permits: Permits::new(1),
        hosts: Hosts::default(),
        clock,
    })
}

/// A target with these collectors whose API is simulated and has published a status.
fn simulated(behaviour: Behaviour, collectors: &[Collector]) -> (Simulator, Arc<Target>) {
    let site = SimInstance::new(1_101_000_001.into()).behaving(behaviour);
    // Some tests leave out the second between two requests.
    let world = World {
        limits: None,
        ..World::new(7, Clock::system(), [site])
    };
    let simulator = Simulator::new(world);
    let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
    let status = SimStatus::new("a", unix_seconds(Clock::system().now()));
    simulator.set_journal(login.id, vec![status]).unwrap();
    let config = instance(&url, login.id, &login.token, collectors);
    let target = Arc::new(Target::new(config, api()));
    (simulator, target)
}

/// A target that is never asked over the network.
fn unasked() -> Target {
    let config = instance("http://api.example", 1_101_000_001.into(), "a", &[]);
    Target::new(config, api())
}

/// A request that takes so long.
async fn taking(time: Duration) -> Result<(), Failure> {
    tokio::time::sleep(time).await;
    Ok(())
}

/// Lets every request of `target` that is due come to its end.
async fn run(target: &Arc<Target>) {
    let deadline = Instant::now() + Duration::from_mins(1);
    start([target], deadline);
    target.landed(Instant::now(), deadline).await;
    if let Some(statistic) = target.statistic.flight() {
        statistic.landed(Instant::now(), deadline).await.unwrap();
    }
}

/// The configuration of an instance without a least interval.
fn instance(api_url: &str, id: InstanceId, token: &str, collectors: &[Collector]) -> Arc<config::Instance> {
    let settings = Settings {
        min_interval: Duration::ZERO,
        collectors: collectors.iter().copied().collect(),
        ..Settings::default()
    };
    Arc::new(config::Instance {
        settings: settings.into(),
        ..config::Instance::example(id, "shop", Credentials::example(api_url, token))
    })
}

/// Lets one request be made at a time of two instances whose host hangs, after that has had so many slow requests in a row, and of two of
/// another one. Tells which instances of the first had their turn before the `last` of the other.
async fn turns_before(slow_in_a_row: u32, last: usize) -> [bool; 2] {
    let api = api();
    let hosts = [(Behaviour::Hang, [1, 2]), (Behaviour::Healthy, [3, 4])];
    let hosts = hosts.map(|(behaviour, ids)| {
        let sites = ids.map(|id| SimInstance::new(id.into()).behaving(behaviour));
        let simulator = Simulator::new(World::new(7, Clock::system(), sites));
        let url = simulator.start().unwrap();
        let targets = [0, 1].map(|index| {
            let login = &simulator.logins()[index];
            let mut config = instance(&url, login.id, &login.token, &[]);
            let settings = &mut Arc::make_mut(&mut config).settings;
            Arc::make_mut(settings).timeout = Duration::from_millis(200);
            Arc::new(Target::new(config, api.clone()))
        });
        (simulator, targets)
    });
    let [(_hanging, hanging), (_healthy, healthy)] = &hosts;
    for _ in 0..slow_in_a_row {
        api.hosts.note(hanging[0].api_url(), true);
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    start(hanging.iter().chain(healthy), deadline);
    healthy[last].landed(Instant::now(), deadline).await;
    [0, 1].map(|index| hanging[index].known().up().is_some())
}

#[tokio::test]
async fn hosts_take_turns() {
    assert_eq!(turns_before(0, 0).await, [true, false]);
    assert_eq!(turns_before(0, 1).await, [true, true]);
}

#[tokio::test]
async fn once_a_host_hangs_the_instances_of_others_go_first() {
    assert_eq!(turns_before(9, 1).await, [true, false], "it begins to");
    assert_eq!(turns_before(10, 1).await, [false, false], "it does so already");
}

#[tokio::test]
async fn another_token_ends_the_wait_after_a_refusal_and_the_same_one_does_not() {
    let world = World::new(7, Clock::system(), [SimInstance::new(1_101_000_001.into())]);
    let simulator = Simulator::new(world);
    let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
    let with_token = |token| instance(&url, login.id, token, &[]);
    let deadline = Instant::now() + Duration::from_mins(1);
    let refused = Arc::new(Target::new(with_token("wrong"), api()));
    start([&refused], deadline);
    let findings = refused.landed(Instant::now(), deadline).await;
    assert_eq!(refused.shown(findings).up(), Some(false));
    let is_due = |token| {
        let next = refused.reconfigured(with_token(token), refused.api.clone());
        Arc::new(next).depart(deadline).is_some()
    };
    assert!(!is_due("wrong"), "a refusal is waited after for a minute");
    assert!(is_due(&login.token));
}

#[tokio::test(start_paused = true)]
async fn a_request_arrives_a_second_after_the_one_before_however_long_that_took_to_arrive() {
    let target = unasked();
    let start = Instant::now();
    let mut requests = Paced::of(()).requests(start).until(start + Duration::from_mins(1));
    let arrivals = std::cell::RefCell::new(Vec::new());
    let request = || async {
        if arrivals.borrow().is_empty() {
            tokio::time::advance(Duration::from_millis(300)).await;
        }
        arrivals.borrow_mut().push(Instant::now());
        Err::<(), _>(Failure::of_answer(502, b"", None))
    };
    let outcome = requests.make(&target, "getOutgoingStatuses", request).await;
    assert!(outcome.is_err());
    let [first, second] = arrivals.borrow()[..] else {
        panic!("not two requests")
    };
    assert!(second - first >= Duration::from_secs(1), "{:?}", second - first);
}

#[tokio::test(start_paused = true)]
async fn the_first_request_of_a_fetch_is_made_a_second_after_the_last_answer_to_the_fetch_before() {
    let (target, before) = (unasked(), Paced::of(()));
    let mut requests = before.requests(Instant::now());
    let slow = || taking(Duration::from_millis(300));
    requests.make(&target, "getOutgoingStatuses", slow).await.unwrap();
    let answered = Instant::now();
    let landing = before.landing((), None, &requests, Duration::from_secs(1), Duration::ZERO);
    tokio::time::sleep_until(landing.due).await;
    let mut requests = landing.value.requests(landing.due);
    let made = requests.make(&target, "getOutgoingStatuses", || async { Ok(Instant::now()) });
    assert_eq!(made.await.unwrap() - answered, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn one_who_lets_a_second_pass_before_asking_again_takes_nobodys_turn_meanwhile() {
    let target = unasked();
    let mut requests = Paced::of(()).requests(Instant::now());
    let request = || async { Err::<(), _>(Failure::of_answer(502, b"", None)) };
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::time::timeout(Duration::from_millis(1), target.api.permits.permit(false))
            .await
            .is_ok()
    };
    let made = requests.make(&target, "getOutgoingStatuses", request);
    let (outcome, is_free) = tokio::join!(made, meanwhile);
    assert!(outcome.is_err());
    assert!(is_free);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_takes_as_long_as_its_requests_and_not_as_long_as_it_waits_for_its_turn() {
    let target = unasked();
    let mut requests = Paced::of(()).requests(Instant::now());
    let turn = target.api.permits.permit(false).await;
    let others = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(turn);
    };
    let request = || taking(Duration::from_secs(2));
    let made = requests.make(&target, "getOutgoingStatuses", request);
    let (outcome, ()) = tokio::join!(made, others);
    assert!(outcome.is_ok());
    assert_eq!(requests.duration(), Duration::from_secs(2));
}

#[tokio::test]
async fn an_answer_reaches_back_from_when_it_came_and_not_from_when_it_was_asked_for() {
    let (simulator, _) = simulated(Behaviour::Healthy, &[]);
    let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
    // A minute passes whenever somebody looks.
    let seconds = AtomicU64::new(1_700_000_000);
    let clock = Clock::new(move || {
        let seconds = seconds.fetch_add(60, Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    });
    let target = Target::new(instance(&url, login.id, &login.token, &[]), api_at(clock));
    let books = &target.api.books.outgoing;
    let reading = reading::read(&target, JournalMethod::Outgoing, books, |_| ())
        .await
        .unwrap();
    let day = 24 * 3600;
    assert_eq!(reading.journal.since() + day, unix_seconds(reading.asked_at) + 60);
}

#[tokio::test]
async fn what_every_collector_found_is_known_to_the_instance_as_it_is_configured_next() {
    let (_simulator, target) = simulated(Behaviour::Healthy, Collector::ALL);
    run(&target).await;
    let found = target.known().collected;
    assert!(found.runs().iter().all(|(_, succeeded, _)| *succeeded), "{found:?}");
    assert_eq!(found.runs().len(), Collector::ALL.len() - 1, "{found:?}");
    let next = target.reconfigured(target.config.clone(), target.api.clone());
    assert_eq!(next.known().collected, found);
}

#[tokio::test]
async fn an_instance_waits_for_each_of_its_collectors_until_the_wait_is_ended() {
    for collector in Collector::ALL {
        let (simulator, target) = simulated(Behaviour::Unauthorized, &[*collector]);
        // Without a journal nobody asks for the recipients.
        let next = [Behaviour::Healthy]
            .into_iter()
            .filter(|_| *collector == Collector::Statistic);
        simulator.set_next_behaviours(target.id(), next).unwrap();
        run(&target).await;
        // What is left to wait is not the second that lies between any two requests.
        tokio::time::pause();
        tokio::time::advance(SPACING).await;
        tokio::time::resume();
        if *collector != Collector::Outgoing {
            target.outgoing.end_wait();
        }
        assert!(!target.is_idle(), "{collector:?}");
        target.end_wait();
        assert!(target.is_idle(), "{collector:?}");
    }
}

#[tokio::test]
async fn the_least_interval_holds_for_the_optional_collectors_too() {
    let (_simulator, target) = simulated(Behaviour::Healthy, &[]);
    let settings = Settings {
        min_interval: Duration::from_hours(1),
        ..(*target.config.settings).clone()
    };
    let config = config::Instance {
        settings: Arc::new(settings),
        ..(*target.config).clone()
    };
    let target = Arc::new(target.reconfigured(config.into(), target.api.clone()));
    let (start, hour) = (Instant::now(), Duration::from_hours(1));
    let deadline = start + hour;
    let state = call::STATE.run(target.clone(), Paced::default(), start, deadline);
    let incoming = incoming::run(target.clone(), Paced::default(), start, deadline);
    let statistic = statistic::run(target.clone(), Paced::default(), start, Arc::from(["a".into()]));
    let due = [state.await.due, incoming.await.due, statistic.await.due];
    assert_eq!(due.map(|due| due - start), [hour; 3]);
}

#[tokio::test(start_paused = true)]
async fn state_and_queue_are_asked_for_again_after_a_second_settings_after_a_minute_contacts_after_an_hour() {
    let world = World::new(7, Clock::system(), [SimInstance::new(1_101_000_001.into())]);
    let simulator = Simulator::new(world);
    let (url, login) = (simulator.start().unwrap(), &simulator.logins()[0]);
    let check = async |collector, spacing: Duration| {
        let target = Arc::new(Target::new(instance(&url, login.id, &login.token, &[collector]), api()));
        let due = || target.depart(Instant::now()).unwrap().others;
        // A paused clock stands still for as long as something blocks: here, until the answer has come.
        let (answered, answer) = std::sync::mpsc::channel::<()>();
        let blocking = tokio::task::spawn_blocking(move || answer.recv());
        for fetching in due() {
            fetching.await;
        }
        drop(answered);
        assert!(blocking.await.unwrap().is_err(), "nothing is ever sent");
        let a_moment = Duration::from_millis(1);
        tokio::time::advance(spacing.saturating_sub(a_moment)).await;
        assert_eq!(due().len(), 0, "{collector:?} is due before {spacing:?}");
        tokio::time::advance(a_moment).await;
        assert_eq!(due().len(), 1, "{collector:?} is not due after {spacing:?}");
    };
    check(Collector::State, Duration::from_secs(1)).await;
    check(Collector::Queue, Duration::from_secs(1)).await;
    check(Collector::Settings, Duration::from_mins(1)).await;
    check(Collector::Contacts, Duration::from_hours(1)).await;
}

/// What a turn of asking for the recipients of `ids` comes to after `previous`.
async fn turn(target: &Arc<Target>, previous: Statistic, ids: &[&str]) -> Statistic {
    let ids = ids.iter().map(|id| (*id).into()).collect();
    let landing = statistic::run(target.clone(), Paced::of(previous), Instant::now(), ids).await;
    landing.value.value
}

#[tokio::test]
async fn recipients_are_asked_for_in_turn_and_those_of_a_status_that_is_gone_are_forgotten() {
    let (simulator, target) = simulated(Behaviour::Healthy, &[]);
    let status = SimStatus {
        status_message: StatusMessage::Sent,
        participants: SimStatus::people(3),
        ..SimStatus::new("a", unix_seconds(Clock::system().now()))
    };
    simulator.set_journal(target.id(), vec![status]).unwrap();
    let found = |statistic: &Statistic| statistic.clone().run().unwrap().found;
    let first = turn(&target, Statistic::default(), &["a"]).await;
    let three = Recipients::from([(StatusMessage::Sent, 3)]);
    assert_eq!(found(&first), Some(three));
    // It is another's turn, and nobody knows what is true after a failure.
    simulator
        .set_next_behaviours(target.id(), [Behaviour::ServerError])
        .unwrap();
    let failed = turn(&target, first, &["a", "b"]).await;
    assert_eq!(found(&failed), None);
    let received = simulator.received(target.id()).unwrap();
    assert!(
        received.last().unwrap().target.ends_with("?idMessage=b"),
        "{received:?}"
    );
    let last = turn(&target, failed, &["b"]).await;
    assert_eq!(found(&last), Some(Recipients::new()));
}

#[tokio::test]
async fn recipients_are_asked_for_while_the_journal_cannot_be_read() {
    let (simulator, target) = simulated(Behaviour::Healthy, &[Collector::Statistic]);
    run(&target).await;
    simulator.set_behaviour(target.id(), Behaviour::ServerError).unwrap();
    let known = Paced::of(target.outgoing.latest().value);
    let now = Instant::now();
    let failed = outgoing::fetch(
        target.clone(),
        target.api.permits.permit(false).await,
        known,
        now,
        now + Duration::from_mins(1),
    )
    .await;
    assert_eq!(failed.value.value.ids.as_deref(), Some(&["a".into()][..]));
}
