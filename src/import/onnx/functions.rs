//! Calls of a model's own functions, replaced by the nodes that the functions are made of.

use std::collections::HashMap;

use super::proto::{FunctionProto, GraphProto, NodeProto, OperatorSetIdProto};

/// A node of an op, and the version of the op set that it was written for.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub node: NodeProto,
    /// For errors and prints.
    pub name: String,
    pub opset: i64,
}

/// Calls within calls, which no exporter nests this deep; functions that call themselves do.
const DEEPEST: usize = 64;
/// Nodes of a whole model.
const MOST_STEPS: usize = 1 << 20;

/// Whether a domain is ONNX's own.
pub(super) fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// The version of ONNX's op set among those that are imported.
pub(super) fn opset_of(imports: &[OperatorSetIdProto]) -> Option<i64> {
    imports.iter().find(|set| is_onnx(&set.domain)).map(|set| set.version)
}

/// The nodes in order, calls of functions replaced by their bodies.
///
/// # Errors
/// When functions call themselves, or there are too many nodes.
pub(super) fn expand(nodes: Vec<NodeProto>, opset: i64, functions: &[FunctionProto]) -> Result<Vec<Step>, String> {
    let mut steps = Vec::with_capacity(nodes.len());
    expand_into(&mut steps, nodes, opset, functions, "", 0)?;
    Ok(steps)
}

fn expand_into(
    steps: &mut Vec<Step>,
    nodes: Vec<NodeProto>,
    opset: i64,
    functions: &[FunctionProto],
    within: &str,
    depth: usize,
) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("functions call each other more than {DEEPEST} levels deep, at `{within}`"));
    }
    for (position, node) in nodes.into_iter().enumerate() {
        let name = format!("{within}{}", name_of(&node, position));
        let called = |function: &&FunctionProto| {
            function.name == node.op_type
                && (function.domain == node.domain || (is_onnx(&function.domain) && is_onnx(&node.domain)))
                && (function.overload.is_empty() || function.overload == node.overload)
        };
        match functions.iter().find(called) {
            Some(function) => {
                // The number of nodes so far tells calls of the same name apart.
                let body = inlined(function, &node, &format!("{name}#{}/", steps.len()));
                let opset = opset_of(&function.opset_import).unwrap_or(opset);
                expand_into(steps, body, opset, functions, &format!("{name}/"), depth + 1)?;
            }
            None => steps.push(Step { node, name, opset }),
        }
        if steps.len() > MOST_STEPS {
            return Err(format!("more than {MOST_STEPS} nodes"));
        }
    }
    Ok(())
}

fn name_of(node: &NodeProto, position: usize) -> String {
    match (node.name.is_empty(), node.output.first()) {
        (false, _) => node.name.clone(),
        (true, Some(output)) => output.clone(),
        (true, None) => format!("{}_{position}", node.op_type),
    }
}

/// A function's nodes for one call: its values under names of their own, its attributes those of the call.
fn inlined(function: &FunctionProto, call: &NodeProto, prefix: &str) -> Vec<NodeProto> {
    let mut names: HashMap<String, String> = HashMap::new();
    for (formal, actual) in [(&function.input, &call.input), (&function.output, &call.output)] {
        for (i, name) in formal.iter().enumerate() {
            let actual = actual.get(i).filter(|actual| !actual.is_empty());
            match actual {
                Some(actual) => names.insert(name.clone(), actual.clone()),
                // An input that is not given is absent in the body, too; an output nobody asks for is a value like others.
                None if std::ptr::eq(formal, &function.input) => names.insert(name.clone(), String::new()),
                None => None,
            };
        }
    }
    let mut body = function.node.clone();
    body.iter_mut().for_each(|node| bind(node, function, call, &names, prefix));
    body
}

fn bind(
    node: &mut NodeProto,
    function: &FunctionProto,
    call: &NodeProto,
    names: &HashMap<String, String>,
    prefix: &str,
) {
    let rename = |name: &mut String| {
        if !name.is_empty() {
            *name = names.get(name).cloned().unwrap_or_else(|| format!("{prefix}{name}"));
        }
    };
    node.input.iter_mut().chain(&mut node.output).for_each(rename);
    node.attribute.retain_mut(|attribute| {
        if attribute.ref_attr_name.is_empty() {
            return true;
        }
        let referred = |given: &&super::proto::AttributeProto| given.name == attribute.ref_attr_name;
        let given = call.attribute.iter().find(referred).or(function.attribute_proto.iter().find(referred));
        match given {
            Some(given) => {
                *attribute =
                    super::proto::AttributeProto { name: std::mem::take(&mut attribute.name), ..given.clone() };
                true
            }
            None => false,
        }
    });
    for branch in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_mut()) {
        let GraphProto { node, initializer, output, .. } = branch;
        initializer.iter_mut().for_each(|tensor| rename(&mut tensor.name));
        output.iter_mut().for_each(|info| rename(&mut info.name));
        node.iter_mut().for_each(|node| bind(node, function, call, names, prefix));
    }
}
