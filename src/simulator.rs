//! A GREEN-API in memory: it speaks the API as it was recorded (`api.md`), with faults on demand.
//!
//! Access to the status methods was gated, so this is how most people see the exporter work for the first time, and how its
//! tests see everything an account can come to. What is published, and what becomes of it, is a pure function of seed,
//! instance and time: `traffic` publishes, `life` tells what becomes of it, and nothing runs in the background. What
//! callers change is kept per instance in `site`, and `api` answers.
//!
//! To start one and make an instance fail:
//!
//! ```
//! # use greenapi_exporter::{account::InstanceId, clock::Clock, simulator::{Behaviour, SimInstance, Simulator, World}};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let id = InstanceId::from(1_101_000_001);
//! let simulator = Simulator::new(World::new(7, Clock::system(), [SimInstance::new(id)]));
//! let api_url = simulator.start()?;
//! simulator.set_behaviour(id, Behaviour::Forbidden)?;
//! # Ok(()) }
//! ```

mod account;
mod api;
mod behaviour;
mod body;
mod calendar;
mod dice;
mod life;
mod malformed;
mod method;
mod publish;
mod site;
mod status;
mod traffic;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::site::{JournalSource, Site};
use crate::account::InstanceId;
use crate::clock::{Clock, unix_seconds};
use crate::web;

pub use self::behaviour::{Behaviour, UnknownBehaviour};
pub use self::method::Method;
pub use self::status::SimStatus;
pub use self::traffic::Profile;
pub use self::world::{Login, SimInstance, World};

/// A running simulator, and the handle by which it is watched and changed. A clone is another handle of the same one.
#[derive(Clone)]
pub struct Simulator(Arc<Running>);

struct Running {
    clock: Clock,
    limits: Option<Clock>,
    partner_token: String,
    sites: BTreeMap<InstanceId, Site>,
    logins: Vec<Login>,
    stopping: watch::Sender<bool>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The HTTP method.
    pub verb: hyper::Method,
    /// Path and query, token included.
    pub target: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Simulator {
    /// A simulator of `world`. It answers once it is served.
    pub fn new(world: World) -> Self {
        let logins = world.instances.iter().map(SimInstance::login).collect();
        let now = unix_seconds(world.clock.now());
        let site = |instance: SimInstance| (instance.id, Site::new(world.seed, now, instance));
        Self(Arc::new(Running {
            clock: world.clock,
            limits: world.limits,
            partner_token: world.partner_token,
            sites: world.instances.into_iter().map(site).collect(),
            logins,
            stopping: watch::Sender::new(false),
        }))
    }

    /// Serves the API on `listeners` until `stop` completes. Answers that are held back are given up then.
    pub async fn serve(&self, listeners: Vec<TcpListener>, stop: impl Future<Output = ()>) {
        let simulator = self.clone();
        let handler = move |request| api::answer(simulator.clone(), request);
        let stop = async {
            stop.await;
            self.0.stopping.send_replace(true);
        };
        web::serve(listeners, handler, stop).await;
    }

    /// Serves the API on a free port of this machine for as long as the runtime lives, and returns its URL.
    pub fn start(&self) -> io::Result<String> {
        let listener = web::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let url = format!("http://{}", listener.local_addr()?);
        let simulator = self.clone();
        tokio::spawn(async move { simulator.serve(vec![listener], std::future::pending()).await });
        Ok(url)
    }

    /// How each instance is called, in the order in which they were given.
    pub fn logins(&self) -> &[Login] {
        &self.0.logins
    }

    /// The token that lists all instances.
    pub fn partner_token(&self) -> &str {
        &self.0.partner_token
    }

    /// How the instance behaves at present.
    pub fn behaviour(&self, id: InstanceId) -> Result<Behaviour, UnknownInstance> {
        self.site(id).map(Site::behaviour)
    }

    /// Makes the instance behave so from now on, and answers what it held back.
    pub fn set_behaviour(&self, id: InstanceId, behaviour: Behaviour) -> Result<(), UnknownInstance> {
        self.site(id).map(|site| site.set_behaviour(self.now(), behaviour))
    }

    /// Makes the next requests for the instance, of whatever method, meet these behaviours in turn; then it behaves as before.
    pub fn set_next_behaviours(
        &self,
        id: InstanceId,
        next: impl IntoIterator<Item = Behaviour>,
    ) -> Result<(), UnknownInstance> {
        self.site(id)
            .map(|site| site.set_next_behaviours(next.into_iter().collect()))
    }

    /// Answers what the instance holds back at present ([`Behaviour::Held`]). Later requests are held again.
    pub fn release(&self, id: InstanceId) -> Result<(), UnknownInstance> {
        self.site(id).map(|site| {
            site.release.send_replace(());
        })
    }

    /// Makes these the published statuses of the instance, in place of simulated ones.
    ///
    /// Those whose last action is not before the window asked for are answered, ordered by it.
    pub fn set_journal(&self, id: InstanceId, statuses: Vec<SimStatus>) -> Result<(), UnknownInstance> {
        self.site(id)
            .map(|site| site.set_journal(JournalSource::Listed(statuses)))
    }

    /// Makes this the body of every answer to getOutgoingStatuses, whatever is asked for.
    pub fn set_journal_body(&self, id: InstanceId, body: impl Into<Bytes>) -> Result<(), UnknownInstance> {
        self.site(id)
            .map(|site| site.set_journal(JournalSource::Verbatim(body.into())))
    }

    /// How often the method was called for the instance, whatever was answered.
    pub fn requests(&self, id: InstanceId, method: Method) -> Result<u64, UnknownInstance> {
        self.site(id).map(|site| site.requests(method))
    }

    /// The latest requests for the instance, at most 100, oldest first.
    pub fn received(&self, id: InstanceId) -> Result<Vec<Received>, UnknownInstance> {
        self.site(id).map(Site::latest)
    }

    /// Completes once the method was called at least `times` times for the instance.
    pub async fn arrived(&self, id: InstanceId, method: Method, times: u64) -> Result<(), UnknownInstance> {
        let site = self.site(id)?;
        let mut arrivals = site.arrivals.subscribe();
        // The instance lives as long as the simulator, so the channel stays open.
        drop(arrivals.wait_for(|()| site.requests(method) >= times).await);
        Ok(())
    }

    /// What a person needs to use a simulator that is served at `url`: tokens, how each instance behaves, and how to change that.
    pub fn describe(&self, url: &str) -> String {
        let width = self.sites().map(|site| site.name.len()).max().unwrap_or(0);
        let mut text = format!("API URL        {url}\npartner token  {}\n\n", self.partner_token());
        for site in self.sites() {
            let (id, name, token, behaviour) = (site.id, &site.name, &site.token, site.behaviour());
            // Writing to a text can't fail.
            let _ = writeln!(text, "{id}  {name:width$}  {token}  {behaviour}");
        }
        let _ = write!(
            text,
            "\nTo have an instance behave in another way:\n\n  \
               curl -X PUT -d forbidden {url}/simulator/instances/ID/behaviour\n\n\
             Behaviours:\n\n"
        );
        for behaviour in Behaviour::ALL {
            let _ = writeln!(text, "  {:19}  {}", behaviour.to_string(), behaviour.about());
        }
        text
    }

    fn now(&self) -> u64 {
        unix_seconds(self.0.clock.now())
    }

    fn limits(&self) -> Option<&Clock> {
        self.0.limits.as_ref()
    }

    fn sites(&self) -> impl Iterator<Item = &Site> {
        self.0.sites.values()
    }

    fn site(&self, id: InstanceId) -> Result<&Site, UnknownInstance> {
        self.0.sites.get(&id).ok_or(UnknownInstance(id))
    }

    /// Completes once the simulator is told to stop.
    async fn stopped(&self) {
        // The channel lives as long as the simulator.
        drop(self.0.stopping.subscribe().wait_for(|stopping| *stopping).await);
    }
}

/// An instance that isn't simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no instance `{0}` is simulated")]
pub struct UnknownInstance(InstanceId);
