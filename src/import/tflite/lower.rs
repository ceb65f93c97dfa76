//! What every operator's translation uses: values that are known or computed, and one operator with its inputs.

use std::sync::Arc;

use super::schema::{Operator, Options};
use crate::graph::{Graph, ValueId};
use crate::import::bounds::{self, Room};
use crate::import::refusal::{Wrong, invalid, unsupported};
use crate::ops::{Dim, Op, Reshape, Unary, UnaryFn};
use crate::tensor::{Padding, Tensor, Window};

/// A TFLite tensor.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Known numbers.
    Floats(Tensor),
    /// Known integers, row by row.
    Ints(Arc<[i64]>),
    /// Computed at run time.
    Node(ValueId),
}

/// One operator at work.
pub(super) struct Call<'a> {
    pub operator: Operator<'a>,
    /// What it does, as TFLite names it.
    pub kind: Arc<str>,
    /// The name of its output.
    pub name: String,
    /// `None` where an input is left out.
    pub inputs: Vec<Option<Value>>,
    /// What may still be computed at import.
    pub room: &'a Room,
}

impl<'a> Call<'a> {
    /// The operator's settings; an error where it needs them and has none.
    pub fn options<T: Options<'a>>(&self) -> Result<T, Wrong> {
        self.operator.options().ok_or_else(|| Wrong::Invalid("its options are missing".into()))
    }

    pub fn optional(&self, position: usize) -> Option<&Value> {
        self.inputs.get(position)?.as_ref()
    }

    pub fn input(&self, position: usize) -> Result<&Value, Wrong> {
        self.optional(position).ok_or_else(|| Wrong::Invalid(format!("its input {position} is missing")))
    }

    /// An input that must be known when the graph is built.
    pub fn ints(&self, position: usize) -> Result<&[i64], Wrong> {
        match self.input(position)? {
            Value::Ints(values) => Ok(values),
            _ => unsupported(format!("an input {position} that is computed at run time")),
        }
    }

    /// An input in the graph, as a constant if it is known.
    pub fn place(&self, graph: &mut Graph, position: usize) -> Result<ValueId, Wrong> {
        self.placed(graph, self.input(position)?)
    }

    pub fn placed(&self, graph: &mut Graph, value: &Value) -> Result<ValueId, Wrong> {
        match value {
            Value::Node(id) => Ok(*id),
            Value::Floats(tensor) if tensor.shape().elements() == 0 => unsupported("a tensor without elements"),
            Value::Floats(tensor) => Ok(graph.constant(self.name.clone(), tensor.clone())),
            Value::Ints(..) => unsupported("integers among floating-point numbers"),
        }
    }

    pub fn emit(&self, graph: &mut Graph, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, Wrong> {
        bounds::node(graph, &self.name, op, inputs)
    }

    pub fn unary(&self, graph: &mut Graph, function: UnaryFn, input: ValueId) -> Result<ValueId, Wrong> {
        self.emit(graph, Unary { function }, &[input])
    }

    pub fn reshape(&self, graph: &mut Graph, input: ValueId, dims: Vec<Dim>) -> Result<ValueId, Wrong> {
        self.emit(graph, Reshape { dims }, &[input])
    }

    /// Applies an operator's fused activation.
    pub fn activate(&self, graph: &mut Graph, code: Option<i8>, input: ValueId) -> Result<Value, Wrong> {
        let function = match code.unwrap_or(0) {
            0 => return Ok(Value::Node(input)),
            1 => UnaryFn::Relu,
            2 => UnaryFn::HardTanh,
            3 => UnaryFn::Relu6,
            4 => UnaryFn::Tanh,
            other => return unsupported(format!("fused activation {other}")),
        };
        Ok(Value::Node(self.unary(graph, function, input)?))
    }
}

/// A window over rows and columns.
pub(super) fn window(
    padding: Option<i8>,
    stride: [Option<i32>; 2],
    dilation: [Option<i32>; 2],
) -> Result<Window, Wrong> {
    let padding = match padding.unwrap_or(0) {
        0 => Padding::Same,
        1 => Padding::Valid,
        other => return invalid(format!("padding {other}")),
    };
    let stride = stride.map(|size| size_of("stride", size.unwrap_or(0)));
    let dilation = dilation.map(|size| size_of("dilation", size.unwrap_or(1)));
    let [stride_h, stride_w] = stride;
    let [dilation_h, dilation_w] = dilation;
    Ok(Window {
        stride: vec![stride_h?, stride_w?],
        dilation: vec![dilation_h?, dilation_w?],
        padding,
        ceil_mode: false,
    })
}

/// A size of at least 1.
pub(super) fn size_of(what: &str, size: i32) -> Result<usize, Wrong> {
    match usize::try_from(size) {
        Ok(size @ 1..) if size <= 1 << 24 => Ok(size),
        _ => invalid(format!("a {what} of {size}")),
    }
}
