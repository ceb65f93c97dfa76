//! `MaxPool` with the positions of its largest elements: one comparison per tap of the window.

use super::lower::{Call, Lower, Lowered, Value, Wrong, unsupported};
use super::tensor::{Elem, elements};
use crate::ops::{BinaryFn, Pad, PadMode, Pool, Slice, SliceAxis};
use crate::tensor::Shape;

/// Largest elements and their flat positions, the first one where several are equal.
pub(super) fn max_pool(lower: &mut Lower, call: &Call<'_>, pool: &Pool) -> Lowered {
    let input = call.input(0)?;
    let shape = lower.shape(input);
    let x = lower.place(call, input)?;
    let twin = lower.channels_last(call, x)?;
    let site = pool.site(&[lower.graph.ty(twin).clone()]).map_err(|e| Wrong::Invalid(e.to_string()))?;
    let axes = &site.axes[3 - (shape.len() - 2)..];
    let taps: usize = axes.iter().map(|axis| axis.size).product();
    if taps > 64 || elements(&shape)? > 1 << 24 {
        return unsupported("Indices of windows of more than 64 elements, or positions above 2^24");
    }
    let around: Vec<(usize, usize)> = [(0, 0); 2]
        .into_iter()
        .chain(axes.iter().map(|axis| {
            let reach = (axis.output - 1) * axis.stride + axis.extent();
            (axis.before, reach.saturating_sub(axis.before + axis.input))
        }))
        .collect();
    let padded = lower.emit(call, Pad { pads: around, mode: PadMode::Constant(f32::NEG_INFINITY) }, &[x])?;
    let output: Shape = shape[..2].iter().copied().chain(axes.iter().map(|axis| axis.output)).collect();
    let (own, mut source) = (output.strides(), Shape::from(shape.clone()).strides());
    if call.int("storage_order", 0) != 0 {
        let mut stride = 1;
        for axis in 2..shape.len() {
            source[axis] = stride;
            stride *= shape[axis];
        }
    }
    let mut best = None;
    for tap in 0..taps {
        let mut rest = tap;
        let mut at = vec![0; axes.len()];
        for (place, axis) in at.iter_mut().zip(axes).rev() {
            *place = rest % axis.size * axis.dilation;
            rest /= axis.size;
        }
        let ranges = axes.iter().zip(&at).enumerate().map(|(i, (axis, &start))| SliceAxis {
            axis: i + 2,
            start: start as i64,
            end: Some((start + (axis.output - 1) * axis.stride + 1) as i64),
            step: axis.stride as i64,
        });
        let value = lower.emit(call, Slice { axes: ranges.collect() }, &[padded])?;
        let position = lower.constant(call, &output, |i| {
            let place = |axis: usize| {
                let own = (i / own[axis] % output[axis]) as i64;
                let inside = match axis.checked_sub(2) {
                    Some(s) => own * axes[s].stride as i64 + at[s] as i64 - axes[s].before as i64,
                    None => own,
                };
                inside * source[axis] as i64
            };
            (0..output.rank()).map(place).sum::<i64>() as f32
        })?;
        best = Some(match best {
            None => (value, position),
            Some((largest, index)) => {
                let above = lower.binary(call, BinaryFn::Greater, value, largest)?;
                let change = lower.binary(call, BinaryFn::Sub, position, index)?;
                let change = lower.binary(call, BinaryFn::Mul, change, above)?;
                let index = lower.binary(call, BinaryFn::Add, index, change)?;
                (lower.binary(call, BinaryFn::Max, largest, value)?, index)
            }
        });
    }
    match best {
        Some((largest, index)) => Ok(vec![Value::Node(largest, input.elem()), Value::Node(index, Elem::I64)]),
        None => unsupported("a window without elements"),
    }
}
