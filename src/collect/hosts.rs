//! Which hosts hang: an instance is only known to be slow once it was asked, and a host has many.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::account::ApiUrl;
use crate::lock::locked;

/// How many journals in succession took long, by the host. Of those that are absent the last one didn't.
#[derive(Debug, Default)]
pub struct Hosts(Mutex<HashMap<ApiUrl, u32>>);

impl Hosts {
    /// Whether so many in succession took long that the next one will, too.
    pub(super) fn hangs(&self, api_url: &ApiUrl) -> bool {
        locked(&self.0).get(api_url).is_some_and(|slow| *slow >= HANGING)
    }

    /// Notes whether the latest one took long.
    pub(super) fn note(&self, api_url: &ApiUrl, is_slow: bool) {
        let mut slow_in_a_row = locked(&self.0);
        if is_slow {
            let slow = slow_in_a_row.entry(api_url.clone()).or_default();
            *slow = slow.saturating_add(1);
        } else {
            slow_in_a_row.remove(api_url);
        }
    }
}

/// A few instances may have long journals; so many in succession are the host's fault.
const HANGING: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_hangs_after_ten_slow_requests_in_a_row_until_one_is_quick() {
        let hosts = Hosts::default();
        let [host, other] = ["http://a.example", "http://b.example"].map(|url| url.parse().unwrap());
        for _ in 0..2 {
            for slow in 1..=12 {
                hosts.note(&host, true);
                hosts.note(&other, slow % 4 != 0);
                assert_eq!(
                    [&host, &other].map(|url| hosts.hangs(url)),
                    [slow >= 10, false],
                    "{slow}"
                );
            }
            hosts.note(&host, false);
            assert!(!hosts.hangs(&host));
        }
    }
}
