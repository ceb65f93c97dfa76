//! Convolution: one op for dense, grouped, depthwise, pointwise and shared-kernel filters over 0 to 3 spatial axes.

mod gradient;
mod reference;

pub(super) use reference::positions;

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, UnaryFn, expect_f32};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, AxisWindow, Shape, Tensor, TensorType, Window};

/// Which filter an output channel sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filters {
    /// Weights `[k.., in_channels / groups, out_channels]` (the memory order of Keras).
    ///
    /// `groups == in_channels` is a depthwise convolution: a Keras depthwise kernel `[k.., in, multiplier]` is the same
    /// bytes as `[k.., 1, in * multiplier]`.
    PerGroup {
        /// Number of groups; divides the input and the output channels.
        groups: usize,
    },
    /// One filter `[k.., 1, 1]` applied to every channel on its own; as many output as input channels.
    Shared,
}

/// What happens to a result before it is stored, in this order: bias, residual, activation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Epilogue {
    /// A further input `[out_channels]` or `[1]` is added.
    pub bias: bool,
    /// A further input of the output's shape is added (after the bias).
    pub residual: bool,
    /// Applied last.
    pub activation: Option<UnaryFn>,
}

impl Epilogue {
    /// Inputs beyond the two operands.
    pub fn inputs(&self) -> usize {
        usize::from(self.bias) + usize::from(self.residual)
    }

    /// Checks the further inputs against the output shape.
    pub(super) fn check(&self, op: &'static str, further: &[TensorType], output: &Shape) -> Result<(), ShapeError> {
        let mut further = further.iter();
        if self.bias {
            let channels = output.last_axis();
            match further.next() {
                Some(bias) if bias.shape.rank() == 1 && [1, channels].contains(&bias.shape[0]) => {}
                other => {
                    let found = other.map_or("nothing".into(), |ty| ty.shape.to_string());
                    return Err(ShapeError::mismatch(
                        op,
                        format!("the bias must be [{channels}] or [1] and is {found}"),
                    ));
                }
            }
        }
        if self.residual {
            match further.next() {
                Some(residual) if residual.shape == *output => {}
                other => {
                    let found = other.map_or("nothing".into(), |ty| ty.shape.to_string());
                    return Err(ShapeError::mismatch(
                        op,
                        format!("the residual must have the output's shape {output} and has {found}"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Applies the epilogue to an accumulator at row-major position `index` of an output with `channels` channels.
    pub(super) fn apply(&self, sum: f64, further: &[&[f32]], index: usize, channels: usize) -> f32 {
        let mut value = sum;
        let mut further = further.iter();
        if self.bias
            && let Some(bias) = further.next()
        {
            let channel = if bias.len() == 1 { 0 } else { index % channels };
            value += bias.get(channel).copied().map_or(0.0, f64::from);
        }
        if self.residual
            && let Some(residual) = further.next()
        {
            value += residual.get(index).copied().map_or(0.0, f64::from);
        }
        self.activation.map_or(value, |activation| activation.evaluate(value)) as f32
    }

    /// Accuracy class of a reduction of `length` terms with this epilogue.
    pub(super) fn accuracy(&self, length: usize) -> Accuracy {
        let reduction = Accuracy::Reduction { length: length + self.inputs() };
        self.activation.map_or(reduction, |activation| reduction.and(activation.accuracy()))
    }
}

/// Convolution (cross-correlation, as in Keras and ONNX).
///
/// Inputs: `x [batch.., spatial.., in_channels]`, weights (see [`Filters`]), then what the epilogue adds.
/// Output: `[batch.., out spatial.., out_channels]`. With no spatial axes it is a dense layer on the last axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conv {
    /// Stride, dilation and padding per spatial axis.
    pub window: Window,
    /// Which filter an output channel sees.
    pub filters: Filters,
    /// What happens to a result before it is stored.
    pub epilogue: Epilogue,
}

/// A [`Conv`] resolved for its input shapes: every number that a kernel needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvSite {
    /// Product of the batch axes.
    pub batch: usize,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Groups; `in_channels` for shared filters.
    pub groups: usize,
    /// Every spatial axis.
    pub axes: Vec<AxisWindow>,
    /// Output shape.
    pub output: Shape,
}

impl ConvSite {
    /// Taps of one filter.
    pub fn taps(&self) -> usize {
        self.axes.iter().map(|axis| axis.size).product()
    }

    /// Output pixels over all batches.
    pub fn pixels(&self) -> usize {
        self.batch * self.axes.iter().map(|axis| axis.output).product::<usize>()
    }

    /// Products summed into one output element.
    pub fn reduction(&self) -> usize {
        self.taps() * self.in_channels / self.groups
    }

    /// The axes padded in front to exactly three: `[depth, height, width]`.
    pub fn axes3(&self) -> [AxisWindow; 3] {
        let unit = AxisWindow { input: 1, output: 1, size: 1, stride: 1, dilation: 1, before: 0, after: 0 };
        let mut axes = [unit; 3];
        let missing = 3usize.saturating_sub(self.axes.len());
        for (slot, axis) in axes[missing..].iter_mut().zip(&self.axes) {
            *slot = *axis;
        }
        axes
    }

    /// A window of one tap, without stride or padding: every pixel is computed from itself.
    pub fn is_pointwise(&self) -> bool {
        self.axes.iter().all(AxisWindow::passes)
    }
}

impl Conv {
    /// A convolution without an epilogue.
    pub fn new(window: Window, groups: usize) -> Conv {
        Conv { window, filters: Filters::PerGroup { groups }, epilogue: Epilogue::default() }
    }

    /// One filter shared by all channels, without an epilogue.
    pub fn shared(window: Window) -> Conv {
        Conv { window, filters: Filters::Shared, epilogue: Epilogue::default() }
    }

    /// Resolves the op for its inputs.
    ///
    /// # Errors
    /// [`ShapeError`] when ranks, channels, groups or the epilogue's inputs do not fit, or the window never fits.
    pub fn site(&self, inputs: &[TensorType]) -> Result<ConvSite, ShapeError> {
        const OP: &str = "Conv";
        expect_f32(OP, inputs, 2 + self.epilogue.inputs())?;
        let (x, w, spatial) = (&inputs[0].shape, &inputs[1].shape, self.window.axes());
        if spatial > 3 || x.rank() < spatial + 2 || w.rank() != spatial + 2 {
            return Err(ShapeError::mismatch(
                OP,
                format!(
                    "{spatial} spatial axes (at most 3) need an input of at least {} axes and weights of exactly that many; got {x} and {w}",
                    spatial + 2
                ),
            ));
        }
        let first = x.rank() - spatial - 1;
        let axes = self
            .window
            .resolve(&x[first..x.rank() - 1], &w[..spatial])
            .map_err(|source| ShapeError::Window { op: OP, source })?;
        let in_channels = x.last_axis();
        let (per_group, filters) = (w[spatial], w[spatial + 1]);
        let (groups, out_channels) = match self.filters {
            Filters::Shared if per_group == 1 && filters == 1 => (in_channels, in_channels),
            Filters::Shared => {
                return Err(ShapeError::mismatch(OP, format!("a shared filter has the shape [k.., 1, 1]; got {w}")));
            }
            Filters::PerGroup { groups } => (groups, filters),
        };
        let fits = groups > 0 && per_group.checked_mul(groups) == Some(in_channels);
        if !fits || out_channels == 0 || !out_channels.is_multiple_of(groups) {
            return Err(ShapeError::mismatch(
                OP,
                format!(
                    "{in_channels} input channels in {groups} groups need weights [k.., {}, a multiple of {groups}]; got {w}",
                    in_channels.checked_div(groups).unwrap_or(0)
                ),
            ));
        }
        let batch_axes = &x[..first];
        let output: Shape =
            batch_axes.iter().copied().chain(axes.iter().map(|axis| axis.output)).chain([out_channels]).collect();
        self.epilogue.check(OP, &inputs[2..], &output)?;
        Ok(ConvSite { batch: batch_axes.iter().product(), in_channels, out_channels, groups, axes, output })
    }
}

impl OpSpec for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![TensorType::f32(self.site(inputs)?.output)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        reference::conv(self, inputs)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        gradient::conv(self, site)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let macs = self.site(inputs).map_or(0, |site| site.output.elements().saturating_mul(site.reduction()));
        Cost::new(macs, inputs, outputs)
    }

    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        self.epilogue.accuracy(self.site(inputs).map_or(1, |site| site.reduction()))
    }
}
