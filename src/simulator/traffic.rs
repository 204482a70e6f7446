//! What the owner of an instance publishes: a pure function of seed, instance and time, with a past as long as time itself.

use super::calendar::DAY;
use super::dice::{Dice, LOWER_HEX, mix};
use super::life::{Life, Publication};
use super::status::{SimStatus, person};
use crate::journal::{SendByApi, TypeMessage};

/// How much an owner publishes, and of what kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Statuses on a day without a night, at most one a second; 0 for none.
    pub per_day: u64,
    /// Share of texts, in percent.
    pub text: u64,
    /// Share published from the phone, in percent.
    pub phone: u64,
    /// Length of a preview, in characters of base64.
    pub thumbnail: usize,
}

impl Profile {
    /// A shop that lets a program publish nearly everything.
    pub const BUSY: Self = Self {
        per_day: 190,
        text: 45,
        phone: 15,
        thumbnail: 1600,
    };
    /// Nothing but texts.
    pub const TEXT_ONLY: Self = Self {
        per_day: 90,
        text: 100,
        phone: 20,
        thumbnail: 0,
    };
    /// Somebody with a phone in hand.
    pub const MOSTLY_PHONE: Self = Self {
        per_day: 55,
        text: 20,
        phone: 85,
        thumbnail: 2400,
    };
}

/// Which sequence of publications is meant: those of an owner, or those of the owner's contacts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// The world's seed.
    pub(super) seed: u64,
    /// Sets one sequence apart from all others.
    pub(super) number: u64,
    /// How much is published.
    pub(super) profile: Profile,
}

impl Source {
    /// All statuses that were published from `first` to `last`, in Unix seconds, oldest first.
    ///
    /// Time is cut into equal slots with at most one publication each, so that any stretch can be had without what came before.
    pub(super) fn publications(self, first: u64, last: u64) -> impl Iterator<Item = Publication> {
        let slot = DAY.checked_div(self.profile.per_day).map(|seconds| seconds.max(1));
        slot.into_iter().flat_map(move |seconds| {
            (first / seconds..=last / seconds)
                .filter_map(move |slot| self.publication(slot, seconds))
                .filter(move |(published, _)| (first..=last).contains(published))
                .map(|(_, publication)| publication)
        })
    }

    /// The publication of a slot of so many seconds, and its time.
    fn publication(self, slot: u64, seconds: u64) -> Option<(u64, Publication)> {
        let mut dice = Dice::new(&[self.seed, self.number, slot]);
        let published = slot * seconds + dice.below(seconds);
        let hour = published % DAY / 3600;
        let awake = (6..22).contains(&hour) || dice.percent(15);
        awake.then(|| {
            let status = self.status(&mut dice, slot, published);
            (
                published,
                Publication {
                    status,
                    life: Life::draw(&mut dice, published),
                },
            )
        })
    }

    fn status(self, dice: &mut Dice, slot: u64, published: u64) -> SimStatus {
        let from_phone = dice.percent(self.profile.phone);
        // Different slots have different ids: `mix` maps no two numbers to one.
        let unique = mix(slot ^ mix(self.seed ^ mix(self.number)));
        let id_message = if from_phone {
            format!("{unique:016X}{}", dice.text(LOWER_HEX, 16).to_uppercase())
        } else {
            format!("3EB0{unique:016X}")
        };
        let type_message = match dice.below(100) {
            share if share < self.profile.text => TypeMessage::ExtendedText,
            _ => media(dice),
        };
        let audience = if from_phone { 0 } else { audience(dice) };
        let someone = dice.below(ACQUAINTANCES);
        SimStatus {
            type_message,
            send_by_api: if from_phone { SendByApi::False } else { SendByApi::True },
            participants: (someone..someone + audience).map(person).collect(),
            text: dice.choose(TEXTS).to_owned(),
            thumbnail: self.profile.thumbnail,
            ..SimStatus::new(id_message, published)
        }
    }
}

fn media(dice: &mut Dice) -> TypeMessage {
    match dice.below(100) {
        0..60 => TypeMessage::Image,
        60..85 => TypeMessage::Video,
        _ => TypeMessage::Audio,
    }
}

/// How many people a status is for: everybody (0) more often than not.
fn audience(dice: &mut Dice) -> u64 {
    match dice.below(100) {
        0..60 => 0,
        60..68 => 1,
        68..83 => dice.between(2, 10),
        83..95 => dice.between(11, 100),
        _ => dice.between(101, 400),
    }
}

/// How many people there are to choose from.
pub(super) const ACQUAINTANCES: u64 = 600;

const TEXTS: &[&str] = &[
    "Fresh bread from seven o'clock",
    "The new collection is here",
    "Twenty percent off until Sunday",
    "We are closed on Monday",
    "Thank you all for a wonderful year",
    "Back in stock: size 42",
    "Who is coming to the market on Saturday?",
    "Последние билеты на пятницу",
    "שבת שלום",
    "Nuevo horario: de 9 a 20 🕗",
];
