//! Inputs of ONNX models: arrays by name, and shapes by name where the file leaves axes open.

use std::collections::BTreeMap;
use std::path::Path;

use super::Failure;
use crate::graph::Graph;
use crate::import::onnx::{Given, HostTensor, OnnxInput, OnnxModel};
use crate::tensor::{Tensor, read_npy};

type Inputs = BTreeMap<String, Tensor>;

/// Reads `[NAME=]FILE` arguments and builds the graph for their shapes, and for those of `NAME=1,3,224,224` arguments. An open
/// first axis is the batch; inputs that are not given are waves between -1 and 1.
pub(super) fn read(
    model: &OnnxModel,
    files: &[String],
    shapes: &[String],
    batch: Option<usize>,
) -> Result<(Graph, Inputs), Failure> {
    let (mut inputs, mut given) = (Inputs::new(), BTreeMap::new());
    for input in model.inputs() {
        let open = |(axis, size): (usize, &Option<usize>)| size.or((axis == 0).then_some(batch.unwrap_or(1)));
        let shape: Option<Vec<usize>> = input.shape.iter().enumerate().map(open).collect();
        given.extend(shape.map(|shape| (input.name.clone(), Given::Shape(shape))));
    }
    for argument in shapes {
        let (input, list) = input_of(model, argument)?;
        let list: Result<Vec<usize>, _> = list.split(',').map(|size| size.trim().parse()).collect();
        let list = list.map_err(|e| format!("`{argument}`: {e}; sizes are written as NAME=1,3,224,224"))?;
        given.insert(input.name.clone(), Given::Shape(list));
    }
    for argument in files {
        let (input, file) = input_of(model, argument)?;
        let tensor = read_npy(Path::new(file))?.to_f32();
        let values = tensor.f32s()?.iter().map(|&value| f64::from(value)).collect();
        let host = HostTensor::from_f64(tensor.shape().to_vec(), input.elem, values);
        let host = host.map_err(|what| format!("{file}: {what}"))?;
        given.insert(input.name.clone(), Given::Tensor(host));
        inputs.insert(input.name.clone(), tensor);
    }
    let graph = model.graph(&given)?.graph;
    inputs.retain(|name, _| graph.inputs().iter().any(|&id| graph.value(id).name == *name));
    for &id in graph.inputs() {
        let value = graph.value(id);
        inputs
            .entry(value.name.clone())
            .or_insert_with(|| Tensor::from_fn(value.ty.shape.clone(), |i| (i as f32 * 0.618_034).sin()));
    }
    Ok((graph, inputs))
}

/// The input that `[NAME=]VALUE` is about, and the value.
fn input_of<'a>(model: &'a OnnxModel, argument: &'a str) -> Result<(&'a OnnxInput, &'a str), Failure> {
    let named = argument
        .split_once('=')
        .and_then(|(name, value)| Some((model.inputs().iter().find(|input| input.name == name)?, value)));
    match (named, model.inputs()) {
        (Some(found), _) => Ok(found),
        (None, [only]) if !argument.contains('=') => Ok((only, argument)),
        (None, all) => {
            let names: Vec<String> = all.iter().map(|input| format!("`{}`", input.name)).collect();
            Err(format!("`{argument}` must be NAME=.. with an input of the model: {}", names.join(", ")).into())
        }
    }
}
