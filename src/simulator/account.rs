//! What an instance says about its account: state, settings, contacts, and the partner's list of all instances (api.md 2.5 to 2.10).

use serde::Serialize;
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::calendar::{YEAR, date_and_time};
use super::dice::Dice;
use super::site::Site;
use super::status::{SimStatus, person};
use super::traffic::ACQUAINTANCES;
use crate::journal::StatusMessage;
use crate::label::LabelValue;

/// The answer of getSettings, with the notifications that journals depend on; numbers and booleans are among the texts as in the original.
pub(super) fn settings(owner: &str, behaviour: Behaviour) -> Value {
    let marked = if behaviour == Behaviour::Unmarked { "no" } else { "yes" };
    json!({
        "wid": owner,
        "countryInstance": "",
        "typeAccount": "",
        "webhookUrl": "",
        "webhookUrlToken": "",
        "delaySendMessagesMilliseconds": 1000,
        "markIncomingMessagesReaded": "no",
        "markIncomingMessagesReadedOnReply": "no",
        "proxyInstance": "",
        "sharedSession": "no",
        "outgoingWebhook": marked,
        "outgoingMessageWebhook": "yes",
        "outgoingAPIMessageWebhook": "yes",
        "incomingWebhook": "yes",
        "deviceWebhook": "no",
        "statusInstanceWebhook": "no",
        "stateWebhook": "no",
        "enableMessagesHistory": "no",
        "keepOnlineStatus": "no",
        "pollMessageWebhook": "no",
        "incomingBlockWebhook": "yes",
        "incomingCallWebhook": "yes",
        "editedMessageWebhook": "no",
        "deletedMessageWebhook": "no",
        "autoTyping": 0,
        "linkPreview": true,
        "enableLidMode": false,
    })
}

/// The answer of getContacts: people, two thirds of them with a name in the phone's address book, and a few groups.
///
/// `group` keeps only groups or only people; `count` ends the list.
pub(super) fn contacts(owner: &str, group: Option<bool>, count: usize) -> Vec<Value> {
    let people = (0..ACQUAINTANCES).map(|number| {
        let name = format!("Person {number}");
        let contact_name = if number % 3 == 2 { "" } else { &name };
        json!({"id": person(number), "name": name, "contactName": contact_name, "type": "user"})
    });
    let groups = (0..GROUPS).map(|number| {
        let (account, _) = owner.split_once('@').unwrap_or((owner, ""));
        json!({"id": format!("{account}-{number}@g.us"), "name": format!("Group {number}"), "type": "group"})
    });
    people
        .filter(|_| group != Some(true))
        .chain(groups.filter(|_| group != Some(false)))
        .take(count)
        .collect()
}

/// A recipient's copy of a status, as getStatusStatistic lists it.
#[derive(Serialize)]
pub(super) struct Copy {
    timestamp: u64,
    participant: String,
    status: &'static str,
}

/// The answer of getStatusStatistic: one row per recipient, none while the status waits.
///
/// The first recipient's copy has got as far as the status, the others' as far or less, and none ever goes back.
pub(super) fn statistic(status: &SimStatus) -> Vec<Copy> {
    const STATES: [StatusMessage; 3] = [StatusMessage::Sent, StatusMessage::Delivered, StatusMessage::Read];
    let Some(reached) = STATES.iter().position(|state| *state == status.status_message) else {
        return Vec::new();
    };
    let recipients = if status.participants.is_empty() {
        (0..ACQUAINTANCES)
            .filter(|number| number % 3 != 2)
            .map(person)
            .collect()
    } else {
        status.participants.clone()
    };
    let mut dice = Dice::new(&[super::dice::number_of(&status.id_message)]);
    let mut behind = 0;
    let copy = |participant| {
        let state = STATES[reached.saturating_sub(behind)];
        behind = dice.choose(&[0, 0, 1, 1, 2]);
        Copy {
            timestamp: status.timestamp,
            participant,
            status: state.as_str(),
        }
    };
    recipients.into_iter().map(copy).collect()
}

/// An instance as the partner's list has it. There is no URL in it (api.md 2.10).
pub(super) fn listed(site: &Site, now: u64) -> Value {
    let behaviour = site.behaviour();
    let (deleted, expired) = (behaviour == Behaviour::Deleted, behaviour == Behaviour::Expired);
    let (created, since) = (site.created, site.since());
    // What is paid for is renewed every year.
    let renewal = created + (now.saturating_sub(created) / YEAR + 1) * YEAR;
    json!({
        "idInstance": u64::from(site.id),
        "name": site.name,
        "typeInstance": "whatsapp",
        "typeAccount": "",
        "partnerUserUiid": "",
        "timeCreated": date_and_time(created),
        "timeDeleted": if deleted { date_and_time(since) } else { "0001-01-01T00:00:00".to_owned() },
        "apiTokenInstance": site.token,
        "deleted": deleted,
        "tariff": "BUSINESS",
        "isFree": false,
        "isPartner": true,
        "expirationDate": date_and_time(if expired { since } else { renewal }),
        "isExpired": expired,
    })
}

/// How many groups an account is in.
const GROUPS: u64 = 12;
