//! Short ways to write arithmetic into a graph.

use crate::error::GraphError;
use crate::graph::{Graph, ValueId};
use crate::ops::{Binary, BinaryFn, Dim, Op, Reduce, ReduceFn, Reshape, Unary, UnaryFn};
use crate::tensor::{Shape, Tensor};

/// Writes nodes of one name into a graph.
pub(super) struct Expression<'a> {
    pub graph: &'a mut Graph,
    pub name: String,
}

impl<'a> Expression<'a> {
    pub fn new(graph: &'a mut Graph, name: impl Into<String>) -> Expression<'a> {
        Expression { graph, name: name.into() }
    }

    pub fn node(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        self.graph.node(self.name.clone(), op, inputs)
    }

    pub fn constant(&mut self, tensor: Tensor) -> ValueId {
        self.graph.constant(self.name.clone(), tensor)
    }

    pub fn scalar(&mut self, value: f32) -> ValueId {
        self.constant(Tensor::full(Shape::default(), value))
    }

    pub fn shape(&self, x: ValueId) -> Shape {
        self.graph.ty(x).shape.clone()
    }

    pub fn unary(&mut self, function: UnaryFn, x: ValueId) -> Result<ValueId, GraphError> {
        self.node(Unary { function }, &[x])
    }

    pub fn affine(&mut self, x: ValueId, scale: f32, offset: f32) -> Result<ValueId, GraphError> {
        self.unary(UnaryFn::Affine { scale, offset }, x)
    }

    pub fn binary(&mut self, function: BinaryFn, a: ValueId, b: ValueId) -> Result<ValueId, GraphError> {
        self.node(Binary { function }, &[a, b])
    }

    pub fn add(&mut self, a: ValueId, b: ValueId) -> Result<ValueId, GraphError> {
        self.binary(BinaryFn::Add, a, b)
    }

    pub fn sub(&mut self, a: ValueId, b: ValueId) -> Result<ValueId, GraphError> {
        self.binary(BinaryFn::Sub, a, b)
    }

    pub fn mul(&mut self, a: ValueId, b: ValueId) -> Result<ValueId, GraphError> {
        self.binary(BinaryFn::Mul, a, b)
    }

    pub fn div(&mut self, a: ValueId, b: ValueId) -> Result<ValueId, GraphError> {
        self.binary(BinaryFn::Div, a, b)
    }

    /// Reduces the last axis away.
    pub fn last(&mut self, function: ReduceFn, x: ValueId) -> Result<ValueId, GraphError> {
        let axes = vec![self.shape(x).rank().saturating_sub(1)];
        self.node(Reduce { function, axes, keepdims: false }, &[x])
    }

    /// Reduces all axes away.
    pub fn all(&mut self, function: ReduceFn, x: ValueId) -> Result<ValueId, GraphError> {
        let axes: Vec<usize> = (0..self.shape(x).rank()).collect();
        if axes.is_empty() { Ok(x) } else { self.node(Reduce { function, axes, keepdims: false }, &[x]) }
    }

    pub fn reshape(&mut self, x: ValueId, shape: &[usize]) -> Result<ValueId, GraphError> {
        if self.shape(x)[..] == *shape {
            return Ok(x);
        }
        self.node(Reshape { dims: shape.iter().map(|&size| Dim::Size(size)).collect() }, &[x])
    }
}
