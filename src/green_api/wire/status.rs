//! A status as it is read: what each value in it is to the journal, and the record that they come to.

use super::number::timestamp_of_digits;
use crate::journal::{Record, SendByApi, StatusId, StatusMessage, TypeMessage};

/// What a value, or a key, is to the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Role {
    #[default]
    Journal,
    Element,
    Key,
    IdMessage,
    Timestamp,
    StatusMessage,
    TypeMessage,
    SendByApi,
    Participants,
    Participant,
    ExtendedText,
    TextParticipants,
    TextParticipant,
    Skipped,
}

impl Role {
    /// What the elements of an array are.
    pub(super) fn of_element(self) -> Self {
        match self {
            Self::Journal => Self::Element,
            Self::Participants => Self::Participant,
            Self::TextParticipants => Self::TextParticipant,
            _ => Self::Skipped,
        }
    }

    /// What a member of a status is, by its key.
    pub(super) fn in_status(key: &[u8]) -> Self {
        match key {
            b"idMessage" => Self::IdMessage,
            b"timestamp" => Self::Timestamp,
            b"statusMessage" => Self::StatusMessage,
            b"typeMessage" => Self::TypeMessage,
            b"sendByApi" => Self::SendByApi,
            b"participants" => Self::Participants,
            b"extendedTextMessage" => Self::ExtendedText,
            _ => Self::Skipped,
        }
    }

    /// What a member of an object is, by what it would be in a status.
    pub(super) fn of_member(self, in_status: Self) -> Self {
        match (self, in_status) {
            (Self::Element, role) => role,
            (Self::ExtendedText, Self::Participants) => Self::TextParticipants,
            _ => Self::Skipped,
        }
    }

    /// Whether it is kept until it is complete, if it is a string.
    pub(super) fn is_captured(self) -> bool {
        matches!(
            self,
            Self::Key | Self::IdMessage | Self::Timestamp | Self::StatusMessage | Self::TypeMessage
        )
    }
}

/// The status at hand, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Empty unless there is one.
    pub(super) id_message: Vec<u8>,
    /// `None` unless it is usable.
    pub(super) timestamp: Option<u64>,
    status_message: Option<StatusMessage>,
    type_message: Option<TypeMessage>,
    send_by_api: Option<SendByApi>,
    participants: u32,
    text_participants: u32,
}

impl Draft {
    /// Takes the first byte of a value, which tells its type, and forgets what an equal key had said before.
    pub(super) fn begin(&mut self, role: Role, byte: u8) {
        match role {
            Role::Element => {
                self.id_message.clear();
                *self = Self {
                    id_message: std::mem::take(&mut self.id_message),
                    ..Self::default()
                };
            }
            Role::IdMessage => self.id_message.clear(),
            Role::Timestamp => self.timestamp = None,
            Role::StatusMessage => self.status_message = (byte != b'n').then_some(StatusMessage::Other),
            Role::TypeMessage => self.type_message = (byte != b'n').then_some(TypeMessage::Other),
            Role::SendByApi => {
                self.send_by_api = match byte {
                    b't' => Some(SendByApi::True),
                    b'f' => Some(SendByApi::False),
                    _ => None,
                }
            }
            Role::Participants => self.participants = 0,
            Role::ExtendedText | Role::TextParticipants => self.text_participants = 0,
            Role::Participant | Role::TextParticipant => self.participants(role, 1),
            Role::Journal | Role::Key | Role::Skipped => {}
        }
    }

    /// Counts more participants.
    pub(super) fn participants(&mut self, role: Role, more: u32) {
        let participants = match role {
            Role::Participant => &mut self.participants,
            Role::TextParticipant => &mut self.text_participants,
            _ => return,
        };
        *participants = participants.saturating_add(more);
    }

    /// Takes the unescaped text of a captured string.
    pub(super) fn captured(&mut self, role: Role, text: &[u8]) {
        match role {
            Role::IdMessage => self.id_message.extend_from_slice(text),
            Role::Timestamp => self.timestamp = timestamp_of_digits(text),
            Role::StatusMessage => self.status_message = Some(StatusMessage::parse(text)),
            Role::TypeMessage => self.type_message = Some(TypeMessage::parse(text)),
            _ => {}
        }
    }

    /// The status; `None` if it is malformed.
    pub(super) fn record(&self) -> Option<Record> {
        if self.id_message.is_empty() {
            return None;
        }
        Some(Record {
            id: StatusId::of(&self.id_message),
            timestamp: self.timestamp?,
            participants: if self.participants > 0 {
                self.participants
            } else {
                self.text_participants
            },
            status_message: self.status_message.unwrap_or(StatusMessage::Unknown),
            type_message: self.type_message.unwrap_or(TypeMessage::Unknown),
            send_by_api: self.send_by_api.unwrap_or(SendByApi::Unknown),
        })
    }
}
