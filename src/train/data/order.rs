//! The order of samples in an epoch.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The order of `count` samples in epoch `epoch`. It follows from its arguments alone, so that a training can be taken up in
/// the middle of an epoch.
pub fn order(count: usize, shuffle: bool, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    if shuffle {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ epoch);
        // Fisher and Yates. The remainder's bias is below 2^-32 for any number of samples that fits into memory.
        for last in (1..count).rev() {
            order.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_sample_in_an_order_of_its_own() {
        let first = order(1000, true, 3, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, order(1000, false, 3, 0));
        assert_eq!(first, order(1000, true, 3, 0));
        assert_ne!(first, order(1000, true, 3, 1));
        assert_ne!(first, order(1000, true, 4, 0));
    }
}
