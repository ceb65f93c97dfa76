//! The gradient of a convolution's weights.

use serde::Serialize;

use super::conv::positions;
use super::{Cost, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, AxisWindow, Shape, Tensor, TensorType, Window};

/// The gradient of the weights of a convolution with the same window and groups.
///
/// Inputs: `x [batch, spatial.., in_channels]` and `dy [batch, out spatial.., out_channels]`. Output: `[k..,
/// in_channels / groups, out_channels]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvGradFilter {
    /// Stride, dilation and padding per spatial axis.
    pub window: Window,
    /// Taps per spatial axis.
    pub size: Vec<usize>,
    /// Number of groups; divides both channel counts.
    pub groups: usize,
}

/// A [`ConvGradFilter`] resolved for its input shapes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvGradFilterSite {
    /// Batch size.
    pub batch: usize,
    /// Channels of `x`.
    pub in_channels: usize,
    /// Channels of `dy`.
    pub out_channels: usize,
    /// Groups.
    pub groups: usize,
    /// Exactly three axes, padded in front: `[depth, height, width]`.
    pub axes: [AxisWindow; 3],
    /// Output shape.
    pub output: Shape,
}

impl ConvGradFilterSite {
    /// Pixels of `dy` over the whole batch: the products summed into one element, at most.
    pub fn pixels(&self) -> usize {
        self.batch * self.axes.iter().map(|axis| axis.output).product::<usize>()
    }

    /// Whether pixels of `x` and `dy` are the same, under a window of one tap.
    pub fn is_plain(&self) -> bool {
        self.axes.iter().all(|axis| axis.passes() && axis.input == axis.output)
    }
}

impl ConvGradFilter {
    /// Resolves the op for its inputs.
    ///
    /// # Errors
    /// [`ShapeError`] when the operands do not belong to one convolution.
    pub fn site(&self, inputs: &[TensorType]) -> Result<ConvGradFilterSite, ShapeError> {
        const OP: &str = "ConvGradFilter";
        expect_f32(OP, inputs, 2)?;
        let (x, dy, spatial) = (&inputs[0].shape, &inputs[1].shape, self.window.axes());
        let wrong = |what: String| Err(ShapeError::mismatch(OP, what));
        if spatial > 3 || x.rank() != spatial + 2 || dy.rank() != spatial + 2 || self.size.len() != spatial {
            return wrong(format!(
                "{spatial} spatial axes (at most 3) need operands of {} axes; got {x} and {dy}",
                spatial + 2
            ));
        }
        let resolved =
            self.window.resolve(&x[1..=spatial], &self.size).map_err(|source| ShapeError::Window { op: OP, source })?;
        let outputs: Vec<usize> = resolved.iter().map(|axis| axis.output).collect();
        if x[0] != dy[0] || outputs != dy[1..=spatial] {
            return wrong(format!("{x} gives [{}, {outputs:?}, channels] and the gradient is {dy}", x[0]));
        }
        let (in_channels, out_channels, groups) = (x.last_axis(), dy.last_axis(), self.groups);
        let divides = |channels: usize| groups > 0 && channels.is_multiple_of(groups) && channels > 0;
        if !divides(in_channels) || !divides(out_channels) {
            return wrong(format!("{in_channels} and {out_channels} channels do not part into {groups} groups"));
        }
        let unit = AxisWindow { input: 1, output: 1, size: 1, stride: 1, dilation: 1, before: 0, after: 0 };
        let mut axes = [unit; 3];
        axes[3 - spatial..].copy_from_slice(&resolved);
        let output = self.size.iter().copied().chain([in_channels / groups, out_channels]).collect();
        Ok(ConvGradFilterSite { batch: x[0], in_channels, out_channels, groups, axes, output })
    }
}

impl OpSpec for ConvGradFilter {
    fn name(&self) -> &'static str {
        "ConvGradFilter"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![TensorType::f32(self.site(inputs)?.output)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let site = self.site(&types(inputs))?;
        let data = values(self.name(), inputs)?;
        let [depth, height, width] = site.axes;
        let (in_per_group, out_per_group) = (site.in_channels / site.groups, site.out_channels / site.groups);
        let mut sums = vec![0f64; site.output.elements()];
        let mut rows = data[1].chunks_exact(site.out_channels);
        for batch in 0..site.batch {
            for (od, oh, ow) in positions(depth.output, height.output, width.output) {
                let dy = rows.next().unwrap_or_default();
                for (tap, (kd, kh, kw)) in positions(depth.size, height.size, width.size).enumerate() {
                    let (Some(d), Some(h), Some(w)) =
                        (depth.position(od, kd), height.position(oh, kh), width.position(ow, kw))
                    else {
                        continue;
                    };
                    let pixel = ((batch * depth.input + d) * height.input + h) * width.input + w;
                    for own in 0..in_per_group {
                        let target = &mut sums[(tap * in_per_group + own) * site.out_channels..];
                        for (channel, (sum, &dy)) in target.iter_mut().zip(dy).enumerate() {
                            let group = channel / out_per_group;
                            let x = data[0][pixel * site.in_channels + group * in_per_group + own];
                            *sum += f64::from(x) * f64::from(dy);
                        }
                    }
                }
            }
        }
        output(self.name(), &TensorType::f32(site.output), sums.into_iter().map(|sum| sum as f32).collect())
    }

    fn gradient(&self, _site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::SECOND)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let macs = self.site(inputs).map_or(0, |site| site.output.elements() * site.pixels());
        Cost::new(macs, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        Accuracy::Reduction { length: self.site(inputs).map_or(1, |site| site.pixels()) }
    }
}
