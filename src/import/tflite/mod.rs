//! Reads TFLite models of floating-point operators: their axes are in the order of this crate, so each operator becomes a node or a
//! few.

mod lower;
mod operators;
mod resize;
mod schema;
mod summary;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use flatbuffers::VerifierOptions;
use thiserror::Error;

use crate::graph::Graph;
use crate::import::refusal::Wrong;
use crate::tensor::{Data, Tensor, TensorType, from_f16};
use lower::{Call, Value};
use schema::{Model, SubGraph};

/// A TFLite model could not be read.
#[derive(Debug, Error)]
pub enum TfliteError {
    /// The file is not a TFLite model, or contradicts itself.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Some operators are not supported; all of them are listed.
    #[error("{}: not supported: {}", path.display(), operators.join("; "))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not supported, where, and why.
        operators: Vec<String>,
    },
    /// An operator does not take its inputs.
    #[error("{}: operator {operator}: {what}", path.display())]
    Operator {
        /// The file.
        path: PathBuf,
        /// Its number, kind and output.
        operator: String,
        /// What is wrong.
        what: String,
    },
    /// An input does not exist, or takes no floating-point numbers.
    #[error("{}: input `{input}`: {what}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The input's name.
        input: String,
        /// What is wrong.
        what: String,
    },
}

/// An input as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TfliteInput {
    /// Its name.
    pub name: String,
    /// Sizes of its axes; `None` where the file leaves one open.
    pub shape: Vec<Option<usize>>,
}

/// A model read from a file; its graph follows once input shapes are known.
#[derive(Debug)]
pub struct TfliteModel {
    path: PathBuf,
    bytes: Vec<u8>,
    inputs: Vec<TfliteInput>,
}

/// Reads a model from a `.tflite` file.
///
/// # Errors
/// [`TfliteError::File`] when it is damaged, [`TfliteError::Unsupported`] with every operator that is not supported as such.
pub fn read_tflite(path: &Path) -> Result<TfliteModel, TfliteError> {
    let bytes = std::fs::read(path).map_err(|e| TfliteError::File { path: path.to_path_buf(), what: e.to_string() })?;
    let mut model = TfliteModel { path: path.to_path_buf(), bytes, inputs: Vec::new() };
    let (tables, graph) = model.tables()?;
    let unknown = model.operators(&tables, &graph)?.into_iter().filter(|(_, kind)| !operators::known(kind));
    let unknown = unknown.map(|(at, kind)| (kind, at.to_string(), String::new())).collect();
    model.refuse(unknown)?;
    let mut inputs = Vec::new();
    for index in graph.inputs().into_iter().flatten() {
        let tensor = model.tensor(&graph, index)?;
        let name = tensor.name().unwrap_or_default().to_string();
        if tensor.element().unwrap_or(0) != 0 {
            let what =
                format!("takes {}; only FLOAT32 is supported", schema::element_name(tensor.element().unwrap_or(0)));
            return Err(TfliteError::Input { path: model.path.clone(), input: name, what });
        }
        let sizes: Vec<i32> = tensor.shape().into_iter().flatten().collect();
        let open: Vec<i32> = tensor.shape_signature().into_iter().flatten().collect();
        let open = if open.len() == sizes.len() { open } else { sizes };
        inputs.push(TfliteInput { name, shape: open.iter().map(|&size| usize::try_from(size).ok()).collect() });
    }
    model.inputs = inputs;
    Ok(model)
}

impl TfliteModel {
    /// The inputs.
    pub fn inputs(&self) -> &[TfliteInput] {
        &self.inputs
    }

    fn wrong(&self, what: impl Into<String>) -> TfliteError {
        TfliteError::File { path: self.path.clone(), what: what.into() }
    }

    /// The file's tables, verified, and those of the graph that is run.
    fn tables(&self) -> Result<(Model<'_>, SubGraph<'_>), TfliteError> {
        if self.bytes.get(4..8) != Some(b"TFL3") {
            return Err(self.wrong("not a TFLite model (version 3)"));
        }
        let options = VerifierOptions { max_tables: 10_000_000, ..VerifierOptions::default() };
        let model = flatbuffers::root_with_opts::<Model<'_>>(&options, &self.bytes)
            .map_err(|e| self.wrong(format!("damaged: {}", e.to_string().replace('\n', " ").trim())))?;
        let graph = model.subgraphs().and_then(|graphs| graphs.iter().next());
        Ok((model, graph.ok_or_else(|| self.wrong("it holds no graph"))?))
    }

    fn tensor<'a>(&self, graph: &SubGraph<'a>, index: i32) -> Result<schema::Tensor<'a>, TfliteError> {
        let tensors = graph.tensors().ok_or_else(|| self.wrong("it holds no tensors"))?;
        let position = usize::try_from(index).ok().filter(|&position| position < tensors.len());
        position.map(|position| tensors.get(position)).ok_or_else(|| self.wrong(format!("there is no tensor {index}")))
    }

    /// Numbers and kinds of all operators.
    fn operators(&self, model: &Model<'_>, graph: &SubGraph<'_>) -> Result<Vec<(usize, String)>, TfliteError> {
        let names: Vec<String> = model.operator_codes().into_iter().flatten().map(|code| code.name()).collect();
        let kinds = graph.operators().into_iter().flatten().enumerate();
        let kind = |(at, operator): (usize, schema::Operator<'_>)| {
            let name = names.get(operator.opcode_index() as usize).cloned();
            Ok((at, name.ok_or_else(|| self.wrong(format!("operator {at} has no kind")))?))
        };
        kinds.map(kind).collect()
    }

    /// An error with all that is refused (kind, operator, why), if anything is.
    fn refuse(&self, refused: Vec<(String, String, String)>) -> Result<(), TfliteError> {
        let mut groups: Vec<((String, String), Vec<String>)> = Vec::new();
        for (kind, at, why) in refused {
            let key = (kind, why);
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, places)) => places.push(at),
                None => groups.push((key, vec![at])),
            }
        }
        let say = |((kind, why), places): ((String, String), Vec<String>)| {
            let why = if why.is_empty() { why } else { format!(": {why}") };
            format!("{kind} (operator {}){why}", places.join(", "))
        };
        match groups.is_empty() {
            true => Ok(()),
            false => Err(TfliteError::Unsupported {
                path: self.path.clone(),
                operators: groups.into_iter().map(say).collect(),
            }),
        }
    }

    /// A tensor that the file holds; `None` for one that is computed.
    fn constant(&self, model: &Model<'_>, tensor: &schema::Tensor<'_>) -> Result<Option<Value>, Wrong> {
        let buffers = model.buffers();
        let buffer = buffers.and_then(|all| {
            let at = tensor.buffer().unwrap_or(0) as usize;
            (at > 0 && at < all.len()).then(|| all.get(at))
        });
        let Some(buffer) = buffer else { return Ok(None) };
        let bytes = match (buffer.offset().unwrap_or(0), buffer.size().unwrap_or(0)) {
            (0 | 1, _) | (_, 0) => buffer.data().map(|data| data.bytes()).unwrap_or_default(),
            // Large models keep their buffers behind the tables.
            (offset, size) => {
                let end = offset.checked_add(size).and_then(|end| usize::try_from(end).ok());
                let range = usize::try_from(offset).ok().zip(end).map(|(offset, end)| offset..end);
                let bytes = range.and_then(|range| self.bytes.get(range));
                bytes.ok_or_else(|| Wrong::Invalid("its buffer lies outside of the file".into()))?
            }
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let sizes = tensor.shape().into_iter().flatten().map(usize::try_from).collect::<Result<Vec<usize>, _>>();
        let shape = sizes.map_err(|_| Wrong::Invalid("a constant with an open axis".into()))?;
        let name = tensor.name().unwrap_or_default();
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        let size = match tensor.element().unwrap_or(0) {
            0 | 2 => 4,
            1 => 2,
            4 => 8,
            other => {
                let element = schema::element_name(other);
                return Err(Wrong::Unsupported(format!("constants of {element} (`{name}`)")));
            }
        };
        if count.and_then(|count| count.checked_mul(size)) != Some(bytes.len()) {
            return Err(Wrong::Invalid(format!("`{name}` has {} bytes for the shape {shape:?}", bytes.len())));
        }
        let floats = |values: Vec<f32>| {
            let tensor =
                Tensor::new(shape.clone(), Data::F32(values.into())).map_err(|e| Wrong::Invalid(e.to_string()))?;
            Ok(Some(Value::Floats(tensor)))
        };
        // All chunks are of the size that they are read as.
        let word = |chunk: &[u8]| chunk.try_into().map(u32::from_le_bytes).unwrap_or_default();
        match tensor.element().unwrap_or(0) {
            0 => floats(bytes.chunks_exact(4).map(|chunk| f32::from_bits(word(chunk))).collect()),
            1 => floats(bytes.chunks_exact(2).map(|c| from_f16(u16::from_le_bytes([c[0], c[1]]))).collect()),
            2 => Ok(Some(Value::Ints(bytes.chunks_exact(4).map(|c| i64::from(word(c) as i32)).collect()))),
            _ => {
                let long = |chunk: &[u8]| chunk.try_into().map(i64::from_le_bytes).unwrap_or_default();
                Ok(Some(Value::Ints(bytes.chunks_exact(8).map(long).collect())))
            }
        }
    }

    /// The graph for these input shapes; inputs that are not named keep the shape that the file gives them.
    ///
    /// # Errors
    /// [`TfliteError::Input`] for a name that is no input or an axis that stays open, [`TfliteError::Unsupported`] with every
    /// operator that is not supported, [`TfliteError::Operator`] when one does not take its inputs.
    pub fn graph(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Graph, TfliteError> {
        let (model, tables) = self.tables()?;
        let input_error =
            |input: &str, what: String| TfliteError::Input { path: self.path.clone(), input: input.into(), what };
        if let Some(name) = shapes.keys().find(|name| !self.inputs.iter().any(|input| input.name == **name)) {
            return Err(input_error(name, "the model has no such input".into()));
        }
        let mut graph = Graph::new();
        let mut values: HashMap<i32, Value> = HashMap::new();
        for (input, index) in self.inputs.iter().zip(tables.inputs().into_iter().flatten()) {
            let own = || input.shape.iter().copied().collect::<Option<Vec<usize>>>();
            let shape = shapes.get(&input.name).cloned().or_else(own);
            let shape =
                shape.ok_or_else(|| input_error(&input.name, format!("its shape {:?} is open", input.shape)))?;
            let elements = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
            if elements.is_none_or(|count| count == 0 || count > 1 << 40) {
                return Err(input_error(&input.name, format!("no input has the shape {shape:?}")));
            }
            let id = graph.input(input.name.clone(), TensorType::f32(shape));
            values.insert(index, Value::Node(id));
        }
        let mut refused = Vec::new();
        let kinds = self.operators(&model, &tables)?;
        for ((at, kind), operator) in kinds.into_iter().zip(tables.operators().into_iter().flatten()) {
            let output = operator.outputs().first().copied().unwrap_or(-1);
            let name = self.tensor(&tables, output)?.name().unwrap_or_default().to_string();
            let wrong = |what: String| TfliteError::Operator {
                path: self.path.clone(),
                operator: format!("{at} ({kind}) `{name}`"),
                what,
            };
            let mut inputs = Vec::new();
            let mut missing = None;
            for index in operator.inputs() {
                if index < 0 {
                    inputs.push(None);
                    continue;
                }
                let value = match values.get(&index) {
                    Some(value) => Ok(Some(value.clone())),
                    None => self.constant(&model, &self.tensor(&tables, index)?),
                };
                match value {
                    Ok(Some(value)) => inputs.push(Some(value)),
                    Ok(None) => missing = Some(format!("nothing computes its input {index}")),
                    Err(Wrong::Unsupported(why)) => {
                        refused.push((kind.clone(), at.to_string(), why.clone()));
                        missing = Some(why);
                    }
                    Err(Wrong::Invalid(what)) => return Err(wrong(what)),
                }
            }
            if let Some(missing) = missing {
                // What a refused operator would have computed is missing for its readers as well.
                if refused.is_empty() {
                    return Err(wrong(missing));
                }
                continue;
            }
            let call = Call { operator, kind: kind.clone(), name: name.clone(), inputs };
            match operators::lower(&mut graph, &call) {
                Ok(value) => {
                    values.insert(output, value);
                }
                Err(Wrong::Unsupported(why)) => refused.push((kind, at.to_string(), why)),
                Err(Wrong::Invalid(what)) => return Err(wrong(what)),
            }
        }
        self.refuse(refused)?;
        for index in tables.outputs().into_iter().flatten() {
            let name = self.tensor(&tables, index)?.name().unwrap_or_default().to_string();
            let known = || self.constant(&model, &self.tensor(&tables, index).ok()?).ok().flatten();
            match values.get(&index).cloned().or_else(known) {
                Some(Value::Node(id)) => graph.output(name, id),
                Some(Value::Floats(tensor)) => {
                    let id = graph.constant(name.clone(), tensor);
                    graph.output(name, id);
                }
                _ => return Err(self.wrong(format!("nothing computes the output `{name}`"))),
            }
        }
        match graph.outputs().is_empty() {
            true => Err(self.wrong("it has no outputs")),
            false => Ok(graph),
        }
    }
}
