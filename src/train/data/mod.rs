//! Where samples come from: arrays, folders of pictures, or anything that gives batches by number.

mod arrays;
mod augment;
mod batch;
mod generator;
mod image_folder;
mod order;

pub use arrays::Arrays;
pub use augment::Augment;
pub use batch::Batch;
pub(super) use batch::read_batch;
pub use generator::Generator;
pub use image_folder::ImageFolder;
pub use order::order;

use crate::error::TrainError;

/// Samples by number. Batches are made on a thread of their own while the device works on the one before.
pub trait DataSource: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// The samples at `positions`, as they are in epoch `epoch` (augmentation may change them from epoch to epoch).
    ///
    /// # Errors
    /// [`TrainError::Data`] when one cannot be read.
    fn batch(&self, positions: &[usize], epoch: u64) -> Result<Batch, TrainError>;

    /// The samples at `positions` as they are judged by: nothing random is done to them. Sources that change samples from epoch
    /// to epoch say what this means for them.
    ///
    /// # Errors
    /// [`TrainError::Data`] when one cannot be read.
    fn plain_batch(&self, positions: &[usize]) -> Result<Batch, TrainError> {
        self.batch(positions, 0)
    }

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A share of another source's samples.
pub struct Part<'a> {
    source: &'a dyn DataSource,
    range: std::ops::Range<usize>,
}

impl Part<'_> {
    fn moved(&self, positions: &[usize]) -> Vec<usize> {
        positions.iter().map(|position| self.range.start + position).collect()
    }
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("range", &self.range).finish_non_exhaustive()
    }
}

impl DataSource for Part<'_> {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn batch(&self, positions: &[usize], epoch: u64) -> Result<Batch, TrainError> {
        self.source.batch(&self.moved(positions), epoch)
    }

    fn plain_batch(&self, positions: &[usize]) -> Result<Batch, TrainError> {
        self.source.plain_batch(&self.moved(positions))
    }
}

/// The samples for training and the last share `fraction` of them for validation, as Keras's `validation_split` does: before
/// any shuffling.
///
/// # Errors
/// [`TrainError::Setting`] when one of both would be empty.
pub fn split(source: &dyn DataSource, fraction: f64) -> Result<(Part<'_>, Part<'_>), TrainError> {
    let count = source.len();
    // Keras rounds the share for training down.
    let training = (count as f64 * (1.0 - fraction)).floor() as usize;
    if !(0.0..1.0).contains(&fraction) || training == 0 || training >= count {
        let what = format!("a validation split of {fraction} leaves nothing of {count} samples on one side");
        return Err(TrainError::Setting { what });
    }
    Ok((Part { source, range: 0..training }, Part { source, range: training..count }))
}
