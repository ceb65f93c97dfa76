//! A batch of samples.

use std::collections::BTreeMap;

use crate::tensor::Tensor;

/// A batch of samples: tensors with the samples along the first axis, all of one length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// The model's inputs by name.
    pub inputs: BTreeMap<String, Tensor>,
    /// What its outputs should be, by name.
    pub targets: BTreeMap<String, Tensor>,
    /// What each sample counts for, `[batch]`; 1 where there are none.
    pub sample_weights: Option<Tensor>,
}

impl Batch {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.inputs.values().next().and_then(|tensor| tensor.shape().first().copied()).unwrap_or(0)
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
