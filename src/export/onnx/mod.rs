//! ONNX files: a graph's ops as nodes of ONNX, weights as initializers, axes of open size by name.

mod build;
mod elementwise;
mod file;
mod movement;
mod normalize;
mod translate;
mod windows;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use self::build::Built;
use self::translate::Translator;
use super::ExportError;
use crate::graph::{Graph, Origin, ValueId};
use crate::import::onnx::proto::{
    DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::import::onnx::{Given, OnnxModel, WEIGHT_ORDERS, WeightOrder};
use crate::layers::Model;
use crate::ops::Op;

/// The op set that files are written for: the first that has `Gelu` and `Mish`.
pub const OPSET: i64 = 20;

/// The version of the file format that goes with [`OPSET`].
const IR_VERSION: i64 = 9;

/// How an ONNX file is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnnxOptions {
    /// The batch size; by default it stays open, under the name `batch`.
    pub batch: Option<usize>,
    /// Keep the weights in a file of their own beside the model (`NAME.onnx.data`), as models of more than 2 GB always do.
    pub external_data: bool,
}

/// Sizes that stand for open axes in the two graphs that are compared: the batch, and the axis at a position.
const OPEN: [(usize, usize); 2] = [(2, 448), (3, 640)];

fn probe(which: usize, batch: Option<usize>, axis: usize) -> usize {
    let (own, open) = OPEN[which];
    // Axes of other positions get other sizes, so that one cannot be taken for another.
    if axis == 0 { batch.unwrap_or(own) } else { open + 64 * axis }
}

/// Writes a model of layers as ONNX, its inputs and outputs as they are in the model, with their names. Returns what is not in the
/// file as it is in the model.
///
/// # Errors
/// [`ExportError::Onnx`] with every node that ONNX has no ops for, [`ExportError::File`] when the file cannot be written.
pub fn write_onnx(path: &Path, model: &Model, options: &OnnxOptions) -> Result<Vec<String>, ExportError> {
    let mut graphs = Vec::with_capacity(2);
    for which in 0..2 {
        let shape = |sizes: &[Option<usize>]| -> Vec<usize> {
            let sizes = sizes.iter().enumerate();
            sizes.map(|(axis, size)| size.unwrap_or_else(|| probe(which, None, axis + 1))).collect()
        };
        let shapes = model.inputs().iter().map(|input| (input.name.clone(), shape(&input.shape))).collect();
        graphs.push(model.graph_for(probe(which, options.batch, 0), &shapes)?);
    }
    let weights: HashSet<String> = model.named_weights().into_iter().map(|(name, _)| name).collect();
    let mut built = build([&graphs[0], &graphs[1]], model.name(), options.batch)
        .map_err(|nodes| ExportError::Onnx { path: path.to_path_buf(), nodes })?;
    built.orders.retain(|name, _| weights.contains(name));
    file::write(path, finished(built.graph, Some(&built.orders)), options.external_data)?;
    Ok(Vec::new())
}

/// Writes an ONNX model anew, as this crate understands it: in one op set, without what is known beforehand. Returns what is not
/// in the file as it was.
///
/// # Errors
/// [`ExportError::Import`] when the model makes no graph for the shapes it declares, otherwise as [`write_onnx`].
pub fn rewrite_onnx(path: &Path, model: &OnnxModel, options: &OnnxOptions) -> Result<Vec<String>, ExportError> {
    let graph = |which: usize, batch: Option<usize>| {
        let given = model.inputs().iter().map(|input| {
            let sizes = input.shape.iter().enumerate();
            let shape = sizes.map(|(axis, size)| size.unwrap_or_else(|| probe(which, batch, axis))).collect();
            (input.name.clone(), Given::Shape(shape))
        });
        model.graph(&given.collect::<BTreeMap<_, _>>())
    };
    let (a, b) = (graph(0, options.batch)?, graph(1, options.batch)?);
    let known: Vec<String> = a.outputs.iter().map(|(name, _)| name.clone()).collect();
    if a.graph.outputs().len() != known.len() {
        let nodes = vec![format!("outputs {known:?}, of which some are known without running anything")];
        return Err(ExportError::Onnx { path: path.to_path_buf(), nodes });
    }
    let built = build([&a.graph, &b.graph], "model", options.batch);
    let built = built.map_err(|nodes| ExportError::Onnx { path: path.to_path_buf(), nodes })?;
    file::write(path, finished(built.graph, None), options.external_data)?;
    Ok(vec![format!("written for opset {OPSET}; numbers are float, and names of weights are those of their nodes")])
}

/// The model message around a graph, with the orders in which the weights of layers lie in it.
fn finished(graph: GraphProto, orders: Option<&BTreeMap<String, WeightOrder>>) -> ModelProto {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
    let orders = orders.map(|orders| entry(WEIGHT_ORDERS, serde_json::json!(orders).to_string()));
    ModelProto {
        ir_version: IR_VERSION,
        producer_name: "wgconv".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: orders.into_iter().collect(),
        ..ModelProto::default()
    }
}

/// Whether two graphs differ in sizes alone.
fn same_but_for_sizes(a: &Graph, b: &Graph) -> bool {
    let ops = a.nodes().iter().zip(b.nodes()).all(|(a, b)| {
        let same = match (&a.op, &b.op) {
            (Op::Reshape(a), Op::Reshape(b)) => a.dims.len() == b.dims.len(),
            (Op::Expand(a), Op::Expand(b)) => a.dims.len() == b.dims.len(),
            (a, b) => a == b,
        };
        same && a.inputs == b.inputs && a.outputs == b.outputs
    });
    let constants = a.values().iter().zip(b.values()).all(|(a, b)| match (&a.origin, &b.origin) {
        (Origin::Constant(x), Origin::Constant(y)) => x.shape() == y.shape() && (x.data_id() == y.data_id() || x == y),
        (a, b) => a == b,
    });
    let lengths = a.nodes().len() == b.nodes().len() && a.values().len() == b.values().len();
    lengths && ops && constants && a.inputs() == b.inputs() && a.outputs() == b.outputs()
}

/// Translates a graph that is there for two sizes of every open axis.
fn build([a, b]: [&Graph; 2], name: &str, batch: Option<usize>) -> Result<Built, Vec<String>> {
    if !same_but_for_sizes(a, b) {
        return Err(vec!["the graph is another for another batch or picture size; give the batch".into()]);
    }
    let mut t = Translator::new([a, b]);
    let info = |t: &Translator<'_>, name: &str, value: ValueId| {
        let is_batch = |axis: usize| {
            let sizes = [a, b].map(|graph| graph.ty(value).shape[axis]);
            batch.is_none() && sizes == [probe(0, None, 0), probe(1, None, 0)]
        };
        let dim = |(axis, size): (usize, &Option<usize>)| DimensionProto {
            dim_value: size.map(|size| size as i64),
            dim_param: match size {
                Some(_) => String::new(),
                None if is_batch(axis) => "batch".into(),
                None => format!("{name}_axis_{axis}"),
            },
        };
        let shape = TensorShapeProto { dim: t.sizes(value).iter().enumerate().map(dim).collect() };
        let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: Some(shape) });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    };
    for &input in a.inputs() {
        let (sizes, info) = (t.sizes(input), info(&t, &a.value(input).name, input));
        let known = t.build.input(sizes, info);
        t.set(input, known);
    }
    t.nodes()?;
    let mut outputs = Vec::with_capacity(a.outputs().len());
    for (name, value) in a.outputs() {
        t.build.scope = name.clone();
        let output = t.get(*value).and_then(|known| t.build.plain(known)).map_err(|why| vec![why])?;
        outputs.push((output, info(&t, name, *value)));
    }
    Ok(t.build.finish(name, outputs))
}
