//! Reads TFLite models of floating-point operators: their axes are in the order of this crate, so each operator becomes a node or a
//! few.

mod constants;
mod lower;
mod operators;
mod resize;
mod schema;
mod summary;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flatbuffers::VerifierOptions;
use thiserror::Error;

use crate::graph::Graph;
use crate::import::bounds::{Room, computed_elements, label};
use crate::import::refusal::Wrong;
use crate::tensor::TensorType;
use constants::Constants;
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
    let (mut inputs, mut seen) = (Vec::new(), HashSet::new());
    for index in graph.inputs().into_iter().flatten() {
        if !seen.insert(index) {
            return Err(model.wrong(format!("tensor {index} is an input twice")));
        }
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
        // Whatever is read anew for each table that points to it: files share little.
        let max_apparent_size = self.bytes.len().saturating_mul(4).saturating_add(1 << 24);
        let options = VerifierOptions { max_tables: 10_000_000, max_apparent_size, ..VerifierOptions::default() };
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
    fn operators(&self, model: &Model<'_>, graph: &SubGraph<'_>) -> Result<Vec<(usize, Arc<str>)>, TfliteError> {
        let names: Vec<Arc<str>> =
            model.operator_codes().into_iter().flatten().map(|code| code.name().into()).collect();
        let kinds = graph.operators().into_iter().flatten().enumerate();
        let kind = |(at, operator): (usize, schema::Operator<'_>)| {
            let name = names.get(operator.opcode_index() as usize).cloned();
            Ok((at, name.ok_or_else(|| self.wrong(format!("operator {at} has no kind")))?))
        };
        kinds.map(kind).collect()
    }

    /// An error with all that is refused (kind, operator, why), if anything is.
    fn refuse(&self, refused: Vec<(Arc<str>, String, String)>) -> Result<(), TfliteError> {
        let mut groups: BTreeMap<(Arc<str>, String), Vec<String>> = BTreeMap::new();
        for (kind, at, why) in refused {
            groups.entry((kind, why)).or_default().push(at);
        }
        let say = |((kind, why), places): ((Arc<str>, String), Vec<String>)| {
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
            let count = computed_elements(&shape).map_err(|what| input_error(&input.name, what))?;
            if count == 0 {
                return Err(input_error(&input.name, format!("no input has the shape {shape:?}")));
            }
            let id = graph.input(input.name.clone(), TensorType::f32(shape));
            values.insert(index, Value::Node(id));
        }
        let (room, mut refused) = (Room::beside(self.bytes.len()), Vec::new());
        let mut constants = Constants::new(&self.bytes, &model, &room);
        let kinds = self.operators(&model, &tables)?;
        for ((at, kind), operator) in kinds.into_iter().zip(tables.operators().into_iter().flatten()) {
            let output = operator.outputs().first().copied().unwrap_or(-1);
            let name = label(self.tensor(&tables, output)?.name().unwrap_or_default());
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
                    None => constants.read(index, &self.tensor(&tables, index)?),
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
            let call = Call { operator, kind: kind.clone(), name: name.clone(), inputs, room: &room };
            match operators::lower(&mut graph, &call) {
                Ok(value) => {
                    values.insert(output, value);
                }
                Err(Wrong::Unsupported(why)) => refused.push((kind, at.to_string(), why)),
                Err(Wrong::Invalid(what)) => return Err(wrong(what)),
            }
        }
        self.refuse(refused)?;
        let mut seen = HashSet::new();
        for index in tables.outputs().into_iter().flatten().filter(|&index| seen.insert(index)) {
            let name = self.tensor(&tables, index)?.name().unwrap_or_default().to_string();
            let mut known = || constants.read(index, &self.tensor(&tables, index).ok()?).ok().flatten();
            match values.get(&index).cloned().or_else(&mut known) {
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
