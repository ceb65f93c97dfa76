//! Samples in memory.

use std::collections::BTreeMap;

use super::{Augment, Batch, DataSource, order};
use crate::error::TrainError;
use crate::layers::Model;
use crate::tensor::{Data, Shape, Tensor};

/// Tensors with the samples along the first axis. Bytes stay bytes until they are part of a batch.
#[derive(Debug, Clone)]
pub struct Arrays {
    samples: Batch,
    count: usize,
    /// The order that the samples were put into, where it is not their own.
    order: Option<Vec<usize>>,
    augment: Augment,
    scale: f32,
}

impl Arrays {
    /// Samples for a model with one input and one output.
    ///
    /// # Errors
    /// [`TrainError::Data`] when the model has more of them, or the arrays hold different numbers of samples.
    pub fn new(model: &Model, x: Tensor, y: Tensor) -> Result<Arrays, TrainError> {
        let ([input], [(output, _)]) = (model.inputs(), model.outputs()) else {
            let what = "the model has several inputs or outputs; give arrays by name (`Arrays::named`)".into();
            return Err(TrainError::Data { what });
        };
        let inputs = BTreeMap::from([(input.name.clone(), x)]);
        Arrays::named(Batch { inputs, targets: BTreeMap::from([(output.clone(), y)]), sample_weights: None })
    }

    /// Samples by the names of inputs and outputs.
    ///
    /// # Errors
    /// [`TrainError::Data`] when the arrays hold different numbers of samples.
    pub fn named(samples: Batch) -> Result<Arrays, TrainError> {
        let count = samples.len();
        let all = samples.inputs.iter().chain(&samples.targets);
        let weights = samples.sample_weights.iter().map(|weights| ("sample weights", weights));
        for (name, tensor) in all.map(|(name, tensor)| (name.as_str(), tensor)).chain(weights) {
            if tensor.shape().first() != Some(&count) {
                let what = format!("`{name}` is {}, and the first input has {count} samples", tensor.shape());
                return Err(TrainError::Data { what });
            }
        }
        Ok(Arrays { samples, count, order: None, augment: Augment::default(), scale: 1.0 })
    }

    /// Puts the samples into a random order once, so that [`super::split`] does not go by how they were gathered.
    #[must_use]
    pub fn shuffled(self, seed: u64) -> Arrays {
        Arrays { order: Some(order(self.count, true, seed, 0)), ..self }
    }

    /// Changes pictures from epoch to epoch.
    #[must_use]
    pub fn augmented(self, augment: Augment) -> Arrays {
        Arrays { augment, ..self }
    }

    /// Multiplies all inputs, such as bytes by 1/255.
    #[must_use]
    pub fn scaled(self, scale: f32) -> Arrays {
        Arrays { scale, ..self }
    }

    /// What each sample counts for: the weight of its class, for targets that are numbers of classes or one-hot.
    ///
    /// # Errors
    /// [`TrainError::Data`] when a class has no weight.
    pub fn class_weights(mut self, weights: &BTreeMap<usize, f32>) -> Result<Arrays, TrainError> {
        let Some(target) = self.samples.targets.values().next().map(Tensor::to_f32) else { return Ok(self) };
        let values = target.f32s().map_err(|e| TrainError::Data { what: e.to_string() })?;
        let width = values.len() / self.count.max(1);
        let class = |row: &[f32]| match row {
            [class] => *class as usize,
            row => (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best }),
        };
        let mut each = Vec::with_capacity(self.count);
        for row in values.chunks(width.max(1)) {
            let class = class(row);
            let weight = weights.get(&class).copied();
            each.push(weight.ok_or_else(|| TrainError::Data { what: format!("class {class} has no weight") })?);
        }
        let own = self.samples.sample_weights.as_ref().map(Tensor::to_f32);
        if let Some(own) = own.as_ref().and_then(|own| own.f32s().ok()) {
            each.iter_mut().zip(own).for_each(|(weight, own)| *weight *= own);
        }
        let count = self.count;
        self.samples.sample_weights = Some(Tensor::from_fn([count], |i| each[i]));
        Ok(self)
    }
}

impl Arrays {
    fn gather(&self, positions: &[usize], epoch: u64, augment: &Augment) -> Result<Batch, TrainError> {
        let moved: Vec<usize>;
        let positions = match &self.order {
            Some(order) => {
                let at = |&position: &usize| order.get(position).copied().unwrap_or(usize::MAX / 2);
                moved = positions.iter().map(at).collect();
                &moved
            }
            None => positions,
        };
        let select = |tensors: &BTreeMap<String, Tensor>| -> Result<BTreeMap<String, Tensor>, TrainError> {
            tensors.iter().map(|(name, tensor)| Ok((name.clone(), rows(tensor, positions)?))).collect()
        };
        let mut inputs = select(&self.samples.inputs)?;
        for tensor in inputs.values_mut() {
            if self.scale != 1.0 {
                let values: Vec<f32> = tensor.f32s().unwrap_or_default().iter().map(|x| x * self.scale).collect();
                *tensor = Tensor::from_fn(tensor.shape().clone(), |i| values[i]);
            }
            *tensor = augment.apply(tensor, positions, epoch);
        }
        let sample_weights =
            self.samples.sample_weights.as_ref().map(|weights| rows(weights, positions)).transpose()?;
        Ok(Batch { inputs, targets: select(&self.samples.targets)?, sample_weights })
    }
}

impl DataSource for Arrays {
    fn len(&self) -> usize {
        self.count
    }

    fn batch(&self, positions: &[usize], epoch: u64) -> Result<Batch, TrainError> {
        self.gather(positions, epoch, &self.augment)
    }

    fn plain_batch(&self, positions: &[usize]) -> Result<Batch, TrainError> {
        self.gather(positions, 0, &self.augment.plain())
    }
}

/// The rows of a tensor at these positions, as `f32`.
fn rows(tensor: &Tensor, positions: &[usize]) -> Result<Tensor, TrainError> {
    let shape = tensor.shape();
    let width: usize = shape[1..].iter().product();
    let mut values: Vec<f32> = Vec::with_capacity(positions.len() * width);
    for &position in positions {
        let missing = || TrainError::Data { what: format!("there is no sample {position} among {}", shape[0]) };
        if position >= shape[0] {
            return Err(missing());
        }
        let range = position * width..(position + 1) * width;
        match tensor.data() {
            Data::F32(data) => values.extend(data.get(range).ok_or_else(missing)?),
            Data::I32(data) => values.extend(data.get(range).ok_or_else(missing)?.iter().map(|&x| x as f32)),
            Data::I64(data) => values.extend(data.get(range).ok_or_else(missing)?.iter().map(|&x| x as f32)),
            Data::U8(data) => values.extend(data.get(range).ok_or_else(missing)?.iter().map(|&x| f32::from(x))),
            Data::Bool(data) => {
                values.extend(data.get(range).ok_or_else(missing)?.iter().map(|&x| f32::from(u8::from(x))));
            }
        }
    }
    let own: Shape = [positions.len()].into_iter().chain(shape[1..].iter().copied()).collect();
    Tensor::from_f32(own, values).map_err(|e| TrainError::Data { what: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::split;

    fn arrays() -> Arrays {
        let x = Tensor::from_fn([5, 2], |i| i as f32);
        let y = Tensor::new([5], Data::U8(vec![0, 1, 0, 1, 2].into())).unwrap();
        let batch = Batch {
            inputs: BTreeMap::from([("x".into(), x)]),
            targets: BTreeMap::from([("y".into(), y)]),
            sample_weights: None,
        };
        Arrays::named(batch).unwrap()
    }

    #[test]
    fn rows_come_in_the_order_they_are_asked_for() {
        let batch = arrays().batch(&[3, 0], 0).unwrap();
        assert_eq!(batch.inputs["x"].f32s().unwrap(), [6.0, 7.0, 0.0, 1.0]);
        assert_eq!(batch.targets["y"].f32s().unwrap(), [1.0, 0.0]);
        let shuffled = arrays().shuffled(3);
        let all = shuffled.batch(&[0, 1, 2, 3, 4], 0).unwrap().inputs["x"].f32s().unwrap().to_vec();
        let mut sorted = all.clone();
        sorted.sort_by(f32::total_cmp);
        assert!(all != sorted && sorted == (0..10).map(|i| i as f32).collect::<Vec<f32>>());
        assert!(arrays().batch(&[5], 0).unwrap_err().to_string().contains("no sample 5"));
    }

    #[test]
    fn classes_weigh_their_samples() {
        let weighted = arrays().class_weights(&BTreeMap::from([(0, 1.0), (1, 0.5), (2, 3.0)])).unwrap();
        let batch = weighted.batch(&[4, 1, 2], 0).unwrap();
        assert_eq!(batch.sample_weights.unwrap().f32s().unwrap(), [3.0, 0.5, 1.0]);
        assert!(arrays().class_weights(&BTreeMap::from([(0, 1.0)])).is_err());
    }

    #[test]
    fn the_last_share_is_for_validation() {
        let all = arrays();
        let (training, validation) = split(&all, 0.4).unwrap();
        assert_eq!((training.len(), validation.len()), (3, 2));
        assert_eq!(validation.batch(&[0], 0).unwrap().inputs["x"].f32s().unwrap(), [6.0, 7.0]);
        assert!(split(&all, 0.0).is_err() && split(&all, 1.0).is_err());
    }

    #[test]
    fn validation_sees_samples_as_they_are() {
        let samples = Batch {
            inputs: BTreeMap::from([("x".into(), Tensor::from_fn([40, 1, 5, 1], |i| i as f32))]),
            targets: BTreeMap::new(),
            sample_weights: None,
        };
        let augment = Augment { flip: true, shift: 2, normalize: Some((vec![1.0], vec![2.0])), seed: 1 };
        let all = Arrays::named(samples).unwrap().augmented(augment);
        let (_, validation) = split(&all, 0.5).unwrap();
        let positions: Vec<usize> = (0..20).collect();
        let plain = validation.plain_batch(&positions).unwrap();
        let expected: Vec<f32> = (100..200).map(|i| (i as f32 - 1.0) / 2.0).collect();
        assert_eq!(plain.inputs["x"].f32s().unwrap(), expected);
        assert_ne!(validation.batch(&positions, 0).unwrap(), plain);
    }

    #[test]
    fn arrays_of_different_lengths_are_refused() {
        let samples = Batch {
            inputs: BTreeMap::from([("x".into(), Tensor::full([3, 2], 0.0))]),
            targets: BTreeMap::from([("y".into(), Tensor::full([2], 0.0))]),
            sample_weights: None,
        };
        assert!(Arrays::named(samples).unwrap_err().to_string().contains("3 samples"));
    }
}
