//! Models: layers and the calls between them, with shapes, weights and the graph they amount to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::functional::{Call, Source};
use super::layer::{Emission, Mode};
use super::names::{Names, snake_case};
use super::{Emitter, Layer, LayerRef, SymbolicTensor, Weight, WeightSpec};
use crate::error::LayerError;
use crate::graph::{Graph, ValueId};
use crate::tensor::{Shape, TensorType, open_shape};

/// Axis sizes with the batch first; `None` where the size is open.
pub type Dims = Vec<Option<usize>>;

/// Elements of the largest input that a graph is made for. What is computed of it can then be counted in 64 bits.
const MOST_ELEMENTS: usize = 1 << 40;

/// An input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// Its shape without the batch.
    pub shape: Vec<Option<usize>>,
}

/// One call of a layer in a model.
#[derive(Debug, Clone)]
pub struct LayerCall {
    /// The layer; the same one in several calls shares its weights.
    pub layer: LayerRef,
    /// Where its inputs come from.
    pub inputs: Vec<TensorRef>,
    /// Shapes of its outputs.
    pub outputs: Vec<Dims>,
    /// Which call of the layer this is, from 0.
    pub index: usize,
}

/// A tensor inside a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorRef {
    /// An input, by position.
    Input(usize),
    /// Output `output` of call `call`.
    Call {
        /// Position in [`Model::calls`].
        call: usize,
        /// Which output.
        output: usize,
    },
}

/// A model: a graph of layers. Cloning shares layers and weights. A model is a layer, too.
///
/// It is made from calls of layers, by [`Sequential`](super::Sequential), from a file ([`import::read_model`](crate::import::read_model))
/// or by the [`zoo`](crate::zoo); [`Model::graph`] makes what a [`Session`](crate::session::Session) runs. Weights come from their
/// initializers, with seed 0, until [`Model::initialize`], [`Model::load_weights`] or training gives others.
///
/// ```
/// use wgconv::layers::*;
///
/// # fn main() -> Result<(), wgconv::error::LayerError> {
/// let x = Input::new([32, 32, 3]); // rows, columns, channels; the batch is not counted
/// let wide = Conv2D::new(8, 3).padding(Padding::Same).named("wide").call(&x);
/// let deep = DepthwiseConv2D::new(5).padding(Padding::Same).named("deep").call(&wide);
/// let sum = Merge::Add.named("sum").call_many(&[&wide, &deep]);
/// let model = Model::new(&[x], &[sum])?;
/// assert_eq!((model.inputs()[0].name.as_str(), model.outputs()[0].0.as_str()), ("input_layer", "sum"));
/// println!("{}", model.summary(1)?.text(false));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) name: String,
    pub(super) sequential: bool,
    pub(super) inputs: Vec<InputSpec>,
    pub(super) calls: Vec<LayerCall>,
    pub(super) outputs: Vec<(String, TensorRef)>,
}

impl Model {
    /// A model from its inputs to its outputs. Layers without a name get Keras's: `conv2d`, `conv2d_1`, ..
    ///
    /// # Errors
    /// [`LayerError`] when an output does not follow from the inputs, a name is taken twice, or a layer does not take what
    /// it was called on.
    pub fn new(inputs: &[SymbolicTensor], outputs: &[SymbolicTensor]) -> Result<Model, LayerError> {
        Model::named("functional", inputs, outputs)
    }

    /// As [`Model::new`], under a name.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn named(
        name: impl Into<String>,
        inputs: &[SymbolicTensor],
        outputs: &[SymbolicTensor],
    ) -> Result<Model, LayerError> {
        let name = name.into();
        let mut model = Model { name, sequential: false, inputs: Vec::new(), calls: Vec::new(), outputs: Vec::new() };
        let mut names = Names::default();
        let mut placed: HashMap<*const Call, usize> = HashMap::new();
        let mut input_positions: HashMap<*const Call, usize> = HashMap::new();
        for input in inputs {
            let Source::Input { name, shape } = &input.call.source else {
                return Err(model.wrong("an input is the output of a layer; inputs are made with `Input::new`"));
            };
            let name = if name.is_empty() { names.fresh("input_layer") } else { names.take(name, &model.name)? };
            input_positions.insert(Arc::as_ptr(&input.call), model.inputs.len());
            model.inputs.push(InputSpec { name, shape: shape.clone() });
        }
        // An explicit stack: a deep network must not exhaust the thread's own.
        for output in outputs {
            let mut stack = vec![(output.call.clone(), 0)];
            while let Some((call, next)) = stack.pop() {
                let key = Arc::as_ptr(&call);
                if placed.contains_key(&key) || input_positions.contains_key(&key) {
                    continue;
                }
                if let Some(before) = call.inputs.get(next) {
                    let before = before.call.clone();
                    stack.push((call, next + 1));
                    stack.push((before, 0));
                    continue;
                }
                let Source::Layer(layer) = &call.source else {
                    return Err(model.wrong("an output depends on an input that is not among the model's inputs"));
                };
                let inputs = call.inputs.iter().map(|x| reference(x, &placed, &input_positions));
                let inputs: Option<Vec<TensorRef>> = inputs.collect();
                let inputs = inputs.ok_or_else(|| model.wrong("a call reads a tensor of another model"))?;
                model.place(layer, inputs, &mut names)?;
                placed.insert(key, model.calls.len() - 1);
            }
        }
        for output in outputs {
            let target = reference(output, &placed, &input_positions)
                .ok_or_else(|| model.wrong("an output is a tensor of another model"))?;
            let wanted = match target {
                TensorRef::Input(i) => model.inputs[i].name.clone(),
                TensorRef::Call { call, .. } => model.calls[call].layer.name().to_string(),
            };
            let mut name = wanted.clone();
            let mut number = 0;
            while model.outputs.iter().any(|(taken, _)| *taken == name) {
                number += 1;
                name = format!("{wanted}_{number}");
            }
            model.outputs.push((name, target));
        }
        match model.outputs.is_empty() {
            true => Err(model.wrong("it has no outputs")),
            false => Ok(model),
        }
    }

    /// Names and builds a layer, and adds a call of it.
    fn place(&mut self, layer: &LayerRef, inputs: Vec<TensorRef>, names: &mut Names) -> Result<(), LayerError> {
        let index = self.calls.iter().filter(|call| call.layer.is(layer)).count();
        if index == 0 {
            if layer.name().is_empty() {
                layer.name_or(|| names.fresh(&snake_case(layer.layer().class_name())));
            } else {
                names.take(layer.name(), &self.name)?;
            }
        }
        let dims: Vec<Dims> = inputs.iter().map(|&input| self.dims(input)).collect();
        let outputs = infer(layer, &dims)?;
        self.calls.push(LayerCall { layer: layer.clone(), inputs, outputs, index });
        Ok(())
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> LayerError {
        LayerError::Model { model: self.name.clone(), what: what.into() }
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was made as a `Sequential`.
    pub fn is_sequential(&self) -> bool {
        self.sequential
    }

    /// The inputs.
    pub fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    /// The outputs: names (of the layers they come from) and tensors.
    pub fn outputs(&self) -> &[(String, TensorRef)] {
        &self.outputs
    }

    /// All calls, every one after those it reads from.
    pub fn calls(&self) -> &[LayerCall] {
        &self.calls
    }

    /// The layers, each once, in the order of their first call.
    pub fn layers(&self) -> Vec<&LayerRef> {
        self.calls.iter().filter(|call| call.index == 0).map(|call| &call.layer).collect()
    }

    /// The layer of this name; names of nested models may come before it, joined by `/`.
    pub fn get_layer(&self, path: &str) -> Option<&LayerRef> {
        let own = self.layers().into_iter().find(|layer| layer.name() == path);
        own.or_else(|| {
            let (outer, rest) = path.split_once('/')?;
            self.layers().into_iter().find(|layer| layer.name() == outer)?.layer().as_model()?.get_layer(rest)
        })
    }

    /// All weights in Keras's order, those of nested models included; shared ones once.
    pub fn weights(&self) -> Vec<Weight> {
        let mut weights: Vec<Weight> = Vec::new();
        for layer in self.layers() {
            let nested = layer.layer().as_model().map_or_else(Vec::new, Model::weights);
            for weight in nested.into_iter().chain(layer.weights().iter().cloned()) {
                if !weights.iter().any(|other| other.id() == weight.id()) {
                    weights.push(weight);
                }
            }
        }
        weights
    }

    /// Number of weight elements; shared ones count once.
    pub fn parameters(&self) -> usize {
        self.weights().iter().map(|weight| weight.spec().shape.elements()).sum()
    }

    /// Draws all weights anew from their initializers.
    pub fn initialize(&self, seed: u64) {
        for weight in self.weights() {
            weight.initialize(seed);
        }
    }

    /// Shape of a tensor of the model, batch first.
    pub fn dims(&self, tensor: TensorRef) -> Dims {
        match tensor {
            TensorRef::Input(i) => {
                let shape = self.inputs.get(i).map_or(&[][..], |input| &input.shape);
                [None].into_iter().chain(shape.iter().copied()).collect()
            }
            TensorRef::Call { call, output } => {
                self.calls.get(call).and_then(|call| call.outputs.get(output)).cloned().unwrap_or_default()
            }
        }
    }

    /// The graph for inference on a batch of inputs whose shapes are all known.
    ///
    /// # Errors
    /// [`LayerError::Model`] when an input has axes of open size; give its shape to [`Model::graph_for`].
    pub fn graph(&self, batch: usize) -> Result<Graph, LayerError> {
        self.graph_for(batch, &BTreeMap::new())
    }

    /// The graph for inference. `shapes` gives shapes by input name, the batch not counted, where they are open or meant to
    /// be others than the model was made for.
    ///
    /// # Errors
    /// [`LayerError`] when a shape stays open, or a layer does not take what comes.
    pub fn graph_for(&self, batch: usize, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Graph, LayerError> {
        let mode = Mode { values: true, training: false, scope: "" };
        let (mut graph, _, outputs) = self.emit_graph(batch, shapes, mode)?;
        for ((name, _), value) in self.outputs.iter().zip(outputs) {
            graph.output(name.clone(), value);
        }
        Ok(graph)
    }

    pub(super) fn emit_graph(
        &self,
        batch: usize,
        shapes: &BTreeMap<String, Vec<usize>>,
        mode: Mode<'_>,
    ) -> Result<(Graph, Emission, Vec<ValueId>), LayerError> {
        let mut graph = Graph::new();
        let inputs = self.emit_inputs(&mut graph, batch, shapes)?;
        let mut emission = Emission::default();
        let outputs = self.emit_calls(&mut graph, &mut emission, mode, &inputs)?;
        Ok((graph, emission, outputs))
    }

    /// Puts the inputs into a graph, in the model's order. `shapes` are by name, the batch not counted.
    pub(super) fn emit_inputs(
        &self,
        graph: &mut Graph,
        batch: usize,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<Vec<ValueId>, LayerError> {
        if let Some(name) = shapes.keys().find(|name| !self.inputs.iter().any(|input| input.name == **name)) {
            let names: Vec<String> = self.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
            return Err(self.wrong(format!("it has no input `{name}`; its inputs are {}", names.join(", "))));
        }
        if batch == 0 {
            return Err(self.wrong("the batch must have at least one element"));
        }
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            let known: Option<Vec<usize>> = input.shape.iter().copied().collect();
            let shape = shapes.get(&input.name).cloned().or(known).ok_or_else(|| {
                let shape = open_shape(&input.shape);
                self.wrong(format!("input `{}` has open axes, {shape}; its shape must be given", input.name))
            })?;
            let fits = shape.len() == input.shape.len()
                && shape.iter().zip(&input.shape).all(|(&size, wanted)| wanted.is_none_or(|wanted| wanted == size));
            if !fits {
                return Err(self.wrong(format!(
                    "input `{}` takes {} (batch not counted) and got {shape:?}",
                    input.name,
                    open_shape(&input.shape)
                )));
            }
            let ty = TensorType::f32([batch].into_iter().chain(shape).collect::<Vec<_>>());
            if ty.shape.elements() > MOST_ELEMENTS {
                return Err(self.wrong(format!("input `{}` would be {ty}, which no memory holds", input.name)));
            }
            inputs.push(graph.input(input.name.clone(), ty));
        }
        Ok(inputs)
    }

    fn emit_calls(
        &self,
        graph: &mut Graph,
        emission: &mut Emission,
        mode: Mode<'_>,
        inputs: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let mut values: Vec<Vec<ValueId>> = Vec::with_capacity(self.calls.len());
        let find = |values: &[Vec<ValueId>], tensor: TensorRef| match tensor {
            TensorRef::Input(i) => inputs.get(i).copied(),
            TensorRef::Call { call, output } => values.get(call).and_then(|outputs| outputs.get(output)).copied(),
        };
        for call in &self.calls {
            let operands: Option<Vec<ValueId>> = call.inputs.iter().map(|&input| find(&values, input)).collect();
            let operands = operands
                .ok_or_else(|| self.wrong(format!("`{}` reads an output that no call has", call.layer.name())))?;
            values.push(call.layer.emit(graph, emission, mode, &operands)?);
        }
        let outputs: Option<Vec<ValueId>> = self.outputs.iter().map(|(_, output)| find(&values, *output)).collect();
        outputs.ok_or_else(|| self.wrong("an output does not exist"))
    }
}

impl Layer for Model {
    fn class_name(&self) -> &'static str {
        if self.sequential { "Sequential" } else { "Functional" }
    }

    fn config(&self) -> Value {
        self.settings(&self.name)
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        // The layers inside own them.
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        if inputs.len() != self.inputs.len() {
            return Err(emitter.wrong(format!("it takes {} inputs and got {}", self.inputs.len(), inputs.len())));
        }
        let scope = emitter.scope.clone();
        let mode = Mode { scope: &scope, ..emitter.mode };
        self.emit_calls(emitter.graph, emitter.emission, mode, inputs)
    }

    fn as_model(&self) -> Option<&Model> {
        Some(self)
    }
}

fn reference(
    tensor: &SymbolicTensor,
    placed: &HashMap<*const Call, usize>,
    inputs: &HashMap<*const Call, usize>,
) -> Option<TensorRef> {
    let key = Arc::as_ptr(&tensor.call);
    if let Some(&input) = inputs.get(&key) {
        return Some(TensorRef::Input(input));
    }
    placed.get(&key).map(|&call| TensorRef::Call { call, output: tensor.output })
}

/// Output shapes of a layer. It is added to throw-away graphs with two different sizes in the place of every open axis: what
/// differs between them is open in the output.
fn infer(layer: &LayerRef, inputs: &[Dims]) -> Result<Vec<Dims>, LayerError> {
    let probe = |batch: usize, open: usize| -> Result<Vec<Shape>, LayerError> {
        let shapes: Vec<Shape> = inputs
            .iter()
            .map(|dims| {
                dims.iter()
                    .enumerate()
                    .map(|(axis, size)| size.unwrap_or(if axis == 0 { batch } else { open }))
                    .collect()
            })
            .collect();
        layer.build(&shapes)?;
        let mut graph = Graph::new();
        let values: Vec<ValueId> =
            shapes.iter().map(|shape| graph.input("x", TensorType::f32(shape.clone()))).collect();
        let mode = Mode { values: false, training: false, scope: "" };
        let outputs = layer.emit(&mut graph, &mut Emission::default(), mode, &values)?;
        Ok(outputs.into_iter().map(|value| graph.ty(value).shape.clone()).collect())
    };
    // Sizes that ordinary strides and pools divide, and that no fixed size is likely to equal.
    let (a, b) = (probe(2, 448)?, probe(3, 640)?);
    let merged = a.iter().zip(&b).map(|(a, b)| a.iter().zip(b.iter()).map(|(&a, &b)| (a == b).then_some(a)).collect());
    Ok(merged.collect())
}
