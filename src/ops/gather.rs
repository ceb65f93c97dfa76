//! Elements along an axis by their positions.

use serde::Serialize;

use super::{BinaryFn, Cost, Gradient, GradientSite, MatMul, OpSpec, UnaryFn, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// Takes the elements of one axis at given positions. Inputs: `x`, and the positions (whole numbers, counted from the end
/// of the axis where they are negative). The axes of the positions take the place of the axis:
/// `[x's axes before.., positions.., x's axes after..]`. A position outside of the axis gives NaN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gather {
    /// The axis that is looked up.
    pub axis: usize,
}

impl Gather {
    /// Elements of the axis that `f32` counts exactly.
    const MOST: usize = 1 << 24;

    /// The input before the axis, along it and after it.
    pub fn parts(&self, x: &Shape) -> [usize; 3] {
        [x[..self.axis].iter().product(), x[self.axis], x[self.axis + 1..].iter().product()]
    }
}

impl OpSpec for Gather {
    fn name(&self) -> &'static str {
        "Gather"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 2)?;
        let (x, positions) = (&inputs[0].shape, &inputs[1].shape);
        match x.get(self.axis) {
            Some(&size) if size <= Gather::MOST => {
                let shape = x[..self.axis].iter().chain(positions.iter()).chain(&x[self.axis + 1..]);
                Ok(vec![TensorType::f32(shape.copied().collect::<Vec<_>>())])
            }
            Some(size) => Err(ShapeError::mismatch(
                self.name(),
                format!("an axis of {size} elements; positions are f32, which count to {}", Gather::MOST),
            )),
            None => Err(ShapeError::mismatch(self.name(), format!("axis {} of {x}", self.axis))),
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let data = values(self.name(), inputs)?;
        let [outer, size, inner] = self.parts(inputs[0].shape());
        let mut y = Vec::with_capacity(ty.shape.elements());
        for row in 0..outer {
            for &position in data[1] {
                let from_end = if position < 0.0 { position + size as f32 } else { position };
                if from_end >= 0.0 && from_end < size as f32 {
                    let start = (row * size + from_end as usize) * inner;
                    y.extend_from_slice(&data[0][start..start + inner]);
                } else {
                    y.extend(std::iter::repeat_n(f32::NAN, inner));
                }
            }
        }
        output(self.name(), &ty, y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        if !site.wants(0) {
            return Ok(Gradient::Inputs(vec![None, None]));
        }
        let (dy, x, positions) = (site.dy()?, site.inputs[0], site.inputs[1]);
        let shape = site.shape(x);
        let ([outer, size, inner], count) = (self.parts(&shape), site.shape(positions).elements());
        // Each element is the sum of what was taken from it: a product with a matrix of zeros and ones.
        let positions = site.reshaped(positions, &Shape::from([1, count]))?;
        let zero = site.scalar(0.0);
        let negative = site.binary(BinaryFn::Less, positions, zero)?;
        let wrapped = site.unary(UnaryFn::Affine { scale: size as f32, offset: 0.0 }, negative)?;
        let positions = site.binary(BinaryFn::Add, positions, wrapped)?;
        let rows = site.constant(Tensor::from_fn([size, 1], |row| row as f32));
        let taken = site.binary(BinaryFn::Equal, rows, positions)?;
        let dy = site.reshaped(dy, &Shape::from([outer, count, inner]))?;
        let dx = site.emit(MatMul { transpose_a: false, transpose_b: false }, &[taken, dy])?;
        Ok(Gradient::Inputs(vec![Some(site.reshaped(dx, &shape)?), None]))
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
    fn positions_count_from_either_end_and_outside_is_nan() {
        let x = Tensor::from_fn([2, 3], |i| i as f32);
        let positions = Tensor::from_f32([2, 2], vec![-1.0, 0.0, 3.0, -4.0]).unwrap();
        let y = Gather { axis: 1 }.reference(&[&x, &positions]).unwrap().remove(0);
        assert_eq!(y.shape().to_vec(), [2, 2, 2]);
        let y = y.f32s().unwrap();
        assert_eq!([y[0], y[1], y[4], y[5]], [2.0, 0.0, 5.0, 3.0]);
        assert!(y[2].is_nan() && y[3].is_nan() && y[6].is_nan() && y[7].is_nan());
    }
}
