//! Pictures that differ from epoch to epoch.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::tensor::Tensor;

/// Changes to pictures `[rows, columns, channels]`. What happens to a picture follows from the seed, the epoch and its
/// position alone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Augment {
    /// Mirror half of the pictures left to right.
    pub flip: bool,
    /// Move pictures by up to this many pixels in each direction; what comes in from outside is 0.
    pub shift: usize,
    /// Subtracted from each channel (after the moves), and what it is then divided by.
    pub normalize: Option<(Vec<f32>, Vec<f32>)>,
    /// Seed of the changes.
    pub seed: u64,
}

impl Augment {
    /// The part that is no matter of chance.
    pub(super) fn plain(&self) -> Augment {
        Augment { normalize: self.normalize.clone(), ..Augment::default() }
    }

    /// No change at all, from the same seed.
    pub(super) fn none(&self) -> Augment {
        Augment { seed: self.seed, ..Augment::default() }
    }

    /// Changes a batch of pictures `[batch, rows, columns, channels]`; tensors of other ranks stay as they are.
    pub(super) fn apply(&self, tensor: &Tensor, positions: &[usize], epoch: u64) -> Tensor {
        let shape = tensor.shape().clone();
        let (&[_, rows, columns, channels], Ok(values)) = (&shape[..], tensor.f32s()) else { return tensor.clone() };
        if *self == self.none() {
            return tensor.clone();
        }
        // Farther moves than a whole picture leave nothing of it, either.
        let reach = self.shift.min(rows.max(columns)) as u64;
        let mut changed = Vec::with_capacity(values.len());
        for (picture, &position) in values.chunks((rows * columns * channels).max(1)).zip(positions) {
            let seed = self.seed ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (position as u64).rotate_left(32);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut offset = || (random.next_u64() % (2 * reach + 1)) as i64 - reach as i64;
            let (down, right) = (offset(), offset());
            let mirrored = self.flip && random.next_u64() % 2 == 1;
            for row in 0..rows as i64 {
                for column in 0..columns as i64 {
                    let source = if mirrored { columns as i64 - 1 - column } else { column } - right;
                    let inside = (0..rows as i64).contains(&(row - down)) && (0..columns as i64).contains(&source);
                    for channel in 0..channels {
                        let at = ((row - down) * columns as i64 + source) * channels as i64 + channel as i64;
                        let value = if inside { picture[at as usize] } else { 0.0 };
                        changed.push(match &self.normalize {
                            Some((mean, deviation)) => {
                                let of = |values: &[f32], default| values.get(channel).copied().unwrap_or(default);
                                (value - of(mean, 0.0)) / of(deviation, 1.0)
                            }
                            None => value,
                        });
                    }
                }
            }
        }
        Tensor::from_f32(shape, changed).unwrap_or_else(|_| tensor.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_moved_and_mirrored_and_can_be_had_again() {
        let picture = Tensor::from_fn([1, 5, 5, 1], |i| 1.0 + i as f32);
        let augment = Augment { flip: true, shift: 2, ..Augment::default() };
        let epochs: Vec<Tensor> = (0..20).map(|epoch| augment.apply(&picture, &[7], epoch)).collect();
        assert_eq!(epochs[3], augment.apply(&picture, &[7], 3));
        assert!(epochs.iter().any(|other| *other != epochs[0]));
        // Neighbours in a row differ by 1 or, mirrored, by -1; both happen.
        let middle = |t: &Tensor| t.f32s().unwrap()[13] - t.f32s().unwrap()[12];
        assert!(epochs.iter().any(|t| middle(t) == 1.0) && epochs.iter().any(|t| middle(t) == -1.0));
    }

    #[test]
    fn moves_beyond_the_picture_leave_nothing_of_it() {
        let picture = Tensor::full([1, 3, 2, 1], 1.0);
        let augment = Augment { shift: usize::MAX, ..Augment::default() };
        let sums = (0..50).map(|epoch| augment.apply(&picture, &[0], epoch).f32s().unwrap().iter().sum::<f32>());
        assert!(sums.clone().any(|sum| sum == 0.0) && sums.clone().any(|sum| sum > 0.0));
    }

    #[test]
    fn channels_are_normalised_and_other_tensors_left_alone() {
        let augment = Augment { normalize: Some((vec![1.0, 2.0], vec![2.0, 4.0])), ..Augment::default() };
        let picture = Tensor::from_f32([1, 1, 1, 2], vec![5.0, 6.0]).unwrap();
        assert_eq!(augment.apply(&picture, &[0], 0).f32s().unwrap(), [2.0, 1.0]);
        let empty = Tensor::full([1, 0, 3, 2], 0.0);
        assert_eq!(augment.apply(&empty, &[0], 0), empty);
        let vector = Tensor::full([1, 4], 1.0);
        assert_eq!(augment.apply(&vector, &[0], 0), vector);
    }
}
