//! Triangles, diagonals, centres and columns: ops that cut a form out of a tensor.

use super::lower::{Call, Lower, Lowered, Value, axes_of, invalid, unsupported};
use super::movement::{part, sizes_of};
use super::tensor::{Elem, HostTensor, elements};
use super::windows::{pads, sizes};
use crate::ops::{ConvTranspose, Epilogue, Pad, PadMode, Select, SliceAxis};

/// `Trilu`: the upper or lower triangle of each matrix.
pub(super) fn triangle(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?;
    let shape = lower.shape(value);
    let [.., rows, columns] = shape[..] else { return invalid(format!("matrices in {shape:?}")) };
    let diagonal = match call.known(1)? {
        Some(k) => k.to_i64()?.first().copied().unwrap_or(0),
        None => 0,
    };
    let upper = call.int("upper", 1) != 0;
    let kept = |i: usize| {
        let ahead = (i % columns) as i64 - (i / columns % rows.max(1)) as i64;
        if upper { ahead >= diagonal } else { ahead <= diagonal }
    };
    if let Value::Host(tensor) = value {
        let values = tensor.to_f64().into_iter().enumerate().map(|(i, x)| if kept(i) { x } else { 0.0 });
        return Ok(vec![Value::Host(HostTensor::from_f64(shape.clone(), tensor.elem, values.collect())?)]);
    }
    let x = lower.place(call, value)?;
    let mask = lower.constant(call, &[rows, columns], |i| f32::from(u8::from(kept(i))))?;
    let zero = lower.number(call, 0.0);
    Ok(vec![Value::Node(lower.emit(call, Select, &[mask, x, zero])?, value.elem())])
}

/// `EyeLike`: ones on a diagonal.
pub(super) fn eye(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?;
    let &[rows, columns] = &lower.shape(value)[..] else { return invalid("a matrix is needed") };
    let elem = match call.int("dtype", 0) {
        0 => value.elem(),
        code => match Elem::from_code(code) {
            Ok(elem) => elem,
            Err(what) => return unsupported(what),
        },
    };
    let diagonal = call.int("k", 0);
    let one = |i: usize| f64::from((i % columns) as i64 - (i / columns) as i64 == diagonal);
    let values = (0..lower.room.ask(&[rows, columns])?).map(one).collect();
    Ok(vec![Value::Host(HostTensor::from_f64(vec![rows, columns], elem, values)?)])
}

/// `CenterCropPad`: cut or padded with zeros around the middle.
pub(super) fn center(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?.clone();
    let shape = lower.shape(&value);
    let Some(wanted) = call.known(1)? else { return invalid("no shape is given") };
    let wanted = sizes_of(&wanted.to_i64()?)?;
    let axes = match call.ints("axes") {
        Some(axes) => axes_of(&axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    if wanted.len() != axes.len() {
        return invalid(format!("sizes {wanted:?} for {} axes", axes.len()));
    }
    let (mut cuts, mut pads) = (Vec::new(), vec![(0, 0); shape.len()]);
    for (&axis, &wanted) in axes.iter().zip(&wanted) {
        let size = shape[axis];
        if wanted < size {
            let start = ((size - wanted) / 2) as i64;
            cuts.push(SliceAxis { axis, start, end: Some(start + wanted as i64), step: 1 });
        } else {
            pads[axis] = ((wanted - size) / 2, (wanted - size).div_ceil(2));
        }
    }
    let cut = if cuts.is_empty() { value } else { part(lower, call, &value, cuts)? };
    if pads.iter().all(|&around| around == (0, 0)) {
        return Ok(vec![cut]);
    }
    let x = lower.place(call, &cut)?;
    let y = lower.emit(call, Pad { pads, mode: PadMode::Constant(0.0) }, &[x])?;
    Ok(vec![Value::Node(y, cut.elem())])
}

/// `Col2Im`: blocks of pixels put back in place and added up, which a transposed convolution does whose filters have a
/// single one each.
pub(super) fn columns(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let value = call.input(0)?;
    let shape = lower.shape(value);
    let (Some(image), Some(block)) = (call.known(1)?, call.known(2)?) else {
        return invalid("image_shape and block_shape are needed");
    };
    let (image, block) = (sizes_of(&image.to_i64()?)?, sizes_of(&block.to_i64()?)?);
    let spatial = image.len();
    elements(&image)?;
    let stride = sizes(call, "strides", spatial, 1)?;
    let (dilation, around) = (sizes(call, "dilations", spatial, 1)?, pads(call, spatial)?);
    let taps = elements(&block)?;
    let [batch, rows, count] = shape[..] else { return invalid(format!("columns {shape:?}; three axes are needed")) };
    if !(1..=3).contains(&spatial) || block.len() != spatial || taps == 0 || !rows.is_multiple_of(taps) {
        return invalid(format!("blocks {block:?} of an image {image:?} in columns {shape:?}"));
    }
    let (channels, mut places, mut rest) = (rows / taps, Vec::new(), Vec::new());
    for (axis, (before, after)) in around.iter().enumerate() {
        let extent = dilation[axis] * (block[axis] - 1) + 1;
        let Some(room) = (image[axis] + before + after).checked_sub(extent) else {
            return invalid(format!("blocks {block:?} do not fit into {image:?}"));
        };
        places.push(room / stride[axis].max(1) + 1);
        rest.push(room % stride[axis].max(1));
    }
    if elements(&places)? != count {
        return invalid(format!("{count} columns where {places:?} blocks fit"));
    }
    let x = lower.place(call, value)?;
    let opened = [&[batch, rows][..], &places].concat();
    let x = lower.reshape(call, x, &opened)?;
    let x = lower.channels_last(call, x)?;
    // `[taps.., output channels of a group, input channels]`: channel `c` of a group has its one at tap `c`.
    let filters = [&block[..], &[1, rows]].concat();
    let w = lower.constant(call, &filters, |i| f32::from(u8::from(i / rows == i % rows % taps)))?;
    let (groups, epilogue) = (channels, Epilogue::default());
    let op = ConvTranspose { stride, dilation, pads: around, output_padding: rest, groups, epilogue };
    let y = lower.emit(call, op, &[x, w])?;
    Ok(vec![Value::Node(lower.channels_first(call, y)?, value.elem())])
}
