//! A depthwise and a pointwise convolution as one op: what lies between them is never stored.

use serde::Serialize;

use super::{Conv, Cost, Gradient, GradientSite, OpSpec};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// Two convolutions in a row, each with its own epilogue.
///
/// Inputs: `x [batch.., spatial.., channels]`, the weights of the first and what its epilogue adds, then the same of the second.
/// Output: that of the second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Separable {
    /// Each channel on its own.
    pub depthwise: Conv,
    /// Every pixel on its own.
    pub pointwise: Conv,
}

impl Separable {
    /// Inputs of the first convolution: the input of the op among them.
    pub fn depthwise_inputs(&self) -> usize {
        2 + self.depthwise.epilogue.inputs()
    }

    /// The input types of both convolutions.
    ///
    /// # Errors
    /// [`ShapeError`] when the two do not fit together, or there are too few inputs.
    pub fn stages(&self, inputs: &[TensorType]) -> Result<[Vec<TensorType>; 2], ShapeError> {
        let own = self.depthwise_inputs().min(inputs.len());
        let (first, further) = inputs.split_at(own);
        let between = self.depthwise.infer(first)?;
        let site = self.depthwise.site(first)?;
        if site.groups != site.in_channels || site.groups != site.out_channels {
            return Err(ShapeError::mismatch(self.name(), "the first convolution must filter each channel on its own"));
        }
        let second: Vec<TensorType> = between.into_iter().chain(further.iter().cloned()).collect();
        let site = self.pointwise.site(&second)?;
        if !site.is_pointwise() || site.groups != 1 {
            return Err(ShapeError::mismatch(self.name(), "the second convolution must have one tap and one group"));
        }
        Ok([first.to_vec(), second])
    }
}

impl OpSpec for Separable {
    fn name(&self) -> &'static str {
        "Separable"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        let [_, second] = self.stages(inputs)?;
        self.pointwise.infer(&second)
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        self.infer(&super::types(inputs))?;
        let (first, further) = inputs.split_at(self.depthwise_inputs().min(inputs.len()));
        let between = self.depthwise.reference(first)?;
        let second: Vec<&Tensor> = between.iter().chain(further.iter().copied()).collect();
        self.pointwise.reference(&second)
    }

    fn gradient(&self, _: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::NotDifferentiable("it is made of two convolutions once their gradients are there"))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let Ok([first, second]) = self.stages(inputs) else { return Cost::new(0, inputs, outputs) };
        let macs = self.depthwise.cost(&first, &[]).macs + self.pointwise.cost(&second, outputs).macs;
        Cost { macs, ..Cost::new(0, inputs, outputs) }
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        let Ok([first, second]) = self.stages(inputs) else { return Accuracy::Reduction { length: 1 } };
        self.depthwise.accuracy(&first).and(self.pointwise.accuracy(&second))
    }
}
