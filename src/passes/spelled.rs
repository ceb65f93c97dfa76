//! Activations and scales that exporters spell out in arithmetic become the ops that they are.

use crate::error::GraphError;
use crate::graph::{Graph, Rewrite, Site, ValueId};
use crate::ops::{BatchNorm, Binary, BinaryFn, Filters, Op, Unary, UnaryFn};
use crate::tensor::Tensor;

/// Recognises SiLU, hard swish, hard sigmoid, GELU and Mish, and scales and offsets by channel right after a convolution or
/// a batch normalisation, which then can be folded.
pub(super) struct RecognizeSpelledOut;

impl Rewrite for RecognizeSpelledOut {
    fn name(&self) -> &'static str {
        "recognize_spelled_out"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let own = Scaled::of_node(site.graph(), &site.node.op, &site.inputs, DEEPEST);
        if let Some((x, function)) = own.and_then(|own| activation(site.graph(), &own)) {
            site.applied.push(format!("spelled out: {function:?}"));
            return site.emit(Unary { function }, &[x]).map(Some);
        }
        channel_scale(site)
    }
}

/// A value as `scale * of + offset` of another one, or of the product of two.
#[derive(Debug, Clone, Copy)]
struct Scaled {
    of: Source,
    scale: f64,
    offset: f64,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Value(ValueId),
    Product(ValueId, ValueId),
}

/// Whether two numbers are the same but for the digits that exporters leave away.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * b.abs()
}

/// Scales and shifts in a row that are looked through: exporters write two or three.
const DEEPEST: usize = 6;

impl Scaled {
    fn value(of: ValueId) -> Scaled {
        Scaled { of: Source::Value(of), scale: 1.0, offset: 0.0 }
    }

    /// What a node computes, if that is a product or a number's work on one value.
    fn of_node(graph: &Graph, op: &Op, inputs: &[ValueId], depth: usize) -> Option<Scaled> {
        let chain = |x| Scaled::within(graph, x, depth.saturating_sub(1));
        match (op, inputs) {
            (Op::Unary(Unary { function: UnaryFn::Affine { scale, offset } }), &[x]) => {
                Some(chain(x).then((*scale).into(), (*offset).into()))
            }
            (Op::Binary(Binary { function }), &[a, b]) => {
                let of_number = match (number(graph, a, b), number(graph, b, a), function) {
                    (Some(c), _, BinaryFn::Add) => Some((b, 1.0, c)),
                    (_, Some(c), BinaryFn::Add) => Some((a, 1.0, c)),
                    (Some(c), _, BinaryFn::Sub) => Some((b, -1.0, c)),
                    (_, Some(c), BinaryFn::Sub) => Some((a, 1.0, -c)),
                    (Some(c), _, BinaryFn::Mul) => Some((b, c, 0.0)),
                    (_, Some(c), BinaryFn::Mul) => Some((a, c, 0.0)),
                    (_, Some(c), BinaryFn::Div) if c != 0.0 => Some((a, 1.0 / c, 0.0)),
                    _ => None,
                };
                match of_number {
                    Some((x, scale, offset)) => Some(chain(x).then(scale, offset)),
                    None if *function == BinaryFn::Mul && graph.ty(a) == graph.ty(b) => {
                        Some(Scaled { of: Source::Product(a, b), scale: 1.0, offset: 0.0 })
                    }
                    None => None,
                }
            }
            _ => None,
        }
    }

    /// What a value is, through all nodes that only scale and shift.
    fn chain(graph: &Graph, value: ValueId) -> Scaled {
        Scaled::within(graph, value, DEEPEST)
    }

    fn within(graph: &Graph, value: ValueId, depth: usize) -> Scaled {
        let node = graph.producer(value).filter(|_| depth > 0);
        let scaled = node.and_then(|node| Scaled::of_node(graph, &node.op, &node.inputs, depth));
        scaled.unwrap_or(Scaled::value(value))
    }

    fn then(self, scale: f64, offset: f64) -> Scaled {
        Scaled { of: self.of, scale: self.scale * scale, offset: self.offset * scale + offset }
    }
}

/// The one element of a constant that broadcasts to another value without changing its shape.
fn number(graph: &Graph, constant: ValueId, beside: ValueId) -> Option<f64> {
    let (shape, tensor) = (&graph.ty(beside).shape, graph.as_constant(constant)?);
    let fits = tensor.shape().elements() == 1 && tensor.shape().rank() <= shape.rank();
    tensor.f32s().ok()?.first().filter(|_| fits).map(|&c| c.into())
}

/// The function of one element behind a value, with its argument.
fn function(graph: &Graph, value: ValueId) -> Option<(UnaryFn, ValueId)> {
    let node = graph.producer(value)?;
    match (&node.op, &node.inputs[..]) {
        (Op::Unary(unary), &[x]) => Some((unary.function, x)),
        _ => None,
    }
}

/// The activation that a node amounts to, and its argument.
fn activation(graph: &Graph, own: &Scaled) -> Option<(ValueId, UnaryFn)> {
    match own.of {
        Source::Value(value) => {
            // `clip(x + 3, 0, 6) / 6`.
            let x = shifted_relu6(graph, value)?;
            (near(own.scale, 1.0 / 6.0) && own.offset == 0.0)
                .then_some((x, UnaryFn::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }))
        }
        Source::Product(a, b) if own.offset == 0.0 => {
            gated(graph, a, b, own.scale).or_else(|| gated(graph, b, a, own.scale))
        }
        Source::Product(..) => None,
    }
}

/// `x` where a value is `clip(x + 3, 0, 6)`.
fn shifted_relu6(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let (clip, inner) = function(graph, value)?;
    let inner = Scaled::chain(graph, inner);
    match (clip, inner.of) {
        (UnaryFn::Relu6 | UnaryFn::Clip { low: 0.0, high: 6.0 }, Source::Value(x)) => {
            (inner.scale == 1.0 && inner.offset == 3.0).then_some(x)
        }
        _ => None,
    }
}

/// The activation that `scale * factor * gate` is, where the gate is a function of the factor.
fn gated(graph: &Graph, factor: ValueId, gate: ValueId, scale: f64) -> Option<(ValueId, UnaryFn)> {
    let (factor, gate) = (Scaled::chain(graph, factor), Scaled::chain(graph, gate));
    let (Source::Value(x), Source::Value(gated)) = (factor.of, gate.of) else { return None };
    if factor.offset != 0.0 {
        return None;
    }
    let (scale, offset) = (scale * factor.scale * gate.scale, scale * factor.scale * gate.offset);
    if let Some(inner) = shifted_relu6(graph, gated) {
        return (inner == x && near(scale, 1.0 / 6.0) && offset == 0.0).then_some((x, UnaryFn::HardSilu));
    }
    let (function_of_gate, argument) = function(graph, gated)?;
    let plain = near(scale, 1.0) && offset == 0.0;
    let found = match function_of_gate {
        UnaryFn::Sigmoid if plain && argument == x => UnaryFn::Silu,
        UnaryFn::HardSigmoid { alpha, beta: 0.5 } if plain && argument == x && near(alpha.into(), 1.0 / 6.0) => {
            UnaryFn::HardSilu
        }
        UnaryFn::Tanh if plain && function(graph, argument) == Some((UnaryFn::Softplus, x)) => UnaryFn::Mish,
        UnaryFn::Erf if near(scale, 0.5) && near(offset, 0.5) => {
            let inner = Scaled::chain(graph, argument);
            let of_x = matches!(inner.of, Source::Value(value) if value == x);
            let fits = of_x && near(inner.scale, std::f64::consts::FRAC_1_SQRT_2) && inner.offset == 0.0;
            fits.then_some(UnaryFn::Gelu)?
        }
        _ => return None,
    };
    Some((x, found))
}

/// A scale or an offset by channel right after a convolution or a batch normalisation, as a batch normalisation.
fn channel_scale(site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
    let Op::Binary(Binary { function }) = site.node.op else { return Ok(None) };
    let (a, b) = (site.inputs[0], site.inputs[1]);
    let graph = site.graph();
    let (x, factors) = match (graph.as_constant(a), graph.as_constant(b)) {
        (None, Some(constant)) => (a, constant),
        (Some(constant), None) if matches!(function, BinaryFn::Mul | BinaryFn::Add) => (b, constant),
        _ => return Ok(None),
    };
    let shape = &graph.ty(x).shape;
    let channels = shape.last_axis();
    let by_channel = factors.shape().elements() == channels
        && factors.shape().last_axis() == channels
        && factors.shape().rank() <= shape.rank()
        && channels > 1;
    if !by_channel || site.uses(x) != 1 {
        return Ok(None);
    }
    let axis = shape.rank() - 1;
    let foldable = match graph.producer(x).map(|node| &node.op) {
        Some(Op::Conv(conv)) => {
            let plain = conv.epilogue.activation.is_none() && !conv.epilogue.residual;
            // A first offset becomes the bias itself.
            plain && conv.filters != Filters::Shared && (function != BinaryFn::Add || conv.epilogue.bias)
        }
        Some(Op::BatchNorm(norm)) => norm.axis == axis,
        _ => false,
    };
    if !foldable {
        return Ok(None);
    }
    let Ok(values) = factors.f32s() else { return Ok(None) };
    let (scales, offsets): (Vec<f32>, Vec<f32>) = match function {
        BinaryFn::Mul => values.iter().map(|&v| (v, 0.0)).unzip(),
        BinaryFn::Div if values.iter().all(|&v| v != 0.0) => values.iter().map(|&v| (1.0 / v, 0.0)).unzip(),
        BinaryFn::Add => values.iter().map(|&v| (1.0, v)).unzip(),
        BinaryFn::Sub => values.iter().map(|&v| (1.0, -v)).unzip(),
        _ => return Ok(None),
    };
    let what = if matches!(function, BinaryFn::Mul | BinaryFn::Div) { "scale" } else { "offset" };
    site.applied.push(format!("spelled out: the {what} of a batch normalisation"));
    let name = site.node.name.clone();
    let mut inputs = vec![x];
    for values in [scales, offsets, vec![0.0; channels], vec![1.0; channels]] {
        inputs.push(site.constant(name.clone(), Tensor::from_fn([channels], |channel| values[channel])));
    }
    site.emit(BatchNorm { axis, epsilon: 0.0 }, &inputs).map(Some)
}
