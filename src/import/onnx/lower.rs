//! What every op's translation uses: values that are known or computed, a node's attributes, and the graph being built.
//!
//! Graph values keep ONNX's axis order (`[batch, channels, spatial..]`). A value that was computed with its channels last
//! has that form remembered as its twin, and whoever can work on the twin does, so that no transpose stays between them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::proto::{AttributeProto, GraphProto, NodeProto};
use super::stored::read_tensor;
use super::tensor::{Elem, HostData, HostTensor};
use crate::graph::{Graph, ValueId};
use crate::import::bounds::{self, Room};
pub(super) use crate::import::bounds::{axes_of, axis_of};
pub(super) use crate::import::refusal::{Wrong, invalid, unsupported};
use crate::ops::{Binary, BinaryFn, Dim, Op, Reshape, Transpose, Unary, UnaryFn};
use crate::passes::is_quick;
use crate::tensor::Tensor;

/// An ONNX value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Its elements are known.
    Host(HostTensor),
    /// It is computed at run time, as `f32` whatever its type in the file.
    Node(ValueId, Elem),
}

impl Value {
    pub fn elem(&self) -> Elem {
        match self {
            Value::Host(tensor) => tensor.elem,
            Value::Node(_, elem) => *elem,
        }
    }
}

/// The outputs of a node's translation.
pub(super) type Lowered = Result<Vec<Value>, Wrong>;

/// A node with its inputs at hand.
pub(super) struct Call<'a> {
    pub node: &'a NodeProto,
    /// For errors and prints.
    pub name: String,
    /// The version of the op set that it was written for.
    pub opset: i64,
    /// Absent optional inputs are `None`.
    pub inputs: Vec<Option<Value>>,
    /// Where external data lies.
    pub folder: &'a Path,
}

impl Call<'_> {
    pub fn op(&self) -> &str {
        &self.node.op_type
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.attribute(name).map(|attribute| attribute.floats.clone())
    }

    pub fn string(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or(default.to_string(), |attribute| String::from_utf8_lossy(&attribute.s).to_string())
    }

    pub fn tensor(&self, name: &str) -> Result<Option<HostTensor>, Wrong> {
        match self.attribute(name).and_then(|attribute| attribute.t.as_ref()) {
            Some(proto) => Ok(Some(read_tensor(proto.clone(), self.folder)?)),
            None => Ok(None),
        }
    }

    pub fn graph(&self, name: &str) -> Option<&GraphProto> {
        self.attribute(name)?.g.as_ref()
    }

    /// A required input.
    pub fn input(&self, position: usize) -> Result<&Value, Wrong> {
        match self.optional(position) {
            Some(value) => Ok(value),
            None => invalid(format!("input {position} is missing")),
        }
    }

    pub fn optional(&self, position: usize) -> Option<&Value> {
        self.inputs.get(position)?.as_ref()
    }

    /// All inputs that are given.
    pub fn given(&self) -> Vec<Value> {
        self.inputs.iter().flatten().cloned().collect()
    }

    /// An optional input whose elements must be known.
    pub fn known(&self, position: usize) -> Result<Option<&HostTensor>, Wrong> {
        match self.optional(position) {
            None => Ok(None),
            Some(Value::Host(tensor)) => Ok(Some(tensor)),
            Some(Value::Node(..)) => unsupported(format!("input {position} is computed at run time; it must be known")),
        }
    }

    /// Integers that an attribute held in older versions of the op and an input holds since.
    pub fn ints_or_input(&self, attribute: &str, position: usize) -> Result<Option<Vec<i64>>, Wrong> {
        match self.ints(attribute) {
            Some(values) => Ok(Some(values)),
            None => Ok(self.known(position)?.map(HostTensor::to_i64).transpose()?.map(|values| values.to_vec())),
        }
    }

    /// Whether a later output is asked for.
    pub fn wants_output(&self, position: usize) -> bool {
        self.node.output.get(position).is_some_and(|name| !name.is_empty())
    }
}

/// `[0, 2, .., rank - 1, 1]`: channels go last.
fn channels_to_end(rank: usize) -> Vec<usize> {
    std::iter::once(0).chain(2..rank).chain([1]).collect()
}

/// `[0, rank - 1, 1, .., rank - 2]`: channels come back.
fn channels_to_front(rank: usize) -> Vec<usize> {
    [0, rank - 1].into_iter().chain(1..rank - 1).collect()
}

/// The graph being built.
pub(super) struct Lower {
    pub graph: Graph,
    /// Values by their ONNX names.
    pub values: HashMap<String, Value>,
    /// How many nodes of each op run as `f32` in place of their integers.
    pub quantised: BTreeMap<String, usize>,
    /// Nodes whose sums of integers may be larger than those that `f32` holds exactly.
    pub rounded: Vec<String>,
    /// How many nodes there were in the graph before each of the model's own.
    pub starts: Vec<usize>,
    /// Values of wide integer types that are computed at run time.
    pub integers: Vec<String>,
    /// What may still be computed at import.
    pub room: Room,
    twins: HashMap<ValueId, ValueId>,
}

impl Lower {
    pub fn new(room: Room) -> Lower {
        Lower {
            graph: Graph::new(),
            values: HashMap::new(),
            quantised: BTreeMap::new(),
            rounded: Vec::new(),
            starts: Vec::new(),
            integers: Vec::new(),
            room,
            twins: HashMap::new(),
        }
    }

    pub fn shape(&self, value: &Value) -> Vec<usize> {
        match value {
            Value::Host(tensor) => tensor.shape.clone(),
            Value::Node(id, _) => self.graph.ty(*id).shape.to_vec(),
        }
    }

    /// The value in the graph, as a constant if it is known.
    pub fn place(&mut self, call: &Call<'_>, value: &Value) -> Result<ValueId, Wrong> {
        match value {
            Value::Node(id, _) => Ok(*id),
            Value::Host(tensor) if tensor.len() == 0 => {
                unsupported(format!("a tensor of the shape {:?}", tensor.shape))
            }
            Value::Host(tensor) => {
                if !matches!(tensor.data, HostData::Floats(_)) {
                    self.room.spend(&tensor.shape, 4)?;
                }
                Ok(self.graph.constant(call.name.clone(), tensor.to_tensor()?))
            }
        }
    }

    /// A tensor made at import, if there is room for it.
    pub fn tensor(&self, shape: &[usize], element: impl FnMut(usize) -> f32) -> Result<Tensor, Wrong> {
        self.room.spend(shape, 4)?;
        Ok(Tensor::from_fn(shape, element))
    }

    /// A constant made at import, if there is room for it.
    pub fn constant(
        &mut self,
        call: &Call<'_>,
        shape: &[usize],
        element: impl FnMut(usize) -> f32,
    ) -> Result<ValueId, Wrong> {
        let tensor = self.tensor(shape, element)?;
        Ok(self.graph.constant(call.name.clone(), tensor))
    }

    /// A constant of one element.
    pub fn number(&mut self, call: &Call<'_>, value: f32) -> ValueId {
        self.graph.constant(call.name.clone(), Tensor::full([1], value))
    }

    pub fn emit(&mut self, call: &Call<'_>, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, Wrong> {
        bounds::node(&mut self.graph, &call.name, op, inputs)
    }

    /// As [`Lower::emit`], with all outputs.
    pub fn emit_all(&mut self, call: &Call<'_>, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Vec<ValueId>, Wrong> {
        self.emit(call, op, inputs)?;
        Ok(self.graph.nodes().last().map(|node| node.outputs.clone()).unwrap_or_default())
    }

    pub fn unary(&mut self, call: &Call<'_>, function: UnaryFn, input: ValueId) -> Result<ValueId, Wrong> {
        self.emit(call, Unary { function }, &[input])
    }

    pub fn binary(&mut self, call: &Call<'_>, function: BinaryFn, a: ValueId, b: ValueId) -> Result<ValueId, Wrong> {
        self.emit(call, Binary { function }, &[a, b])
    }

    /// The values as what they are known to be. They follow from constants alone, through the nodes from `first` on.
    pub fn folded(&self, first: usize, values: Vec<Value>) -> Lowered {
        let mut computed: HashMap<ValueId, Tensor> = HashMap::new();
        for node in &self.graph.nodes()[first..] {
            let inputs: Option<Vec<&Tensor>> =
                node.inputs.iter().map(|id| computed.get(id).or_else(|| self.graph.as_constant(*id))).collect();
            let Some(inputs) = inputs else { return Ok(values) };
            for &output in &node.outputs {
                self.room.ask(&self.graph.ty(output).shape)?;
            }
            if !is_quick(&node.op, &self.graph.input_types(node), &self.graph.output_types(node)) {
                return Ok(values);
            }
            let outputs = node.op.spec().reference(&inputs).map_err(|e| Wrong::Invalid(e.to_string()))?;
            computed.extend(node.outputs.iter().copied().zip(outputs));
        }
        let known = |value: Value| match &value {
            Value::Node(id, elem) => match computed.get(id).or_else(|| self.graph.as_constant(*id)) {
                Some(tensor) => Ok(Value::Host(HostTensor::computed(tensor, *elem)?)),
                None => Ok(value),
            },
            Value::Host(_) => Ok(value),
        };
        values.into_iter().map(known).collect()
    }

    pub fn reshape(&mut self, call: &Call<'_>, input: ValueId, shape: &[usize]) -> Result<ValueId, Wrong> {
        super::tensor::elements(shape)?;
        if self.graph.ty(input).shape.to_vec() == shape {
            return Ok(input);
        }
        self.emit(call, Reshape { dims: shape.iter().map(|&size| Dim::Size(size)).collect() }, &[input])
    }

    pub fn transpose(&mut self, call: &Call<'_>, input: ValueId, perm: Vec<usize>) -> Result<ValueId, Wrong> {
        if perm.iter().copied().eq(0..perm.len()) {
            return Ok(input);
        }
        self.emit(call, Transpose { perm }, &[input])
    }

    /// The form with channels last that a value was computed in, if it was.
    pub fn twin(&self, value: ValueId) -> Option<ValueId> {
        self.twins.get(&value).copied()
    }

    /// A value of at least three axes with its channels last.
    pub fn channels_last(&mut self, call: &Call<'_>, value: ValueId) -> Result<ValueId, Wrong> {
        if let Some(twin) = self.twin(value) {
            return Ok(twin);
        }
        let rank = self.graph.ty(value).shape.rank();
        if rank < 3 {
            return Ok(value);
        }
        let twin = self.transpose(call, value, channels_to_end(rank))?;
        self.twins.insert(value, twin);
        Ok(twin)
    }

    /// The value in ONNX's order that a value with channels last stands for.
    pub fn channels_first(&mut self, call: &Call<'_>, twin: ValueId) -> Result<ValueId, Wrong> {
        let rank = self.graph.ty(twin).shape.rank();
        if rank < 3 {
            return Ok(twin);
        }
        let value = self.transpose(call, twin, channels_to_front(rank))?;
        self.twins.insert(value, twin);
        Ok(value)
    }

    /// Runs `build` on a value and one of its axes, in the order of axes that the value was computed in. The result has as
    /// many axes, and the sizes of all others.
    pub fn along_axis(
        &mut self,
        call: &Call<'_>,
        value: ValueId,
        axis: usize,
        build: impl FnOnce(&mut Lower, ValueId, usize) -> Result<ValueId, Wrong>,
    ) -> Result<ValueId, Wrong> {
        match self.twin(value) {
            Some(twin) => {
                let axis = Lower::axis_in_twin(axis, self.graph.ty(twin).shape.rank());
                let twin = build(self, twin, axis)?;
                self.channels_first(call, twin)
            }
            None => build(self, value, axis),
        }
    }

    /// Runs `build` on the twins of `values` if one of them has a twin, all have the same rank or broadcast to it; on the
    /// values themselves otherwise. `build` must not depend on the order of axes.
    pub fn in_any_order(
        &mut self,
        call: &Call<'_>,
        values: &[ValueId],
        build: impl FnOnce(&mut Lower, &[ValueId]) -> Result<ValueId, Wrong>,
    ) -> Result<ValueId, Wrong> {
        let rank = values.iter().map(|&id| self.graph.ty(id).shape.rank()).max().unwrap_or(0);
        if rank < 3 || !values.iter().any(|&id| self.twin(id).is_some() && self.graph.ty(id).shape.rank() == rank) {
            return build(self, values);
        }
        let mut turned = Vec::with_capacity(values.len());
        for &id in values {
            let shape = self.graph.ty(id).shape.to_vec();
            if shape.iter().all(|&size| size == 1) && shape.len() <= 1 {
                turned.push(id);
                continue;
            }
            let mut full = vec![1; rank - shape.len()];
            full.extend(&shape);
            let full = self.reshape(call, id, &full)?;
            turned.push(self.channels_last(call, full)?);
        }
        let twin = build(self, &turned)?;
        self.channels_first(call, twin)
    }

    /// Where an axis lies in the twin.
    pub fn axis_in_twin(axis: usize, rank: usize) -> usize {
        match axis {
            0 => 0,
            1 => rank - 1,
            axis => axis - 1,
        }
    }
}
