//! Permutation of axes.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// Output axis `i` is input axis `perm[i]`. One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transpose {
    /// A permutation of the input's axes.
    pub perm: Vec<usize>,
}

impl Transpose {
    /// A tensor with its axes in another order: output axis `i` is axis `perm[i]`.
    ///
    /// # Errors
    /// [`ShapeError`] when `perm` is no permutation of the tensor's axes, or it is not `f32`.
    pub fn of(tensor: &Tensor, perm: &[usize]) -> Result<Tensor, ShapeError> {
        let transpose = Transpose { perm: perm.to_vec() };
        if perm.iter().copied().eq(0..tensor.shape().rank()) {
            return Ok(tensor.clone());
        }
        Ok(transpose.reference(&[tensor])?.swap_remove(0))
    }
}

impl OpSpec for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        let shape = &inputs[0].shape;
        let mut sorted = self.perm.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..shape.rank()) {
            return Err(ShapeError::mismatch(
                self.name(),
                format!("{:?} is no permutation of the axes of {shape}", self.perm),
            ));
        }
        Ok(vec![TensorType::f32(self.perm.iter().map(|&axis| shape[axis]).collect::<Vec<_>>())])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let x = values(self.name(), inputs)?[0];
        let own = inputs[0].shape().strides();
        let source: Vec<usize> = self.perm.iter().map(|&axis| own[axis]).collect();
        let y = ty.shape.offsets(&source).map(|at| x[at]).collect();
        output(self.name(), &ty, y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let mut perm = vec![0; self.perm.len()];
        for (output, &input) in self.perm.iter().enumerate() {
            perm[input] = output;
        }
        let dy = site.dy()?;
        GradientSite::only(site.emit(Transpose { perm }, &[dy])?)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Exact
    }
}
