//! A batch of samples.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::TrainError;
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

/// What `source` gives for `count` samples, held to the count. A source that panics has given an error: other people's code
/// should not take the training so far with it.
///
/// # Errors
/// [`TrainError::Data`] when the source panics or gives more or fewer samples, or what it returns.
pub(in crate::train) fn read_batch(
    count: usize,
    source: impl FnOnce() -> Result<Batch, TrainError>,
) -> Result<Batch, TrainError> {
    let wrong = |what: String| Err(TrainError::Data { what });
    let batch = match catch_unwind(AssertUnwindSafe(source)) {
        Ok(batch) => batch?,
        Err(cause) => {
            let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
            return wrong(format!("the source of samples panicked: {}", text.unwrap_or("it does not say why")));
        }
    };
    let parts = batch.inputs.iter().chain(&batch.targets).map(|(name, tensor)| (name.as_str(), tensor));
    let weights = batch.sample_weights.iter().map(|weights| ("sample weights", weights));
    match parts.chain(weights).find(|(_, tensor)| tensor.shape().first() != Some(&count)) {
        Some((name, tensor)) => {
            wrong(format!("the source was asked for {count} samples and gave `{name}` as {}", tensor.shape()))
        }
        None => Ok(batch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_held_to_what_they_were_asked_for() {
        let batch = |inputs: usize, targets: usize| Batch {
            inputs: BTreeMap::from([("x".into(), Tensor::full([inputs, 2], 0.0))]),
            targets: BTreeMap::from([("y".into(), Tensor::full([targets], 0.0))]),
            sample_weights: None,
        };
        assert_eq!(read_batch(3, || Ok(batch(3, 3))).unwrap(), batch(3, 3));
        for (inputs, targets, named) in [(2, 3, "`x`"), (3, 4, "`y`")] {
            let failure = read_batch(3, || Ok(batch(inputs, targets))).unwrap_err().to_string();
            assert!(failure.contains("asked for 3 samples") && failure.contains(named), "{failure}");
        }
        let failure = read_batch(3, || panic!("no {}", "luck")).unwrap_err().to_string();
        assert!(failure.contains("panicked: no luck"), "{failure}");
    }
}
