//! The list of op cases that conformance tests, gradient checks and benches all go through.
//!
//! Sizes are awkward on purpose: 1, 13, 127, channels that divide by 4 and that do not, windows larger than the input.

mod chains;
mod conv;
mod conv_gpu;
mod conv_vectors;
mod elementwise;
mod gradients;
mod inverted_residual;
mod movement;
mod pools;
mod reductions;
mod separable;
mod squeeze_excite;
mod winograd;

use crate::error::GraphError;
use crate::graph::Graph;
use crate::ops::{Op, PoolKind};
use crate::tensor::{Tensor, TensorType};

/// One op on inputs of given shapes.
#[derive(Debug, Clone)]
pub struct OpCase {
    /// A name that says what is special about it: `<op>/<what>`.
    pub id: String,
    /// The op.
    pub op: Op,
    /// Shapes of its inputs.
    pub inputs: Vec<Vec<usize>>,
    /// What each of them holds.
    pub fills: Vec<Fill>,
}

/// What an input of a case holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Values between -2 and 2, different for every input.
    Signed,
    /// Values between 0.5 and 2, for logarithms, square roots and variances.
    Positive,
    /// Values between -0.01 and 0.01, where curves are nearly straight.
    Small,
    /// Values between -100 and 100, where curves have come to their limits.
    Large,
    /// Values between 998 and 1002, whose mean is far larger than their deviations.
    Shifted,
    /// Signed values with zeros of both signs, infinities, NaN and large magnitudes among them.
    Special,
    /// -1, 0 and 1, so that equal values stand beside each other.
    Few,
    /// Whole numbers below 2^24.
    Whole,
    /// Zeros and infinities of both signs and small numbers, in turn.
    Ends,
}

impl OpCase {
    /// A case with signed inputs.
    pub fn new(id: impl Into<String>, op: impl Into<Op>, inputs: &[&[usize]]) -> OpCase {
        let inputs: Vec<_> = inputs.iter().map(|shape| shape.to_vec()).collect();
        OpCase { id: id.into(), op: op.into(), fills: vec![Fill::Signed; inputs.len()], inputs }
    }

    /// The same case with other inputs.
    pub fn filled(self, fill: Fill) -> OpCase {
        OpCase { fills: vec![fill; self.inputs.len()], ..self }
    }

    /// The op alone in a graph with inputs `x0`, `x1`, .. and outputs `y0`, `y1`, ..
    ///
    /// # Errors
    /// [`GraphError::Node`] when the op does not take the inputs.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        let mut graph = Graph::new();
        let types = self.inputs.iter().map(|shape| TensorType::f32(shape.clone()));
        let inputs: Vec<_> = types.enumerate().map(|(i, ty)| graph.input(format!("x{i}"), ty)).collect();
        graph.node(&self.id, self.op.clone(), &inputs)?;
        let outputs: Vec<_> = graph.nodes().iter().flat_map(|node| node.outputs.clone()).collect();
        for (i, id) in outputs.into_iter().enumerate() {
            graph.output(format!("y{i}"), id);
        }
        Ok(graph)
    }

    /// The inputs by name, the same ones every time.
    pub fn tensors(&self) -> std::collections::BTreeMap<String, Tensor> {
        let mut tensors: Vec<Tensor> = self.inputs.iter().zip(&self.fills).zip(1..).map(filled).collect();
        // What a pool gave follows from its input.
        if let (Op::PoolGrad(op), [_, x, y]) = (&self.op, &mut tensors[..])
            && op.pool.kind == PoolKind::Max
            && let Ok(outputs) = Op::from(op.pool.clone()).spec().reference(&[x])
        {
            outputs.into_iter().for_each(|output| *y = output);
        }
        tensors.into_iter().enumerate().map(|(i, tensor)| (format!("x{i}"), tensor)).collect()
    }
}

/// The values of one input; `seed` tells the inputs of a case apart.
fn filled(((shape, &fill), seed): ((&Vec<usize>, &Fill), u32)) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9);
    Tensor::from_fn(shape.clone(), |position| {
        // A linear congruential step is plenty for values that only have to differ.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let unit = (state >> 8) as f32 / (1 << 24) as f32;
        match (fill, position % 11) {
            (Fill::Positive, _) => 0.5 + 1.5 * unit,
            (Fill::Small, _) => (unit - 0.5) * 0.02,
            (Fill::Large, _) => (unit - 0.5) * 200.0,
            (Fill::Shifted, _) => 1000.0 + (unit - 0.5) * 4.0,
            (Fill::Special, 0) => [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN][position / 11 % 5],
            (Fill::Special, 5) => (unit - 0.5) * 2e4,
            (Fill::Few, _) => (unit * 3.0).floor() - 1.0,
            (Fill::Whole, _) => (state >> 8) as f32,
            (Fill::Ends, i) => [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, f32::INFINITY, f32::NEG_INFINITY][i],
            _ => (unit - 0.5) * 4.0,
        }
    })
}

/// Every case.
pub fn all() -> Vec<OpCase> {
    [
        chains::cases(),
        conv::cases(),
        conv_vectors::cases(),
        conv_gpu::cases(),
        elementwise::cases(),
        gradients::cases(),
        inverted_residual::cases(),
        movement::cases(),
        pools::cases(),
        reductions::cases(),
        separable::cases(),
        squeeze_excite::cases(),
        winograd::cases(),
    ]
    .concat()
}
