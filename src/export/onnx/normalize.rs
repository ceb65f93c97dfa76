//! Normalisations.

use super::build::{Known, channels_first, float, identity, int, place_of};
use super::translate::Translator;
use crate::graph::Node;
use crate::ops::{BatchNorm, Normalize};

/// `BatchNormalization` on an order in which its axis comes second.
pub(super) fn batch_norm(t: &mut Translator<'_>, node: &Node, op: &BatchNorm) -> Result<Known, String> {
    let x = t.input(node, 0)?;
    let rank = t.build.rank(x);
    let fits = |order: &[usize]| order.get(1) == Some(&op.axis);
    let others = (0..rank).filter(|&axis| axis != op.axis);
    let moved: Vec<usize> = others.clone().take(1).chain([op.axis]).chain(others.skip(1)).collect();
    let orders = [t.build.native(x), identity(rank), channels_first(rank), moved];
    let order = orders.into_iter().find(|order| fits(order));
    let order = order.ok_or("BatchNormalization needs an axis before that of the statistics")?;
    let mut inputs = vec![t.build.form(x, &order)?];
    for position in 1..5 {
        let statistics = t.input(node, position)?;
        inputs.push(t.build.plain(statistics)?);
    }
    let y = t.build.emit("BatchNormalization", &inputs, vec![float("epsilon", op.epsilon)]);
    Ok(t.output(node, order, y))
}

/// `LayerNormalization` where it goes over the last axes with weights of their shape, and its parts otherwise.
pub(super) fn normalize(t: &mut Translator<'_>, node: &Node, op: &Normalize) -> Result<Known, String> {
    let (x, gamma, beta) = (t.input(node, 0)?, t.input(node, 1)?, t.input(node, 2)?);
    let sizes = t.sizes(node.outputs[0]);
    let rank = sizes.len();
    let mut axes = op.axes.clone();
    axes.sort_unstable();
    let first = rank - axes.len();
    let last = axes.iter().copied().eq(first..rank);
    let whole = [gamma, beta].iter().all(|&weight| t.build.sizes(weight) == &sizes[first..]);
    if last && whole && !axes.is_empty() {
        let inputs = [t.build.plain(x)?, t.build.plain(gamma)?, t.build.plain(beta)?];
        let attributes = vec![int("axis", first as i64 - rank as i64), float("epsilon", op.epsilon)];
        let y = t.build.emit("LayerNormalization", &inputs, attributes);
        return Ok(t.build.value(sizes, identity(rank), y));
    }
    let order = t.build.native(x);
    let mut places: Vec<i64> = axes.iter().map(|&axis| place_of(axis, &order) as i64).collect();
    places.sort_unstable();
    let (source, places) = (t.build.form(x, &order)?, t.build.list(places));
    let (gamma, beta) = (t.build.beside(gamma, &order)?, t.build.beside(beta, &order)?);
    let epsilon = t.build.scalar(op.epsilon);
    let build = &mut t.build;
    let mean = build.emit("ReduceMean", &[source, places], vec![int("keepdims", 1)]);
    let centred = build.emit("Sub", &[source, mean], vec![]);
    let squares = build.emit("Mul", &[centred, centred], vec![]);
    let variance = build.emit("ReduceMean", &[squares, places], vec![int("keepdims", 1)]);
    let variance = build.emit("Add", &[variance, epsilon], vec![]);
    let deviation = build.emit("Sqrt", &[variance], vec![]);
    let y = build.emit("Div", &[centred, deviation], vec![]);
    let y = build.emit("Mul", &[y, gamma], vec![]);
    let y = build.emit("Add", &[y, beta], vec![]);
    Ok(t.build.value(sizes, order, y))
}
