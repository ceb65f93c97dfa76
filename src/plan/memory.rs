//! Memory planning: whole buffers, assigned by lifetime.
//!
//! A slot is never shared by two values that live at the same time, and never by an input and an output of one step:
//! wgpu tracks usage per buffer, so one buffer cannot be read and written in the same dispatch.

/// A value that needs a slot, from the step that writes it to the last one that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// First step.
    pub first: usize,
    /// Last step, inclusive.
    pub last: usize,
    /// Bytes.
    pub bytes: u64,
}

/// Assigns a slot to every lifetime: the largest first, each into the tightest slot that is free throughout.
///
/// Returns the slot of each lifetime and the bytes of each slot.
pub(super) fn assign(lifetimes: &[Lifetime]) -> (Vec<usize>, Vec<u64>) {
    let mut order: Vec<usize> = (0..lifetimes.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(lifetimes[i].bytes), lifetimes[i].first));
    let mut slots: Vec<(u64, Vec<Lifetime>)> = Vec::new();
    let mut assigned = vec![0; lifetimes.len()];
    for i in order {
        let wanted = lifetimes[i];
        let free =
            |taken: &[Lifetime]| taken.iter().all(|other| other.last < wanted.first || wanted.last < other.first);
        let tightest = slots
            .iter()
            .enumerate()
            .filter(|(_, (_, taken))| free(taken))
            .min_by_key(|(_, (bytes, _))| *bytes)
            .map(|(slot, _)| slot);
        let slot = tightest.unwrap_or_else(|| {
            slots.push((wanted.bytes, Vec::new()));
            slots.len() - 1
        });
        slots[slot].1.push(wanted);
        assigned[i] = slot;
    }
    (assigned, slots.into_iter().map(|(bytes, _)| bytes).collect())
}

/// Bytes of the largest set of values that live at one step.
pub(super) fn live_bytes(lifetimes: &[Lifetime]) -> u64 {
    let live =
        |step: usize| -> u64 { lifetimes.iter().filter(|l| l.first <= step && step <= l.last).map(|l| l.bytes).sum() };
    lifetimes.iter().map(|lifetime| live(lifetime.first)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_that_live_together_never_share(
            raw in proptest::collection::vec((0usize..40, 0usize..9, 1u64..5000), 1..60)
        ) {
            let lifetimes: Vec<Lifetime> =
                raw.iter().map(|&(first, length, bytes)| Lifetime { first, last: first + length, bytes }).collect();
            let (assigned, slots) = assign(&lifetimes);
            for (i, a) in lifetimes.iter().enumerate() {
                prop_assert!(slots[assigned[i]] >= a.bytes);
                for (j, b) in lifetimes.iter().enumerate().skip(i + 1) {
                    let together = a.first <= b.last && b.first <= a.last;
                    prop_assert!(!(together && assigned[i] == assigned[j]));
                }
            }
            prop_assert!(slots.iter().sum::<u64>() >= live_bytes(&lifetimes));
        }
    }

    #[test]
    fn a_chain_needs_two_slots() {
        let chain: Vec<Lifetime> = (0..10).map(|i| Lifetime { first: i, last: i + 1, bytes: 64 }).collect();
        let (_, slots) = assign(&chain);
        assert_eq!(slots, [64, 64]);
        assert_eq!(live_bytes(&chain), 128);
    }
}
