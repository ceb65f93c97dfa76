//! Every op of a graph as ONNX nodes: one function per op, and a reason where ONNX has none.

use std::collections::HashSet;

use super::build::{Builder, Known, Name, identity, int, ints, place_of};
use super::{elementwise, movement, normalize, windows};
use crate::graph::{Graph, Node, Origin, ValueId};
use crate::ops::{MatMul, Op, Reduce, ReduceFn, Softmax, SoftmaxKind};
use crate::tensor::TensorType;

/// A graph on its way into a file. It is there twice, for two batches and for two sizes of every open axis: what differs is
/// open in the file.
pub(super) struct Translator<'a> {
    graphs: [&'a Graph; 2],
    pub build: Builder,
    known: Vec<Option<Known>>,
    readers: Vec<Vec<usize>>,
    done: HashSet<usize>,
}

impl<'a> Translator<'a> {
    pub fn new(graphs: [&'a Graph; 2]) -> Translator<'a> {
        let readers = graphs[0].readers();
        let known = vec![None; graphs[0].values().len()];
        Translator { graphs, build: Builder::new(), known, readers, done: HashSet::new() }
    }

    /// Sizes of a value's axes, `None` where they are open.
    pub fn sizes(&self, value: ValueId) -> Vec<Option<usize>> {
        let [a, b] = self.graphs.map(|graph| &graph.ty(value).shape);
        a.iter().zip(b.iter()).map(|(&a, &b)| (a == b).then_some(a)).collect()
    }

    /// Whether axis `from` of one value is as long as axis `to` of another, whatever the sizes.
    pub fn same_size(&self, (value, from): (ValueId, usize), (other, to): (ValueId, usize)) -> bool {
        self.graphs.iter().all(|graph| graph.ty(value).shape.get(from) == graph.ty(other).shape.get(to))
    }

    /// The types of a node's inputs, for both graphs.
    pub fn types(&self, node: &Node) -> [Vec<TensorType>; 2] {
        self.graphs.map(|graph| graph.input_types(node))
    }

    pub fn set(&mut self, value: ValueId, known: Known) {
        self.known[value.index()] = Some(known);
    }

    /// A value of the graph: computed by now, or a constant.
    pub fn get(&mut self, value: ValueId) -> Result<Known, String> {
        if let Some(known) = self.known[value.index()] {
            return Ok(known);
        }
        let Origin::Constant(tensor) = &self.graphs[0].value(value).origin else {
            return Err("an input that nothing computes".into());
        };
        let known = self.build.constant(self.graphs[0].value(value).name.clone(), tensor.to_f32());
        self.set(value, known);
        Ok(known)
    }

    /// An input of a node.
    pub fn input(&mut self, node: &Node, position: usize) -> Result<Known, String> {
        let value = node.inputs.get(position).copied().ok_or_else(|| format!("input {position} is missing"))?;
        self.get(value)
    }

    /// The (first) output of a node, as a name of the file with its order of axes.
    pub fn output(&mut self, node: &Node, order: Vec<usize>, name: Name) -> Known {
        let sizes = self.sizes(node.outputs[0]);
        self.build.value(sizes, order, name)
    }

    /// The one node that reads a value, if it is no output of the graph.
    pub fn only_reader(&self, value: ValueId) -> Option<(usize, &'a Node)> {
        let [position] = self.readers[value.index()][..] else { return None };
        let reader = self.graphs[0].nodes().get(position)?;
        (!self.graphs[0].is_output(value)).then_some((position, reader))
    }

    /// Says that a node is written already, as part of another.
    pub fn skip(&mut self, position: usize) {
        self.done.insert(position);
    }

    /// The constant behind a value, if it is one.
    pub fn constant(&self, value: ValueId) -> bool {
        self.graphs[0].as_constant(value).is_some()
    }

    /// Writes every node; errors are gathered with the names of their nodes.
    pub fn nodes(&mut self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        for (position, node) in self.graphs[0].nodes().iter().enumerate() {
            if self.done.contains(&position) {
                continue;
            }
            self.build.scope = node.name.clone();
            match translate(self, node) {
                Ok(Some(known)) => self.set(node.outputs[0], known),
                Ok(None) => {}
                Err(why) => {
                    wrong.push(format!("`{}` ({}): {why}", node.name, node.op));
                    // Whoever reads it must not be blamed.
                    for &output in &node.outputs {
                        let (sizes, order) = (self.sizes(output), identity(self.sizes(output).len()));
                        let known = self.build.value(sizes, order, Name::NONE);
                        self.set(output, known);
                    }
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// Writes one node and returns its output, unless it has been set (a node that became part of another).
fn translate(t: &mut Translator<'_>, node: &Node) -> Result<Option<Known>, String> {
    match &node.op {
        Op::Conv(op) => windows::conv(t, node, op).map(|()| None),
        Op::ConvTranspose(op) => windows::conv_transpose(t, node, op).map(|()| None),
        Op::Pool(op) => windows::pool(t, node, op).map(Some),
        Op::MatMul(op) => matmul(t, node, op).map(Some),
        Op::Unary(op) => {
            let x = t.input(node, 0)?;
            elementwise::unary(t, x, op.function).map(Some)
        }
        Op::Binary(op) => {
            let (a, b) = (t.input(node, 0)?, t.input(node, 1)?);
            let sizes = t.sizes(node.outputs[0]);
            elementwise::binary(t, op.function, a, b, sizes).map(Some)
        }
        Op::Select(_) => {
            let inputs = [t.input(node, 0)?, t.input(node, 1)?, t.input(node, 2)?];
            let sizes = t.sizes(node.outputs[0]);
            elementwise::select(t, inputs, sizes).map(Some)
        }
        Op::Gather(op) => movement::gather(t, node, op).map(Some),
        Op::Reduce(op) => reduce(t, node, op).map(Some),
        Op::Softmax(op) => softmax(t, node, op).map(Some),
        Op::Normalize(op) => normalize::normalize(t, node, op).map(Some),
        Op::BatchNorm(op) => normalize::batch_norm(t, node, op).map(Some),
        Op::Reshape(op) => movement::reshape(t, node, op).map(Some),
        Op::Transpose(op) => {
            let x = t.input(node, 0)?;
            t.build.turned(x, &op.perm).map(Some)
        }
        Op::Concat(op) => movement::concat(t, node, op).map(Some),
        Op::Slice(op) => movement::slice(t, node, op).map(Some),
        Op::Pad(op) => movement::pad(t, node, op).map(Some),
        Op::Resize(op) => movement::resize(t, node, op).map(Some),
        Op::Expand(op) => movement::expand(t, node, op).map(Some),
        Op::Separable(_) | Op::InvertedResidual(_) | Op::SqueezeExcite(_) | Op::Winograd(_) | Op::Chain(_) => {
            Err("an op joined for one device; export the graph as it is before `passes::specialize`".into())
        }
        Op::Moments(_)
        | Op::Random(_)
        | Op::ConvGradFilter(_)
        | Op::PoolGrad(_)
        | Op::UnaryGrad(_)
        | Op::SliceGrad(_)
        | Op::PadGrad(_)
        | Op::ResizeGrad(_)
        | Op::Update(_) => Err("an op of training, which ONNX files for inference do not hold".into()),
    }
}

fn matmul(t: &mut Translator<'_>, node: &Node, op: &MatMul) -> Result<Known, String> {
    let mut operands = [Name::NONE; 2];
    for (position, swap) in [op.transpose_a, op.transpose_b].into_iter().enumerate() {
        let value = t.input(node, position)?;
        let rank = t.build.rank(value);
        let mut order = identity(rank);
        if swap {
            order.swap(rank - 1, rank - 2);
        }
        operands[position] = t.build.form(value, &order)?;
    }
    let y = t.build.emit("MatMul", &operands, vec![]);
    let sizes = t.sizes(node.outputs[0]);
    let order = identity(sizes.len());
    Ok(t.build.value(sizes, order, y))
}

fn reduce(t: &mut Translator<'_>, node: &Node, op: &Reduce) -> Result<Known, String> {
    let x = t.input(node, 0)?;
    if op.axes.is_empty() {
        return Ok(x);
    }
    let order = t.build.native(x);
    let mut axes: Vec<i64> = op.axes.iter().map(|&axis| place_of(axis, &order) as i64).collect();
    axes.sort_unstable();
    let source = t.build.form(x, &order)?;
    let axes = t.build.list(axes);
    let name = match op.function {
        ReduceFn::Sum => "ReduceSum",
        ReduceFn::Mean => "ReduceMean",
        ReduceFn::Max => "ReduceMax",
        ReduceFn::Min => "ReduceMin",
    };
    let y = t.build.emit(name, &[source, axes], vec![int("keepdims", i64::from(op.keepdims))]);
    let kept: Vec<usize> = (0..order.len()).filter(|axis| op.keepdims || !op.axes.contains(axis)).collect();
    let left = order.iter().filter_map(|axis| kept.iter().position(|own| own == axis)).collect();
    Ok(t.output(node, left, y))
}

fn softmax(t: &mut Translator<'_>, node: &Node, op: &Softmax) -> Result<Known, String> {
    let name = match op.kind {
        SoftmaxKind::Softmax => "Softmax",
        SoftmaxKind::LogSoftmax => "LogSoftmax",
        SoftmaxKind::Sparsemax => return Err("ONNX has no sparsemax".into()),
    };
    let x = t.input(node, 0)?;
    let order = t.build.native(x);
    let source = t.build.form(x, &order)?;
    let y = t.build.emit(name, &[source], vec![int("axis", place_of(op.axis, &order) as i64)]);
    Ok(t.output(node, order, y))
}

/// A list attribute of sizes.
pub(super) fn sizes_attribute(name: &str, sizes: &[usize]) -> crate::import::onnx::proto::AttributeProto {
    ints(name, sizes.iter().map(|&size| size as i64))
}
