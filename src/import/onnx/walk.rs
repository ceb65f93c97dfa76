//! The walk over a model's nodes that builds its graph.

use std::collections::BTreeMap;

use super::dispatch;
use super::functions::{Budget, Step, expand, is_onnx};
use super::lower::{Call, Lower, Lowered, Value, Wrong};
use super::{Given, OnnxError, OnnxGraph, OnnxModel, OnnxOutput};
use crate::import::bounds::Room;

/// What a node was refused for.
#[derive(Debug)]
pub(super) struct Refused {
    pub op: String,
    pub opset: i64,
    pub why: String,
    pub node: String,
}

/// An op as errors name it: with its domain unless it is ONNX's own.
pub(super) fn full_name(step: &Step) -> String {
    match is_onnx(&step.node.domain) {
        true => step.node.op_type.clone(),
        false => format!("{}.{}", step.node.domain, step.node.op_type),
    }
}

/// Whether a node's op is supported as such.
pub(super) fn is_known(step: &Step) -> bool {
    is_onnx(&step.node.domain) && dispatch::is_supported(&step.node.op_type)
}

/// Every value of a model for these inputs, and the graph that computes them.
pub(super) fn lower(model: &OnnxModel, given: &BTreeMap<String, Given>) -> Result<Lower, OnnxError> {
    let walk = walked(model, given)?;
    model.unsupported(walk.refused)?;
    Ok(walk.lower)
}

/// What is not supported for these inputs; nodes that read what refused ones would have computed are not looked at.
pub(super) fn refused(model: &OnnxModel, given: &BTreeMap<String, Given>) -> Result<Vec<Refused>, OnnxError> {
    Ok(walked(model, given)?.refused)
}

fn walked<'a>(model: &'a OnnxModel, given: &BTreeMap<String, Given>) -> Result<Walk<'a>, OnnxError> {
    let stored: usize = model.initializers.values().map(|tensor| tensor.len() * tensor.width()).sum();
    let lower = Lower::new(Room::beside(stored.saturating_add(model.held)));
    let mut walk = Walk { model, lower, refused: Vec::new(), branches: Budget::new() };
    for input in &model.inputs {
        let value = model.place_input(&mut walk.lower, input, given.get(&input.name))?;
        walk.lower.values.insert(input.name.clone(), value);
    }
    for (name, tensor) in &model.initializers {
        walk.lower.values.insert(name.clone(), Value::Host(tensor.clone()));
    }
    walk.steps(&model.steps, 0)?;
    Ok(walk)
}

/// The graph for these inputs.
pub(super) fn graph(model: &OnnxModel, given: &BTreeMap<String, Given>) -> Result<OnnxGraph, OnnxError> {
    let mut lower = lower(model, given)?;
    let mut outputs = Vec::new();
    for name in &model.outputs {
        let value = lower.values.get(name).cloned();
        match value.ok_or_else(|| model.damaged(format!("nothing computes the output `{name}`")))? {
            Value::Host(tensor) => outputs.push((name.clone(), OnnxOutput::Known(tensor))),
            Value::Node(id, elem) => {
                lower.graph.output(name.clone(), id);
                outputs.push((name.clone(), OnnxOutput::Computed(elem)));
            }
        }
    }
    let counted: Vec<String> = lower.quantised.iter().map(|(op, count)| format!("{op} x{count}")).collect();
    let mut notes = Vec::new();
    if !counted.is_empty() {
        notes.push(format!("quantised nodes run dequantised, with f32 numbers: {}", counted.join(", ")));
    }
    if !lower.rounded.is_empty() {
        let nodes = lower.rounded.join(", ");
        notes.push(format!(
            "sums of integers above 2^24 are rounded to the 24 bits of f32, if there are any, at: {nodes}"
        ));
    }
    Ok(OnnxGraph { graph: lower.graph, outputs, notes, integers: lower.integers })
}

/// Branches within branches.
const DEEPEST: usize = 64;

struct Walk<'a> {
    model: &'a OnnxModel,
    lower: Lower,
    refused: Vec<Refused>,
    /// What branches may still cost, all together.
    branches: Budget,
}

impl Walk<'_> {
    fn steps(&mut self, steps: &[Step], depth: usize) -> Result<(), OnnxError> {
        for step in steps {
            if depth == 0 {
                self.lower.starts.push(self.lower.graph.nodes().len());
            }
            let wrong = |what: String| OnnxError::Node {
                path: self.model.path.clone(),
                node: step.name.clone(),
                op: step.node.op_type.clone(),
                what,
            };
            let refuse = |why: String| Refused { op: full_name(step), opset: step.opset, why, node: step.name.clone() };
            if !is_known(step) {
                self.refused.push(refuse(String::new()));
                continue;
            }
            let mut inputs = Vec::with_capacity(step.node.input.len());
            let mut missing = None;
            for input in &step.node.input {
                let value = self.lower.values.get(input).cloned();
                if value.is_none() && !input.is_empty() {
                    missing = Some(input);
                }
                inputs.push(value);
            }
            if let Some(missing) = missing {
                // What a refused node would have computed is missing for its readers as well.
                if self.refused.is_empty() {
                    return Err(wrong(format!("nothing computes its input `{missing}`")));
                }
                continue;
            }
            let folder = super::folder_of(&self.model.path);
            let call = Call { node: &step.node, name: step.name.clone(), opset: step.opset, inputs, folder };
            let before = self.refused.len();
            let outputs = match dispatch::translation(&step.node.op_type) {
                Some(translate) => translated(&mut self.lower, &call, translate),
                None => self.branch(&call, depth)?,
            };
            match outputs {
                Ok(outputs) => {
                    for (name, value) in step.node.output.iter().zip(outputs) {
                        if let Value::Host(tensor) = &value {
                            self.lower.room.spend(&tensor.shape, tensor.width()).map_err(wrong)?;
                        }
                        if matches!(value, Value::Node(_, elem) if elem.is_wide_integer()) {
                            self.lower.integers.push(name.clone());
                        }
                        self.lower.values.insert(name.clone(), value);
                    }
                }
                // A branch has said what is wrong inside of it.
                Err(Wrong::Unsupported(_)) if self.refused.len() > before => {}
                Err(Wrong::Unsupported(why)) => self.refused.push(refuse(why)),
                Err(Wrong::Invalid(what)) => return Err(wrong(what)),
            }
        }
        Ok(())
    }

    /// `If` with a known condition: the branch that is taken.
    fn branch(&mut self, call: &Call<'_>, depth: usize) -> Result<Lowered, OnnxError> {
        let taken = match call.known(0) {
            Ok(Some(condition)) => condition.first().is_some_and(|condition| condition != 0.0),
            Ok(None) => return Ok(super::lower::invalid("no condition is given")),
            Err(_) => return Ok(super::lower::unsupported("a condition that is computed at run time")),
        };
        let Some(branch) = call.graph(if taken { "then_branch" } else { "else_branch" }) else {
            return Ok(super::lower::invalid("a branch is missing"));
        };
        if depth >= DEEPEST {
            return Ok(super::lower::unsupported(format!("branches more than {DEEPEST} levels deep")));
        }
        for tensor in &branch.initializer {
            match super::stored::read_tensor(tensor.clone(), call.folder) {
                Ok(known) => self.lower.values.insert(tensor.name.clone(), Value::Host(known)),
                Err(what) => return Ok(super::lower::invalid(what)),
            };
        }
        let steps = match expand(branch.node.iter().cloned(), call.opset, &self.model.functions, &mut self.branches) {
            Ok(steps) => steps,
            Err(what) => return Ok(super::lower::invalid(what)),
        };
        self.steps(&steps, depth + 1)?;
        let outputs: Option<Vec<Value>> =
            branch.output.iter().map(|info| self.lower.values.get(&info.name).cloned()).collect();
        Ok(match outputs {
            Some(outputs) => Ok(outputs),
            None if self.refused.is_empty() => super::lower::invalid("nothing computes an output of the branch"),
            None => super::lower::unsupported("a branch that is not supported"),
        })
    }
}

/// The outputs of a node. Integers and booleans that follow from known inputs are known themselves.
fn translated(lower: &mut Lower, call: &Call<'_>, translate: dispatch::Translation) -> Lowered {
    let before = lower.graph.nodes().len();
    let outputs = translate(lower, call)?;
    let known = call.inputs.iter().flatten().all(|value| matches!(value, Value::Host(_)));
    let whole = |value: &Value| matches!(value, Value::Node(_, elem) if !elem.is_float());
    if known && outputs.iter().any(whole) { lower.folded(before, outputs) } else { Ok(outputs) }
}
