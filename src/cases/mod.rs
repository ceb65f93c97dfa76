//! The list of op cases that conformance tests, gradient checks and benches all go through.
//!
//! Sizes are awkward on purpose: 1, 13, 127, channels that divide by 4 and that do not, windows larger than the input.

mod conv;
mod conv_gpu;
mod conv_vectors;
mod elementwise;
mod movement;
mod pools;
mod reductions;

use crate::error::GraphError;
use crate::graph::Graph;
use crate::ops::Op;
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
    /// What the inputs hold.
    pub fill: Fill,
}

/// What the inputs of a case hold.
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
}

impl OpCase {
    /// A case with signed inputs.
    pub fn new(id: impl Into<String>, op: impl Into<Op>, inputs: &[&[usize]]) -> OpCase {
        let inputs = inputs.iter().map(|shape| shape.to_vec()).collect();
        OpCase { id: id.into(), op: op.into(), inputs, fill: Fill::Signed }
    }

    /// The same case with other inputs.
    pub fn filled(self, fill: Fill) -> OpCase {
        OpCase { fill, ..self }
    }

    /// The op alone in a graph with inputs `x0`, `x1`, .. and output `y`.
    ///
    /// # Errors
    /// [`GraphError::Node`] when the op does not take the inputs.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        let mut graph = Graph::new();
        let types = self.inputs.iter().map(|shape| TensorType::f32(shape.clone()));
        let inputs: Vec<_> = types.enumerate().map(|(i, ty)| graph.input(format!("x{i}"), ty)).collect();
        let y = graph.node(&self.id, self.op.clone(), &inputs)?;
        graph.output("y", y);
        Ok(graph)
    }

    /// The inputs by name, the same ones every time.
    pub fn tensors(&self) -> std::collections::BTreeMap<String, Tensor> {
        let tensors = self.inputs.iter().enumerate().map(|(i, shape)| {
            let mut state = (i as u32 + 1).wrapping_mul(0x9E37_79B9);
            let tensor = Tensor::from_fn(shape.clone(), |position| {
                // A linear congruential step is plenty for values that only have to differ.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let unit = (state >> 8) as f32 / (1 << 24) as f32;
                match (self.fill, position % 11) {
                    (Fill::Positive, _) => 0.5 + 1.5 * unit,
                    (Fill::Small, _) => (unit - 0.5) * 0.02,
                    (Fill::Large, _) => (unit - 0.5) * 200.0,
                    (Fill::Shifted, _) => 1000.0 + (unit - 0.5) * 4.0,
                    (Fill::Special, 0) => [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN][position / 11 % 5],
                    (Fill::Special, 5) => (unit - 0.5) * 2e4,
                    _ => (unit - 0.5) * 4.0,
                }
            });
            (format!("x{i}"), tensor)
        });
        tensors.collect()
    }
}

/// Every case.
pub fn all() -> Vec<OpCase> {
    [
        conv::cases(),
        conv_vectors::cases(),
        conv_gpu::cases(),
        elementwise::cases(),
        movement::cases(),
        pools::cases(),
        reductions::cases(),
    ]
    .concat()
}
