//! Inputs of models that are graphs: files by name, and shapes by name where the model leaves axes open.

use std::collections::BTreeMap;
use std::path::Path;

use super::Failure;
use super::inputs::{Inputs, Reader, all_or_none, fit_batch, named, once};
use super::source::Source;
use crate::graph::Graph;
use crate::tensor::Precision;

/// Reads `[NAME=]FILE` arguments and builds the graph for their shapes, and for those of `NAME=1,3,224,224` arguments. An open
/// first axis is the batch.
pub(super) fn read(
    source: &Source,
    files: &[String],
    sizes: &[String],
    batch: Option<usize>,
    reader: &mut Reader<'_>,
    precision: Precision,
) -> Result<(Graph, Inputs), Failure> {
    let takes = source.inputs();
    let names: Vec<&str> = takes.iter().map(|(name, _)| *name).collect();
    let (mut inputs, mut known) = (Inputs::new(), shapes(source, sizes, batch, None)?);
    let asked = self::sizes(&names, sizes)?;
    for argument in files {
        let (position, file) = named("input", &names, argument)?;
        let (name, own) = &takes[position];
        let shape = known.get(*name).map_or(own.clone(), |sizes| sizes.iter().copied().map(Some).collect());
        let mut tensor = reader.read(name, &shape, Path::new(file))?;
        if let (Some(batch), Some(None)) = (batch, own.first()) {
            tensor = fit_batch(name, &tensor, batch)?;
        }
        if let Some(asked) = asked.get(*name).filter(|asked| ***asked != **tensor.shape()) {
            let is = tensor.shape();
            return Err(format!("{file}: {is} goes into `{name}`, and --input-shape says {asked:?}").into());
        }
        known.insert(name.to_string(), tensor.shape().to_vec());
        once("input", &mut inputs, name, tensor)?;
    }
    let graph = source.graph(&known, &inputs, precision)?;
    all_or_none(&graph, &inputs)?;
    // What an op had to know before is part of the graph already.
    inputs.retain(|name, _| graph.inputs().iter().any(|&id| graph.value(id).name == *name));
    Ok((graph, inputs))
}

/// Sizes of inputs from `[NAME=]1,3,224,224` arguments.
pub(super) fn sizes(names: &[&str], arguments: &[String]) -> Result<BTreeMap<String, Vec<usize>>, Failure> {
    let mut sizes = BTreeMap::new();
    for argument in arguments {
        let (position, list) = named("input", names, argument)?;
        let list: Result<Vec<usize>, _> = list.split(',').map(|size| size.trim().parse()).collect();
        let list = list.map_err(|e| format!("`{argument}`: {e}; sizes are written as NAME=1,3,224,224"))?;
        once("--input-shape of", &mut sizes, names[position], list)?;
    }
    Ok(sizes)
}

/// The shapes of `NAME=1,3,224,224` arguments, and of the inputs that the file leaves open in their first axis only, which is
/// the batch, or in axes that `open` stands in for.
pub(super) fn shapes(
    source: &Source,
    arguments: &[String],
    batch: Option<usize>,
    open: Option<usize>,
) -> Result<BTreeMap<String, Vec<usize>>, Failure> {
    let (takes, mut known) = (source.inputs(), BTreeMap::new());
    for (name, shape) in &takes {
        let size = |(axis, size): (usize, &Option<usize>)| size.or(if axis == 0 { batch.or(Some(1)) } else { open });
        let shape: Option<Vec<usize>> = shape.iter().enumerate().map(size).collect();
        known.extend(shape.map(|shape| (name.to_string(), shape)));
    }
    let names: Vec<&str> = takes.iter().map(|(name, _)| *name).collect();
    known.extend(sizes(&names, arguments)?);
    Ok(known)
}
