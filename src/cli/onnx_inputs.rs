//! Inputs of ONNX models: files by name, and shapes by name where the model leaves axes open.

use std::collections::BTreeMap;
use std::path::Path;

use super::Failure;
use super::inputs::{Reader, named};
use crate::graph::Graph;
use crate::import::onnx::{Elem, Given, HostTensor, OnnxModel};
use crate::tensor::Tensor;

type Inputs = BTreeMap<String, Tensor>;

/// Reads `[NAME=]FILE` arguments and builds the graph for their shapes, and for those of `NAME=1,3,224,224` arguments. An open
/// first axis is the batch; inputs that are not given are waves between -1 and 1.
pub(super) fn read(
    model: &OnnxModel,
    files: &[String],
    shapes: &[String],
    batch: Option<usize>,
    reader: &mut Reader<'_>,
) -> Result<(Graph, Inputs), Failure> {
    let (mut inputs, mut given) = (Inputs::new(), given_shapes(model, shapes, batch, None)?);
    let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
    for argument in files {
        let (position, file) = named("input", &names, argument)?;
        let input = &model.inputs()[position];
        let shape = match given.get(&input.name) {
            Some(Given::Shape(shape)) => shape.iter().copied().map(Some).collect(),
            _ => input.shape.clone(),
        };
        let tensor = reader.read(&input.name, &shape, Path::new(file))?;
        let values = tensor.f32s()?.iter().map(|&value| f64::from(value)).collect();
        let host = HostTensor::from_f64(tensor.shape().to_vec(), input.elem, values);
        let host = host.map_err(|what| format!("{file}: {what}"))?;
        given.insert(input.name.clone(), Given::Tensor(host));
        inputs.insert(input.name.clone(), tensor);
    }
    let graph = graph_of(model, given)?;
    inputs.retain(|name, _| graph.inputs().iter().any(|&id| graph.value(id).name == *name));
    for &id in graph.inputs() {
        let value = graph.value(id);
        inputs
            .entry(value.name.clone())
            .or_insert_with(|| Tensor::from_fn(value.ty.shape.clone(), |i| (i as f32 * 0.618_034).sin()));
    }
    Ok((graph, inputs))
}

/// Sizes of inputs from `[NAME=]1,3,224,224` arguments.
pub(super) fn sizes(names: &[&str], arguments: &[String]) -> Result<BTreeMap<String, Vec<usize>>, Failure> {
    let mut sizes = BTreeMap::new();
    for argument in arguments {
        let (position, list) = named("input", names, argument)?;
        let list: Result<Vec<usize>, _> = list.split(',').map(|size| size.trim().parse()).collect();
        let list = list.map_err(|e| format!("`{argument}`: {e}; sizes are written as NAME=1,3,224,224"))?;
        sizes.insert(names[position].to_string(), list);
    }
    Ok(sizes)
}

/// The shapes of `NAME=1,3,224,224` arguments, and of the inputs that the file leaves open in their first axis only, which is
/// the batch, or in axes that `open` stands in for.
pub(super) fn given_shapes(
    model: &OnnxModel,
    shapes: &[String],
    batch: Option<usize>,
    open: Option<usize>,
) -> Result<BTreeMap<String, Given>, Failure> {
    let mut given = BTreeMap::new();
    for input in model.inputs() {
        let size = |(axis, size): (usize, &Option<usize>)| size.or(if axis == 0 { batch.or(Some(1)) } else { open });
        let shape: Option<Vec<usize>> = input.shape.iter().enumerate().map(size).collect();
        given.extend(shape.map(|shape| (input.name.clone(), Given::Shape(shape))));
    }
    let names: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
    given.extend(sizes(&names, shapes)?.into_iter().map(|(name, shape)| (name, Given::Shape(shape))));
    Ok(given)
}

/// The graph. Integers that `f32` holds exactly, pictures above all, go in when it runs unless an op must know them before.
fn graph_of(model: &OnnxModel, given: BTreeMap<String, Given>) -> Result<Graph, Failure> {
    let small = |given: &Given| match given {
        Given::Tensor(tensor) if matches!(tensor.elem, Elem::U8 | Elem::I8 | Elem::U16 | Elem::I16 | Elem::Bool) => {
            Given::Shape(tensor.shape.clone())
        }
        other => other.clone(),
    };
    let later: BTreeMap<String, Given> = given.iter().map(|(name, given)| (name.clone(), small(given))).collect();
    if later != given
        && let Ok(graph) = model.graph(&later)
    {
        return Ok(graph.graph);
    }
    Ok(model.graph(&given)?.graph)
}
