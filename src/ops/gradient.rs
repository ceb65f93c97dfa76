//! Derivatives: an op states, in ops, what the gradients of its inputs are.

use super::{Binary, BinaryFn, Dim, Expand, Op, Reduce, ReduceFn, Reshape, Unary, UnaryFn};
use crate::error::ShapeError;
use crate::tensor::{Shape, Tensor, TensorType};

/// A value of the graph that a gradient is being written into, by a number that only the [`GradientBuilder`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operand(pub usize);

/// The derivative of an op at one place of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gradient {
    /// The gradient of each input; `None` where it is zero or nobody asked for it.
    Inputs(Vec<Option<Operand>>),
    /// Training does not go through this op, for the reason given.
    NotDifferentiable(&'static str),
}

impl Gradient {
    /// The answer of ops that are gradients themselves, where their own gradient is no op of this set.
    pub(super) const SECOND: Gradient = Gradient::NotDifferentiable("second derivatives are not taken");
}

/// Takes the nodes of a gradient in.
pub trait GradientBuilder {
    /// Adds a node and returns its first output.
    ///
    /// # Errors
    /// [`ShapeError`] when the op does not take these inputs.
    fn node(&mut self, op: Op, inputs: &[Operand]) -> Result<Operand, ShapeError>;

    /// Adds a constant.
    fn constant(&mut self, tensor: Tensor) -> Operand;

    /// The type of a value.
    fn ty(&self, operand: Operand) -> TensorType;
}

/// A node whose gradient is wanted, and the means to write it down.
pub struct GradientSite<'a> {
    builder: &'a mut dyn GradientBuilder,
    /// What the node reads.
    pub inputs: Vec<Operand>,
    /// What it computes.
    pub outputs: Vec<Operand>,
    /// The gradient of each output; `None` where it is zero.
    pub gradients: Vec<Option<Operand>>,
    /// Which inputs need a gradient.
    pub wanted: Vec<bool>,
}

impl<'a> GradientSite<'a> {
    /// A site that writes into `builder`.
    pub fn new(
        builder: &'a mut dyn GradientBuilder,
        inputs: Vec<Operand>,
        outputs: Vec<Operand>,
        gradients: Vec<Option<Operand>>,
        wanted: Vec<bool>,
    ) -> GradientSite<'a> {
        GradientSite { builder, inputs, outputs, gradients, wanted }
    }

    /// The gradient of the first output.
    ///
    /// # Errors
    /// [`ShapeError`] when it is zero, which a caller never asks about.
    pub fn dy(&self) -> Result<Operand, ShapeError> {
        let first = self.gradients.first().copied().flatten();
        first.ok_or_else(|| ShapeError::mismatch("gradient", "the first output has no gradient"))
    }

    /// Whether input `index` needs a gradient.
    pub fn wants(&self, index: usize) -> bool {
        self.wanted.get(index).copied().unwrap_or(false)
    }

    /// Types of the node's inputs.
    pub fn types(&self) -> Vec<TensorType> {
        self.inputs.iter().map(|&input| self.builder.ty(input)).collect()
    }

    /// Shape of a value.
    pub fn shape(&self, operand: Operand) -> Shape {
        self.builder.ty(operand).shape
    }

    /// Adds a node.
    ///
    /// # Errors
    /// [`ShapeError`] when the op does not take these inputs.
    pub fn emit(&mut self, op: impl Into<Op>, inputs: &[Operand]) -> Result<Operand, ShapeError> {
        self.builder.node(op.into(), inputs)
    }

    /// Adds a constant.
    pub fn constant(&mut self, tensor: Tensor) -> Operand {
        self.builder.constant(tensor)
    }

    /// Adds a scalar.
    pub fn scalar(&mut self, value: f32) -> Operand {
        self.builder.constant(Tensor::full(Shape::default(), value))
    }

    /// A function of one operand.
    ///
    /// # Errors
    /// As [`GradientSite::emit`].
    pub fn unary(&mut self, function: UnaryFn, x: Operand) -> Result<Operand, ShapeError> {
        self.emit(Unary { function }, &[x])
    }

    /// A function of two operands.
    ///
    /// # Errors
    /// As [`GradientSite::emit`].
    pub fn binary(&mut self, function: BinaryFn, a: Operand, b: Operand) -> Result<Operand, ShapeError> {
        self.emit(Binary { function }, &[a, b])
    }

    /// The product of two operands.
    ///
    /// # Errors
    /// As [`GradientSite::emit`].
    pub fn product(&mut self, a: Operand, b: Operand) -> Result<Operand, ShapeError> {
        self.binary(BinaryFn::Mul, a, b)
    }

    /// `factor * x`.
    ///
    /// # Errors
    /// As [`GradientSite::emit`].
    pub fn scaled(&mut self, x: Operand, factor: f32) -> Result<Operand, ShapeError> {
        if factor == 1.0 { Ok(x) } else { self.unary(UnaryFn::Affine { scale: factor, offset: 0.0 }, x) }
    }

    /// Reduction over axes.
    ///
    /// # Errors
    /// As [`GradientSite::emit`].
    pub fn reduce(
        &mut self,
        function: ReduceFn,
        x: Operand,
        axes: Vec<usize>,
        keepdims: bool,
    ) -> Result<Operand, ShapeError> {
        if axes.is_empty() { Ok(x) } else { self.emit(Reduce { function, axes, keepdims }, &[x]) }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// As [`GradientSite::emit`].
    pub fn reshaped(&mut self, x: Operand, shape: &Shape) -> Result<Operand, ShapeError> {
        if self.shape(x) == *shape {
            return Ok(x);
        }
        self.emit(Reshape { dims: shape.iter().map(|&size| Dim::Size(size)).collect() }, &[x])
    }

    /// Repetition up to a larger shape.
    ///
    /// # Errors
    /// As [`GradientSite::emit`].
    pub fn expanded(&mut self, x: Operand, shape: &Shape) -> Result<Operand, ShapeError> {
        if self.shape(x) == *shape {
            return Ok(x);
        }
        self.emit(Expand { dims: shape.iter().map(|&size| Dim::Size(size)).collect() }, &[x])
    }

    /// The sum of `x` over everything that broadcasting `shape` to the shape of `x` repeats: the adjoint of broadcasting.
    ///
    /// # Errors
    /// As [`GradientSite::emit`].
    pub fn summed_to(&mut self, x: Operand, shape: &Shape) -> Result<Operand, ShapeError> {
        let from = self.shape(x);
        let missing = from.rank() - shape.rank().min(from.rank());
        let axes: Vec<usize> = (0..from.rank())
            .filter(|&axis| from[axis] != 1 && (axis < missing || shape[axis - missing] == 1))
            .collect();
        let sum = self.reduce(ReduceFn::Sum, x, axes, false)?;
        self.reshaped(sum, shape)
    }

    /// The answer of an op with one input.
    ///
    /// # Errors
    /// Never; the type lets gradients end in it.
    pub fn only(gradient: Operand) -> Result<Gradient, ShapeError> {
        Ok(Gradient::Inputs(vec![Some(gradient)]))
    }
}

impl std::fmt::Debug for GradientSite<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GradientSite").field("inputs", &self.inputs).field("outputs", &self.outputs).finish()
    }
}
