//! What is simulated: the instances, their owners and their faults, at a time that a clock tells.

use std::time::Duration;

use super::behaviour::Behaviour;
use super::dice::{Dice, LOWER_HEX, number_of};
use super::traffic::Profile;
use crate::account::InstanceId;
use crate::clock::Clock;

/// All that a simulator is made from. The same seed, clock and requests make the same answers.
#[derive(Debug, Clone)]
pub struct World {
    /// Decides what is published.
    pub seed: u64,
    /// Tells the time in the world.
    pub clock: Clock,
    /// Tells the seconds in which calls are counted, which pass at their usual pace in an accelerated world too.
    /// `None` lets any number of calls pass.
    pub limits: Option<Clock>,
    /// The token that lists all instances.
    pub partner_token: String,
    /// The instances.
    pub instances: Vec<SimInstance>,
}

/// An instance to simulate.
#[derive(Debug, Clone)]
pub struct SimInstance {
    /// Its number.
    pub id: InstanceId,
    /// The token that it accepts.
    pub token: String,
    /// Its name in the console.
    pub name: String,
    /// What its owner publishes.
    pub profile: Profile,
    /// How it behaves at first.
    pub behaviour: Behaviour,
    /// The token that its user has where that is the wrong one.
    pub mistaken_token: Option<String>,
}

/// How a user would call an instance. A simulator's tokens are no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The instance's number.
    pub id: InstanceId,
    /// The instance's name.
    pub name: String,
    /// The token that the user has, right or wrong.
    pub token: String,
}

impl SimInstance {
    /// A healthy instance of a busy owner, named by its number, whose token is a function of it.
    pub fn new(id: InstanceId) -> Self {
        Self {
            id,
            token: token_of(&id.to_string()),
            name: id.to_string(),
            profile: Profile::BUSY,
            behaviour: Behaviour::Healthy,
            mistaken_token: None,
        }
    }

    /// The same instance behaving so.
    #[must_use]
    pub fn behaving(self, behaviour: Behaviour) -> Self {
        Self { behaviour, ..self }
    }

    /// How its user calls it.
    pub fn login(&self) -> Login {
        Login {
            id: self.id,
            name: self.name.clone(),
            token: self.mistaken_token.as_ref().unwrap_or(&self.token).clone(),
        }
    }
}

impl World {
    /// These instances, with calls counted in real seconds.
    pub fn new(seed: u64, clock: Clock, instances: impl IntoIterator<Item = SimInstance>) -> Self {
        Self {
            seed,
            clock,
            limits: Some(Clock::system()),
            partner_token: token_of("partner"),
            instances: instances.into_iter().collect(),
        }
    }

    /// The small fleet that `demo` shows: three lively instances, and one of each trouble that users meet.
    pub fn demo(seed: u64, clock: Clock) -> Self {
        let busy = |number, name: &str, behaviour| SimInstance {
            name: name.to_owned(),
            ..SimInstance::new(InstanceId::from(number)).behaving(behaviour)
        };
        let instances = [
            busy(1_101_000_001, "bakery", Behaviour::Healthy),
            SimInstance {
                profile: Profile::TEXT_ONLY,
                ..busy(1_101_000_002, "newsroom", Behaviour::Healthy)
            },
            SimInstance {
                profile: Profile::MOSTLY_PHONE,
                ..busy(1_101_000_003, "florist", Behaviour::Healthy)
            },
            busy(1_101_000_004, "no-beta-access", Behaviour::Forbidden),
            SimInstance {
                mistaken_token: Some(token_of("a token of some other instance")),
                ..busy(1_101_000_005, "wrong-token", Behaviour::Healthy)
            },
            busy(1_101_000_006, "phone-not-linked", Behaviour::NotAuthorized),
            busy(1_101_000_007, "over-quota", Behaviour::QuotaExceeded),
            busy(1_101_000_008, "slow", Behaviour::Slow(Duration::from_secs(3))),
            busy(1_101_000_009, "flaky", Behaviour::Flaky),
        ];
        Self::new(seed, clock, instances)
    }

    /// `count` instances, every tenth of them with a fault, each fault in its turn.
    pub fn fleet(seed: u64, count: u32, clock: Clock) -> Self {
        let mut faults = FLEET_FAULTS.iter().copied().cycle();
        let mut profiles = [Profile::BUSY, Profile::TEXT_ONLY, Profile::MOSTLY_PHONE]
            .into_iter()
            .cycle();
        let instances = (1..=count).map(|number| {
            let fault = if number % 10 == 0 { faults.next() } else { None };
            let instance = SimInstance::new(InstanceId::from(1_101_000_000 + u64::from(number)));
            SimInstance {
                name: format!("shop-{number}"),
                profile: profiles.next().unwrap_or(Profile::BUSY),
                ..instance.behaving(fault.unwrap_or(Behaviour::Healthy))
            }
        });
        Self::new(seed, clock, instances)
    }
}

/// A token of the usual length.
fn token_of(text: &str) -> String {
    Dice::new(&[number_of(text)]).text(LOWER_HEX, 50)
}

/// The faults of a fleet: first those that users meet most.
const FLEET_FAULTS: &[Behaviour] = &[
    Behaviour::Forbidden,
    Behaviour::Unauthorized,
    Behaviour::NotAuthorized,
    Behaviour::QuotaExceeded,
    Behaviour::Slow(Duration::from_secs(3)),
    Behaviour::Flaky,
    Behaviour::Expired,
    Behaviour::Starting,
    Behaviour::Deleted,
    Behaviour::RateLimited(None),
    Behaviour::ServerError,
    Behaviour::Hang,
    Behaviour::Truncated,
    Behaviour::Garbage,
];
