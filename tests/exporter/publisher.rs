//! Who publishes statuses in tests, and knows what the counters of them must come to.

use std::collections::BTreeMap;

use greenapi_exporter::journal::{Audience, SendByApi, StatusMessage, TypeMessage};
use greenapi_exporter::label::LabelValue;
use greenapi_exporter::simulator::{SimStatus, Simulator};

use crate::harness::{id, now, series};

/// Numbers that are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // Knuth's multiplier; the upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % end
    }

    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }
}

/// Who publishes statuses, and knows the truth of them.
pub(crate) struct Publisher {
    pub(crate) dice: Dice,
    pub(crate) statuses: Vec<SimStatus>,
    withdrawn: Vec<SimStatus>,
    simulator: Simulator,
    index: u64,
}

impl Publisher {
    /// Who publishes in the name of the `index`th instance of `simulator`, which has published nothing so far.
    pub(crate) fn new(simulator: &Simulator, index: u64, seed: u64) -> Self {
        let publisher = Self {
            dice: Dice(seed),
            statuses: Vec::new(),
            withdrawn: Vec::new(),
            simulator: simulator.clone(),
            index,
        };
        publisher.show();
        publisher
    }

    /// Lets everybody see what is published.
    pub(crate) fn show(&self) {
        self.simulator
            .set_journal(id(self.index), self.statuses.clone())
            .unwrap();
    }

    /// Lets nobody see any more what is published. It counts as before.
    pub(crate) fn withdraw(&mut self) {
        self.withdrawn.append(&mut self.statuses);
        self.show();
    }

    /// Publishes a status, or lets one get further, for all to see.
    pub(crate) fn act(&mut self) {
        self.move_on();
        self.show();
    }

    /// Publishes a status, or lets one get further, that nobody sees yet.
    pub(crate) fn move_on(&mut self) {
        const LADDER: [StatusMessage; 4] = [
            StatusMessage::Pending,
            StatusMessage::Sent,
            StatusMessage::Delivered,
            StatusMessage::Read,
        ];
        let now = now();
        if self.statuses.is_empty() || self.dice.below(3) == 0 {
            let participants = self.dice.pick(&[0, 0, 1, 7, 150]);
            let number = self.withdrawn.len() + self.statuses.len();
            let status = SimStatus {
                status_message: self.dice.pick(&LADDER),
                type_message: self
                    .dice
                    .pick(&[TypeMessage::Image, TypeMessage::Video, TypeMessage::ExtendedText]),
                send_by_api: self.dice.pick(&[SendByApi::True, SendByApi::False]),
                participants: SimStatus::people(participants),
                ..SimStatus::new(format!("status-{number}"), now)
            };
            self.statuses.push(status);
        } else {
            let index = usize::try_from(self.dice.below(self.statuses.len() as u64)).unwrap();
            let status = &mut self.statuses[index];
            let reached = self.dice.pick(&LADDER);
            if reached > status.status_message {
                status.status_message = reached;
                status.timestamp = now;
            }
        }
    }

    /// Every series of the counters as they must be once all is seen.
    pub(crate) fn truth(&self) -> BTreeMap<String, f64> {
        let mut truth = BTreeMap::new();
        let mut count = |series: String| *truth.entry(series).or_default() += 1.0;
        for status in self.withdrawn.iter().chain(&self.statuses) {
            let audience = Audience::of(u32::try_from(status.participants.len()).unwrap());
            let kind = format!(
                "type_message=\"{}\",send_by_api=\"{}\",audience=\"{}\"}}",
                status.type_message.as_str(),
                status.send_by_api.as_str(),
                audience.as_str()
            );
            let id = id(self.index);
            count(format!("greenapi_outgoing_statuses_total{{id_instance=\"{id}\",{kind}"));
            for state in StatusMessage::ALL {
                if *state >= StatusMessage::Pending && *state <= status.status_message {
                    let state = state.as_str();
                    count(format!(
                        "greenapi_outgoing_status_transitions_total{{id_instance=\"{id}\",status_message=\"{state}\",{kind}"
                    ));
                }
            }
        }
        truth
    }
}

/// The counters of statuses that a page shows, without those at 0.
pub(crate) fn counters(page: &str) -> BTreeMap<String, f64> {
    let families = [
        "greenapi_outgoing_statuses_total",
        "greenapi_outgoing_status_transitions_total",
    ];
    let lines = families.into_iter().flat_map(|family| series(page, family));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    let counters = pairs.map(|(series, value)| (series.to_owned(), value.parse().unwrap()));
    counters.filter(|(_, value)| *value > 0.0).collect()
}
