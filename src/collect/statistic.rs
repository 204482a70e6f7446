//! How many recipients got and read the statuses in the window. The API tells it of one status at a time, once a second,
//! so that the picture fills up over several scrapes, in turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::call::STATISTIC;
use super::requests::Paced;
use super::{Target, optional};
use crate::collector::{Recipients, Run};
use crate::fetch::FetchResult;
use crate::flight::Landing;
use crate::green_api::SPACING;

/// What is known of the recipients of each status.
#[derive(Debug, Clone, Default)]
pub(super) struct Statistic {
    recipients: Arc<BTreeMap<Box<str>, Recipients>>,
    /// The status that was asked for last; the next turn begins after it.
    last_asked: Option<Box<str>>,
    /// How long the latest turn took and whether it succeeded; `None` before the first.
    latest: Option<(Duration, bool)>,
}

impl Statistic {
    /// The recipients of all statuses together, as far as they have been asked for.
    pub(super) fn run(self) -> Option<Run<Recipients>> {
        let (duration, succeeded) = self.latest?;
        let mut total = Recipients::new();
        for (state, count) in self.recipients.values().flatten() {
            *total.entry(*state).or_default() += count;
        }
        Some(Run {
            found: succeeded.then_some(total),
            duration,
        })
    }
}

/// Asks for the recipients of the next statuses among `ids`, which are in order, as far as the budget of a turn goes.
pub(super) async fn run(
    target: Arc<Target>,
    previous: Paced<Statistic>,
    start: Instant,
    ids: Arc<[Box<str>]>,
) -> Landing<Paced<Statistic>> {
    let mut recipients = BTreeMap::clone(&previous.value.recipients);
    recipients.retain(|id, _| ids.binary_search(id).is_ok());
    let mut last_asked = previous.value.last_asked.clone();
    let mut failed = None;
    // No scrape waits for them.
    let mut requests = previous.requests(start);
    for id in in_turn(&ids, last_asked.clone().as_deref()).take(REQUESTS_A_TURN) {
        let query = query_for(id);
        let answer = || STATISTIC.answer(&target, &query);
        last_asked = Some(id.clone());
        match requests.make(&target, STATISTIC.method, answer).await {
            Ok(by_state) => drop(recipients.insert(id.clone(), by_state)),
            // How it answers for a status that it knows no longer is not on record (api.md 2.2); this one must not hide the others.
            Err(failure) if failure.result == FetchResult::BadRequest => drop(recipients.remove(id)),
            Err(failure) => {
                failed = Some(failure);
                break;
            }
        }
    }
    let has_failed_before = previous.value.latest.is_some_and(|(_, succeeded)| !succeeded);
    optional::log(&target, STATISTIC.method, has_failed_before, failed.as_ref());
    let value = Statistic {
        recipients: Arc::new(recipients),
        last_asked,
        latest: Some((start.elapsed(), failed.is_none())),
    };
    let min_interval = target.config.settings.min_interval;
    previous.landing(value, failed.as_ref(), &requests, SPACING, min_interval)
}

/// All of `ids`, each once, beginning after `last_asked`.
fn in_turn<'a>(ids: &'a [Box<str>], last_asked: Option<&str>) -> impl Iterator<Item = &'a Box<str>> {
    let next = last_asked.map_or(0, |last| ids.partition_point(|id| &**id <= last));
    let (before, after) = ids.split_at(next);
    after.iter().chain(before)
}

fn query_for(id: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
    query.append_pair("idMessage", id);
    query.finish()
}

/// At most this many requests before others get their turn: ten seconds' worth.
const REQUESTS_A_TURN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_take_turns() {
        let check = |last_asked, expected: [&str; 3]| {
            let ids = ["a", "c", "e"].map(Box::from);
            let turns: Vec<&str> = in_turn(&ids, last_asked).map(|id| &**id).collect();
            assert_eq!(turns, expected, "after {last_asked:?}");
        };
        check(None, ["a", "c", "e"]);
        check(Some("a"), ["c", "e", "a"]);
        check(Some("b"), ["c", "e", "a"]);
        check(Some("e"), ["a", "c", "e"]);
    }

    #[test]
    fn an_id_cannot_add_to_the_query() {
        assert_eq!(query_for("a&b=c?#/ü"), "?idMessage=a%26b%3Dc%3F%23%2F%C3%BC");
    }
}
