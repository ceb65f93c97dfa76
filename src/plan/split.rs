//! Dividing the work of a node whose tensors are larger than one binding: by batch, or by rows of pictures.

use crate::ops::{BatchNorm, Conv, Op, Pool, Softmax};
use crate::tensor::{AxisWindow, Padding, TensorType, Window};

/// A share of a node's work: an op of its own on parts of the node's tensors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub op: Op,
    pub inputs: Vec<Part>,
    pub outputs: Vec<Part>,
}

/// Consecutive elements of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The part as a tensor of its own.
    pub ty: TensorType,
    /// Elements before it.
    pub first: usize,
}

impl Part {
    fn whole(ty: &TensorType) -> Part {
        Part { ty: ty.clone(), first: 0 }
    }

    fn new(shape: Vec<usize>, first: usize) -> Part {
        Part { ty: TensorType::f32(shape), first }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.ty.bytes() as u64
    }
}

/// Pieces whose parts have at most `most` bytes each, in the order of the outputs; together they are the node. The error says why
/// there are none.
pub(super) fn pieces(
    op: &Op,
    inputs: &[TensorType],
    outputs: &[TensorType],
    most: u64,
) -> Result<Vec<Piece>, &'static str> {
    let most = (most / 4) as usize;
    let found = match op {
        Op::Unary(_) => lines(op, inputs, outputs, 1, most),
        Op::Binary(_) | Op::Chain(_) => {
            let alike = |ty: &TensorType| ty.shape == outputs[0].shape || ty.shape.elements() == 1;
            let inner = if inputs.iter().all(alike) { 1 } else { outputs[0].shape.last_axis() };
            lines(op, inputs, outputs, inner, most)
        }
        Op::BatchNorm(norm) if norm.axis + 1 == inputs[0].shape.rank() => {
            let op = BatchNorm { axis: 1, ..*norm }.into();
            lines(&op, inputs, outputs, outputs[0].shape.last_axis(), most)
        }
        Op::Conv(conv) => windows(op, inputs, outputs, conv.window.axes(), most).or_else(|why| {
            let spatial = conv.window.axes();
            if spatial == 0 {
                return Err(why);
            }
            let size: Vec<usize> = inputs[1].shape.iter().take(spatial).copied().collect();
            let with = |window| Conv { window, ..conv.clone() }.into();
            rows(&conv.window, &size, &with, inputs, outputs, most)
        }),
        Op::Pool(pool) => windows(op, inputs, outputs, pool.window.axes(), most).or_else(|_| {
            let with = |window| Pool { window, ..pool.clone() }.into();
            rows(&pool.window, &pool.size, &with, inputs, outputs, most)
        }),
        Op::ConvTranspose(conv) => windows(op, inputs, outputs, conv.stride.len(), most),
        Op::Softmax(softmax) if softmax.axis + 1 == inputs[0].shape.rank() => {
            let op = Softmax { axis: 1, ..*softmax }.into();
            lines(&op, inputs, outputs, outputs[0].shape.last_axis(), most)
        }
        Op::Softmax(softmax) if softmax.axis > 0 => batch(op, inputs, outputs, 1, most),
        Op::Concat(concat) if concat.axis > 0 => batch(op, inputs, outputs, 1, most),
        Op::Resize(resize) if resize.factors.first() == Some(&1) => batch(op, inputs, outputs, 1, most),
        Op::Pad(pad) if pad.pads.first() == Some(&(0, 0)) => batch(op, inputs, outputs, 1, most),
        _ => Err("this op is not divided"),
    }?;
    // A piece that is not what it was cut for would compute something else without a word.
    let consistent = |piece: &Piece| {
        let types = |parts: &[Part]| parts.iter().map(|part| part.ty.clone()).collect::<Vec<_>>();
        piece.op.spec().infer(&types(&piece.inputs)).is_ok_and(|inferred| inferred == types(&piece.outputs))
    };
    match found.iter().all(consistent) {
        true => Ok(found),
        false => Err("its pieces would have other shapes"),
    }
}

/// Whether a part is a share of something larger or small enough as it is.
fn fits(piece: &Piece, most: usize) -> bool {
    piece.inputs.iter().chain(&piece.outputs).all(|part| part.ty.shape.elements() <= most)
}

/// Pieces of consecutive lines of `inner` elements, for ops that work on each element or line by itself. Operands of another shape than the output are
/// taken whole and must broadcast along a line.
fn lines(
    op: &Op,
    inputs: &[TensorType],
    outputs: &[TensorType],
    inner: usize,
    most: usize,
) -> Result<Vec<Piece>, &'static str> {
    let elements = outputs[0].shape.elements();
    let (lines, each) = (elements / inner.max(1), most / inner.max(1));
    if each == 0 {
        return Err("one line of it is too large");
    }
    let shape = |lines: usize| if inner == 1 { vec![lines] } else { vec![lines, inner] };
    let cut = |start: usize| {
        let count = each.min(lines - start);
        let part = |ty: &TensorType| match ty.shape.elements() == elements {
            true => Part::new(shape(count), start * inner),
            false => Part::new(vec![ty.shape.elements()], 0),
        };
        Piece { op: op.clone(), inputs: inputs.iter().map(part).collect(), outputs: outputs.iter().map(part).collect() }
    };
    let lined_up = |ty: &TensorType| {
        let own = ty.shape.elements();
        ty.shape == outputs[0].shape || own == 1 || (own == inner && ty.shape.last_axis() == inner)
    };
    match inputs.iter().all(lined_up) {
        true => Ok((0..lines).step_by(each).map(cut).collect()),
        false => Err("it broadcasts along other axes than the last"),
    }
}

/// Pieces of some elements of the first `leading` axes each: operands whose leading axes are those of the output are cut, others
/// taken whole.
fn batch(
    op: &Op,
    inputs: &[TensorType],
    outputs: &[TensorType],
    leading: usize,
    most: usize,
) -> Result<Vec<Piece>, &'static str> {
    let (heads, _) = outputs[0].shape.split_at_checked(leading).ok_or("it has no batch")?;
    let count: usize = heads.iter().product();
    let cut_along = |ty: &TensorType| ty.shape.rank() == outputs[0].shape.rank() && ty.shape.starts_with(heads);
    let largest = inputs.iter().chain(outputs).filter(|ty| cut_along(ty)).map(|ty| ty.shape.elements() / count.max(1));
    let each = most / largest.max().unwrap_or(1).max(1);
    if each == 0 {
        return Err("one element of its batch is too large");
    }
    let cut = |start: usize| {
        let now = each.min(count - start);
        let part = |ty: &TensorType| match cut_along(ty) {
            true => {
                let rest = &ty.shape[leading..];
                let shape: Vec<usize> = std::iter::once(now).chain(rest.iter().copied()).collect();
                Part::new(shape, start * rest.iter().product::<usize>())
            }
            false => Part::whole(ty),
        };
        Piece { op: op.clone(), inputs: inputs.iter().map(part).collect(), outputs: outputs.iter().map(part).collect() }
    };
    let pieces: Vec<Piece> = (0..count).step_by(each).map(cut).collect();
    match pieces.iter().all(|piece| fits(piece, most)) {
        true => Ok(pieces),
        false => Err("an operand that all of the batch shares is too large"),
    }
}

/// Pieces of a batch for ops whose first operand is `[batch.., spatial.., channels]`.
fn windows(
    op: &Op,
    inputs: &[TensorType],
    outputs: &[TensorType],
    spatial: usize,
    most: usize,
) -> Result<Vec<Piece>, &'static str> {
    let leading = outputs[0].shape.rank().checked_sub(spatial + 1).ok_or("it has no batch")?;
    // Weights may happen to begin with the sizes of the batch.
    let (x, weights) = (&inputs[..1], inputs.get(1));
    let mut pieces = match weights {
        None => return batch(op, inputs, outputs, leading, most),
        Some(_) => {
            let further: Vec<TensorType> = inputs.iter().skip(2).cloned().collect();
            batch(op, &[x, further.as_slice()].concat(), outputs, leading, most)?
        }
    };
    for (piece, weights) in pieces.iter_mut().zip(weights.into_iter().cycle()) {
        piece.inputs.insert(1, Part::whole(weights));
    }
    match pieces.iter().all(|piece| fits(piece, most)) {
        true => Ok(pieces),
        false => Err("its weights are too large"),
    }
}

/// Pieces of rows along the first spatial axis, one batch element at a time. Neighbouring pieces read the rows between them both.
fn rows(
    window: &Window,
    size: &[usize],
    with: &dyn Fn(Window) -> Op,
    inputs: &[TensorType],
    outputs: &[TensorType],
    most: usize,
) -> Result<Vec<Piece>, &'static str> {
    let (x, y, spatial) = (&inputs[0].shape, &outputs[0].shape, window.axes());
    let leading = x.rank().checked_sub(spatial + 1).ok_or("it has no batch")?;
    let axes = window.resolve(&x[leading..leading + spatial], size).map_err(|_| "its window does not fit")?;
    let Some((first, others)) = axes.split_first().filter(|_| !window.ceil_mode) else {
        return Err("it has no rows, or windows that begin in the padding after them");
    };
    let batches: usize = x[..leading].iter().product();
    let (row_in, row_out): (usize, usize) = (x[leading + 1..].iter().product(), y[leading + 1..].iter().product());
    let reach = (most / row_in.max(1)).checked_sub(first.extent()).ok_or("the rows under one window are too large")?;
    let each = (reach / first.stride + 1).min(most / row_out.max(1));
    if each == 0 {
        return Err("one row of its output is too large");
    }
    let mut pieces = Vec::new();
    for element in 0..batches {
        for start in (0..first.output).step_by(each) {
            let end = (start + each).min(first.output);
            let (from, to, pads) = span(first, start, end);
            if from >= to {
                return Err("a piece of it would lie in the padding");
            }
            let explicit = std::iter::once(pads).chain(others.iter().map(|axis| (axis.before, axis.after))).collect();
            let op = with(Window { padding: Padding::Explicit(explicit), ..window.clone() });
            let part = |axis: &[usize], rows: (usize, usize), of: usize, row: usize| {
                let shape: Vec<usize> = [1, rows.1 - rows.0].into_iter().chain(axis.iter().copied()).collect();
                Part::new(shape, (element * of + rows.0) * row)
            };
            let output = part(&y[leading + 1..], (start, end), first.output, row_out);
            let mut parts = vec![part(&x[leading + 1..], (from, to), first.input, row_in)];
            // The residual has the output's shape; weights and bias, which might too, come before it.
            let residual = inputs.len() > 2 && inputs.last().is_some_and(|ty| ty.shape == *y);
            parts.extend(inputs.iter().enumerate().skip(1).map(|(i, ty)| match residual && i + 1 == inputs.len() {
                true => output.clone(),
                false => Part::whole(ty),
            }));
            pieces.push(Piece { op, inputs: parts, outputs: vec![output] });
        }
    }
    match pieces.iter().all(|piece| fits(piece, most)) {
        true => Ok(pieces),
        false => Err("its weights are too large"),
    }
}

/// Input rows from and to, and rows of padding before and after, under the windows of the outputs `start..end`.
fn span(axis: &AxisWindow, start: usize, end: usize) -> (usize, usize, (usize, usize)) {
    let (low, high) = (start * axis.stride, (end - 1) * axis.stride + axis.extent());
    let (from, to) = (low.saturating_sub(axis.before), high.saturating_sub(axis.before));
    let pads = (axis.before.saturating_sub(low), to.saturating_sub(axis.input));
    (from, to.min(axis.input), pads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{
        Binary, BinaryFn, Concat, Epilogue, Filters, Pad, PadMode, PoolKind, Resize, ResizeMode, SoftmaxKind, Unary,
        UnaryFn,
    };
    use crate::tensor::Tensor;

    /// Computes a node whole and in pieces, by the reference.
    fn same(op: impl Into<Op>, shapes: &[&[usize]], most: u64) -> usize {
        let op = op.into();
        let inputs: Vec<Tensor> =
            shapes.iter().map(|shape| Tensor::from_fn(shape.to_vec(), |i| (i as f32 * 0.37).sin())).collect();
        let types: Vec<TensorType> = inputs.iter().map(Tensor::tensor_type).collect();
        let outputs = op.spec().infer(&types).unwrap();
        let whole = op.spec().reference(&inputs.iter().collect::<Vec<_>>()).unwrap();
        let pieces = pieces(&op, &types, &outputs, most).unwrap();
        let mut joined = Vec::new();
        for piece in &pieces {
            let operands: Vec<Tensor> = piece
                .inputs
                .iter()
                .zip(&inputs)
                .map(|(part, tensor)| {
                    assert!(part.bytes() <= most);
                    let values = &tensor.f32s().unwrap()[part.first..][..part.ty.shape.elements()];
                    Tensor::from_f32(part.ty.shape.clone(), values.to_vec()).unwrap()
                })
                .collect();
            assert_eq!(piece.outputs[0].first, joined.len());
            let output = piece.op.spec().reference(&operands.iter().collect::<Vec<_>>()).unwrap();
            joined.extend(output[0].f32s().unwrap().iter().map(|y| y.to_bits()));
        }
        // Averages of nothing but padding are NaN.
        let whole: Vec<u32> = whole[0].f32s().unwrap().iter().map(|y| y.to_bits()).collect();
        assert_eq!(joined, whole, "{op}");
        pieces.len()
    }

    #[test]
    fn pieces_together_are_the_whole() {
        let window = |stride, padding| Window { stride: vec![stride; 2], padding, ..Window::unit(2) };
        for (stride, padding) in [
            (1, Padding::Same),
            (2, Padding::Same),
            (2, Padding::SameLower),
            (3, Padding::Valid),
            (2, Padding::Explicit(vec![(3, 1), (0, 2)])),
        ] {
            let conv = Conv {
                window: window(stride, padding.clone()),
                filters: Filters::PerGroup { groups: 1 },
                epilogue: Epilogue { bias: true, ..Epilogue::default() },
            };
            let shapes: [&[usize]; 3] = [&[2, 23, 7, 3], &[3, 3, 3, 5], &[5]];
            assert!(same(conv.clone(), &shapes, 900) > 4);
            assert_eq!(same(conv, &shapes, 3600), 2);
            for kind in [PoolKind::Max, PoolKind::Average { count_include_pad: false }] {
                let pool = Pool { kind, size: vec![3, 2], window: window(stride, padding.clone()) };
                assert!(same(pool, &[&[2, 23, 7, 3]], 700) > 4);
            }
        }
        let residual = Conv {
            window: Window { padding: Padding::Same, ..Window::unit(2) },
            filters: Filters::Shared,
            epilogue: Epilogue { residual: true, ..Epilogue::default() },
        };
        assert!(same(residual, &[&[1, 31, 5, 3], &[3, 3, 1, 1], &[1, 31, 5, 3]], 600) > 2);
        let dense = Conv::new(Window::unit(0), 1);
        assert_eq!(same(dense, &[&[10, 6, 4], &[4, 8]], 320), 6);
        assert_eq!(same(Unary { function: UnaryFn::Silu }, &[&[3, 5, 7]], 200), 3);
        let concat = Concat { axis: 2 };
        assert_eq!(same(concat, &[&[4, 5, 2], &[4, 5, 3]], 220), 2);
        let resize = Resize { factors: vec![1, 2, 3, 1], mode: ResizeMode::Linear };
        assert_eq!(same(resize, &[&[3, 4, 5, 2]], 1000), 3);
        let pad = Pad { pads: vec![(0, 0), (1, 2), (0, 1)], mode: PadMode::Constant(0.5) };
        assert_eq!(same(pad, &[&[5, 3, 4]], 250), 3);
        for axis in [1, 2] {
            let softmax = Softmax { kind: SoftmaxKind::Softmax, axis };
            assert_eq!(same(softmax, &[&[4, 5, 6]], 250), 2);
        }
        let norm = BatchNorm { axis: 2, epsilon: 0.5 };
        assert_eq!(same(norm, &[&[4, 5, 6], &[6], &[6], &[6], &[6]], 250), 2);
        let add = || Binary { function: BinaryFn::Add };
        assert_eq!(same(add(), &[&[3, 5, 7], &[3, 5, 7]], 200), 3);
        assert_eq!(same(add(), &[&[3, 5, 7], &[7]], 200), 3);
        assert_eq!(same(add(), &[&[1], &[3, 5, 7]], 200), 3);
    }

    #[test]
    fn what_cannot_be_divided_says_why() {
        let refused = |op: Op, shapes: &[&[usize]], most| {
            let types: Vec<TensorType> = shapes.iter().map(|shape| TensorType::f32(shape.to_vec())).collect();
            let outputs = op.spec().infer(&types).unwrap();
            pieces(&op, &types, &outputs, most).unwrap_err()
        };
        let dense = Conv::new(Window::unit(0), 1);
        assert!(refused(dense.into(), &[&[2, 100], &[100, 10]], 1000).contains("weights"));
        let conv = Conv::new(Window::unit(2), 1);
        assert!(refused(conv.into(), &[&[1, 9, 9, 100], &[3, 3, 100, 1]], 2000).contains("under one window"));
        let add = Binary { function: BinaryFn::Add };
        assert!(refused(add.into(), &[&[4, 5, 7], &[4, 1, 7]], 200).contains("last"));
    }
}
