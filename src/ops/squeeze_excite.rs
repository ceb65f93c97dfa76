//! The factors of a squeeze-and-excite block as one op: what lies between its layers is never stored.

use serde::Serialize;

use super::{Conv, Cost, Gradient, GradientSite, OpSpec, Reduce};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// A mean over the pixels of each picture, where there is one, and two dense layers, each with its own epilogue.
///
/// Inputs: `x [batch.., spatial.., channels]` (or, without a mean, `[batch.., channels]` with any axes of size 1 in between), the
/// weights of the first layer and what its epilogue adds, then the same of the second. Output: that of the second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SqueezeExcite {
    /// What becomes of the pixels.
    pub squeeze: Option<Reduce>,
    /// From channels to few features.
    pub reduce: Conv,
    /// From the features to factors.
    pub expand: Conv,
}

impl SqueezeExcite {
    /// The input types of both layers.
    ///
    /// # Errors
    /// [`ShapeError`] when the parts do not fit together, or there are too few inputs.
    pub fn stages(&self, inputs: &[TensorType]) -> Result<[Vec<TensorType>; 2], ShapeError> {
        let (own, further) = inputs.split_at(self.second().min(inputs.len()));
        let mut first = own.to_vec();
        if let (Some(squeeze), [x, ..]) = (&self.squeeze, own) {
            first.splice(..1, squeeze.infer(std::slice::from_ref(x))?);
        }
        let hidden = self.reduce.infer(&first)?;
        let second: Vec<TensorType> = hidden.into_iter().chain(further.iter().cloned()).collect();
        for (conv, inputs) in [(&self.reduce, &first), (&self.expand, &second)] {
            let site = conv.site(inputs)?;
            if !site.is_pointwise() || site.groups != 1 || conv.epilogue.residual {
                return Err(ShapeError::mismatch(
                    self.name(),
                    "both layers must have one tap and one group, and add nothing but a bias",
                ));
            }
        }
        Ok([first, second])
    }

    /// The position of the second layer's weights among the inputs.
    pub fn second(&self) -> usize {
        2 + self.reduce.epilogue.inputs()
    }
}

impl OpSpec for SqueezeExcite {
    fn name(&self) -> &'static str {
        "SqueezeExcite"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        let [_, second] = self.stages(inputs)?;
        self.expand.infer(&second)
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        self.infer(&super::types(inputs))?;
        let (own, further) = inputs.split_at(self.second().min(inputs.len()));
        let squeezed = match &self.squeeze {
            Some(squeeze) => squeeze.reference(&own[..1])?,
            None => own[..1].iter().map(|&x| x.clone()).collect(),
        };
        let first: Vec<&Tensor> = squeezed.iter().chain(own[1..].iter().copied()).collect();
        let hidden = self.reduce.reference(&first)?;
        let second: Vec<&Tensor> = hidden.iter().chain(further.iter().copied()).collect();
        self.expand.reference(&second)
    }

    fn gradient(&self, _: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::NotDifferentiable("it is made of other ops once their gradients are there"))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let Ok([first, second]) = self.stages(inputs) else { return Cost::new(0, inputs, outputs) };
        let macs = self.reduce.cost(&first, &[]).macs + self.expand.cost(&second, outputs).macs;
        Cost { macs, ..Cost::new(0, inputs, outputs) }
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        let Ok([first, second]) = self.stages(inputs) else { return Accuracy::Reduction { length: 1 } };
        let layers = self.reduce.accuracy(&first).and(self.expand.accuracy(&second));
        self.squeeze.as_ref().map_or(layers, |squeeze| squeeze.accuracy(inputs).and(layers))
    }
}
