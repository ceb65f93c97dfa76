//! Calls of a model's own functions, replaced by the nodes that the functions are made of.

use std::collections::HashMap;

use prost::Message;

use super::contrib;
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

/// What the nodes of a model may still cost once calls are replaced: a function that calls another twice, and that a third, makes
/// of a small file as many nodes as it likes.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// Nodes, calls that come to nothing among them; large ones count for several.
    const MOST: usize = 1 << 20;

    pub fn new() -> Budget {
        Budget(Budget::MOST)
    }

    fn spend(&mut self, node: &NodeProto) -> Result<(), String> {
        let cost = 1 + node.encoded_len() / 1024;
        self.0 = self.0.checked_sub(cost).ok_or_else(|| format!("more than {} nodes", Budget::MOST))?;
        Ok(())
    }
}

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
pub(super) fn expand(
    nodes: Vec<NodeProto>,
    opset: i64,
    functions: &[FunctionProto],
    budget: &mut Budget,
) -> Result<Vec<Step>, String> {
    let mut expansion = Expansion { steps: Vec::with_capacity(nodes.len()), functions, budget };
    expansion.add(nodes, opset, "", 0)?;
    Ok(expansion.steps)
}

struct Expansion<'a> {
    steps: Vec<Step>,
    functions: &'a [FunctionProto],
    budget: &'a mut Budget,
}

impl Expansion<'_> {
    fn add(&mut self, nodes: Vec<NodeProto>, opset: i64, within: &str, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("functions call each other more than {DEEPEST} levels deep, at `{within}`"));
        }
        for (position, node) in nodes.into_iter().enumerate() {
            self.budget.spend(&node)?;
            let name = format!("{within}{}", name_of(&node, position));
            let called = |function: &&FunctionProto| {
                function.name == node.op_type
                    && (function.domain == node.domain || (is_onnx(&function.domain) && is_onnx(&node.domain)))
                    && (function.overload.is_empty() || function.overload == node.overload)
            };
            match self.functions.iter().find(called) {
                Some(function) => {
                    // The number of nodes so far tells calls of the same name apart.
                    let body = inlined(function, &node, &format!("{name}#{}/", self.steps.len()));
                    let opset = opset_of(&function.opset_import).unwrap_or(opset);
                    self.add(body, opset, &format!("{name}/"), depth + 1)?;
                }
                None => match contrib::nodes(&node, opset, &format!("{name}#{}/", self.steps.len())) {
                    Some((body, opset)) => self.add(body, opset, "", depth + 1)?,
                    None => self.steps.push(Step { node, name, opset }),
                },
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_double_are_refused_whatever_they_come_to() {
        let call =
            |number: usize| NodeProto { op_type: format!("f{number}"), domain: "own".into(), ..Default::default() };
        let function = |number: usize, node: Vec<NodeProto>| FunctionProto {
            name: format!("f{number}"),
            domain: "own".into(),
            node,
            ..Default::default()
        };
        for last in [vec![], vec![NodeProto { op_type: "Relu".into(), ..Default::default() }]] {
            let mut functions: Vec<_> = (0..40).map(|i| function(i, vec![call(i + 1), call(i + 1)])).collect();
            functions.push(function(40, last));
            let error = expand(vec![call(0)], 17, &functions, &mut Budget::new()).unwrap_err();
            assert!(error.contains("nodes"), "{error}");
            assert!(expand(vec![call(30)], 17, &functions, &mut Budget::new()).is_ok());
        }
    }
}
