//! The classes of statuses: how far one has got, what it consists of, where it was published, and for how many people.

use crate::label::{LabelValue, label_values};

label_values! {
    /// How far a status has got (`statusMessage`), least first: pending < sent < delivered < read (api.md 1.2).
    StatusMessage {
        /// Missing, null or empty, as it is where the instance's notifications are off (api.md 1.3).
        Unknown => "unknown",
        /// Not one of the documented states.
        Other => "other",
        /// Accepted, in the queue.
        Pending => "pending",
        /// Handed to WhatsApp.
        Sent => "sent",
        /// Shown on a recipient's device.
        Delivered => "delivered",
        /// Looked at by a recipient.
        Read => "read",
    }
}

label_values! {
    /// What a status consists of (`typeMessage`, api.md 1.2).
    TypeMessage {
        /// Missing, null or empty.
        Unknown => "unknown",
        /// Not one of the documented types.
        Other => "other",
        /// Plain text; documented only as a condition of another field.
        Text => "textMessage",
        /// Text with a colour and a font.
        ExtendedText => "extendedTextMessage",
        /// A picture.
        Image => "imageMessage",
        /// A video.
        Video => "videoMessage",
        /// A voice recording.
        Audio => "audioMessage",
        /// A status taken back, known from the vendor's own web app.
        Deleted => "deletedMessage",
    }
}

label_values! {
    /// Whether a status was published through the API or from the phone (`sendByApi`).
    SendByApi {
        /// Missing, or not a boolean.
        Unknown => "unknown",
        /// From the phone.
        False => "false",
        /// Through the API.
        True => "true",
    }
}

label_values! {
    /// How many people a status is for, from the number of its participants.
    Audience {
        /// No participants are listed: all contacts.
        Everyone => "everyone",
        /// A single person.
        One => "1",
        /// 2 to 10.
        UpTo10 => "2-10",
        /// 11 to 100.
        UpTo100 => "11-100",
        /// 101 and more.
        Over100 => "101+",
    }
}

impl StatusMessage {
    /// Reads the API's word; empty where the field is missing or null.
    pub fn parse(word: &[u8]) -> Self {
        parse_word(word, Self::Unknown, Self::Other)
    }
}

impl TypeMessage {
    /// Reads the API's word; empty where the field is missing or null.
    pub fn parse(word: &[u8]) -> Self {
        parse_word(word, Self::Unknown, Self::Other)
    }
}

/// Reads one of the API's words; our own `unknown` is not among them.
fn parse_word<L: LabelValue + PartialEq>(word: &[u8], unknown: L, other: L) -> L {
    if word.is_empty() {
        return unknown;
    }
    L::spelled(word).filter(|value| *value != unknown).unwrap_or(other)
}

impl Audience {
    /// The class of a number of participants.
    pub fn of(participants: u32) -> Self {
        match participants {
            0 => Self::Everyone,
            1 => Self::One,
            2..=10 => Self::UpTo10,
            11..=100 => Self::UpTo100,
            _ => Self::Over100,
        }
    }
}

/// What sets a status apart for its whole life: the labels of all its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// What it consists of.
    pub type_message: TypeMessage,
    /// Where it was published.
    pub send_by_api: SendByApi,
    /// How many people it is for.
    pub audience: Audience,
}

impl Kind {
    /// How many there are.
    pub(crate) const COUNT: usize = TypeMessage::ALL.len() * SendByApi::ALL.len() * Audience::ALL.len();

    /// Its number among all kinds.
    pub(crate) fn number(self) -> usize {
        let of_type = self.type_message as usize;
        let of_origin = of_type * SendByApi::ALL.len() + self.send_by_api as usize;
        of_origin * Audience::ALL.len() + self.audience as usize
    }

    /// The kind of this number, which must be one.
    pub(crate) fn numbered(number: usize) -> Self {
        let (of_origin, audience) = divided(number, Audience::ALL.len());
        let (of_type, send_by_api) = divided(of_origin, SendByApi::ALL.len());
        Self {
            type_message: TypeMessage::ALL[of_type],
            send_by_api: SendByApi::ALL[send_by_api],
            audience: Audience::ALL[audience],
        }
    }

    /// The label values, in the order of the labels of `greenapi_outgoing_statuses_total`.
    pub fn texts(self) -> [&'static str; 3] {
        [
            self.type_message.as_str(),
            self.send_by_api.as_str(),
            self.audience.as_str(),
        ]
    }
}

/// A state and a kind: the labels of what is counted of statuses by how far they have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels {
    /// How far they have got.
    pub status_message: StatusMessage,
    /// Of which kind they are.
    pub kind: Kind,
}

impl Labels {
    /// How many there are.
    pub(super) const COUNT: usize = StatusMessage::ALL.len() * Kind::COUNT;

    /// Their number among all label sets.
    pub(super) fn number(self) -> usize {
        self.status_message as usize * Kind::COUNT + self.kind.number()
    }

    /// The label set of this number, which must be one.
    pub(super) fn numbered(number: usize) -> Self {
        let (status_message, kind) = divided(number, Kind::COUNT);
        Self {
            status_message: StatusMessage::ALL[status_message],
            kind: Kind::numbered(kind),
        }
    }

    /// The label values, in the order of the labels of `greenapi_journal_statuses`.
    pub fn texts(self) -> [&'static str; 4] {
        let [type_message, send_by_api, audience] = self.kind.texts();
        [self.status_message.as_str(), type_message, send_by_api, audience]
    }
}

fn divided(number: usize, by: usize) -> (usize, usize) {
    (number / by, number % by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_everyone_one_or_a_number_up_to_10_up_to_100_or_more() {
        let check = |participants, expected| assert_eq!(Audience::of(participants), expected, "{participants}");
        check(0, Audience::Everyone);
        check(1, Audience::One);
        check(2, Audience::UpTo10);
        check(10, Audience::UpTo10);
        check(11, Audience::UpTo100);
        check(100, Audience::UpTo100);
        check(101, Audience::Over100);
        check(u32::MAX, Audience::Over100);
    }
}
