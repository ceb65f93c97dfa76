//! Max and average pooling.

use serde::Serialize;

use super::conv::positions;
use super::{Cost, Gradient, GradientSite, OpSpec, PoolGrad, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, AxisWindow, Shape, Tensor, TensorType, Window};

/// What a pool takes from its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// The largest element; padding never wins.
    Max,
    /// The mean.
    Average {
        /// Divide by all taps, padding (as zeros) included, rather than by those inside the input (Keras's rule).
        count_include_pad: bool,
    },
}

/// Pooling over 1 to 3 spatial axes. One input `[batch, spatial.., channels]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pool {
    /// What is taken from a window.
    pub kind: PoolKind,
    /// Taps per spatial axis.
    pub size: Vec<usize>,
    /// Stride, dilation and padding.
    pub window: Window,
}

/// A [`Pool`] resolved for its input shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoolSite {
    /// Batch size.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Exactly three axes, padded in front: `[depth, height, width]`.
    pub axes: [AxisWindow; 3],
    /// Output shape.
    pub output: Shape,
}

impl Pool {
    /// Resolves the op for its input.
    ///
    /// # Errors
    /// [`ShapeError`] when the rank does not fit or the window never fits.
    pub fn site(&self, inputs: &[TensorType]) -> Result<PoolSite, ShapeError> {
        const OP: &str = "Pool";
        expect_f32(OP, inputs, 1)?;
        let (x, spatial) = (&inputs[0].shape, self.window.axes());
        if !(1..=3).contains(&spatial) || x.rank() != spatial + 2 {
            return Err(ShapeError::mismatch(
                OP,
                format!("{spatial} spatial axes (1 to 3) need an input of {} axes; got {x}", spatial + 2),
            ));
        }
        let resolved =
            self.window.resolve(&x[1..=spatial], &self.size).map_err(|source| ShapeError::Window { op: OP, source })?;
        let unit = AxisWindow { input: 1, output: 1, size: 1, stride: 1, dilation: 1, before: 0, after: 0 };
        let mut axes = [unit; 3];
        axes[3 - spatial..].copy_from_slice(&resolved);
        let output = [x[0]].into_iter().chain(resolved.iter().map(|axis| axis.output)).chain([x.last_axis()]).collect();
        Ok(PoolSite { batch: x[0], channels: x.last_axis(), axes, output })
    }
}

impl OpSpec for Pool {
    fn name(&self) -> &'static str {
        "Pool"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![TensorType::f32(self.site(inputs)?.output)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let site = self.site(&types(inputs))?;
        let x = values(self.name(), inputs)?[0];
        let [depth, height, width] = site.axes;
        let taps = (depth.size * height.size * width.size) as f64;
        let mut y = Vec::with_capacity(site.output.elements());
        for batch in 0..site.batch {
            for (od, oh, ow) in positions(depth.output, height.output, width.output) {
                for channel in 0..site.channels {
                    let inside = positions(depth.size, height.size, width.size).filter_map(|(kd, kh, kw)| {
                        let (d, h, w) = (depth.position(od, kd)?, height.position(oh, kh)?, width.position(ow, kw)?);
                        let pixel = ((batch * depth.input + d) * height.input + h) * width.input + w;
                        Some(f64::from(x[pixel * site.channels + channel]))
                    });
                    y.push(match self.kind {
                        PoolKind::Max => {
                            inside.fold(f64::NEG_INFINITY, |best, x| if x > best || x.is_nan() { x } else { best })
                        }
                        PoolKind::Average { count_include_pad } => {
                            let (sum, count) = inside.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
                            sum / if count_include_pad { taps } else { count }
                        }
                    } as f32);
                }
            }
        }
        output(self.name(), &TensorType::f32(site.output), y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, shape) = (site.dy()?, site.shape(site.inputs[0]));
        let op = PoolGrad { pool: self.clone(), input: shape };
        let gradient = match self.kind {
            PoolKind::Max => site.emit(op, &[dy, site.inputs[0], site.outputs[0]])?,
            PoolKind::Average { .. } => site.emit(op, &[dy])?,
        };
        GradientSite::only(gradient)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        match self.kind {
            PoolKind::Max => Accuracy::Exact,
            PoolKind::Average { .. } => {
                let length = self.site(inputs).map_or(1, |site| site.axes.iter().map(|axis| axis.size).product());
                Accuracy::Reduction { length }
            }
        }
    }
}
