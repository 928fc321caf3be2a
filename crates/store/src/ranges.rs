//! The set of log sequence numbers that arrived, kept as ranges: one range for a runner that
//! sends in order, whatever the size of the log.

/// Most separate ranges; a runner that leaves more gaps than this is refused.
pub(crate) const MAX_RANGES: usize = 1_000;

/// A set of non-negative numbers as sorted, disjoint, non-adjacent ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ranges(Vec<(i64, i64)>);

impl Ranges {
    /// Adds a number; returns whether it was new.
    pub(crate) fn insert(&mut self, n: i64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < n);
        if self.0.get(at).is_some_and(|(first, _)| *first <= n) {
            return false;
        }
        let joins_before = at > 0 && self.0[at - 1].1 == n - 1;
        let joins_after = self.0.get(at).is_some_and(|(first, _)| *first == n + 1);
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = n,
            (false, true) => self.0[at].0 = n,
            (false, false) => self.0.insert(at, (n, n)),
        }
        true
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> u64 {
        self.0
            .iter()
            .map(|(first, last)| (last - first + 1).unsigned_abs())
            .sum()
    }

    /// How many there are from 0 on without a gap.
    pub(crate) fn contiguous(&self) -> u64 {
        match self.0.first() {
            Some((0, last)) => last.unsigned_abs() + 1,
            _ => 0,
        }
    }

    /// How many separate ranges there are.
    pub(crate) fn pieces(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).unwrap_or_default())
    }
}

impl std::str::FromStr for Ranges {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(numbers in prop::collection::vec(0_i64..60, 0..80)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for n in numbers {
                prop_assert_eq!(ranges.insert(n), set.insert(n));
            }
            prop_assert_eq!(ranges.len(), set.len() as u64);
            let contiguous = (0..60).take_while(|n| set.contains(n)).count() as u64;
            prop_assert_eq!(ranges.contiguous(), contiguous);
            prop_assert_eq!(ranges.to_string().parse::<Ranges>().unwrap(), ranges.clone());
            prop_assert!(ranges.0.windows(2).all(|w| w[0].1 + 1 < w[1].0));
        }
    }
}
