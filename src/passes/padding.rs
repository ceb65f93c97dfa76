//! Padding before a convolution or a maximum becomes the window's own.

use crate::error::{GraphError, ShapeError};
use crate::graph::{Graph, Rewrite, Site, ValueId};
use crate::ops::{Conv, Op, Pad, PadMode, Pool, PoolKind, UnaryFn};
use crate::tensor::{AxisWindow, Padding};

/// Folds `Pad` into the `Conv` or the maximum pool that reads it.
pub(super) struct FoldPadding;

impl Rewrite for FoldPadding {
    fn name(&self) -> &'static str {
        "fold_padding"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let mut op = site.node.op.clone();
        let (Op::Conv(Conv { window, .. }) | Op::Pool(Pool { kind: PoolKind::Max, window, .. })) = &mut op else {
            return Ok(None);
        };
        let wanted = |op: &Op| match op {
            Op::Pad(pad) => Some(pad.clone()),
            _ => None,
        };
        let Some((pad, mut inputs)) = site.producer(site.inputs[0], wanted) else { return Ok(None) };
        let types: Vec<_> = site.inputs.iter().map(|&id| site.graph().ty(id).clone()).collect();
        let wrong = |source: ShapeError| GraphError::Node { node: site.node.name.clone(), source };
        let (axes, least) = match &site.node.op {
            Op::Conv(conv) => (conv.site(&types).map_err(wrong)?.axes, None),
            Op::Pool(pool) => {
                let axes = pool.site(&types).map_err(wrong)?.axes;
                (axes[axes.len() - window.axes()..].to_vec(), Some(least(site.graph(), inputs[0])))
            }
            _ => return Ok(None),
        };
        match own(&pad, &axes, least) {
            Ok(pads) => window.padding = Padding::Explicit(pads),
            Err(why) => {
                site.refused.push(why);
                return Ok(None);
            }
        }
        inputs.extend_from_slice(&site.inputs[1..]);
        site.applied.push("padding made the window's own".into());
        site.emit(op, &inputs).map(Some)
    }
}

/// The padding of windows over what `pad` reads that see what they saw of its result, or why there is none. `least` is a number that
/// no element is less than, for windows that take the largest.
fn own(pad: &Pad, axes: &[AxisWindow], least: Option<f32>) -> Result<Vec<(usize, usize)>, String> {
    let PadMode::Constant(value) = pad.mode else {
        return Err("the padding mirrors or repeats the input, which a window's own cannot".into());
    };
    match least {
        None if value != 0.0 => return Err(format!("the padding holds {value}, a convolution's own holds 0")),
        Some(least) if value.is_nan() || value > least => {
            return Err(format!("the padding holds {value}, which may be the largest in a window"));
        }
        _ => {}
    }
    let first = pad.pads.len() - axes.len() - 1;
    let beside = pad.pads[..first].iter().chain(pad.pads.last());
    if beside.copied().any(|pads| pads != (0, 0)) {
        return Err("the padding adds channels or batches".into());
    }
    let pads = axes.iter().zip(&pad.pads[first..]);
    // A maximum of nothing is no number that was padded with.
    let sees = |(axis, &(before, after)): (&AxisWindow, &(usize, usize))| {
        let input = axis.input - before - after;
        let inner = AxisWindow { input, before: axis.before + before, ..*axis };
        (0..axis.output).all(|output| (0..axis.size).any(|tap| inner.position(output, tap).is_some()))
    };
    if least.is_some() && !pads.clone().all(sees) {
        return Err("some windows see padding only".into());
    }
    Ok(pads.map(|(axis, (before, after))| (axis.before + before, axis.after + after)).collect())
}

/// A number that no element of a value is less than.
fn least(graph: &Graph, value: ValueId) -> f32 {
    let activation = match graph.producer(value).map(|node| &node.op) {
        Some(Op::Unary(unary)) => Some(unary.function),
        Some(Op::Conv(conv)) => conv.epilogue.activation,
        _ => None,
    };
    match activation {
        Some(UnaryFn::Relu | UnaryFn::Relu6) => 0.0,
        _ => f32::NEG_INFINITY,
    }
}
