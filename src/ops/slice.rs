//! Part of a tensor: per axis from, to and step.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, SliceGrad, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// The range taken from one axis; negative positions count from the end, as in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SliceAxis {
    /// Axis of the input.
    pub axis: usize,
    /// First position.
    pub start: i64,
    /// Position after the last one; `None` for the end (before the start, when stepping backwards).
    pub end: Option<i64>,
    /// Step; negative steps run backwards.
    pub step: i64,
}

impl SliceAxis {
    /// First position and number of positions for an axis of `size` elements.
    fn resolve(&self, size: usize) -> (i64, usize) {
        let size = size as i64;
        let (low, high) = if self.step > 0 { (0, size) } else { (-1, size - 1) };
        let clamp = |position: i64| {
            let position = if position < 0 { position.saturating_add(size) } else { position };
            position.clamp(low, high)
        };
        let start = clamp(self.start);
        let end = self.end.map_or(if self.step > 0 { high } else { low }, clamp);
        let count = if self.step > 0 { (end - start).max(0) } else { (start - end).max(0) };
        (start, (count as u64).div_ceil(self.step.unsigned_abs().max(1)) as usize)
    }
}

/// Part of a tensor. One input; axes that are not named are taken whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slice {
    /// The ranges, at most one per axis.
    pub axes: Vec<SliceAxis>,
}

impl Slice {
    /// Positions `start..end` of one axis; `end` may be negative or `None`, as in Python.
    pub fn range(axis: usize, start: i64, end: Option<i64>) -> Slice {
        Slice { axes: vec![SliceAxis { axis, start, end, step: 1 }] }
    }

    /// Start and step of every input axis, and the output shape.
    ///
    /// # Errors
    /// [`ShapeError`] when an axis does not exist, comes twice, has step 0, or nothing would be left.
    pub fn resolve(&self, input: &Shape) -> Result<(Vec<(i64, i64)>, Shape), ShapeError> {
        let mut ranges = vec![(0, 1); input.rank()];
        let mut shape = input.to_vec();
        for (i, range) in self.axes.iter().enumerate() {
            let wrong = |what: &str| ShapeError::mismatch("Slice", format!("axis {} of {input}: {what}", range.axis));
            if range.axis >= input.rank() {
                return Err(wrong("it does not exist"));
            }
            if range.step == 0 {
                return Err(wrong("the step must not be 0"));
            }
            if self.axes[..i].iter().any(|other| other.axis == range.axis) {
                return Err(wrong("it is named twice"));
            }
            let (start, count) = range.resolve(input[range.axis]);
            if count == 0 {
                return Err(wrong(&format!("nothing is left between {} and {:?}", range.start, range.end)));
            }
            ranges[range.axis] = (start, range.step);
            shape[range.axis] = count;
        }
        Ok((ranges, shape.into()))
    }
}

impl OpSpec for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        Ok(vec![TensorType::f32(self.resolve(&inputs[0].shape)?.1)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let (ranges, shape) = self.resolve(inputs[0].shape())?;
        let x = values(self.name(), inputs)?[0];
        let (source, own) = (inputs[0].shape().strides(), shape.strides());
        let y = (0..shape.elements())
            .map(|i| {
                let offset: i64 = ranges
                    .iter()
                    .enumerate()
                    .map(|(axis, (start, step))| {
                        (start + (i / own[axis] % shape[axis]) as i64 * step) * source[axis] as i64
                    })
                    .sum();
                x[offset as usize]
            })
            .collect();
        output(self.name(), &ty, y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, input) = (site.dy()?, site.shape(site.inputs[0]));
        GradientSite::only(site.emit(SliceGrad { slice: self.clone(), input }, &[dy])?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Exact
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_python() {
        let take = |start, end, step| {
            let slice = Slice { axes: vec![SliceAxis { axis: 0, start, end, step }] };
            let x = Tensor::from_fn([5], |i| i as f32);
            slice.reference(&[&x]).map(|y| y[0].f32s().unwrap().to_vec())
        };
        assert_eq!(take(1, Some(-1), 1).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(take(-1, None, -2).unwrap(), [4.0, 2.0, 0.0]);
        assert_eq!(take(0, Some(100), 3).unwrap(), [0.0, 3.0]);
        assert!(take(3, Some(2), 1).is_err());
        assert!(take(0, None, 0).is_err());
    }
}
