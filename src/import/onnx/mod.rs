//! Reads ONNX models: every op becomes graph nodes by the rules of its version, and what is known beforehand (shapes,
//! indices, integers) is computed while the graph is built.

#[cfg(test)]
mod absurd;
mod argmax;
mod contrib;
mod dispatch;
mod einsum;
mod elementwise;
mod functions;
mod gathering;
mod known;
mod lower;
mod movement;
mod normalizations;
mod ordering;
pub(crate) mod proto;
mod quantize;
mod reductions;
mod resize;
mod sampling;
mod shaping;
mod stored;
mod stream;
mod summary;
mod tensor;
mod walk;
mod weights;
mod windows;

use std::collections::{BTreeMap, BTreeSet, HashMap};
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
use crate::tensor::{Precision, Tensor, TensorType};
use functions::{Budget, Functions, Step, expand, opset_of};
use lower::{Lower, Value};
use stream::Stream;
use walk::{Refused, full_name, is_known};

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
    steps: Vec<Step>,
    functions: Functions,
    opset: i64,
    initializers: HashMap<String, HostTensor>,
    inputs: Vec<OnnxInput>,
    outputs: Vec<String>,
    /// Bytes of the tensors that its nodes hold, beside initializers.
    held: usize,
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
    /// What the graph does otherwise than the model says.
    pub notes: Vec<String>,
    /// Values that are integers of more than eight bits and computed at run time: they need the 24 bits of `f32`.
    pub integers: Vec<String>,
}

impl OnnxGraph {
    /// The computation, if a precision is enough for it.
    ///
    /// # Errors
    /// Which values are integers that `f16` would round.
    pub fn stored_as(self, precision: Precision) -> Result<Graph, String> {
        match precision {
            Precision::F16 if !self.integers.is_empty() => {
                let names = self.integers.join("`, `");
                Err(format!("`{names}` are integers, and f16 holds them up to 2048 only; use f32"))
            }
            _ => Ok(self.graph),
        }
    }

    /// The model's outputs in their own types, from those that the graph computed.
    pub fn finish(&self, computed: &BTreeMap<String, Tensor>) -> Vec<(String, Option<HostTensor>)> {
        let read = |name: &String, elem: Elem| HostTensor::computed(computed.get(name)?, elem).ok();
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

/// The version of ONNX's op set that a model is written for, and the ops that it uses, whether they are supported or not.
///
/// # Errors
/// [`OnnxError::File`].
pub fn ops_of(path: &Path) -> Result<(i64, BTreeSet<String>), OnnxError> {
    let model = open(path)?;
    let opset = opset_of(&model.opset_import).unwrap_or(1);
    let nodes = model.graph.map(|graph| graph.node).unwrap_or_default();
    let steps = expand(nodes, opset, &Functions::new(model.functions), &mut Budget::new());
    let steps = steps.map_err(|what| OnnxError::File { path: path.to_path_buf(), what })?;
    Ok((opset, steps.iter().map(full_name).collect()))
}

/// Reads a model from a `.onnx` file.
///
/// # Errors
/// [`OnnxError::File`] when it is damaged, [`OnnxError::Unsupported`] with everything that is not supported as such.
pub fn read_onnx(path: &Path) -> Result<OnnxModel, OnnxError> {
    let wrong = |what: String| OnnxError::File { path: path.to_path_buf(), what };
    let model = open(path)?;
    let mut graph = model.graph.unwrap_or_default();
    let opset = opset_of(&model.opset_import).unwrap_or(1);
    let (mut initializers, mut refused) = (HashMap::new(), Vec::new());
    for proto in std::mem::take(&mut graph.initializer) {
        let name = proto.name.clone();
        match Elem::from_code(proto.data_type.into()) {
            Ok(_) => {
                initializers.insert(name, stored::read_tensor(proto, folder_of(path)).map_err(wrong)?);
            }
            Err(why) => refused.push(Refused { op: "an initializer".into(), opset, why, node: name }),
        }
    }
    let mut inputs = Vec::new();
    for info in graph.input.iter().filter(|info| !initializers.contains_key(&info.name)) {
        let mut refuse = |why| refused.push(Refused { op: "an input".into(), opset, why, node: info.name.clone() });
        let Some(ty) = info.r#type.as_ref().and_then(|ty| ty.tensor_type.as_ref()) else {
            refuse("it is not a tensor".to_string());
            continue;
        };
        let elem = match Elem::from_code(ty.elem_type.into()) {
            Ok(elem) => elem,
            Err(why) => {
                refuse(why);
                continue;
            }
        };
        let dims = ty.shape.as_ref().map(|shape| shape.dim.as_slice()).unwrap_or_default();
        let shape = dims.iter().map(|dim| usize::try_from(dim.dim_value?).ok()).collect();
        inputs.push(OnnxInput { name: info.name.clone(), elem, shape });
    }
    let bodies = model.functions.iter().map(|function| stored::held(&function.node));
    let held = bodies.fold(stored::held(&graph.node), usize::saturating_add);
    let functions = Functions::new(model.functions);
    let steps = expand(graph.node, opset, &functions, &mut Budget::new()).map_err(wrong)?;
    let outputs = graph.output.into_iter().map(|info| info.name).collect();
    let path = path.to_path_buf();
    let model = OnnxModel { path, steps, functions, opset, initializers, inputs, outputs, held };
    model.refuse_unknown(refused)?;
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

/// A shape as a file declares it.
fn declared(shape: &[Option<usize>]) -> String {
    let sizes: Vec<String> = shape.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
    format!("[{}]", sizes.join(", "))
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

    fn damaged(&self, what: String) -> OnnxError {
        OnnxError::File { path: self.path.clone(), what }
    }

    fn unsupported(&self, refused: Vec<Refused>) -> Result<(), OnnxError> {
        let mut nodes: Vec<UnsupportedNodes> = Vec::new();
        let mut places: HashMap<(String, i64, String), usize> = HashMap::new();
        for Refused { op, opset, why, node } in refused {
            let place = *places.entry((op.clone(), opset, why.clone())).or_insert(nodes.len());
            match nodes.get_mut(place) {
                Some(known) => known.nodes.push(node),
                None => nodes.push(UnsupportedNodes { op, opset, why, nodes: vec![node] }),
            }
        }
        if nodes.is_empty() { Ok(()) } else { Err(OnnxError::Unsupported { path: self.path.clone(), nodes }) }
    }

    /// Refuses a model with ops that nobody knows, after what else was `refused`, and lists with them what is not supported
    /// of other nodes, as far as shapes are known.
    fn refuse_unknown(&self, mut refused: Vec<Refused>) -> Result<(), OnnxError> {
        let unknown = self.steps.iter().filter(|step| !is_known(step));
        let unknown: Vec<Refused> = unknown
            .map(|step| Refused { op: full_name(step), opset: step.opset, why: String::new(), node: step.name.clone() })
            .collect();
        if refused.is_empty() && unknown.is_empty() {
            return Ok(());
        }
        let open_batch = |(axis, size): (usize, &Option<usize>)| size.or((axis == 0).then_some(1));
        let shapes = self.inputs.iter().filter_map(|input| {
            let shape: Option<Vec<usize>> = input.shape.iter().enumerate().map(open_batch).collect();
            Some((input.name.clone(), Given::Shape(shape?)))
        });
        // The walk refuses unknown ops as well.
        refused.extend(walk::refused(self, &shapes.collect()).unwrap_or(unknown));
        self.unsupported(refused)
    }

    /// Whether an op needs to know a floating-point input beforehand.
    fn must_be_known(&self, input: &str) -> bool {
        let at = |node: &proto::NodeProto, positions: &[usize]| {
            positions.iter().any(|&position| node.input.get(position).is_some_and(|name| name == input))
        };
        let is_float = |name: Option<&String>| {
            let input = self.inputs.iter().find(|input| Some(&input.name) == name);
            input.is_none_or(|input| input.elem.is_float())
        };
        self.steps.iter().map(|step| &step.node).any(|node| match node.op_type.as_str() {
            "Resize" => at(node, &[1, 2, 3]),
            "Upsample" => at(node, &[1]),
            "Pad" => at(node, &[2]),
            "Dropout" | "OneHot" => at(node, &[1, 2]),
            "Range" => at(node, &[0, 1, 2]),
            // Powers of integers are known as they are themselves.
            "Pow" => at(node, &[1]) && !is_float(node.input.first()),
            _ => false,
        })
    }

    fn place_input(&self, lower: &mut Lower, input: &OnnxInput, given: Option<&Given>) -> Result<Value, OnnxError> {
        let wrong = |what: String| OnnxError::Input { path: self.path.clone(), input: input.name.clone(), what };
        let fits = |shape: &[usize]| {
            let same = |(own, &declared): (&usize, &Option<usize>)| declared.is_none_or(|declared| declared == *own);
            // A scalar and a shape that the file leaves out altogether look alike.
            if input.shape.is_empty() || (shape.len() == input.shape.len() && shape.iter().zip(&input.shape).all(same))
            {
                return Ok(());
            }
            Err(wrong(format!("it was given the shape {shape:?}, and takes {}", declared(&input.shape))))
        };
        let shape = match given {
            Some(Given::Tensor(tensor)) => {
                fits(&tensor.shape)?;
                if !tensor.elem.is_float() || tensor.len() == 0 || self.must_be_known(&input.name) {
                    return Ok(Value::Host(tensor.clone()));
                }
                tensor.shape.clone()
            }
            Some(Given::Shape(shape)) => {
                fits(shape)?;
                shape.clone()
            }
            None => input.shape.iter().copied().collect::<Option<Vec<usize>>>().ok_or_else(|| {
                let shape = declared(&input.shape);
                wrong(format!("its shape {shape} is open; give it (--input-shape {}=...)", input.name))
            })?,
        };
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
        walk::graph(self, given)
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
