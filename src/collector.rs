//! The collectors of an instance and what each finds out beside the journal of published statuses. Plain facts; no I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::journal::{StatusMessage, TypeMessage};
use crate::label::label_values;

label_values! {
    /// What an exporter can be told to fetch of an instance (spec section 3, `collectors`).
    Collector {
        /// The journal of published statuses.
        Outgoing => "outgoing",
        /// The journal of statuses published by contacts.
        Incoming => "incoming",
        /// Whether the phone is linked.
        State => "state",
        /// Which notifications are on.
        Settings => "settings",
        /// How many recipients got and read the statuses.
        Statistic => "statistic",
        /// How many contacts there are.
        Contacts => "contacts",
        /// How many messages wait to be sent.
        Queue => "queue",
    }
}

label_values! {
    /// The state of an instance (`stateInstance`): every value ever seen (api.md 2.5).
    StateInstance {
        /// The phone is linked.
        Authorized => "authorized",
        /// The phone is not linked.
        NotAuthorized => "notAuthorized",
        /// Banned by WhatsApp.
        Blocked => "blocked",
        /// Starting, for up to 5 minutes.
        Starting => "starting",
        /// The phone is off; no longer used.
        SleepMode => "sleepMode",
        /// Sending is restricted; since July 2026 `suspended`.
        YellowCard => "yellowCard",
        /// Sending is restricted.
        Suspended => "suspended",
        /// A linking code is awaited.
        PendingCode => "pendingCode",
        /// A password is awaited.
        PendingPassword => "pendingPassword",
        /// A state not on record.
        Other => "other",
    }
}

label_values! {
    /// The settings that decide what a journal can show (api.md 2.6).
    Setting {
        /// Marks of delivery and reading: without it, statuses stay at `sent`.
        OutgoingWebhook => "outgoing_webhook",
        /// Statuses published from the phone.
        OutgoingMessageWebhook => "outgoing_message_webhook",
        /// Statuses published through the API.
        OutgoingApiMessageWebhook => "outgoing_api_message_webhook",
        /// Incoming statuses.
        IncomingWebhook => "incoming_webhook",
    }
}

label_values! {
    /// What a contact is (api.md 2.7).
    ContactType {
        /// A person.
        User => "user",
        /// A group.
        Group => "group",
        /// Not on record.
        Other => "other",
    }
}

/// How many contacts there are of each type, with (`true`) and without a name in the phone's address book.
pub type Contacts = BTreeMap<(ContactType, bool), u64>;

/// Which settings are on. One that the API doesn't tell of is absent.
pub type EnabledSettings = BTreeMap<Setting, bool>;

/// How many recipients of statuses there are, by how far their copy has got.
pub type Recipients = BTreeMap<StatusMessage, u64>;

/// How many statuses there are of each type.
pub type ByType = BTreeMap<TypeMessage, u64>;

/// What the optional collectors of an instance last came to; a collector that is off, or hasn't run yet, is absent.
///
/// Most instances have none of them, and then this takes little room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Collected {
    /// Statuses of contacts in the window, by type.
    pub incoming: Option<Box<Run<ByType>>>,
    /// The state of the instance.
    pub state: Option<Box<Run<StateInstance>>>,
    /// The settings that the API reported.
    pub settings: Option<Box<Run<EnabledSettings>>>,
    /// Recipients of the statuses in the window, by how far their copy has got.
    pub statistic: Option<Box<Run<Recipients>>>,
    /// Contacts, by what they are and whether they have a name in the phone's address book.
    pub contacts: Option<Box<Run<Contacts>>>,
    /// Messages that wait to be sent.
    pub queue: Option<Box<Run<u64>>>,
}

impl Collected {
    /// Of each collector that has run: which it is, whether it succeeded and how long it took.
    pub fn runs(&self) -> Vec<(Collector, bool, Duration)> {
        fn of<T>(collector: Collector, run: Option<&Run<T>>) -> Option<(Collector, bool, Duration)> {
            run.map(|run| (collector, run.found.is_some(), run.duration))
        }
        [
            of(Collector::Incoming, self.incoming.as_deref()),
            of(Collector::State, self.state.as_deref()),
            of(Collector::Settings, self.settings.as_deref()),
            of(Collector::Statistic, self.statistic.as_deref()),
            of(Collector::Contacts, self.contacts.as_deref()),
            of(Collector::Queue, self.queue.as_deref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// One run of a collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Run<T> {
    /// What it found out; `None` where it failed.
    pub found: Option<T>,
    /// How long it took.
    pub duration: Duration,
}

impl<T> Run<T> {
    /// What was found out, unless there was no run or it failed.
    pub fn found(run: Option<&Self>) -> Option<&T> {
        run.and_then(|run| run.found.as_ref())
    }
}
