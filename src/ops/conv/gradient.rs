//! Gradients of a convolution: convolutions again, by flipped filters where the stride is 1 and transposed elsewhere.

use super::{Conv, ConvSite, Epilogue, Filters};
use crate::error::ShapeError;
use crate::ops::{
    Binary, BinaryFn, ConvGradFilter, ConvTranspose, Gradient, GradientSite, Operand, ReduceFn, Slice, SliceAxis,
    Transpose, UnaryGrad,
};
use crate::tensor::{AxisWindow, Padding, Shape, Window};

/// The gradient before the epilogue and those of the operands, or why there is none.
type Through = Result<(Operand, Vec<Option<Operand>>), &'static str>;

impl Epilogue {
    /// Goes back through the epilogue. The gradients of the operands in front of it are left `None`.
    ///
    /// # Errors
    /// [`ShapeError`] for inputs that the op refuses.
    pub(in crate::ops) fn gradient(
        &self,
        site: &mut GradientSite<'_>,
        dy: Operand,
        operands: usize,
    ) -> Result<Through, ShapeError> {
        let mut gradients = vec![None; site.inputs.len()];
        let dy = match self.activation {
            None => dy,
            Some(function) if function.derives_from_output() => {
                site.emit(UnaryGrad { function }, &[site.outputs[0], dy])?
            }
            Some(_) => return Ok(Err("its activation was fused, and what went into it is not kept")),
        };
        if self.bias && site.wants(operands) {
            let shape = site.shape(site.inputs[operands]);
            gradients[operands] = Some(site.summed_to(dy, &shape)?);
        }
        let residual = operands + usize::from(self.bias);
        if self.residual && site.wants(residual) {
            gradients[residual] = Some(dy);
        }
        Ok(Ok((dy, gradients)))
    }
}

/// The gradients of the input, the weights and what the epilogue adds.
pub(super) fn conv(op: &Conv, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
    let (dy, x, w) = (site.dy()?, site.inputs[0], site.inputs[1]);
    let resolved = op.site(&site.types())?;
    let (dy, mut gradients) = match op.epilogue.gradient(site, dy, 2)? {
        Ok(found) => found,
        Err(reason) => return Ok(Gradient::NotDifferentiable(reason)),
    };
    let flat = |inner: &dyn Fn(&AxisWindow) -> usize, channels: usize| -> Shape {
        let sizes = resolved.axes.iter().map(inner);
        [resolved.batch].into_iter().chain(sizes).chain([channels]).collect()
    };
    let dy = site.reshaped(dy, &flat(&|axis| axis.output, resolved.out_channels))?;
    if site.wants(0) {
        let gradient = input(op, &resolved, site, dy, w)?;
        let shape = site.shape(x);
        gradients[0] = Some(site.reshaped(gradient, &shape)?);
    }
    if site.wants(1) {
        let x = site.reshaped(x, &flat(&|axis| axis.input, resolved.in_channels))?;
        let size = resolved.axes.iter().map(|axis| axis.size).collect();
        let grad = ConvGradFilter { window: window(&resolved.axes), size, groups: resolved.groups };
        let gradient = site.emit(grad, &[x, dy])?;
        gradients[1] = Some(match op.filters {
            Filters::PerGroup { .. } => gradient,
            Filters::Shared => {
                // Every channel used the one filter: its gradient is the sum over the channels.
                let last = resolved.axes.len() + 1;
                site.reduce(ReduceFn::Sum, gradient, vec![last], true)?
            }
        });
    }
    Ok(Gradient::Inputs(gradients))
}

/// The window of resolved axes with its padding spelled out.
fn window(axes: &[AxisWindow]) -> Window {
    Window {
        stride: axes.iter().map(|axis| axis.stride).collect(),
        dilation: axes.iter().map(|axis| axis.dilation).collect(),
        padding: Padding::Explicit(axes.iter().map(|axis| (axis.before, axis.after)).collect()),
        ceil_mode: false,
    }
}

/// The gradient of the input, `[batch, spatial.., in_channels]`.
fn input(
    op: &Conv,
    resolved: &ConvSite,
    site: &mut GradientSite<'_>,
    dy: Operand,
    w: Operand,
) -> Result<Operand, ShapeError> {
    let axes = &resolved.axes;
    let (groups, depthwise) =
        (resolved.groups, resolved.groups == resolved.in_channels && resolved.groups == resolved.out_channels);
    let reversed: Option<Vec<(usize, usize)>> = axes.iter().map(reversed_padding).collect();
    if let Some(pads) = reversed {
        let flipped = flip(site, w, axes)?;
        let filters = match op.filters {
            Filters::Shared => flipped,
            // A depthwise filter has no channel axes to exchange.
            Filters::PerGroup { .. } if depthwise && groups > 1 => flipped,
            Filters::PerGroup { .. } => exchanged(site, flipped, resolved)?,
        };
        let window = Window { padding: Padding::Explicit(pads), ..window(axes) };
        let adjoint = Conv { window, filters: op.filters, epilogue: Epilogue::default() };
        return site.emit(adjoint, &[dy, filters]);
    }
    let w = match op.filters {
        Filters::PerGroup { .. } => w,
        Filters::Shared => {
            // One copy of the filter per channel.
            let shape: Shape = axes.iter().map(|axis| axis.size).chain([1, resolved.in_channels]).collect();
            site.expanded(w, &shape)?
        }
    };
    let (mut pads, mut output_padding) = (Vec::new(), Vec::new());
    for axis in axes {
        let full = (axis.output - 1) * axis.stride + axis.extent();
        let beyond = full as i64 - axis.before as i64 - axis.input as i64;
        pads.push((axis.before, beyond.max(0) as usize));
        output_padding.push((-beyond).max(0) as usize);
    }
    let adjoint = ConvTranspose {
        stride: axes.iter().map(|axis| axis.stride).collect(),
        dilation: axes.iter().map(|axis| axis.dilation).collect(),
        pads,
        output_padding,
        groups,
        epilogue: Epilogue::default(),
    };
    site.emit(adjoint, &[dy, w])
}

/// The padding with which a convolution by the flipped filter gives back an axis, if its stride is 1.
fn reversed_padding(axis: &AxisWindow) -> Option<(usize, usize)> {
    let before = (axis.extent() - 1).checked_sub(axis.before)?;
    let after = (axis.input + axis.extent() - 1).checked_sub(axis.output + before)?;
    (axis.stride == 1).then_some((before, after))
}

/// The filter with its channel axes exchanged within every group: `[k.., in / groups, out]` becomes `[k.., out / groups, in]`.
fn exchanged(site: &mut GradientSite<'_>, w: Operand, resolved: &ConvSite) -> Result<Operand, ShapeError> {
    let (groups, spatial) = (resolved.groups, resolved.axes.len());
    let (ins, outs) = (resolved.in_channels / groups, resolved.out_channels / groups);
    let shape = |channels: &[usize]| -> Shape {
        resolved.axes.iter().map(|axis| axis.size).chain(channels.iter().copied()).collect()
    };
    let parted = site.reshaped(w, &shape(&[ins, groups, outs]))?;
    let perm = (0..spatial).chain([spatial + 2, spatial + 1, spatial]).collect();
    let turned = site.emit(Transpose { perm }, &[parted])?;
    site.reshaped(turned, &shape(&[outs, groups * ins]))
}

/// The filter with every spatial axis reversed.
fn flip(site: &mut GradientSite<'_>, w: Operand, axes: &[AxisWindow]) -> Result<Operand, ShapeError> {
    let reverse = |(axis, _)| SliceAxis { axis, start: -1, end: None, step: -1 };
    let axes: Vec<SliceAxis> = axes.iter().enumerate().filter(|(_, axis)| axis.size > 1).map(reverse).collect();
    if axes.is_empty() { Ok(w) } else { site.emit(Slice { axes }, &[w]) }
}

impl GradientSite<'_> {
    /// `sum(a * b)` over `axes`, without the product in between where what remains is the last axis.
    ///
    /// # Errors
    /// [`ShapeError`] when the shapes differ.
    pub fn summed_products(&mut self, a: Operand, b: Operand, axes: Vec<usize>) -> Result<Operand, ShapeError> {
        let shape = self.shape(a);
        let channels = shape.last_axis();
        if axes.len() + 1 != shape.rank() || axes.contains(&(shape.rank() - 1)) {
            let product = self.emit(Binary { function: BinaryFn::Mul }, &[a, b])?;
            return self.reduce(ReduceFn::Sum, product, axes, false);
        }
        // It is the filter gradient of a depthwise convolution of one tap.
        let rows: Shape = vec![shape.elements() / channels.max(1), channels].into();
        let (a, b) = (self.reshaped(a, &rows)?, self.reshaped(b, &rows)?);
        let op = ConvGradFilter { window: Window::unit(0), size: Vec::new(), groups: channels };
        let sums = self.emit(op, &[a, b])?;
        self.reshaped(sums, &vec![channels].into())
    }
}
