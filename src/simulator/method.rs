//! The API's methods and the paths under which they and the simulator's own controls are found.

use hyper::Method as Verb;

use crate::account::InstanceId;
use crate::label::{LabelValue, label_values};

label_values! {
    /// A method that is called for an instance (api.md 1 and 2).
    Method {
        /// The journal of published statuses.
        GetOutgoingStatuses => "getOutgoingStatuses",
        /// The journal of statuses published by contacts.
        GetIncomingStatuses => "getIncomingStatuses",
        /// The recipients of one status.
        GetStatusStatistic => "getStatusStatistic",
        /// Publishes a text.
        SendTextStatus => "sendTextStatus",
        /// Publishes a picture or a video.
        SendMediaStatus => "sendMediaStatus",
        /// Publishes a voice recording.
        SendVoiceStatus => "sendVoiceStatus",
        /// Takes a status back.
        DeleteStatus => "deleteStatus",
        /// Whether the phone is linked.
        GetStateInstance => "getStateInstance",
        /// Which notifications are on.
        GetSettings => "getSettings",
        /// The address book.
        GetContacts => "getContacts",
        /// How many messages wait to be sent.
        GetMessagesCount => "getMessagesCount",
    }
}

impl Method {
    /// Reads a method's name.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| means(text, method.as_str()))
    }

    /// The HTTP method it is called with.
    pub(super) fn verb(self) -> Verb {
        match self {
            Self::SendTextStatus | Self::SendMediaStatus | Self::SendVoiceStatus | Self::DeleteStatus => Verb::POST,
            _ => Verb::GET,
        }
    }

    /// How many calls are answered per instance and second; what is none of these methods has a limit too (api.md 4).
    pub(super) fn calls_per_second(method: Option<Self>) -> u32 {
        match method {
            None => 50,
            Some(Self::SendTextStatus | Self::SendMediaStatus | Self::SendVoiceStatus) => 5,
            Some(Self::DeleteStatus) => 10,
            Some(_) => 1,
        }
    }

    /// Whether it belongs to the status methods, which were behind the beta.
    pub(super) fn is_about_statuses(self) -> bool {
        !matches!(
            self,
            Self::GetStateInstance | Self::GetSettings | Self::GetContacts | Self::GetMessagesCount
        )
    }

    /// Whether its answer is a journal.
    pub(super) fn is_journal(self) -> bool {
        matches!(self, Self::GetOutgoingStatuses | Self::GetIncomingStatuses)
    }
}

/// Whether a text is the name. Its first letter may be of either case: the API's own clients write both (api.md 1.1).
fn means(text: &str, name: &str) -> bool {
    let (name, text) = (name.as_bytes(), text.as_bytes());
    name.len() == text.len() && name[..1].eq_ignore_ascii_case(&text[..1]) && name[1..] == text[1..]
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// An instance's API; the method and the token are absent where the path has none that the API knows.
    Instance {
        id: Option<InstanceId>,
        method: Option<Method>,
        token: Option<&'a str>,
    },
    /// The list of a partner's instances.
    PartnerInstances { token: &'a str },
    /// The simulator's own list of instances.
    Instances,
    /// How an instance behaves.
    InstanceBehaviour { id: Option<InstanceId> },
    /// Nothing.
    Nowhere,
}

impl<'a> Route<'a> {
    /// Finds out what `path` leads to.
    pub(super) fn of(path: &'a str) -> Self {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match segments.as_slice() {
            ["partner", method, token] if means(method, "getInstances") => Self::PartnerInstances { token },
            ["simulator", "instances"] => Self::Instances,
            ["simulator", "instances", id, "behaviour"] => Self::InstanceBehaviour { id: id.parse().ok() },
            [first, rest @ ..] => match (first.strip_prefix("waInstance"), rest) {
                (None, _) => Self::Nowhere,
                (Some(id), [method, token]) => Self::Instance {
                    id: id.parse().ok(),
                    method: Method::parse(method),
                    token: Some(token),
                },
                (Some(id), _) => Self::Instance {
                    id: id.parse().ok(),
                    method: None,
                    token: None,
                },
            },
            [] => Self::Nowhere,
        }
    }
}
