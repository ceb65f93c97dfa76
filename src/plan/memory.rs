//! Memory planning: ranges of few buffers, assigned by lifetime.
//!
//! Values that live at the same time never overlap. wgpu tracks usage per buffer, so values that one dispatch reads and
//! writes have different buffers; where that would take more than [`SPARE`] beyond the lower bound they may share one, and the
//! dispatch then binds what it only reads as writable, too.

use super::Slot;

/// A value that needs memory, from the step that writes it to the last one that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// First step.
    pub first: usize,
    /// Last step, inclusive.
    pub last: usize,
    /// Bytes.
    pub bytes: u64,
}

impl Lifetime {
    fn meets(&self, other: &Lifetime) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Two values, by their positions, of which one dispatch reads one and writes the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clash {
    /// What is read.
    pub read: usize,
    /// What is written.
    pub written: usize,
    /// Whether what is read can only be bound for reading, so that they can never share a buffer.
    pub strict: bool,
}

/// Where every lifetime lies, and the bytes of every buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub slots: Vec<Slot>,
    pub buffers: Vec<u64>,
}

impl Assignment {
    fn bytes(&self) -> u64 {
        self.buffers.iter().sum()
    }
}

/// Ranges start at multiples of this: what WebGPU guarantees to be an offset that can be bound.
const ALIGNMENT: u64 = 256;
/// Tenths of the lower bound that are spent on dispatches that read and write different buffers.
const SPARE: u64 = 1;
/// Comparisons of two lifetimes that the search for a better assignment may cost: some milliseconds, whatever the graph.
const SEARCH: usize = 2_000_000;

/// Assigns a range of a buffer of at most `largest` bytes to every lifetime (a larger value has a buffer of its own).
///
/// Buffers are filled greedily, in the order of the steps or the largest value first; the better order is improved by moving single
/// values to another place in it. The search ends when the buffers take no more than what lives at once, or when it has
/// cost enough: the same lifetimes have the same ranges on every machine.
pub(super) fn assign(lifetimes: &[Lifetime], clashes: &[Clash], largest: u64) -> Assignment {
    let mut packer = Packer { lifetimes, partners: vec![Vec::new(); lifetimes.len()], largest, comparisons: 0 };
    for clash in clashes {
        packer.partners[clash.read].push((clash.written, clash.strict));
        packer.partners[clash.written].push((clash.read, clash.strict));
    }
    let least = live_bytes(lifetimes);
    let apart = packer.search(least, false);
    if apart.bytes() * 10 <= least * (10 + SPARE) {
        return apart;
    }
    let shared = packer.search(least, true);
    if shared.bytes() < apart.bytes() { shared } else { apart }
}

struct Packer<'a> {
    lifetimes: &'a [Lifetime],
    /// For every value those that it clashes with.
    partners: Vec<Vec<(usize, bool)>>,
    largest: u64,
    comparisons: usize,
}

impl Packer<'_> {
    fn search(&mut self, least: u64, share: bool) -> Assignment {
        let lifetimes = self.lifetimes;
        let mut order: Vec<usize> = (0..lifetimes.len()).collect();
        order.sort_by_key(|&i| (lifetimes[i].first, std::cmp::Reverse(lifetimes[i].bytes)));
        let mut best = self.pack(&order, share);
        let mut by_size = order.clone();
        by_size.sort_by_key(|&i| std::cmp::Reverse(lifetimes[i].bytes));
        let other = self.pack(&by_size, share);
        if other.bytes() < best.bytes() {
            (best, order) = (other, by_size);
        }
        // Knuth's MMIX generator: a fixed sequence, so that plans repeat.
        let mut random = 1u64;
        let mut below = |limit: usize| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (random >> 33) as usize % limit
        };
        self.comparisons = 0;
        while best.bytes() > least && self.comparisons < SEARCH && order.len() > 1 {
            let (from, to) = (below(order.len()), below(order.len()));
            let moved = order.remove(from);
            order.insert(to, moved);
            let found = self.pack(&order, share);
            self.comparisons += order.len();
            // Equals are taken, too: they lead out of corners that no single move leaves for the better.
            if found.bytes() <= best.bytes() {
                best = found;
            } else {
                let moved = order.remove(to);
                order.insert(from, moved);
            }
        }
        best
    }

    /// Gives every value in `order` the range that enlarges the buffers least; among those one in a buffer without values that it
    /// clashes with, then the tightest gap.
    fn pack(&mut self, order: &[usize], share: bool) -> Assignment {
        let none = Slot { buffer: usize::MAX, offset: 0, bytes: 0 };
        let mut assignment = Assignment { slots: vec![none; self.lifetimes.len()], buffers: Vec::new() };
        let mut placed: Vec<Vec<usize>> = Vec::new();
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for &i in order {
            let wanted = self.lifetimes[i];
            // A buffer of its own is always possible.
            let mut best = ((wanted.bytes, 0, u64::MAX), placed.len(), 0);
            for (buffer, others) in placed.iter().enumerate() {
                let here = |partner: &&(usize, bool)| assignment.slots[partner.0].buffer == buffer;
                let clashes = self.partners[i].iter().filter(here).count();
                if clashes > 0 && (!share || self.partners[i].iter().filter(here).any(|partner| partner.1)) {
                    continue;
                }
                self.comparisons += others.len();
                taken.clear();
                taken.extend(others.iter().filter(|&&other| wanted.meets(&self.lifetimes[other])).map(|&other| {
                    let slot = assignment.slots[other];
                    (slot.offset, (slot.offset + slot.bytes).next_multiple_of(ALIGNMENT))
                }));
                taken.sort_unstable();
                let size = assignment.buffers[buffer];
                let mut start = 0;
                for &(from, to) in taken.iter().chain(&[(u64::MAX, 0)]) {
                    let end = start + wanted.bytes;
                    if from > start && from - start >= wanted.bytes && end <= self.largest.max(size) {
                        let key = (end.saturating_sub(size), clashes, from.min(size.max(end)) - start);
                        if key < best.0 {
                            best = (key, buffer, start);
                        }
                    }
                    start = start.max(to);
                }
            }
            let (_, buffer, offset) = best;
            if buffer == placed.len() {
                placed.push(Vec::new());
                assignment.buffers.push(0);
            }
            placed[buffer].push(i);
            assignment.buffers[buffer] = assignment.buffers[buffer].max(offset + wanted.bytes);
            assignment.slots[i] = Slot { buffer, offset, bytes: wanted.bytes };
        }
        assignment
    }
}

/// Bytes of the largest set of values that live at one step.
pub(super) fn live_bytes(lifetimes: &[Lifetime]) -> u64 {
    // What ends comes before what begins at the same step.
    let begins = lifetimes.iter().map(|lifetime| (lifetime.first, true, lifetime.bytes));
    let ends = lifetimes.iter().map(|lifetime| (lifetime.last + 1, false, lifetime.bytes));
    let mut changes: Vec<(usize, bool, u64)> = begins.chain(ends).collect();
    changes.sort_unstable();
    let (mut live, mut most) = (0, 0);
    for (_, begins, bytes) in changes {
        live = if begins { live + bytes } else { live - bytes };
        most = most.max(live);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_that_live_together_never_overlap(
            raw in proptest::collection::vec((0usize..40, 0usize..9, 1u64..5000), 1..40),
            pairs in proptest::collection::vec((0usize..40, 0usize..40, any::<bool>()), 0..40),
        ) {
            let lifetimes: Vec<Lifetime> = raw
                .iter()
                .map(|&(first, length, bytes)| Lifetime { first, last: first + length, bytes: bytes * 16 })
                .collect();
            let clashes: Vec<Clash> = pairs
                .into_iter()
                .filter(|(a, b, _)| a != b && *a.max(b) < lifetimes.len())
                .map(|(read, written, strict)| Clash { read, written, strict })
                .collect();
            let Assignment { slots, buffers } = assign(&lifetimes, &clashes, 100_000);
            for (i, (a, slot)) in lifetimes.iter().zip(&slots).enumerate() {
                prop_assert!(slot.bytes == a.bytes && slot.offset.is_multiple_of(ALIGNMENT));
                prop_assert!(slot.offset + slot.bytes <= buffers[slot.buffer]);
                for (b, other) in lifetimes.iter().zip(&slots).skip(i + 1) {
                    let apart = slot.offset + slot.bytes <= other.offset || other.offset + other.bytes <= slot.offset;
                    prop_assert!(!a.meets(b) || slot.buffer != other.buffer || apart);
                }
            }
            for clash in clashes.iter().filter(|clash| clash.strict) {
                prop_assert!(slots[clash.read].buffer != slots[clash.written].buffer);
            }
            prop_assert!(buffers.iter().all(|&bytes| bytes <= 100_000));
            let at = |step| lifetimes.iter().filter(move |l: &&Lifetime| l.first <= step && step <= l.last);
            let most = (0..50).map(|step| at(step).map(|lifetime| lifetime.bytes).sum()).max();
            prop_assert_eq!(Some(live_bytes(&lifetimes)), most);
            prop_assert!(buffers.iter().sum::<u64>() >= live_bytes(&lifetimes));
        }
    }

    fn chain(sizes: &[u64]) -> (Vec<Lifetime>, Vec<Clash>) {
        let lifetime = |(i, &bytes)| Lifetime { first: i, last: i + 1, bytes };
        let clashes = (1..sizes.len()).map(|i| Clash { read: i - 1, written: i, strict: false }).collect();
        (sizes.iter().enumerate().map(lifetime).collect(), clashes)
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let (lifetimes, clashes) = chain(&[64; 10]);
        assert_eq!(assign(&lifetimes, &clashes, 1 << 20).buffers, [64, 64]);
        assert_eq!(live_bytes(&lifetimes), 128);
    }

    #[test]
    fn buffers_are_shared_in_a_dispatch_where_that_saves_much() {
        // Apart, each of the small values needs a buffer beside that of the large ones.
        let (lifetimes, clashes) = chain(&[8192, 2048, 2048, 8192]);
        let Assignment { slots, buffers } = assign(&lifetimes, &clashes, 1 << 20);
        assert_eq!(buffers.iter().sum::<u64>(), 8192 + 2048);
        assert!(clashes.iter().any(|clash| slots[clash.read].buffer == slots[clash.written].buffer));
        let strict: Vec<Clash> = clashes.iter().map(|clash| Clash { strict: true, ..*clash }).collect();
        assert_eq!(assign(&lifetimes, &strict, 1 << 20).buffers.iter().sum::<u64>(), 8192 + 2 * 2048);
    }
}
