//! Which instances a replica serves: every instance is on exactly one, and few move when replicas are added or removed.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::account::InstanceId;

/// One of several replicas that share the instances among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    ordinal: u32,
    total: u32,
}

impl Shard {
    /// The only replica, which serves every instance.
    pub const ONLY: Self = Self { ordinal: 0, total: 1 };

    /// The replica `ordinal` of `total`, counted from 0; `None` where there is no such one.
    pub fn new(ordinal: u32, total: u32) -> Option<Self> {
        (ordinal < total).then_some(Self { ordinal, total })
    }

    /// Which replica it is, counted from 0.
    pub fn ordinal(self) -> u32 {
        self.ordinal
    }

    /// How many replicas there are.
    pub fn total(self) -> u32 {
        self.total
    }

    /// Whether this replica serves the instance.
    pub fn serves(self, id: InstanceId) -> bool {
        let mut hasher = SipHasher13::new();
        hasher.write_u64(id.into());
        jump(hasher.finish(), self.total) == self.ordinal
    }
}

/// The bucket of `key` among `buckets`, by the jump consistent hash of Lamping and Veach: one more bucket takes its share
/// from all others, and nothing moves among those.
fn jump(mut key: u64, buckets: u32) -> u32 {
    let (mut bucket, mut next) = (0, 0);
    while next < u64::from(buckets) {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // The next bucket at which the key would jump is (bucket + 1) / r for a random r in (0, 1].
        let random = (key >> 33) + 1;
        next = ((u128::from(bucket + 1) << 31) / u128::from(random))
            .try_into()
            .unwrap_or(u64::MAX);
    }
    u32::try_from(bucket).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> impl Iterator<Item = InstanceId> {
        (1_101_000_000..1_101_001_000).map(InstanceId::from)
    }

    /// The replica of `total` that serves the instance.
    fn replica(id: InstanceId, total: u32) -> u32 {
        let serving: Vec<u32> = (0..total)
            .filter(|ordinal| Shard::new(*ordinal, total).unwrap().serves(id))
            .collect();
        let [only] = serving[..] else {
            panic!("{id} is served by {serving:?} of {total}")
        };
        only
    }

    #[test]
    fn every_instance_is_on_exactly_one_shard_and_shards_are_of_like_size() {
        for total in [1, 2, 3, 5, 8, 13] {
            let mut sizes = vec![0_u32; total as usize];
            for id in ids() {
                sizes[replica(id, total) as usize] += 1;
            }
            let fair = 1000 / total;
            assert!(
                sizes.iter().all(|size| (fair * 2 / 3..=fair * 4 / 3).contains(size)),
                "{sizes:?}"
            );
        }
    }

    #[test]
    fn one_more_shard_takes_its_share_and_moves_nothing_else() {
        for total in 1..13 {
            let mut moved = 0;
            for id in ids() {
                let (before, after) = (replica(id, total), replica(id, total + 1));
                assert!(after == before || after == total, "{id} moved from {before} to {after}");
                moved += u32::from(after != before);
            }
            let fair = 1000 / (total + 1);
            assert!(
                (fair * 2 / 3..=fair * 4 / 3).contains(&moved),
                "{moved} of 1000 moved to the new one of {}",
                total + 1
            );
        }
    }

    #[test]
    fn a_shard_is_below_the_total() {
        assert_eq!(Shard::new(0, 1), Some(Shard::ONLY));
        assert_eq!(Shard::new(1, 1), None);
        assert_eq!(Shard::new(0, 0), None);
    }

    #[test]
    fn where_an_instance_is_never_changes() {
        let check = |id: u64, expected: [u32; 3]| {
            assert_eq!([2, 3, 10].map(|total| replica(id.into(), total)), expected, "{id}");
        };
        check(1, [1, 2, 2]);
        check(1_101_000_001, [1, 1, 7]);
        check(1_101_000_002, [1, 1, 1]);
        check(7_103_000_003, [0, 2, 2]);
        check(999_999_999_999, [0, 0, 4]);
    }
}
