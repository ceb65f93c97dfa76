//! A pointwise, a depthwise and a pointwise convolution as one op: what lies between them is never stored.

use serde::Serialize;

use super::{Conv, Cost, Gradient, GradientSite, OpSpec, Separable};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// An inverted residual block: channels are expanded, filtered each on its own, and projected to fewer.
///
/// Inputs: `x [batch.., spatial.., channels]`, the weights of the expansion and what its epilogue adds, then those of the
/// [`Separable`] that reads its result. Output: that of the projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InvertedResidual {
    /// Every pixel on its own, to more channels.
    pub expand: Conv,
    /// Each channel on its own, then every pixel on its own.
    pub separable: Separable,
}

impl InvertedResidual {
    /// The input types of the expansion and of what reads its result.
    ///
    /// # Errors
    /// [`ShapeError`] when the parts do not fit together, or there are too few inputs.
    pub fn stages(&self, inputs: &[TensorType]) -> Result<[Vec<TensorType>; 2], ShapeError> {
        let (first, further) = inputs.split_at(self.expand_inputs().min(inputs.len()));
        let expanded = self.expand.infer(first)?;
        let site = self.expand.site(first)?;
        if !site.is_pointwise() || site.groups != 1 || self.expand.epilogue.residual {
            return Err(ShapeError::mismatch(
                self.name(),
                "the expansion must have one tap and one group, and add nothing but a bias",
            ));
        }
        let second: Vec<TensorType> = expanded.into_iter().chain(further.iter().cloned()).collect();
        Ok([first.to_vec(), second])
    }

    /// Inputs of the expansion: the input of the op among them.
    pub fn expand_inputs(&self) -> usize {
        2 + self.expand.epilogue.inputs()
    }
}

impl OpSpec for InvertedResidual {
    fn name(&self) -> &'static str {
        "InvertedResidual"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        let [_, second] = self.stages(inputs)?;
        self.separable.infer(&second)
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        self.infer(&super::types(inputs))?;
        let (first, further) = inputs.split_at(self.expand_inputs().min(inputs.len()));
        let expanded = self.expand.reference(first)?;
        let second: Vec<&Tensor> = expanded.iter().chain(further.iter().copied()).collect();
        self.separable.reference(&second)
    }

    fn gradient(&self, _: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::NotDifferentiable("it is made of three convolutions once their gradients are there"))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let Ok([first, second]) = self.stages(inputs) else { return Cost::new(0, inputs, outputs) };
        let macs = self.expand.cost(&first, &[]).macs + self.separable.cost(&second, outputs).macs;
        Cost { macs, ..Cost::new(0, inputs, outputs) }
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        let Ok([first, second]) = self.stages(inputs) else { return Accuracy::Reduction { length: 1 } };
        self.expand.accuracy(&first).and(self.separable.accuracy(&second))
    }
}
