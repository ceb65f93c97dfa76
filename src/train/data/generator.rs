//! Samples that a function makes.

use super::{Batch, DataSource};
use crate::error::TrainError;

/// Samples that a function makes from their positions and the epoch, on the thread that prepares batches.
pub struct Generator<F> {
    count: usize,
    make: F,
}

impl<F> Generator<F>
where
    F: Fn(&[usize], u64) -> Result<Batch, TrainError> + Send + Sync,
{
    /// `count` samples an epoch; `make(positions, epoch)` gives those of a batch.
    pub fn new(count: usize, make: F) -> Generator<F> {
        Generator { count, make }
    }
}

impl<F> std::fmt::Debug for Generator<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<F> DataSource for Generator<F>
where
    F: Fn(&[usize], u64) -> Result<Batch, TrainError> + Send + Sync,
{
    fn len(&self) -> usize {
        self.count
    }

    fn batch(&self, positions: &[usize], epoch: u64) -> Result<Batch, TrainError> {
        (self.make)(positions, epoch)
    }
}
