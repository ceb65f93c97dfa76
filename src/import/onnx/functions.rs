//! Calls of a model's own functions, replaced by the nodes that the functions are made of.

use std::collections::HashMap;

use prost::Message;

use super::contrib;
use super::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto};
use crate::import::bounds::label;

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

    /// Pays for a node, of which so many bytes are copied.
    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let cost = 1 + bytes / 256;
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

/// A model's own functions, by what calls of them name.
#[derive(Debug)]
pub(super) struct Functions {
    all: Vec<FunctionProto>,
    /// Positions by domain, name and overload.
    places: HashMap<[String; 3], usize>,
}

impl Functions {
    pub fn new(all: Vec<FunctionProto>) -> Functions {
        let mut places = HashMap::new();
        for (place, function) in all.iter().enumerate() {
            places.entry(Functions::key(&function.domain, &function.name, &function.overload)).or_insert(place);
        }
        Functions { all, places }
    }

    fn key(domain: &str, name: &str, overload: &str) -> [String; 3] {
        [if is_onnx(domain) { "" } else { domain }, name, overload].map(String::from)
    }

    /// The function that a node calls, if it calls one. A function without an overload takes calls of any.
    fn called(&self, node: &NodeProto) -> Option<&FunctionProto> {
        if self.all.is_empty() {
            return None;
        }
        let place = |overload: &str| self.places.get(&Functions::key(&node.domain, &node.op_type, overload));
        self.all.get(*[place(""), place(&node.overload)].into_iter().flatten().min()?)
    }
}

/// The nodes in order, calls of functions replaced by their bodies.
///
/// # Errors
/// When functions call themselves, or there are too many nodes.
pub(super) fn expand(
    nodes: impl IntoIterator<Item = NodeProto>,
    opset: i64,
    functions: &Functions,
    budget: &mut Budget,
) -> Result<Vec<Step>, String> {
    let mut expansion = Expansion { steps: Vec::new(), functions, budget };
    for (position, node) in nodes.into_iter().enumerate() {
        // Its bytes are those of the file.
        expansion.budget.spend(0)?;
        let name = name_of(&node, position);
        expansion.add(node, name, opset, 0)?;
    }
    Ok(expansion.steps)
}

struct Expansion<'a> {
    steps: Vec<Step>,
    functions: &'a Functions,
    budget: &'a mut Budget,
}

impl Expansion<'_> {
    /// Adds a node that is paid for.
    fn add(&mut self, node: NodeProto, name: String, opset: i64, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("functions call each other more than {DEEPEST} levels deep, at `{name}`"));
        }
        // The number of nodes so far tells calls of the same name apart.
        let prefix = format!("{name}#{}/", self.steps.len());
        let functions = self.functions;
        if let Some(function) = functions.called(&node) {
            let inlining = Inlining::new(function, &node, prefix);
            let opset = opset_of(&function.opset_import).unwrap_or(opset);
            for (position, inner) in function.node.iter().enumerate() {
                self.budget.spend(inlining.len(inner).saturating_add(2 * inlining.prefix.len()))?;
                let mut inner = inner.clone();
                inlining.bind(&mut inner);
                let name = format!("{name}/{}", name_of(&inner, position));
                self.add(inner, name, opset, depth + 1)?;
            }
            return Ok(());
        }
        if node.domain == contrib::DOMAIN {
            // Each input and output becomes a few names at most.
            let names = 4 * (node.input.len() + 4);
            self.budget.spend(node.encoded_len().saturating_add(names.saturating_mul(prefix.len())))?;
            if let Some((body, opset)) = contrib::nodes(&node, opset, &prefix) {
                for (position, inner) in body.into_iter().enumerate() {
                    self.budget.spend(0)?;
                    let name = name_of(&inner, position);
                    self.add(inner, name, opset, depth + 1)?;
                }
                return Ok(());
            }
        }
        self.steps.push(Step { node, name, opset });
        Ok(())
    }
}

fn name_of(node: &NodeProto, position: usize) -> String {
    match (node.name.is_empty(), node.output.first()) {
        (false, _) => label(&node.name),
        (true, Some(output)) => label(output),
        (true, None) => format!("{}_{position}", label(&node.op_type)),
    }
}

/// How a function's nodes become those of one call: its values under names of their own, its attributes those of the call.
struct Inlining<'a> {
    names: HashMap<&'a str, &'a str>,
    attributes: HashMap<&'a str, &'a AttributeProto>,
    /// What all other names begin with.
    prefix: String,
}

impl<'a> Inlining<'a> {
    fn new(function: &'a FunctionProto, call: &'a NodeProto, prefix: String) -> Inlining<'a> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        for (i, name) in function.input.iter().enumerate() {
            // An input that is not given is absent in the body, too.
            names.insert(name, call.input.get(i).map_or("", String::as_str));
        }
        for (name, actual) in function.output.iter().zip(&call.output).filter(|(_, actual)| !actual.is_empty()) {
            // An output nobody asks for is a value like others.
            names.insert(name, actual);
        }
        let mut attributes = HashMap::new();
        for attribute in call.attribute.iter().chain(&function.attribute_proto) {
            attributes.entry(attribute.name.as_str()).or_insert(attribute);
        }
        Inlining { names, attributes, prefix }
    }

    /// Bytes of a node of the function once it is bound, at most.
    fn len(&self, node: &NodeProto) -> usize {
        let names = node.input.len() + node.output.len();
        let longest = |name: &String| self.names.get(name.as_str()).map_or(0, |actual| actual.len());
        let actual: usize = node.input.iter().chain(&node.output).map(longest).sum();
        let given = |attribute: &AttributeProto| match self.attributes.get(attribute.ref_attr_name.as_str()) {
            Some(given) if !attribute.ref_attr_name.is_empty() => given.encoded_len(),
            _ => 0,
        };
        let within = |graph: &GraphProto| -> usize {
            let names = graph.initializer.len() + graph.output.len();
            names * self.prefix.len() + graph.node.iter().map(|node| self.len(node)).sum::<usize>()
        };
        let further = |attribute: &AttributeProto| given(attribute) + attribute.g.as_ref().map_or(0, within);
        let attributes: usize = node.attribute.iter().map(further).sum();
        node.encoded_len() + names * self.prefix.len() + actual + attributes
    }

    fn rename(&self, name: &mut String) {
        if !name.is_empty() {
            *name = match self.names.get(name.as_str()) {
                Some(actual) => actual.to_string(),
                None => format!("{}{name}", self.prefix),
            };
        }
    }

    fn bind(&self, node: &mut NodeProto) {
        node.input.iter_mut().chain(&mut node.output).for_each(|name| self.rename(name));
        node.attribute.retain_mut(|attribute| {
            if attribute.ref_attr_name.is_empty() {
                return true;
            }
            match self.attributes.get(attribute.ref_attr_name.as_str()) {
                Some(&given) => {
                    *attribute = AttributeProto { name: std::mem::take(&mut attribute.name), ..given.clone() };
                    true
                }
                None => false,
            }
        });
        for branch in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_mut()) {
            let GraphProto { node, initializer, output, .. } = branch;
            initializer.iter_mut().for_each(|tensor| self.rename(&mut tensor.name));
            output.iter_mut().for_each(|info| self.rename(&mut info.name));
            node.iter_mut().for_each(|node| self.bind(node));
        }
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
            let functions = Functions::new(functions);
            let error = expand(vec![call(0)], 17, &functions, &mut Budget::new()).unwrap_err();
            assert!(error.contains("nodes"), "{error}");
            assert!(expand(vec![call(30)], 17, &functions, &mut Budget::new()).is_ok());
        }
    }

    #[test]
    fn what_calls_hand_to_bodies_is_paid_for_before_it_is_copied() {
        let reference = AttributeProto { ref_attr_name: "large".into(), name: "s".into(), ..Default::default() };
        let inner = NodeProto { op_type: "Relu".into(), attribute: vec![reference], ..Default::default() };
        let function =
            |node: Vec<NodeProto>| FunctionProto { name: "f".into(), domain: "own".into(), node, ..Default::default() };
        let large = AttributeProto { name: "large".into(), s: vec![0; 1 << 20], ..Default::default() };
        let call =
            NodeProto { op_type: "f".into(), domain: "own".into(), attribute: vec![large], ..Default::default() };
        let functions = Functions::new(vec![function(vec![inner; 1 << 14])]);
        // 16 GiB of attributes.
        let error = expand(vec![call.clone()], 17, &functions, &mut Budget::new()).unwrap_err();
        assert!(error.contains("nodes"), "{error}");
        // A name that every value of the body would begin with is cut.
        let value = NodeProto { output: vec!["v".into()], ..Default::default() };
        let functions = Functions::new(vec![function(vec![value; 1 << 14])]);
        let call = NodeProto { name: "n".repeat(1 << 20), attribute: vec![], ..call };
        let steps = expand(vec![call], 17, &functions, &mut Budget::new()).unwrap();
        assert!(steps.iter().all(|step| step.name.len() < 5000 && step.node.output[0].len() < 5000));
    }
}
