//! Transposed convolution: the adjoint of a convolution with the same window.

use serde::Serialize;

use super::conv::positions;
use super::{
    Conv, ConvGradFilter, Cost, Epilogue, Gradient, GradientSite, OpSpec, Slice, SliceAxis, expect_f32, output, types,
    values,
};
use crate::error::{ShapeError, WindowError};
use crate::tensor::{Accuracy, Padding, Shape, Tensor, TensorType, Window};

/// Transposed convolution.
///
/// Inputs: `x [batch, spatial.., in_channels]`, weights `[k.., out_channels / groups, in_channels]` (Keras's order), then
/// what the epilogue adds. Output size per axis:
/// `(input - 1) * stride + dilation * (k - 1) + 1 - before - after + output_padding`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvTranspose {
    /// Steps between the outputs of neighbouring inputs, per spatial axis.
    pub stride: Vec<usize>,
    /// Steps between neighbouring taps.
    pub dilation: Vec<usize>,
    /// Output elements cut off before and after.
    pub pads: Vec<(usize, usize)>,
    /// Output elements added after.
    pub output_padding: Vec<usize>,
    /// Number of groups; divides both channel counts.
    pub groups: usize,
    /// What happens to a result before it is stored.
    pub epilogue: Epilogue,
}

/// One axis of a [`ConvTransposeSite`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TransposeAxis {
    /// Input elements.
    pub input: usize,
    /// Output elements.
    pub output: usize,
    /// Taps.
    pub size: usize,
    /// Stride.
    pub stride: usize,
    /// Dilation.
    pub dilation: usize,
    /// Output elements cut off before the first one kept.
    pub before: usize,
}

impl TransposeAxis {
    /// The input position whose tap `tap` lands on output `output`, if there is one.
    pub fn position(&self, output: usize, tap: usize) -> Option<usize> {
        (output + self.before)
            .checked_sub(tap * self.dilation)
            .filter(|reach| reach.is_multiple_of(self.stride))
            .map(|reach| reach / self.stride)
            .filter(|&position| position < self.input)
    }
}

/// A [`ConvTranspose`] resolved for its input shapes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvTransposeSite {
    /// Batch size.
    pub batch: usize,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Groups.
    pub groups: usize,
    /// Exactly three axes, padded in front: `[depth, height, width]`.
    pub axes: [TransposeAxis; 3],
    /// Output shape.
    pub output: Shape,
}

impl ConvTransposeSite {
    /// Products summed into one output element, at most.
    pub fn reduction(&self) -> usize {
        self.axes.iter().map(|axis| axis.size.div_ceil(axis.stride)).product::<usize>() * self.in_channels / self.groups
    }
}

impl ConvTranspose {
    /// Resolves the op for its inputs.
    ///
    /// # Errors
    /// [`ShapeError`] when ranks, channels or groups do not fit, or nothing is left of an axis.
    pub fn site(&self, inputs: &[TensorType]) -> Result<ConvTransposeSite, ShapeError> {
        const OP: &str = "ConvTranspose";
        expect_f32(OP, inputs, 2 + self.epilogue.inputs())?;
        let (x, w, spatial) = (&inputs[0].shape, &inputs[1].shape, self.stride.len());
        let lengths = [self.dilation.len(), self.pads.len(), self.output_padding.len()];
        if !(1..=3).contains(&spatial)
            || lengths.iter().any(|&length| length != spatial)
            || x.rank() != spatial + 2
            || w.rank() != spatial + 2
        {
            return Err(ShapeError::mismatch(
                OP,
                format!(
                    "{spatial} spatial axes (1 to 3) need an input and weights of {} axes; got {x} and {w}",
                    spatial + 2
                ),
            ));
        }
        let unit = TransposeAxis { input: 1, output: 1, size: 1, stride: 1, dilation: 1, before: 0 };
        let mut axes = [unit; 3];
        for axis in 0..spatial {
            let (input, size, stride, dilation) = (x[axis + 1], w[axis], self.stride[axis], self.dilation[axis]);
            if input == 0 || size == 0 || stride == 0 || dilation == 0 {
                let source = WindowError::Zero { axis, input, size, stride, dilation };
                return Err(ShapeError::Window { op: OP, source });
            }
            let (before, after) = self.pads[axis];
            let full = (input - 1) * stride + dilation * (size - 1) + 1 + self.output_padding[axis];
            let output = full.checked_sub(before + after).filter(|&output| output > 0).ok_or_else(|| {
                ShapeError::mismatch(
                    OP,
                    format!("spatial axis {axis}: padding {before} + {after} leaves nothing of {full}"),
                )
            })?;
            axes[3 - spatial + axis] = TransposeAxis { input, output, size, stride, dilation, before };
        }
        let (in_channels, groups, per_group) = (x.last_axis(), self.groups, w[spatial]);
        if groups == 0 || w[spatial + 1] != in_channels || !in_channels.is_multiple_of(groups) || per_group == 0 {
            return Err(ShapeError::mismatch(
                OP,
                format!(
                    "{in_channels} input channels in {groups} groups need weights [k.., out / groups, {in_channels}]; got {w}"
                ),
            ));
        }
        let out_channels = per_group * groups;
        let output: Shape = [x[0]]
            .into_iter()
            .chain(axes[3 - spatial..].iter().map(|axis| axis.output))
            .chain([out_channels])
            .collect();
        self.epilogue.check(OP, &inputs[2..], &output)?;
        Ok(ConvTransposeSite { batch: x[0], in_channels, out_channels, groups, axes, output })
    }
}

impl OpSpec for ConvTranspose {
    fn name(&self) -> &'static str {
        "ConvTranspose"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![TensorType::f32(self.site(inputs)?.output)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let site = self.site(&types(inputs))?;
        let data = values(self.name(), inputs)?;
        let (x, w, further) = (data[0], data[1], &data[2..]);
        let [depth, height, width] = site.axes;
        let in_per_group = site.in_channels / site.groups;
        let out_per_group = site.out_channels / site.groups;
        let mut y = Vec::with_capacity(site.output.elements());
        let mut sums = vec![0f64; site.out_channels];
        for batch in 0..site.batch {
            for (od, oh, ow) in positions(depth.output, height.output, width.output) {
                sums.fill(0.0);
                for (tap, (kd, kh, kw)) in positions(depth.size, height.size, width.size).enumerate() {
                    let (Some(d), Some(h), Some(w_in)) =
                        (depth.position(od, kd), height.position(oh, kh), width.position(ow, kw))
                    else {
                        continue;
                    };
                    let pixel = ((batch * depth.input + d) * height.input + h) * width.input + w_in;
                    for (channel, sum) in sums.iter_mut().enumerate() {
                        let (group, own) = (channel / out_per_group, channel % out_per_group);
                        let weights = &w[(tap * out_per_group + own) * site.in_channels + group * in_per_group..];
                        let pixels = &x[pixel * site.in_channels + group * in_per_group..];
                        for (&x, &w) in pixels.iter().zip(weights).take(in_per_group) {
                            *sum += f64::from(x) * f64::from(w);
                        }
                    }
                }
                for &sum in &sums {
                    let index = y.len();
                    y.push(self.epilogue.apply(sum, further, index, site.out_channels));
                }
            }
        }
        output(self.name(), &TensorType::f32(site.output), y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, x, w) = (site.dy()?, site.inputs[0], site.inputs[1]);
        let resolved = self.site(&site.types())?;
        let (dy, mut gradients) = match self.epilogue.gradient(site, dy, 2)? {
            Ok(found) => found,
            Err(reason) => return Ok(Gradient::NotDifferentiable(reason)),
        };
        // The adjoint reads `(input - 1) * stride + extent` padded elements; what the output has beyond that no input reached.
        let (mut pads, mut ranges) = (Vec::new(), Vec::new());
        for (axis, own) in resolved.axes[3 - self.stride.len()..].iter().enumerate() {
            let reached = (own.input - 1) * own.stride + (own.size - 1) * own.dilation + 1;
            let after = reached as i64 - own.output as i64 - own.before as i64;
            pads.push((own.before, after.max(0) as usize));
            if after < 0 {
                ranges.push(SliceAxis { axis: axis + 1, start: 0, end: Some(own.output as i64 + after), step: 1 });
            }
        }
        let dy = if ranges.is_empty() { dy } else { site.emit(Slice { axes: ranges }, &[dy])? };
        let window = Window {
            stride: self.stride.clone(),
            dilation: self.dilation.clone(),
            padding: Padding::Explicit(pads),
            ceil_mode: false,
        };
        if site.wants(0) {
            gradients[0] = Some(site.emit(Conv::new(window.clone(), self.groups), &[dy, w])?);
        }
        if site.wants(1) {
            let size = site.shape(w)[..self.stride.len()].to_vec();
            let op = ConvGradFilter { window, size, groups: self.groups };
            gradients[1] = Some(site.emit(op, &[dy, x])?);
        }
        Ok(Gradient::Inputs(gradients))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let macs = self.site(inputs).map_or(0, |site| {
            let taps = site.axes.iter().flat_map(|axis| [axis.size, axis.input]);
            let factors = taps.chain([site.batch, site.in_channels, site.out_channels / site.groups]);
            factors.fold(1, usize::saturating_mul)
        });
        Cost::new(macs, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        self.epilogue.accuracy(self.site(inputs).map_or(1, |site| site.reduction()))
    }
}
