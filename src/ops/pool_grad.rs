//! The gradient of pooling.

use serde::Serialize;

use super::conv::positions;
use super::{Cost, Gradient, GradientSite, OpSpec, Pool, PoolKind, PoolSite, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// The gradient of a pool's input.
///
/// Inputs: `dy`, and for a maximum `x` and `y`. The gradient of a maximum goes to the first element of the window, in
/// row-major order, that has it (as in TensorFlow).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoolGrad {
    /// The pool whose gradient it is.
    pub pool: Pool,
    /// Shape of the pool's input.
    pub input: Shape,
}

impl PoolGrad {
    /// The pool resolved for its input.
    ///
    /// # Errors
    /// [`ShapeError`] when the operands do not belong to this pool.
    pub fn site(&self, inputs: &[TensorType]) -> Result<PoolSite, ShapeError> {
        let count = if self.pool.kind == PoolKind::Max { 3 } else { 1 };
        expect_f32("PoolGrad", inputs, count)?;
        let site = self.pool.site(&[TensorType::f32(self.input.clone())])?;
        let expected = [site.output.clone(), self.input.clone(), site.output.clone()];
        match inputs.iter().zip(expected).find(|(input, expected)| input.shape != *expected) {
            Some((input, expected)) => {
                Err(ShapeError::mismatch("PoolGrad", format!("{input} was given where {expected} is expected")))
            }
            None => Ok(site),
        }
    }
}

impl OpSpec for PoolGrad {
    fn name(&self) -> &'static str {
        "PoolGrad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        self.site(inputs)?;
        Ok(vec![TensorType::f32(self.input.clone())])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let site = self.site(&types(inputs))?;
        let data = values(self.name(), inputs)?;
        let [depth, height, width] = site.axes;
        let taps = (depth.size * height.size * width.size) as f64;
        let mut dx = vec![0f64; self.input.elements()];
        let mut index = 0;
        for batch in 0..site.batch {
            for (od, oh, ow) in positions(depth.output, height.output, width.output) {
                for channel in 0..site.channels {
                    let dy = f64::from(data[0][index]);
                    let inside: Vec<usize> = positions(depth.size, height.size, width.size)
                        .filter_map(|(kd, kh, kw)| {
                            let (d, h, w) =
                                (depth.position(od, kd)?, height.position(oh, kh)?, width.position(ow, kw)?);
                            let pixel = ((batch * depth.input + d) * height.input + h) * width.input + w;
                            Some(pixel * site.channels + channel)
                        })
                        .collect();
                    match self.pool.kind {
                        PoolKind::Max => {
                            let largest = data[2][index];
                            if let Some(&first) = inside.iter().find(|&&at| data[1][at] == largest) {
                                dx[first] += dy;
                            }
                        }
                        PoolKind::Average { count_include_pad } => {
                            let count = if count_include_pad { taps } else { inside.len() as f64 };
                            inside.iter().for_each(|&at| dx[at] += dy / count);
                        }
                    }
                    index += 1;
                }
            }
        }
        output(self.name(), &TensorType::f32(self.input.clone()), dx.into_iter().map(|sum| sum as f32).collect())
    }

    fn gradient(&self, _site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::SECOND)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        let covering = |site: PoolSite| site.axes.iter().map(|axis| axis.size.div_ceil(axis.stride)).product();
        Accuracy::Reduction { length: self.site(inputs).map_or(1, covering) }
    }
}
