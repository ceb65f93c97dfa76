//! One filter for all channels, found where it hides behind reshapes, strides or slices.
//!
//! Four ways to write it without a layer of its own are recognised, each a convolution of one channel to one channel:
//! planes (`Permute((3, 1, 2))`, `Reshape((C, H, W, 1))`, `Conv3D(1, (1, k, k))`), channels as an axis (`Reshape((H, W, C, 1))`,
//! `Conv3D(1, (k, k, 1))`), rows of columns (`Permute((1, 3, 2))`, `Reshape((H, C * W, 1))`, `Conv2D(1, k, strides=(s, k))`),
//! and channel slices through one convolution, concatenated.

use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::ops::{Conv, ConvSite, Dim, Filters, Op, Reshape, Transpose};
use crate::tensor::{AxisWindow, Padding, Shape, Window};

/// Puts one shared-kernel depthwise convolution in the place of its disguises.
pub(super) struct RecognizeSharedKernels;

impl Rewrite for RecognizeSharedKernels {
    fn name(&self) -> &'static str {
        "recognize_shared_kernels"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        match site.node.op.clone() {
            Op::Conv(conv) => match single_channel(site, &conv) {
                Some(resolved) => reshaped(site, &conv, &resolved),
                None => Ok(None),
            },
            Op::Concat(concat) => slices(site, concat.axis),
            _ => Ok(None),
        }
    }
}

/// The convolution resolved, if it takes one channel to one channel and keeps no residual.
fn single_channel(site: &Site<'_>, conv: &Conv) -> Option<ConvSite> {
    let types: Vec<_> = site.inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
    let resolved = conv.site(&types).ok()?;
    let plain = conv.filters == Filters::PerGroup { groups: 1 } && !conv.epilogue.residual;
    (plain && resolved.in_channels == 1 && resolved.out_channels == 1 && !resolved.axes.is_empty()).then_some(resolved)
}

fn reshape_source(op: &Op) -> Option<()> {
    matches!(op, Op::Reshape(_)).then_some(())
}

fn transpose_source(op: &Op) -> Option<Vec<usize>> {
    match op {
        Op::Transpose(transpose) => Some(transpose.perm.clone()),
        _ => None,
    }
}

fn sizes(shape: &[usize]) -> Reshape {
    Reshape { dims: shape.iter().map(|&size| Dim::Size(size)).collect() }
}

/// A convolution of one channel whose input is a reshape: planes or rows of columns.
fn reshaped(site: &mut Site<'_>, conv: &Conv, resolved: &ConvSite) -> Result<Option<ValueId>, GraphError> {
    let Some(((), reshape_inputs)) = site.producer(site.inputs[0], reshape_source) else { return Ok(None) };
    let Some(&turned) = reshape_inputs.first() else { return Ok(None) };
    let turned_shape = site.graph().ty(turned).shape.clone();
    let input = site.graph().ty(site.inputs[0]).shape.clone();
    if let Some(window) = channel_axis(&turned_shape, &input, resolved) {
        return replace(site, conv, turned, window, None, "channels as an axis");
    }
    let Some((perm, sources)) = site.producer(turned, transpose_source) else {
        refuse_plain_reshape(site, turned, resolved);
        return Ok(None);
    };
    let Some(&x) = sources.first() else { return Ok(None) };
    if let Some(window) = planes(&perm, &turned_shape, &input, resolved) {
        return replace(site, conv, x, window, Some(perm), "planes");
    }
    if let Some(window) = columns(&perm, &turned_shape, &input, resolved) {
        return replace(site, conv, x, window, Some(perm), "rows of columns");
    }
    Ok(None)
}

/// The window over a channel's own plane: the transpose brings channels before the spatial axes, and leading spatial axes
/// of the convolution that do nothing only count planes.
fn planes(perm: &[usize], turned: &Shape, input: &Shape, resolved: &ConvSite) -> Option<Window> {
    let spatial = perm.len().checked_sub(2)?;
    let to_front = [0, spatial + 1].into_iter().chain(1..=spatial);
    if spatial == 0 || !perm.iter().copied().eq(to_front) {
        return None;
    }
    let skipped = resolved.axes.len().checked_sub(spatial)?;
    let (counting, own) = resolved.axes.split_at(skipped);
    let idle = counting.iter().all(AxisWindow::passes);
    let batch = input[..input.rank() - spatial - 1].iter().product::<usize>();
    let same_planes = batch == turned[0] * turned[1] && own.iter().map(|a| a.input).eq(turned[2..].iter().copied());
    (idle && same_planes).then(|| window_of(own))
}

/// The window over the spatial axes, when the reshape only adds an axis of one channel and the convolution does nothing along
/// the axis of the channels before it.
fn channel_axis(source: &Shape, input: &Shape, resolved: &ConvSite) -> Option<Window> {
    let (last, own) = resolved.axes.split_last()?;
    let idle = last.passes();
    let added = input.rank() == own.len() + 3 && input[..input.rank() - 1] == source[..];
    (idle && added && !own.is_empty()).then(|| window_of(own))
}

/// The window of resolved axes.
fn window_of(axes: &[AxisWindow]) -> Window {
    Window {
        stride: axes.iter().map(|a| a.stride).collect(),
        dilation: axes.iter().map(|a| a.dilation).collect(),
        padding: Padding::Explicit(axes.iter().map(|a| (a.before, a.after)).collect()),
        ceil_mode: false,
    }
}

/// The window over rows in which the columns of one channel lie next to each other: steps of one window along the row
/// never mix channels when the width is a multiple of the window.
fn columns(perm: &[usize], turned: &Shape, input: &Shape, resolved: &ConvSite) -> Option<Window> {
    let [rows, row] = resolved.axes[..] else { return None };
    if perm != [0, 1, 3, 2] || input.rank() != 4 {
        return None;
    }
    let (channels, width) = (turned[2], turned[3]);
    let same_rows = input[0] == turned[0] && rows.input == turned[1] && row.input == channels * width;
    let apart = row.stride == row.size && row.dilation == 1 && row.before == 0 && row.after == 0;
    (same_rows && apart && width.is_multiple_of(row.size)).then(|| Window {
        stride: vec![rows.stride, row.stride],
        dilation: vec![rows.dilation, 1],
        padding: Padding::Explicit(vec![(rows.before, rows.after), (0, 0)]),
        ceil_mode: false,
    })
}

/// Emits the shared convolution on `x`, and brings its result into the layout that the readers expect.
fn replace(
    site: &mut Site<'_>,
    conv: &Conv,
    x: ValueId,
    window: Window,
    perm: Option<Vec<usize>>,
    disguise: &str,
) -> Result<Option<ValueId>, GraphError> {
    let weights = site.graph().ty(site.inputs[1]).shape.clone();
    // Axes along which the convolution does nothing have one tap, before or behind the others.
    let taps = match perm {
        Some(_) => &weights[weights.rank() - 2 - window.axes()..weights.rank() - 2],
        None => &weights[..window.axes()],
    };
    let kernel: Vec<usize> = taps.iter().copied().chain([1, 1]).collect();
    let channels = site.graph().ty(x).shape.last_axis();
    let filter = site.emit(sizes(&kernel), &[site.inputs[1]])?;
    let mut inputs = vec![x, filter];
    inputs.extend_from_slice(&site.inputs[2..]);
    let shared = Conv { window, filters: Filters::Shared, epilogue: conv.epilogue };
    let value = site.emit(shared, &inputs)?;
    let turned = match perm {
        Some(perm) => site.emit(Transpose { perm }, &[value])?,
        None => value,
    };
    let types: Vec<_> = site.inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
    let output = conv.site(&types).map_err(|source| GraphError::Node { node: site.node.name.clone(), source })?.output;
    site.applied.push(format!(
        "{disguise}: one filter for all {channels} channels, made a shared-kernel depthwise convolution"
    ));
    site.emit(sizes(&output), &[turned]).map(Some)
}

/// The stride trick without its permute mixes channels with columns; it is left as it is, and said why.
fn refuse_plain_reshape(site: &mut Site<'_>, source: ValueId, resolved: &ConvSite) {
    let shape = &site.graph().ty(source).shape;
    let [_, row] = resolved.axes[..] else { return };
    if shape.rank() == 4 && shape[3] > 1 && row.input == shape[2] * shape[3] && row.stride == row.size {
        let why = format!(
            "the reshape of {shape} puts columns and channels into one axis with the channels innermost, so the filter \
             sees {} channels of one column; a Permute((1, 3, 2)) before it would give every channel its own columns",
            row.size
        );
        site.refused.push(why);
    }
}

/// All channels sliced off one by one, through one convolution, and concatenated in their order.
fn slices(site: &mut Site<'_>, axis: usize) -> Result<Option<ValueId>, GraphError> {
    let wanted = |op: &Op| match op {
        Op::Conv(conv) => Some(conv.clone()),
        _ => None,
    };
    let slice = |op: &Op| match op {
        Op::Slice(slice) => Some(slice.clone()),
        _ => None,
    };
    let mut first: Option<(Conv, Vec<ValueId>, ValueId)> = None;
    for (channel, &value) in site.inputs.iter().enumerate() {
        let Some((conv, inputs)) = site.producer(value, wanted) else { return Ok(None) };
        let Some((slice, sources)) = inputs.first().and_then(|&input| site.producer(input, slice)) else {
            return Ok(None);
        };
        let x = sources[0];
        let shape = site.graph().ty(x).shape.clone();
        let last = shape.rank() - 1;
        let Ok((ranges, taken)) = slice.resolve(&shape) else { return Ok(None) };
        let one_channel = ranges
            .iter()
            .enumerate()
            .all(|(a, &(start, step))| step == 1 && start == if a == last { channel as i64 } else { 0 })
            && taken[..last] == shape[..last]
            && taken[last] == 1;
        let fits = one_channel
            && axis == last
            && site.uses(value) == 1
            && shape[last] == site.inputs.len()
            && conv.filters == Filters::PerGroup { groups: 1 }
            && !conv.epilogue.residual
            && site.graph().ty(value).shape.last_axis() == 1;
        let same = first
            .as_ref()
            .is_none_or(|(other, shared, source)| *other == conv && shared[..] == inputs[1..] && *source == x);
        if !fits || !same {
            if channel > 0 {
                site.refused.push(format!("channel {channel} goes another way than those before it"));
            }
            return Ok(None);
        }
        first.get_or_insert((conv, inputs[1..].to_vec(), x));
    }
    let Some((conv, shared, x)) = first else { return Ok(None) };
    let mut inputs = vec![x];
    inputs.extend(shared);
    let channels = site.inputs.len();
    site.applied.push(format!(
        "{channels} slices through one convolution: one filter for all channels, made a shared-kernel depthwise convolution"
    ));
    site.emit(Conv { filters: Filters::Shared, ..conv }, &inputs).map(Some)
}
