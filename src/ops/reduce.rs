//! Reduction over axes.

use serde::Serialize;

use super::{BinaryFn, Cost, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// What a reduction does with the elements that fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReduceFn {
    /// Sum.
    Sum,
    /// Mean.
    Mean,
    /// Largest; NaN if any is.
    Max,
    /// Smallest; NaN if any is.
    Min,
}

/// Reduction over axes. One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reduce {
    /// What becomes of the elements.
    pub function: ReduceFn,
    /// The axes that disappear.
    pub axes: Vec<usize>,
    /// Keep them with size 1.
    pub keepdims: bool,
}

impl Reduce {
    /// Elements that fall together into one output element.
    pub fn length(&self, input: &Shape) -> usize {
        self.axes.iter().filter_map(|&axis| input.get(axis)).product()
    }

    fn shape(&self, input: &Shape, keepdims: bool) -> Shape {
        let kept = |axis: &usize| !self.axes.contains(axis);
        if keepdims {
            (0..input.rank()).map(|axis| if kept(&axis) { input[axis] } else { 1 }).collect()
        } else {
            (0..input.rank()).filter(kept).map(|axis| input[axis]).collect()
        }
    }
}

impl OpSpec for Reduce {
    fn name(&self) -> &'static str {
        "Reduce"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        let shape = &inputs[0].shape;
        let twice = |(i, axis): (usize, &usize)| self.axes[..i].contains(axis);
        if self.axes.iter().any(|&axis| axis >= shape.rank()) || self.axes.iter().enumerate().any(twice) {
            return Err(ShapeError::mismatch(self.name(), format!("axes {:?} of {shape}", self.axes)));
        }
        Ok(vec![TensorType::f32(self.shape(shape, self.keepdims))])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let x = values(self.name(), inputs)?[0];
        let shape = inputs[0].shape();
        let kept = self.shape(shape, true);
        let target = kept.broadcast_strides(shape).unwrap_or_default();
        let start = match self.function {
            ReduceFn::Sum | ReduceFn::Mean => 0.0,
            ReduceFn::Max => f64::NEG_INFINITY,
            ReduceFn::Min => f64::INFINITY,
        };
        let mut sums = vec![start; kept.elements()];
        for (&x, at) in x.iter().zip(shape.offsets(&target)) {
            let (x, sum) = (f64::from(x), &mut sums[at]);
            match self.function {
                ReduceFn::Sum | ReduceFn::Mean => *sum += x,
                ReduceFn::Max if x > *sum || x.is_nan() => *sum = x,
                ReduceFn::Min if x < *sum || x.is_nan() => *sum = x,
                ReduceFn::Max | ReduceFn::Min => {}
            }
        }
        let divisor = if self.function == ReduceFn::Mean { self.length(shape) as f64 } else { 1.0 };
        output(self.name(), &ty, sums.into_iter().map(|sum| (sum / divisor) as f32).collect())
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, x) = (site.dy()?, site.inputs[0]);
        let shape = site.shape(x);
        let kept = self.shape(&shape, true);
        let mut gradient = site.reshaped(dy, &kept)?;
        match self.function {
            ReduceFn::Sum => {}
            ReduceFn::Mean => gradient = site.scaled(gradient, 1.0 / self.length(&shape) as f32)?,
            ReduceFn::Max | ReduceFn::Min => {
                // Elements that are equally extreme share, as in TensorFlow.
                let extreme = site.reshaped(site.outputs[0], &kept)?;
                let chosen = site.binary(BinaryFn::Equal, x, extreme)?;
                let count = site.reduce(ReduceFn::Sum, chosen, self.axes.clone(), true)?;
                let share = site.binary(BinaryFn::Div, gradient, count)?;
                return GradientSite::only(site.product(chosen, share)?);
            }
        }
        GradientSite::only(site.expanded(gradient, &shape)?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        match self.function {
            ReduceFn::Max | ReduceFn::Min => Accuracy::Exact,
            ReduceFn::Sum | ReduceFn::Mean => {
                Accuracy::Reduction { length: inputs.first().map_or(1, |input| self.length(&input.shape)) }
            }
        }
    }
}
