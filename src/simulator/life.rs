//! How a published status gets on: pure functions of time, so that nothing has to run in the background.

use super::calendar::DAY;
use super::dice::Dice;
use super::status::SimStatus;
use crate::journal::StatusMessage;

/// When a status reached each of its states, in Unix seconds; what never happens is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    published: u64,
    sent: Option<u64>,
    delivered: Option<u64>,
    read: Option<u64>,
}

impl Life {
    /// The longest time from publication to the last action.
    pub(super) const LONGEST: u64 = SLOWEST_SENDING + SLOWEST_DELIVERY + SLOWEST_READER;

    /// A life that begins at `published` and goes on as the dice fall: most are sent within seconds and read within hours,
    /// a few are never sent.
    pub(super) fn draw(dice: &mut Dice, published: u64) -> Self {
        let queued = dice.percent(8);
        let sending = if queued {
            dice.spread(30, SLOWEST_SENDING)
        } else {
            dice.between(1, 15)
        };
        let sent = (dice.below(400) > 0).then_some(published + sending);
        let delivery = dice.spread(2, SLOWEST_DELIVERY);
        let delivered = sent.filter(|_| !dice.percent(3)).map(|sent| sent + delivery);
        let reading = dice.spread(5, SLOWEST_READER);
        let read = delivered
            .filter(|_| !dice.percent(25))
            .map(|delivered| delivered + reading);
        Self {
            published,
            sent,
            delivered,
            read,
        }
    }

    /// The state at `now` and the time when it was reached; `None` before the publication.
    fn at(&self, now: u64) -> Option<(StatusMessage, u64)> {
        [
            (StatusMessage::Read, self.read),
            (StatusMessage::Delivered, self.delivered),
            (StatusMessage::Sent, self.sent),
            (StatusMessage::Pending, Some(self.published)),
        ]
        .into_iter()
        .find_map(|(state, reached)| {
            reached
                .filter(|reached| *reached <= now)
                .map(|reached| (state, reached))
        })
    }

    /// Whether it is still to be sent at `now`.
    pub(super) fn is_unsent(&self, now: u64) -> bool {
        self.sent.is_none_or(|sent| sent > now)
    }

    /// Puts off what is to come after `first` until after `last`. The queue drops what has waited for a day (api.md 1.3).
    pub(super) fn hold(&mut self, first: u64, last: u64) {
        let expired = last.saturating_sub(self.published) > DAY;
        let time = last.saturating_sub(first.max(self.published));
        for reached in [&mut self.sent, &mut self.delivered, &mut self.read] {
            *reached = reached.filter(|_| !expired).map(|reached| reached + time);
        }
    }

    /// The same life where nobody reports marks: it ends with the sending.
    fn unmarked(&self) -> Self {
        Self {
            delivered: None,
            read: None,
            ..*self
        }
    }
}

/// A status and its life.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    /// The status as it was published.
    pub(super) status: SimStatus,
    /// What becomes of it.
    pub(super) life: Life,
}

impl Publication {
    /// The status as a journal shows it at `now`, in Unix seconds; `None` before the publication.
    pub(super) fn at(&self, now: u64, marked: bool) -> Option<SimStatus> {
        let reached = if marked {
            self.life.at(now)
        } else {
            self.life.unmarked().at(now)
        };
        reached.map(|(status_message, timestamp)| SimStatus {
            timestamp,
            status_message,
            ..self.status.clone()
        })
    }
}

const SLOWEST_SENDING: u64 = 300;
const SLOWEST_DELIVERY: u64 = 1800;
const SLOWEST_READER: u64 = DAY / 4;
