//! Batched matrix product of two computed operands.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// `a [.., m, k]` times `b [.., k, n]`; the leading axes broadcast. A layer with constant weights is a `Conv` instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatMul {
    /// `a` is given as `[.., k, m]`.
    pub transpose_a: bool,
    /// `b` is given as `[.., n, k]`.
    pub transpose_b: bool,
}

/// A [`MatMul`] resolved for its input shapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatMulSite {
    /// Leading axes of the output.
    pub batch: Shape,
    /// Rows of the output.
    pub m: usize,
    /// Columns of the output.
    pub n: usize,
    /// Products summed into one element.
    pub k: usize,
}

impl MatMul {
    /// Resolves the op for its inputs.
    ///
    /// # Errors
    /// [`ShapeError`] when an operand has fewer than two axes or sizes disagree.
    pub fn site(&self, inputs: &[TensorType]) -> Result<MatMulSite, ShapeError> {
        expect_f32(self.name(), inputs, 2)?;
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        let wrong =
            || ShapeError::mismatch("MatMul", format!("{a} and {b} do not multiply: [.., m, k] and [.., k, n] do"));
        let (Some(batch_a), Some(batch_b)) = (a.rank().checked_sub(2), b.rank().checked_sub(2)) else {
            return Err(wrong());
        };
        let pair = |shape: &Shape, at: usize, swap: bool| {
            if swap { (shape[at + 1], shape[at]) } else { (shape[at], shape[at + 1]) }
        };
        let (m, k) = pair(a, batch_a, self.transpose_a);
        let (k_b, n) = pair(b, batch_b, self.transpose_b);
        let batch = Shape::from(&a[..batch_a]).broadcast(&Shape::from(&b[..batch_b])).ok_or_else(wrong)?;
        if k != k_b { Err(wrong()) } else { Ok(MatMulSite { batch, m, n, k }) }
    }
}

impl OpSpec for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        let site = self.site(inputs)?;
        Ok(vec![TensorType::f32(site.batch.iter().copied().chain([site.m, site.n]).collect::<Vec<_>>())])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let types = types(inputs);
        let (site, ty) = (self.site(&types)?, self.infer(&types)?.remove(0));
        let data = values(self.name(), inputs)?;
        let matrices = |operand: usize| {
            let shape = inputs[operand].shape();
            let leading = Shape::from(&shape[..shape.rank() - 2]).broadcast_strides(&site.batch).unwrap_or_default();
            site.batch.offsets(&leading)
        };
        let mut y = Vec::with_capacity(ty.shape.elements());
        for (a, b) in matrices(0).zip(matrices(1)) {
            let (a, b) = (&data[0][a * site.m * site.k..], &data[1][b * site.k * site.n..]);
            for row in 0..site.m {
                for column in 0..site.n {
                    let sum: f64 = (0..site.k)
                        .map(|k| {
                            let a = if self.transpose_a { a[k * site.m + row] } else { a[row * site.k + k] };
                            let b = if self.transpose_b { b[column * site.k + k] } else { b[k * site.n + column] };
                            f64::from(a) * f64::from(b)
                        })
                        .sum();
                    y.push(sum as f32);
                }
            }
        }
        output(self.name(), &ty, y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, a, b) = (site.dy()?, site.inputs[0], site.inputs[1]);
        let mut gradients = vec![None, None];
        if site.wants(0) {
            let (op, operands) = match self.transpose_a {
                false => (MatMul { transpose_a: false, transpose_b: !self.transpose_b }, [dy, b]),
                true => (MatMul { transpose_a: self.transpose_b, transpose_b: true }, [b, dy]),
            };
            let (shape, gradient) = (site.shape(a), site.emit(op, &operands)?);
            gradients[0] = Some(site.summed_to(gradient, &shape)?);
        }
        if site.wants(1) {
            let (op, operands) = match self.transpose_b {
                false => (MatMul { transpose_a: !self.transpose_a, transpose_b: false }, [a, dy]),
                true => (MatMul { transpose_a: true, transpose_b: self.transpose_a }, [dy, a]),
            };
            let (shape, gradient) = (site.shape(b), site.emit(op, &operands)?);
            gradients[1] = Some(site.summed_to(gradient, &shape)?);
        }
        Ok(Gradient::Inputs(gradients))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let macs = self.site(inputs).map_or(0, |site| (site.batch.elements() * site.m * site.n).saturating_mul(site.k));
        Cost::new(macs, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        Accuracy::Reduction { length: self.site(inputs).map_or(1, |site| site.k) }
    }
}
