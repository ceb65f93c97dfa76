//! Convolutions, dense layers and pools.

use super::build::{Known, Name, Target, channels_first, identity, int, text};
use super::elementwise;
use super::translate::{Translator, sizes_attribute};
use crate::graph::Node;
use crate::import::onnx::proto::AttributeProto;
use crate::ops::{BinaryFn, Conv, ConvTranspose, Epilogue, Filters, Op, Pool, PoolKind};
use crate::tensor::{AxisWindow, Padding, Window};

/// The pads of resolved axes in ONNX's order: all that come before, then all that come after.
fn pads(axes: impl Iterator<Item = (usize, usize)> + Clone) -> AttributeProto {
    let flat: Vec<usize> = axes.clone().map(|pads| pads.0).chain(axes.map(|pads| pads.1)).collect();
    sizes_attribute("pads", &flat)
}

/// Strides, dilations and padding; padding by rule only where it follows from sizes that are open.
fn window_attributes(window: &Window, [a, b]: [&[AxisWindow]; 2]) -> Vec<AttributeProto> {
    let mut attributes = vec![sizes_attribute("strides", &window.stride)];
    if window.dilation.iter().any(|&dilation| dilation != 1) {
        attributes.push(sizes_attribute("dilations", &window.dilation));
    }
    let rule = match window.padding {
        Padding::Same => Some("SAME_UPPER"),
        Padding::SameLower => Some("SAME_LOWER"),
        _ => None,
    };
    let open = |(a, b): (&AxisWindow, &AxisWindow)| a.input != b.input && a.stride > 1;
    attributes.push(match rule.filter(|_| a.iter().zip(b).any(open)) {
        Some(rule) => text("auto_pad", rule),
        None => pads(a.iter().map(|axis| (axis.before, axis.after))),
    });
    attributes
}

/// `[k.., in, out]` as `[out, in, k..]`.
fn filter_order(rank: usize) -> Vec<usize> {
    [rank - 1, rank - 2].into_iter().chain(0..rank - 2).collect()
}

/// What follows a convolution: its own epilogue, or a bias that the next node adds.
struct Rest {
    /// What is added to each channel.
    bias: Option<Known>,
    /// The node that adds the bias.
    after: Option<usize>,
}

/// The bias of a node with an epilogue, or of the only node behind it.
fn rest(t: &mut Translator<'_>, node: &Node, epilogue: &Epilogue) -> Result<Rest, String> {
    if epilogue.bias {
        return Ok(Rest { bias: Some(t.input(node, 2)?), after: None });
    }
    let none = Rest { bias: None, after: None };
    let channels = t.sizes(node.outputs[0]).last().copied().flatten();
    let Some((position, reader)) = t.only_reader(node.outputs[0]).filter(|_| *epilogue == Epilogue::default()) else {
        return Ok(none);
    };
    let Op::Binary(binary) = &reader.op else { return Ok(none) };
    let other = reader.inputs.iter().copied().find(|&input| input != node.outputs[0]);
    let Some(other) = other.filter(|&other| binary.function == BinaryFn::Add && t.constant(other)) else {
        return Ok(none);
    };
    let bias = t.get(other)?;
    let fits = t.build.sizes(bias) == [channels];
    Ok(if fits && channels.is_some() { Rest { bias: Some(bias), after: Some(position) } } else { none })
}

/// The bias as an input of the node itself, if it has one number for each channel.
fn own_bias(t: &mut Translator<'_>, bias: &mut Option<Known>, channels: usize) -> Result<Name, String> {
    match bias.filter(|&bias| t.build.sizes(bias) == [Some(channels)]) {
        Some(own) => {
            *bias = None;
            t.build.plain(own)
        }
        None => Ok(Name::NONE),
    }
}

/// Adds what is left of the epilogue, and says what the node's output is.
fn finish(t: &mut Translator<'_>, node: &Node, epilogue: &Epilogue, rest: Rest, mut y: Known) -> Result<(), String> {
    let sizes = t.sizes(node.outputs[0]);
    if let Some(bias) = rest.bias {
        y = elementwise::binary(t, BinaryFn::Add, y, bias, sizes.clone())?;
    }
    if epilogue.residual {
        let residual = t.input(node, 2 + usize::from(epilogue.bias))?;
        y = elementwise::binary(t, BinaryFn::Add, y, residual, sizes)?;
    }
    if let Some(activation) = epilogue.activation {
        y = elementwise::unary(t, y, activation)?;
    }
    t.set(node.outputs[0], y);
    if let Some(position) = rest.after {
        t.skip(position);
        if let Some((_, reader)) = t.only_reader(node.outputs[0]) {
            t.set(reader.outputs[0], y);
        }
    }
    Ok(())
}

fn inputs_of(x: Name, w: Name, bias: Name) -> Vec<Name> {
    if bias == Name::NONE { vec![x, w] } else { vec![x, w, bias] }
}

pub(super) fn conv(t: &mut Translator<'_>, node: &Node, conv: &Conv) -> Result<(), String> {
    if conv.window.axes() == 0 {
        return dense(t, node, conv);
    }
    if conv.window.ceil_mode {
        return Err("a convolution that rounds its output size up".into());
    }
    let [a, b] = t.types(node).map(|types| conv.site(&types).map_err(|error| error.to_string()));
    let (site, other) = (a?, b?);
    let spatial = conv.window.axes();
    let (x, w) = (t.input(node, 0)?, t.input(node, 1)?);
    let leading = t.build.rank(x) - spatial - 1;
    let order = channels_first(spatial + 2);
    let mut rest = rest(t, node, &conv.epilogue)?;
    let x = if leading == 1 { x } else { one_batch_axis(t, x, leading)? };
    let mut source = t.build.form(x, &order)?;
    let filter = t.build.form(w, &filter_order(spatial + 2))?;
    let mut attributes = window_attributes(&conv.window, [&site.axes, &other.axes]);
    attributes.push(sizes_attribute("kernel_shape", &site.axes.iter().map(|axis| axis.size).collect::<Vec<_>>()));
    let planes: Vec<Target> = (2..spatial + 2).map(Target::Same).collect();
    let shared = conv.filters == Filters::Shared;
    let (groups, filters) = if shared { (1, 1) } else { (site.groups, site.out_channels) };
    if shared {
        // Every channel becomes a picture of its own, so that one filter serves all and stays one filter.
        source = t.build.reshape(source, &[&[Target::Rest, Target::Fixed(1)], &planes[..]].concat());
    }
    if groups > 1 {
        attributes.push(int("group", groups as i64));
    }
    let bias = own_bias(t, &mut rest.bias, filters)?;
    let mut y = t.build.emit("Conv", &inputs_of(source, filter, bias), attributes);
    if shared {
        y = t.build.reshape(y, &[&[Target::Rest, Target::Fixed(site.out_channels)], &planes[..]].concat());
    }
    let sizes = t.sizes(node.outputs[0]);
    let inner = [None].into_iter().chain(sizes[leading..].iter().copied()).collect();
    let y = if leading == 1 {
        t.build.value(sizes, order, y)
    } else {
        let y = t.build.value(inner, order, y);
        let y = t.build.plain(y)?;
        let y = t.build.reshape(y, &batch_axes(&sizes, leading)?);
        let order = identity(sizes.len());
        t.build.value(sizes, order, y)
    };
    finish(t, node, &conv.epilogue, rest, y)
}

/// Leading axes made one.
fn one_batch_axis(t: &mut Translator<'_>, x: Known, leading: usize) -> Result<Known, String> {
    let (plain, sizes) = (t.build.plain(x)?, t.build.sizes(x).to_vec());
    let own: Vec<Target> =
        (leading..sizes.len()).map(|axis| sizes[axis].map_or(Target::Same(axis), Target::Fixed)).collect();
    let name = t.build.reshape(plain, &[&[Target::Rest], &own[..]].concat());
    let merged: Vec<Option<usize>> = [None].into_iter().chain(sizes[leading..].iter().copied()).collect();
    let order = identity(merged.len());
    Ok(t.build.value(merged, order, name))
}

/// Leading axes apart again; at most one of them is open.
fn batch_axes(sizes: &[Option<usize>], leading: usize) -> Result<Vec<Target>, String> {
    if sizes[..leading].iter().filter(|size| size.is_none()).count() > 1 {
        return Err(format!("{leading} leading axes, of which more than one are open"));
    }
    let own = |(axis, size): (usize, &Option<usize>)| match size {
        Some(size) => Target::Fixed(*size),
        None if axis < leading => Target::Rest,
        None => Target::Same(axis + 1 - leading),
    };
    Ok(sizes.iter().enumerate().map(own).collect())
}

/// A convolution without spatial axes: a product with the last axis.
fn dense(t: &mut Translator<'_>, node: &Node, conv: &Conv) -> Result<(), String> {
    let (x, w) = (t.input(node, 0)?, t.input(node, 1)?);
    let mut rest = rest(t, node, &conv.epilogue)?;
    let sizes = t.sizes(node.outputs[0]);
    let rank = sizes.len();
    let (groups, channels) = match (conv.filters, sizes.last().copied().flatten()) {
        (Filters::PerGroup { groups }, Some(channels)) => (groups, channels),
        (Filters::PerGroup { .. }, None) => return Err("an open number of channels".into()),
        (Filters::Shared, _) => {
            let y = elementwise::binary(t, BinaryFn::Mul, x, w, sizes)?;
            return finish(t, node, &conv.epilogue, rest, y);
        }
    };
    let first = channels_first(rank);
    let constant = t.build.tensor(w).map(|tensor| tensor.shape().to_vec());
    let (order, y) = match constant {
        // Where the channels are first already, or there are groups, it is a convolution with a window of 1.
        Some(shape) if groups > 1 || ((3..=5).contains(&rank) && t.build.native(x) == first) => {
            let axes = if groups > 1 { 1 } else { rank - 2 };
            let full: Vec<usize> = std::iter::repeat_n(1, axes).chain(shape).collect();
            let filter = t.build.reshaped_constant(w, &full)?;
            let filter = t.build.form(filter, &filter_order(axes + 2))?;
            let attributes = if groups > 1 { vec![int("group", groups as i64)] } else { vec![] };
            let bias = own_bias(t, &mut rest.bias, channels)?;
            if groups == 1 {
                let source = t.build.form(x, &first)?;
                (first, t.build.emit("Conv", &inputs_of(source, filter, bias), attributes))
            } else {
                let (plain, own) = (t.build.plain(x)?, t.build.sizes(x).last().copied().flatten());
                let own = own.ok_or("an open number of channels")?;
                let columns = [Target::Rest, Target::Fixed(own), Target::Fixed(1)];
                let source = t.build.reshape(plain, &columns);
                let y = t.build.emit("Conv", &inputs_of(source, filter, bias), attributes);
                (identity(rank), t.build.reshape(y, &batch_axes(&sizes, rank - 1)?))
            }
        }
        None if groups > 1 => return Err("groups with weights that are computed at run time".into()),
        _ => {
            let (source, filter) = (t.build.plain(x)?, t.build.plain(w)?);
            let bias = if rank == 2 { own_bias(t, &mut rest.bias, channels)? } else { Name::NONE };
            let y = match bias {
                Name::NONE => t.build.emit("MatMul", &[source, filter], vec![]),
                bias => t.build.emit("Gemm", &[source, filter, bias], vec![]),
            };
            (identity(rank), y)
        }
    };
    let y = t.build.value(sizes, order, y);
    finish(t, node, &conv.epilogue, rest, y)
}

pub(super) fn conv_transpose(t: &mut Translator<'_>, node: &Node, op: &ConvTranspose) -> Result<(), String> {
    let (x, w) = (t.input(node, 0)?, t.input(node, 1)?);
    let mut rest = rest(t, node, &op.epilogue)?;
    let sizes = t.sizes(node.outputs[0]);
    let rank = sizes.len();
    let order = channels_first(rank);
    let source = t.build.form(x, &order)?;
    let filter = t.build.form(w, &filter_order(rank))?;
    let kernel: Option<Vec<usize>> = t.build.sizes(w)[..rank - 2].iter().copied().collect();
    let mut attributes = vec![
        sizes_attribute("kernel_shape", &kernel.ok_or("a filter of open size")?),
        sizes_attribute("strides", &op.stride),
        sizes_attribute("dilations", &op.dilation),
        pads(op.pads.iter().copied()),
        sizes_attribute("output_padding", &op.output_padding),
    ];
    if op.groups > 1 {
        attributes.push(int("group", op.groups as i64));
    }
    let channels = sizes.last().copied().flatten().ok_or("an open number of channels")?;
    let bias = own_bias(t, &mut rest.bias, channels)?;
    let y = t.build.emit("ConvTranspose", &inputs_of(source, filter, bias), attributes);
    let y = t.build.value(sizes, order, y);
    finish(t, node, &op.epilogue, rest, y)
}

pub(super) fn pool(t: &mut Translator<'_>, node: &Node, pool: &Pool) -> Result<Known, String> {
    let [a, b] = t.types(node).map(|types| pool.site(&types).map_err(|error| error.to_string()));
    let (site, other) = (a?, b?);
    let skipped = 3 - pool.size.len();
    let x = t.input(node, 0)?;
    let sizes = t.sizes(node.outputs[0]);
    let order = channels_first(sizes.len());
    let source = t.build.form(x, &order)?;
    let mut attributes = window_attributes(&pool.window, [&site.axes[skipped..], &other.axes[skipped..]]);
    attributes.push(sizes_attribute("kernel_shape", &pool.size));
    if pool.window.ceil_mode {
        attributes.push(int("ceil_mode", 1));
    }
    let name = match pool.kind {
        PoolKind::Max => "MaxPool",
        PoolKind::Average { count_include_pad } => {
            attributes.push(int("count_include_pad", i64::from(count_include_pad)));
            "AveragePool"
        }
    };
    let y = t.build.emit(name, &[source], attributes);
    Ok(t.build.value(sizes, order, y))
}
