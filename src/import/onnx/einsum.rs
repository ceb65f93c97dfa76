//! `Einsum` of one or two operands: a matrix product over the axes that both have and the result lacks.

use super::lower::{Call, Lower, Lowered, Value, Wrong, invalid, unsupported};
use super::tensor::elements;
use crate::graph::ValueId;
use crate::ops::{MatMul, Reduce, ReduceFn};

/// An operand and the letter of each of its axes.
struct Operand {
    id: ValueId,
    axes: Vec<char>,
}

/// The letters of an operand of `rank` axes; `...` stands for digits that count from the last axis.
fn letters(term: &str, rank: usize) -> Result<Vec<char>, Wrong> {
    let written = term.chars().filter(char::is_ascii_alphabetic).count();
    let open = rank.saturating_sub(written);
    if open > 9 {
        return invalid(format!("`{term}` for {rank} axes"));
    }
    let digits: String = (0..open as u32).rev().filter_map(|digit| char::from_digit(digit, 10)).collect();
    let axes: Vec<char> = term.replace("...", &digits).chars().collect();
    let known = axes.iter().all(char::is_ascii_alphanumeric);
    if axes.len() == rank && known { Ok(axes) } else { invalid(format!("`{term}` for {rank} axes")) }
}

/// Sums over the axes that nobody else has.
fn summed(lower: &mut Lower, call: &Call<'_>, operand: Operand, kept: &dyn Fn(char) -> bool) -> Result<Operand, Wrong> {
    let gone: Vec<usize> = (0..operand.axes.len()).filter(|&axis| !kept(operand.axes[axis])).collect();
    if gone.is_empty() {
        return Ok(operand);
    }
    let id = lower.emit(call, Reduce { function: ReduceFn::Sum, axes: gone, keepdims: false }, &[operand.id])?;
    Ok(Operand { id, axes: operand.axes.into_iter().filter(|&axis| kept(axis)).collect() })
}

/// The operand with its axes in an order that lists all of them.
fn ordered(lower: &mut Lower, call: &Call<'_>, operand: &Operand, order: &[char]) -> Result<ValueId, Wrong> {
    let place = |axis: &char| operand.axes.iter().position(|own| own == axis);
    match order.iter().map(place).collect::<Option<Vec<usize>>>() {
        Some(perm) if perm.len() == operand.axes.len() => lower.transpose(call, operand.id, perm),
        _ => invalid(format!("axes {order:?} of {:?}", operand.axes)),
    }
}

/// `Einsum`.
pub(super) fn einsum(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let equation: String = call.string("equation", "").chars().filter(|letter| !letter.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let values = call.given();
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != values.len() {
        return invalid(format!("`{equation}` for {} operands", values.len()));
    }
    if values.len() > 2 {
        return unsupported(format!("{} operands (1 and 2 are)", values.len()));
    }
    let mut operands = Vec::with_capacity(2);
    for (term, value) in terms.iter().zip(&values) {
        let id = lower.place(call, value)?;
        let axes = letters(term, lower.graph.ty(id).shape.rank())?;
        if axes.iter().enumerate().any(|(i, axis)| axes[..i].contains(axis)) {
            return unsupported(format!("an axis that `{term}` names twice"));
        }
        operands.push(Operand { id, axes });
    }
    let mut sizes: Vec<(char, usize)> = Vec::new();
    for operand in &operands {
        for (&axis, &size) in operand.axes.iter().zip(lower.graph.ty(operand.id).shape.iter()) {
            match sizes.iter().find(|(known, _)| *known == axis) {
                Some(&(_, known)) if known != size => {
                    return unsupported(format!("axis `{axis}` with {known} and {size} elements"));
                }
                Some(_) => {}
                None => sizes.push((axis, size)),
            }
        }
    }
    let target: Vec<char> = match right {
        Some(right) => {
            let open = sizes.iter().filter(|(axis, _)| axis.is_ascii_digit()).count();
            let written = right.chars().filter(char::is_ascii_alphabetic).count();
            letters(right, written + if right.contains("...") { open } else { 0 })?
        }
        None => {
            // Without a result: what is named once, in alphabetical order, after what is not named.
            let once = |axis: &char| operands.iter().filter(|operand| operand.axes.contains(axis)).count() == 1;
            let mut named: Vec<char> = sizes.iter().map(|&(axis, _)| axis).filter(char::is_ascii_alphabetic).collect();
            named.retain(once);
            named.sort_unstable();
            let mut open: Vec<char> = sizes.iter().map(|&(axis, _)| axis).filter(char::is_ascii_digit).collect();
            open.sort_unstable_by(|a, b| b.cmp(a));
            [open, named].concat()
        }
    };
    let size = |axis: &char| sizes.iter().find(|(known, _)| known == axis).map(|&(_, size)| size);
    let Some(shape) = target.iter().map(size).collect::<Option<Vec<usize>>>() else {
        return invalid(format!("`{equation}` has axes in its result that no operand has"));
    };
    let mut operands = operands.into_iter();
    let Some(a) = operands.next() else { return invalid("no operands") };
    let elem = values[0].elem();
    let Some(b) = operands.next() else {
        let only = summed(lower, call, a, &|axis| target.contains(&axis))?;
        return Ok(vec![Value::Node(ordered(lower, call, &only, &target)?, elem)]);
    };
    let (a_axes, b_axes) = (a.axes.clone(), b.axes.clone());
    let a = summed(lower, call, a, &|axis| target.contains(&axis) || b_axes.contains(&axis))?;
    let b = summed(lower, call, b, &|axis| target.contains(&axis) || a_axes.contains(&axis))?;
    let both = |axis: &&char| a.axes.contains(axis) && b.axes.contains(axis);
    let batch: Vec<char> = target.iter().filter(both).copied().collect();
    let along: Vec<char> = a.axes.iter().filter(both).filter(|axis| !target.contains(axis)).copied().collect();
    let own = |axes: &[char], others: &[char]| -> Vec<char> {
        axes.iter().filter(|axis| !others.contains(axis)).copied().collect()
    };
    let (rows, columns) = (own(&a.axes, &b.axes), own(&b.axes, &a.axes));
    let count = |axes: &[char]| axes.iter().filter_map(size).product::<usize>();
    let lead: Vec<usize> = batch.iter().filter_map(size).collect();
    let x = ordered(lower, call, &a, &[&batch[..], &rows, &along].concat())?;
    let x = lower.reshape(call, x, &[&lead[..], &[count(&rows), count(&along)]].concat())?;
    let w = ordered(lower, call, &b, &[&batch[..], &along, &columns].concat())?;
    let w = lower.reshape(call, w, &[&lead[..], &[count(&along), count(&columns)]].concat())?;
    let y = lower.emit(call, MatMul { transpose_a: false, transpose_b: false }, &[x, w])?;
    let found: Vec<char> = [batch, rows, columns].concat();
    let opened: Vec<usize> = found.iter().filter_map(size).collect();
    elements(&opened)?;
    let y = Operand { id: lower.reshape(call, y, &opened)?, axes: found };
    let y = ordered(lower, call, &y, &target)?;
    Ok(vec![Value::Node(lower.reshape(call, y, &shape)?, elem)])
}
