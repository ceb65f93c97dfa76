//! Layers of several inputs: `Add`, `Subtract`, `Multiply`, `Average`, `Maximum`, `Minimum`, `Concatenate`, `Dot`.

use serde_json::{Value, json};

use super::{Emitter, Layer, WeightSpec, axis_of};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, Binary, BinaryFn, Dim, MatMul, Reshape, Unary, UnaryFn};
use crate::tensor::Shape;

/// An element-wise function of all inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Their sum.
    Add,
    /// The first minus the second.
    Subtract,
    /// Their product.
    Multiply,
    /// Their mean.
    Average,
    /// The largest.
    Maximum,
    /// The smallest.
    Minimum,
}

impl Layer for Merge {
    fn class_name(&self) -> &'static str {
        match self {
            Merge::Add => "Add",
            Merge::Subtract => "Subtract",
            Merge::Multiply => "Multiply",
            Merge::Average => "Average",
            Merge::Maximum => "Maximum",
            Merge::Minimum => "Minimum",
        }
    }

    fn config(&self) -> Value {
        json!({})
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let function = match self {
            Merge::Add | Merge::Average => BinaryFn::Add,
            Merge::Subtract => BinaryFn::Sub,
            Merge::Multiply => BinaryFn::Mul,
            Merge::Maximum => BinaryFn::Max,
            Merge::Minimum => BinaryFn::Min,
        };
        if inputs.len() < 2 || (*self == Merge::Subtract && inputs.len() != 2) {
            return Err(emitter.wrong(format!("it got {} inputs and takes two or more (Subtract: two)", inputs.len())));
        }
        let aligned = align_ranks(emitter, inputs)?;
        let mut sum = aligned[0];
        for &input in &aligned[1..] {
            sum = emitter.node("", Binary { function }, &[sum, input])?;
        }
        if *self == Merge::Average {
            let function = UnaryFn::Affine { scale: 1.0 / inputs.len() as f32, offset: 0.0 };
            sum = emitter.node("mean", Unary { function }, &[sum])?;
        }
        Ok(vec![sum])
    }
}

/// Gives inputs of fewer axes further ones of size 1 behind the batch, as Keras does; NumPy would put them before it.
fn align_ranks(emitter: &mut Emitter<'_>, inputs: &[ValueId]) -> Result<Vec<ValueId>, LayerError> {
    let ranks: Vec<usize> = inputs.iter().map(|&x| emitter.shape(x).rank()).collect();
    let most = ranks.iter().copied().max().unwrap_or(0);
    inputs
        .iter()
        .zip(ranks)
        .map(|(&x, rank)| {
            if rank == most || rank == 0 {
                return Ok(x);
            }
            let inserted = std::iter::repeat_n(Dim::Size(1), most - rank);
            let dims = [Dim::Keep(0)].into_iter().chain(inserted).chain((1..rank).map(Dim::Keep)).collect();
            emitter.node("align", Reshape { dims }, &[x])
        })
        .collect()
}

/// Inputs one after the other along an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concatenate {
    axis: i64,
}

impl Concatenate {
    /// Along `axis`; Keras's default is the last one, -1.
    pub fn new(axis: i64) -> Concatenate {
        Concatenate { axis }
    }
}

impl Layer for Concatenate {
    fn class_name(&self) -> &'static str {
        "Concatenate"
    }

    fn config(&self) -> Value {
        json!({ "axis": self.axis })
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let rank = inputs.first().map_or(0, |&x| emitter.shape(x).rank());
        let axis = axis_of(self.axis, rank).map_err(|what| emitter.wrong(what))?;
        Ok(vec![emitter.node("", ops::Concat { axis }, inputs)?])
    }
}

/// Dot product of two inputs along one axis each, per batch element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dot {
    axes: (i64, i64),
}

impl Dot {
    /// Along these axes of the first and the second input, which have two or three axes.
    pub fn new(axes: (i64, i64)) -> Dot {
        Dot { axes }
    }
}

impl Layer for Dot {
    fn class_name(&self) -> &'static str {
        "Dot"
    }

    fn config(&self) -> Value {
        json!({ "axes": [self.axes.0, self.axes.1], "normalize": false })
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let [a, b] = inputs[..] else {
            return Err(emitter.wrong(format!("it takes two inputs and got {}", inputs.len())));
        };
        let (ranks, mut operands) = ((emitter.shape(a).rank(), emitter.shape(b).rank()), [a, b]);
        let axis = |axis, rank| axis_of(axis, rank).ok().filter(|axis| (1..=2).contains(axis));
        let (Some(axis_a), Some(axis_b)) = (axis(self.axes.0, ranks.0), axis(self.axes.1, ranks.1)) else {
            return Err(emitter.wrong(format!("axes {:?} must be 1 or 2, not the batch", self.axes)));
        };
        if ranks != (2, 2) && ranks != (3, 3) {
            return Err(emitter.wrong("both inputs must have two axes, or both three"));
        }
        let flat = ranks == (2, 2);
        if flat {
            operands[0] =
                emitter.node("row", Reshape { dims: vec![Dim::Keep(0), Dim::Size(1), Dim::Keep(1)] }, &[a])?;
            operands[1] =
                emitter.node("column", Reshape { dims: vec![Dim::Keep(0), Dim::Keep(1), Dim::Size(1)] }, &[b])?;
        }
        let op = MatMul { transpose_a: !flat && axis_a == 1, transpose_b: !flat && axis_b == 2 };
        let y = emitter.node("", op, &operands)?;
        let y =
            if flat { emitter.node("squeeze", Reshape { dims: vec![Dim::Keep(0), Dim::Size(1)] }, &[y])? } else { y };
        Ok(vec![y])
    }
}
