//! Reads ONNX models: every op becomes graph nodes by the rules of its version, and what is known beforehand (shapes,
//! indices, integers) is computed while the graph is built.

mod argmax;
mod dispatch;
mod elementwise;
mod known;
mod lower;
mod movement;
pub(crate) mod proto;
mod reductions;
mod resize;
mod stored;
mod stream;
mod tensor;
mod weights;
mod windows;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;
use thiserror::Error;

pub use dispatch::supported_ops;
pub use tensor::{Elem, HostData, HostTensor};
pub(super) use weights::read_weights;
pub(crate) use weights::{WEIGHT_ORDERS, WeightOrder};

use crate::graph::Graph;
use crate::tensor::{Tensor, TensorType};
use lower::{Call, Lower, Value, Wrong};
use stream::Stream;

/// An ONNX model could not be read.
#[derive(Debug, Error)]
pub enum OnnxError {
    /// The file is not an ONNX model, or contradicts itself.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Some nodes are not supported; all of them are listed.
    #[error("{}: not supported: {}", path.display(), join(nodes))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not supported, and where.
        nodes: Vec<UnsupportedNodes>,
    },
    /// A node does not take its inputs.
    #[error("{}: node `{node}` ({op}): {what}", path.display())]
    Node {
        /// The file.
        path: PathBuf,
        /// The node's name.
        node: String,
        /// Its op.
        op: String,
        /// What is wrong.
        what: String,
    },
    /// An input has no shape yet, or was given another one.
    #[error("{}: input `{input}`: {what}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The input's name.
        input: String,
        /// What is needed.
        what: String,
    },
}

/// Nodes that are not supported for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedNodes {
    /// The op.
    pub op: String,
    /// The version of the op set.
    pub opset: i64,
    /// Why, if the op as such is supported.
    pub why: String,
    /// Names of the nodes.
    pub nodes: Vec<String>,
}

impl fmt::Display for UnsupportedNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (opset {}) at `{}`", self.op, self.opset, self.nodes.join("`, `"))?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

fn join(nodes: &[UnsupportedNodes]) -> String {
    nodes.iter().map(UnsupportedNodes::to_string).collect::<Vec<_>>().join("; ")
}

/// What is known of an input before the graph is built.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// Its shape.
    Shape(Vec<usize>),
    /// Its elements. Integers are bound to them; of floating-point inputs only the shape is, unless an op needs to know
    /// them (the scales of a `Resize`, the fill of a `Pad`).
    Tensor(HostTensor),
}

/// An input as the file declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct OnnxInput {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub elem: Elem,
    /// Sizes of its axes; `None` where the file leaves one open.
    pub shape: Vec<Option<usize>>,
}

/// A model read from a file; its graph follows once input shapes are known.
#[derive(Debug)]
pub struct OnnxModel {
    path: PathBuf,
    graph: proto::GraphProto,
    opset: i64,
    initializers: HashMap<String, HostTensor>,
    inputs: Vec<OnnxInput>,
}

/// An output of an [`OnnxGraph`].
#[derive(Debug, Clone, PartialEq)]
pub enum OnnxOutput {
    /// Computed by the graph as `f32`, to be read as this type.
    Computed(Elem),
    /// Known without running anything.
    Known(HostTensor),
}

/// The graph of a model for given input shapes.
#[derive(Debug)]
pub struct OnnxGraph {
    /// The computation, in `f32`, axes in ONNX's order.
    pub graph: Graph,
    /// The model's outputs, in order.
    pub outputs: Vec<(String, OnnxOutput)>,
}

impl OnnxGraph {
    /// The model's outputs in their own types, from those that the graph computed.
    pub fn finish(&self, computed: &BTreeMap<String, Tensor>) -> Vec<(String, Option<HostTensor>)> {
        let read = |name: &String, elem: Elem| {
            let tensor = computed.get(name)?;
            let values = tensor.f32s().ok()?.iter().map(|&v| f64::from(v)).collect();
            HostTensor::from_f64(tensor.shape().to_vec(), elem, values).ok()
        };
        self.outputs
            .iter()
            .map(|(name, output)| match output {
                OnnxOutput::Computed(elem) => (name.clone(), read(name, *elem)),
                OnnxOutput::Known(tensor) => (name.clone(), Some(tensor.clone())),
            })
            .collect()
    }
}

/// Reads one tensor that is stored on its own (`input_0.pb` of ONNX's backend tests), with its name.
///
/// # Errors
/// [`OnnxError::File`].
pub fn read_tensor_file(path: &Path) -> Result<(String, HostTensor), OnnxError> {
    let wrong = |what: String| OnnxError::File { path: path.to_path_buf(), what };
    let proto: proto::TensorProto = decode(path)?;
    let name = proto.name.clone();
    Ok((name, stored::read_tensor(proto, folder_of(path)).map_err(wrong)?))
}

/// Reads a model from a `.onnx` file.
///
/// # Errors
/// [`OnnxError::File`] when it is damaged, [`OnnxError::Unsupported`] with everything that is not supported as such.
pub fn read_onnx(path: &Path) -> Result<OnnxModel, OnnxError> {
    let wrong = |what: String| OnnxError::File { path: path.to_path_buf(), what };
    let model = open(path)?;
    let mut graph = model.graph.unwrap_or_default();
    let opset = model.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    let opset = opset.map_or(1, |set| set.version);
    let mut initializers = HashMap::new();
    for proto in std::mem::take(&mut graph.initializer) {
        let name = proto.name.clone();
        initializers.insert(name, stored::read_tensor(proto, folder_of(path)).map_err(wrong)?);
    }
    let mut inputs = Vec::new();
    for info in graph.input.iter().filter(|info| !initializers.contains_key(&info.name)) {
        let Some(ty) = info.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref()) else {
            return Err(wrong(format!("input `{}` is not a tensor", info.name)));
        };
        let elem = Elem::from_code(ty.elem_type.into()).map_err(|e| wrong(format!("input `{}`: {e}", info.name)))?;
        let dims = ty.shape.as_ref().map(|shape| shape.dim.as_slice()).unwrap_or_default();
        let shape = dims.iter().map(|dim| usize::try_from(dim.dim_value?).ok()).collect();
        inputs.push(OnnxInput { name: info.name.clone(), elem, shape });
    }
    let model = OnnxModel { path: path.to_path_buf(), graph, opset, initializers, inputs };
    model.refuse_unknown_ops()?;
    Ok(model)
}

/// Versions of the file format that are read; what is older keeps its op set elsewhere.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=13;

/// The model that a file holds.
fn open(path: &Path) -> Result<proto::ModelProto, OnnxError> {
    let model: proto::ModelProto = decode(path)?;
    let wrong = |what: String| OnnxError::File { path: path.to_path_buf(), what };
    let version = model.ir_version;
    if model.graph.is_none() {
        return Err(wrong("not an ONNX model: it holds no graph".into()));
    }
    if version < *IR_VERSIONS.start() {
        let what = format!(
            "IR version {version}; {} (ONNX 1.0) to {} are read. Convert it: onnx.version_converter.convert_version",
            IR_VERSIONS.start(),
            IR_VERSIONS.end()
        );
        return Err(wrong(what));
    }
    if version > *IR_VERSIONS.end() {
        log::warn!(
            "{}: IR version {version} is newer than {}; it may hold what is not read",
            path.display(),
            IR_VERSIONS.end()
        );
    }
    Ok(model)
}

/// Decodes the message that a file is.
fn decode<M: Message + Default>(path: &Path) -> Result<M, OnnxError> {
    let wrong = |what: String| OnnxError::File { path: path.to_path_buf(), what };
    let failed = |error: std::io::Error| wrong(error.to_string());
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let (message, failure) = if about.is_file() {
        let mut stream = Stream::new(&mut file, about.len());
        (M::decode(&mut stream), stream.failure())
    } else {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        (M::decode(Bytes::from(bytes)), None)
    };
    match failure {
        Some(error) => Err(failed(error)),
        None => message.map_err(|error| wrong(format!("not an ONNX model: {error}"))),
    }
}

/// The folder that a file lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl OnnxModel {
    /// The inputs that must be given, initializers excluded.
    pub fn inputs(&self) -> &[OnnxInput] {
        &self.inputs
    }

    /// The version of ONNX's op set that the model was written for.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// The tensors that the file holds, in the order of their names: `f32` for floating-point numbers, `i64` for all others.
    ///
    /// # Errors
    /// [`OnnxError::File`] when one contradicts itself.
    pub fn weights(&self) -> Result<Vec<(String, Tensor)>, OnnxError> {
        let mut weights = Vec::with_capacity(self.initializers.len());
        for (name, tensor) in &self.initializers {
            let tensor = tensor.to_stored();
            let wrong = |what: String| OnnxError::File { path: self.path.clone(), what: format!("`{name}`: {what}") };
            weights.push((name.clone(), tensor.map_err(wrong)?));
        }
        weights.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(weights)
    }

    fn unsupported(&self, found: Vec<(&proto::NodeProto, String, String)>) -> Result<(), OnnxError> {
        let mut nodes: Vec<UnsupportedNodes> = Vec::new();
        for (node, name, why) in found {
            match nodes.iter_mut().find(|known| known.op == node.op_type && known.why == why) {
                Some(known) => known.nodes.push(name),
                None => nodes.push(UnsupportedNodes {
                    op: match node.domain.as_str() {
                        "" | "ai.onnx" => node.op_type.clone(),
                        domain => format!("{domain}.{}", node.op_type),
                    },
                    opset: self.opset,
                    why,
                    nodes: vec![name],
                }),
            }
        }
        if nodes.is_empty() { Ok(()) } else { Err(OnnxError::Unsupported { path: self.path.clone(), nodes }) }
    }

    fn refuse_unknown_ops(&self) -> Result<(), OnnxError> {
        let known = |node: &proto::NodeProto| {
            matches!(node.domain.as_str(), "" | "ai.onnx") && dispatch::translation(&node.op_type).is_some()
        };
        let unknown = self.graph.node.iter().enumerate().filter(|(_, node)| !known(node));
        self.unsupported(unknown.map(|(i, node)| (node, name_of(node, i), String::new())).collect())
    }

    /// Whether an op needs to know a floating-point input beforehand.
    fn must_be_known(&self, input: &str) -> bool {
        let at = |node: &proto::NodeProto, positions: &[usize]| {
            positions.iter().any(|&position| node.input.get(position).is_some_and(|name| name == input))
        };
        self.graph.node.iter().any(|node| match node.op_type.as_str() {
            "Resize" => at(node, &[1, 2, 3]),
            "Upsample" => at(node, &[1]),
            "Pad" => at(node, &[2]),
            "Dropout" | "Range" | "OneHot" => at(node, &[1, 2]),
            "Pow" => at(node, &[0, 1]),
            _ => false,
        })
    }

    fn place_input(&self, lower: &mut Lower, input: &OnnxInput, given: Option<&Given>) -> Result<Value, OnnxError> {
        let wrong = |what: String| OnnxError::Input { path: self.path.clone(), input: input.name.clone(), what };
        let shape = match given {
            Some(Given::Tensor(tensor)) => {
                if !tensor.elem.is_float() || tensor.len() == 0 || self.must_be_known(&input.name) {
                    return Ok(Value::Host(tensor.clone()));
                }
                tensor.shape.clone()
            }
            Some(Given::Shape(shape)) => shape.clone(),
            None => input.shape.iter().copied().collect::<Option<Vec<usize>>>().ok_or_else(|| {
                let sizes: Vec<String> =
                    input.shape.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
                wrong(format!("its shape [{}] is open; give it (--input-shape {}=...)", sizes.join(","), input.name))
            })?,
        };
        if !input.elem.is_float() {
            return Err(wrong(format!("its elements ({:?}) must be known when the graph is built", input.elem)));
        }
        tensor::elements(&shape).map_err(wrong)?;
        if shape.contains(&0) {
            let nothing = HostTensor::from_f64(shape, input.elem, vec![]).map_err(wrong)?;
            return Ok(Value::Host(nothing));
        }
        Ok(Value::Node(lower.graph.input(input.name.clone(), TensorType::f32(shape)), input.elem))
    }

    /// The graph for these inputs; those that are not named keep the shape that the file gives them.
    ///
    /// # Errors
    /// [`OnnxError::Input`] when a shape is open, [`OnnxError::Unsupported`] with every node that is not supported,
    /// [`OnnxError::Node`] when a node does not take its inputs.
    pub fn graph(&self, given: &BTreeMap<String, Given>) -> Result<OnnxGraph, OnnxError> {
        let mut lower = Lower::default();
        for input in &self.inputs {
            let value = self.place_input(&mut lower, input, given.get(&input.name))?;
            lower.values.insert(input.name.clone(), value);
        }
        for (name, tensor) in &self.initializers {
            lower.values.insert(name.clone(), Value::Host(tensor.clone()));
        }
        let folder = folder_of(&self.path);
        let mut refused: Vec<(&proto::NodeProto, String, String)> = Vec::new();
        for (i, node) in self.graph.node.iter().enumerate() {
            let name = name_of(node, i);
            let wrong = |what: String| OnnxError::Node {
                path: self.path.clone(),
                node: name.clone(),
                op: node.op_type.clone(),
                what,
            };
            let mut inputs = Vec::with_capacity(node.input.len());
            let mut missing = None;
            for input in &node.input {
                let value = lower.values.get(input).cloned();
                if value.is_none() && !input.is_empty() {
                    missing = Some(input);
                }
                inputs.push(value);
            }
            if let Some(missing) = missing {
                // What a refused node would have computed is missing for its readers as well.
                if refused.is_empty() {
                    return Err(wrong(format!("nothing computes its input `{missing}`")));
                }
                continue;
            }
            let call = Call { node, name: name.clone(), opset: self.opset, inputs, folder };
            let Some(translate) = dispatch::translation(&node.op_type) else { continue };
            let outputs = match translate(&mut lower, &call) {
                Ok(outputs) => outputs,
                Err(Wrong::Unsupported(why)) => {
                    refused.push((node, name, why));
                    continue;
                }
                Err(Wrong::Invalid(what)) => return Err(wrong(what)),
            };
            for (name, value) in node.output.iter().zip(outputs) {
                lower.values.insert(name.clone(), value);
            }
        }
        self.unsupported(refused)?;
        let mut outputs = Vec::new();
        for info in &self.graph.output {
            let what = || format!("nothing computes the output `{}`", info.name);
            let value = lower.values.get(&info.name).cloned();
            match value.ok_or_else(|| OnnxError::File { path: self.path.clone(), what: what() })? {
                Value::Host(tensor) => outputs.push((info.name.clone(), OnnxOutput::Known(tensor))),
                Value::Node(id, elem) => {
                    lower.graph.output(info.name.clone(), id);
                    outputs.push((info.name.clone(), OnnxOutput::Computed(elem)));
                }
            }
        }
        Ok(OnnxGraph { graph: lower.graph, outputs })
    }
}

fn name_of(node: &proto::NodeProto, position: usize) -> String {
    match (node.name.is_empty(), node.output.first()) {
        (false, _) => node.name.clone(),
        (true, Some(output)) => output.clone(),
        (true, None) => format!("{}_{position}", node.op_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_format_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        let read = |ir_version: i64| {
            let graph = Some(proto::GraphProto::default());
            let opset_import = vec![proto::OperatorSetIdProto { domain: String::new(), version: 17 }];
            let model = proto::ModelProto { ir_version, graph, opset_import, ..Default::default() };
            std::fs::write(&path, model.encode_to_vec()).unwrap();
            read_onnx(&path)
        };
        for version in [3, 10, 13, 99] {
            assert_eq!(read(version).unwrap().opset(), 17);
        }
        for version in [0, 2, -1] {
            let said = read(version).unwrap_err().to_string();
            assert!(said.contains("m.onnx: IR version") && said.contains("version_converter"), "{said}");
        }
        assert!(read_onnx(folder.path()).unwrap_err().to_string().contains("directory"));
    }
}
