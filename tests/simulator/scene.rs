//! A simulator at a time that the test sets, and a client of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use greenapi_exporter::account::InstanceId;
use greenapi_exporter::clock::Clock;
use greenapi_exporter::simulator::{Behaviour, SimInstance, Simulator, World};
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A Tuesday noon.
pub(crate) const NOON: u64 = 1_790_078_400;

pub(crate) const ID: u64 = 1_101_000_001;

/// A simulator with the instance [`ID`], without limits.
pub(crate) struct Scene {
    pub(crate) simulator: Simulator,
    pub(crate) url: String,
    pub(crate) id: InstanceId,
    pub(crate) token: String,
    pub(crate) time: Time,
    client: reqwest::Client,
}

/// A time in Unix seconds that tests set.
#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let seconds = self.0.clone();
        Clock::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::SeqCst)))
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        let time = Time::at(NOON);
        let instance = SimInstance::new(InstanceId::from(ID));
        Self::of(
            World {
                limits: None,
                ..World::new(7, time.clock(), [instance])
            },
            time,
        )
    }

    pub(crate) fn behaving(behaviour: Behaviour) -> Self {
        let scene = Self::new();
        scene.simulator.set_behaviour(scene.id, behaviour).unwrap();
        scene
    }

    /// A simulator with two instances, whose calls are counted in the seconds of the time answered beside it.
    pub(crate) fn limited() -> (Self, Time) {
        let (time, limits) = (Time::at(NOON), Time::at(NOON));
        let instances = [ID, ID + 1].map(|id| SimInstance::new(InstanceId::from(id)));
        let world = World {
            limits: Some(limits.clock()),
            ..World::new(7, time.clock(), instances)
        };
        (Self::of(world, time), limits)
    }

    pub(crate) fn of(world: World, time: Time) -> Self {
        let simulator = Simulator::new(world);
        let url = simulator.start().unwrap();
        let login = simulator.logins()[0].clone();
        let client = client();
        Self {
            simulator,
            url,
            id: login.id,
            token: login.token,
            time,
            client,
        }
    }

    /// What a method, perhaps with a query, answers for the instance.
    pub(crate) async fn get(&self, method: &str) -> Answer {
        self.call("GET", &self.path(method), "").await.unwrap()
    }

    pub(crate) async fn post(&self, method: &str, body: &str) -> Answer {
        self.call("POST", &self.path(method), body).await.unwrap()
    }

    pub(crate) async fn call(&self, verb: &str, path: &str, body: &str) -> reqwest::Result<Answer> {
        let request = self
            .client
            .request(verb.parse().unwrap(), format!("{}{path}", self.url));
        let response = request.body(body.to_owned()).send().await?;
        Ok(Answer {
            code: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await?,
        })
    }

    pub(crate) fn path(&self, method: &str) -> String {
        let (method, query) = method.split_once('?').unwrap_or((method, ""));
        format!("/waInstance{}/{method}/{}?{query}", self.id, self.token)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn list(&self) -> Vec<Value> {
        self.json().as_array().unwrap().clone()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}
