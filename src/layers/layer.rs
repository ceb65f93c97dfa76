//! What a layer is: a Keras class with its settings, its weights, and the ops it adds to a graph.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

use super::per_weight::PerWeight;
use super::{Activation, Constraint, Initializer, KerasSite, Model, Regularizer};
use crate::error::LayerError;
use crate::graph::{Graph, ValueId};
use crate::ops::{Binary, BinaryFn, Distribution, Op, Random};
use crate::tensor::{Shape, Tensor, TensorType};

/// A Keras layer class with its settings. It owns no weights: a [`LayerRef`] does.
pub trait Layer: Debug + Send + Sync {
    /// The Keras class, such as `Conv2D`.
    fn class_name(&self) -> &'static str;

    /// Its settings as Keras's `get_config` gives them, less those that every layer has (name, element type, ..).
    fn config(&self) -> Value;

    /// Further arguments of a call on an input of `rank` axes, for a class that Keras tells more in the call than in the
    /// settings.
    fn call_arguments(&self, _rank: usize) -> Vec<Value> {
        Vec::new()
    }

    /// The weights it needs for inputs of these shapes (batch first), in Keras's order.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String>;

    /// Adds its ops to a graph. `weights` are those of [`Layer::weights`], in that order.
    ///
    /// # Errors
    /// [`LayerError`] when the inputs do not fit.
    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError>;

    /// The layers of Keras that compute the same one after the other, where Keras lacks the class or a setting; none where
    /// Keras has both.
    ///
    /// # Errors
    /// What Keras lacks, if nothing there computes the same.
    fn in_keras(&self, _site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        Ok(Vec::new())
    }

    /// The depthwise and the pointwise half of a separable layer.
    fn halves(&self) -> Option<(Box<dyn Layer>, Box<dyn Layer>)> {
        None
    }

    /// The model behind a nested model's layer.
    fn as_model(&self) -> Option<&Model> {
        None
    }
}

/// A weight before it has values.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightSpec {
    /// Keras's name: `kernel`, `bias`, `moving_mean`, ..
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// How it starts.
    pub initializer: Initializer,
    /// Whether training changes it.
    pub trainable: bool,
}

impl WeightSpec {
    /// A trainable weight.
    pub fn new(name: &'static str, shape: impl Into<Shape>, initializer: Initializer) -> WeightSpec {
        WeightSpec { name, shape: shape.into(), initializer, trainable: true }
    }
}

/// A weight with its values. Clones share them: that is how layers share weights.
#[derive(Debug, Clone)]
pub struct Weight {
    spec: WeightSpec,
    /// `layer/weight`, the name in graphs and the key of its initial values.
    name: String,
    value: Arc<Mutex<Option<Tensor>>>,
}

impl Weight {
    /// Name, shape and initializer.
    pub fn spec(&self) -> &WeightSpec {
        &self.spec
    }

    /// `layer/weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn lock(&self) -> MutexGuard<'_, Option<Tensor>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The values; drawn from the initializer with seed 0 when nothing was set before.
    pub fn get(&self) -> Tensor {
        let mut value = self.lock();
        let tensor = value.get_or_insert_with(|| self.spec.initializer.draw(&self.spec.shape, 0, &self.name));
        // A view may have set them in its own shape.
        tensor.reshaped(self.spec.shape.clone()).unwrap_or_else(|_| tensor.clone())
    }

    /// Sets the values.
    ///
    /// # Errors
    /// [`LayerError::Weight`] when the shape or element type is another.
    pub fn set(&self, tensor: Tensor) -> Result<(), LayerError> {
        let expected = TensorType::f32(self.spec.shape.clone());
        if tensor.tensor_type() != expected {
            let what = format!("{} was given where {expected} is expected", tensor.tensor_type());
            return Err(LayerError::Weight { weight: self.name.clone(), what });
        }
        *self.lock() = Some(tensor);
        Ok(())
    }

    /// The same values as the weight `name` of another layer, in another shape of as many elements.
    pub(super) fn viewed(&self, layer: &str, name: &'static str, shape: impl Into<Shape>) -> Weight {
        // The initializer counts fans in this weight's own shape, so that it draws first.
        self.get();
        let spec = WeightSpec { name, shape: shape.into(), ..self.spec.clone() };
        Weight { spec, name: format!("{layer}/{name}"), value: self.value.clone() }
    }

    /// Draws the values anew.
    pub fn initialize(&self, seed: u64) {
        *self.lock() = Some(self.spec.initializer.draw(&self.spec.shape, seed, &self.name));
    }

    /// Equal for weights that share their values.
    pub(super) fn id(&self) -> usize {
        Arc::as_ptr(&self.value) as usize
    }
}

/// A layer with a name and weights. Clones are the same layer: calling it twice shares its weights.
#[derive(Debug, Clone)]
pub struct LayerRef(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    layer: Box<dyn Layer>,
    name: OnceLock<String>,
    weights: OnceLock<Vec<Weight>>,
    frozen: AtomicBool,
    regularizers: PerWeight<Regularizer>,
    constraints: PerWeight<Constraint>,
}

impl LayerRef {
    pub(super) fn new(layer: Box<dyn Layer>, name: Option<String>) -> LayerRef {
        let shared = Shared {
            layer,
            name: OnceLock::new(),
            weights: OnceLock::new(),
            frozen: AtomicBool::new(false),
            regularizers: PerWeight::default(),
            constraints: PerWeight::default(),
        };
        if let Some(name) = name {
            shared.name.get_or_init(|| name);
        }
        LayerRef(Arc::new(shared))
    }

    /// The class with its settings.
    pub fn layer(&self) -> &dyn Layer {
        self.0.layer.as_ref()
    }

    /// The name, once it has one: given by hand, or by the first model that it becomes part of.
    pub fn name(&self) -> &str {
        self.0.name.get().map_or("", String::as_str)
    }

    /// Names the layer if it has no name yet.
    pub(super) fn name_or(&self, make: impl FnOnce() -> String) -> &str {
        self.0.name.get_or_init(make)
    }

    /// Equal for handles of the same layer.
    pub(super) fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Whether two handles are the same layer.
    pub fn is(&self, other: &LayerRef) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The weights in Keras's order; empty until the layer is part of a model (or shares another layer's).
    pub fn weights(&self) -> &[Weight] {
        self.0.weights.get().map_or(&[], Vec::as_slice)
    }

    /// Whether training changes the layer's weights; they do unless [`LayerRef::set_trainable`] says otherwise.
    pub fn trainable(&self) -> bool {
        !self.0.frozen.load(Ordering::Relaxed)
    }

    /// Keeps the layer's weights as they are in training, or lets them learn again. A batch normalisation that does not
    /// train uses its moving statistics, as in Keras. A nested model passes it on to its layers.
    pub fn set_trainable(&self, trainable: bool) {
        self.0.frozen.store(!trainable, Ordering::Relaxed);
        if let Some(model) = self.layer().as_model() {
            model.layers().into_iter().for_each(|layer| layer.set_trainable(trainable));
        }
    }

    /// Adds a penalty on the weight `weight` (`kernel`, `bias`, ..) to the loss of a training.
    #[must_use]
    pub fn regularized(self, weight: &str, regularizer: Regularizer) -> LayerRef {
        self.0.regularizers.set(weight, regularizer);
        self
    }

    /// The penalty on a weight, if there is one.
    pub fn regularizer(&self, weight: &str) -> Option<Regularizer> {
        self.0.regularizers.get(weight)
    }

    /// Brings the weight `weight` (`kernel`, `bias`, ..) back to a constraint after every step of a training.
    #[must_use]
    pub fn constrained(self, weight: &str, constraint: Constraint) -> LayerRef {
        self.0.constraints.set(weight, constraint);
        self
    }

    /// The constraint on a weight, if there is one.
    pub fn constraint(&self, weight: &str) -> Option<Constraint> {
        self.0.constraints.get(weight)
    }

    /// Number of weight elements, trainable or not.
    pub fn parameters(&self) -> usize {
        let nested = self.layer().as_model().map_or(0, Model::parameters);
        nested + self.weights().iter().map(|weight| weight.spec.shape.elements()).sum::<usize>()
    }

    /// Makes a layer whose weights are those given.
    pub(super) fn with_weights(layer: Box<dyn Layer>, name: String, weights: Vec<Weight>) -> LayerRef {
        let layer = LayerRef::new(layer, Some(name));
        layer.0.weights.get_or_init(|| weights);
        layer
    }

    fn wrong(&self, what: String) -> LayerError {
        LayerError::Layer { layer: self.name().into(), class: self.layer().class_name().into(), what }
    }

    /// Makes the weights for inputs of these shapes, or checks that those there are fit.
    pub(super) fn build(&self, inputs: &[Shape]) -> Result<(), LayerError> {
        let specs = self.layer().weights(inputs).map_err(|what| self.wrong(what))?;
        if let Some(weights) = self.0.weights.get() {
            let fit = weights.iter().map(|weight| &weight.spec.shape).eq(specs.iter().map(|spec| &spec.shape));
            return if fit {
                Ok(())
            } else {
                let shapes: Vec<String> = weights.iter().map(|weight| weight.spec.shape.to_string()).collect();
                let inputs: Vec<String> = inputs.iter().map(Shape::to_string).collect();
                Err(self.wrong(format!(
                    "its weights {} were made for other inputs than {}",
                    shapes.join(" "),
                    inputs.join(" ")
                )))
            };
        }
        let name = self.name();
        let weight = |spec: WeightSpec| Weight { name: format!("{name}/{}", spec.name), spec, value: Arc::default() };
        self.0.weights.get_or_init(|| specs.into_iter().map(weight).collect());
        Ok(())
    }

    /// Adds the layer to a graph under `scope`.
    pub(super) fn emit(
        &self,
        graph: &mut Graph,
        emission: &mut Emission,
        mode: Mode<'_>,
        inputs: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let within = |name: &str| if mode.scope.is_empty() { name.into() } else { format!("{}/{name}", mode.scope) };
        let trainable = self.trainable();
        let weights: Vec<ValueId> = self
            .weights()
            .iter()
            .map(|weight| match emission.placed.get(&weight.id()) {
                Some(&value) => value,
                None => {
                    let name = within(&weight.name);
                    let value = match mode.values {
                        true => graph.constant(name, weight.get()),
                        // Shapes do not depend on values, and drawing them takes time.
                        false => graph.input(name, TensorType::f32(weight.spec.shape.clone())),
                    };
                    emission.placed.insert(weight.id(), value);
                    emission.weights.push(PlacedWeight {
                        weight: weight.clone(),
                        value,
                        trainable: trainable && weight.spec.trainable,
                        regularizer: self.regularizer(weight.spec.name),
                        constraint: self.constraint(weight.spec.name),
                    });
                    value
                }
            })
            .collect();
        let scope = within(self.name());
        let mut emitter = Emitter { graph, emission, mode, scope, class: self.layer().class_name(), trainable };
        self.layer().emit(&mut emitter, inputs, &weights)
    }
}

/// How layers are added to a graph.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode<'a> {
    /// Weights as constants with their values, or as inputs of their shape.
    pub values: bool,
    /// Batch normalisation uses the statistics of the batch, and dropout drops.
    pub training: bool,
    /// Names of the models around, joined by `/`.
    pub scope: &'a str,
}

/// A weight in a graph.
#[derive(Debug)]
pub(super) struct PlacedWeight {
    pub weight: Weight,
    pub value: ValueId,
    /// Whether its gradient changes it in training.
    pub trainable: bool,
    pub regularizer: Option<Regularizer>,
    pub constraint: Option<Constraint>,
}

/// What gathers while the layers of a model are added to a graph.
#[derive(Debug, Default)]
pub(super) struct Emission {
    placed: HashMap<usize, ValueId>,
    /// Every weight once.
    pub weights: Vec<PlacedWeight>,
    /// Weights that change with every batch without a gradient, and what they become.
    pub updates: Vec<(ValueId, ValueId)>,
    /// The key of random numbers, if a layer draws any.
    pub key: Option<ValueId>,
    streams: u32,
}

/// Adds the ops of one layer to a graph.
#[derive(Debug)]
pub struct Emitter<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) emission: &'a mut Emission,
    pub(super) mode: Mode<'a>,
    pub(super) scope: String,
    class: &'static str,
    trainable: bool,
}

impl Emitter<'_> {
    /// Name of the input that holds the key of random numbers, `[4]`.
    pub const KEY: &'static str = "random_key";

    /// Whether training changes the layer's weights.
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// Makes `value` what the weight `weight` is after this batch.
    pub fn update(&mut self, weight: ValueId, value: ValueId) {
        self.emission.updates.push((weight, value));
    }

    /// Adds random numbers that are others in every step.
    ///
    /// # Errors
    /// [`LayerError::Graph`] when the distribution makes no sense.
    pub fn random(&mut self, distribution: Distribution, shape: Shape) -> Result<ValueId, LayerError> {
        let key = match self.emission.key {
            Some(key) => key,
            None => self.graph.input(Self::KEY, TensorType::f32([4])),
        };
        self.emission.key = Some(key);
        let stream = self.emission.streams;
        self.emission.streams += 1;
        self.node("random", Random { distribution, shape, stream }, &[key])
    }

    /// Adds a node named after the layer and `part`.
    ///
    /// # Errors
    /// [`LayerError::Graph`] when the op does not take these inputs.
    pub fn node(&mut self, part: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, LayerError> {
        let name = if part.is_empty() { self.scope.clone() } else { format!("{}/{part}", self.scope) };
        self.graph.node(name, op, inputs).map_err(|source| LayerError::Graph { layer: self.scope.clone(), source })
    }

    /// As [`Emitter::node`], with all outputs of the op.
    ///
    /// # Errors
    /// As [`Emitter::node`].
    pub fn nodes(&mut self, part: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Vec<ValueId>, LayerError> {
        let first = self.node(part, op, inputs)?;
        Ok(self.graph.producer(first).map_or_else(|| vec![first], |node| node.outputs.clone()))
    }

    /// Adds a constant that belongs to the layer but is no weight of it.
    pub fn constant(&mut self, part: &str, tensor: Tensor) -> ValueId {
        self.graph.constant(format!("{}/{part}", self.scope), tensor)
    }

    /// Shape of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.graph.ty(value).shape.clone()
    }

    /// Whether the graph is for training rather than inference.
    pub fn training(&self) -> bool {
        self.mode.training
    }

    /// An error of the layer that is being added.
    pub fn wrong(&self, what: impl Into<String>) -> LayerError {
        LayerError::Layer { layer: self.scope.clone(), class: self.class.into(), what: what.into() }
    }

    /// Adds a bias (when there is one) and an activation.
    pub(super) fn finish(
        &mut self,
        x: ValueId,
        bias: Option<ValueId>,
        activation: Activation,
    ) -> Result<ValueId, LayerError> {
        let x = match bias {
            Some(bias) => self.node("bias", Binary { function: BinaryFn::Add }, &[x, bias])?,
            None => x,
        };
        activation.emit(self, x)
    }

    /// The one input of a layer that takes one.
    pub(super) fn one(&self, inputs: &[ValueId]) -> Result<ValueId, LayerError> {
        match inputs {
            [x] => Ok(*x),
            _ => Err(self.wrong(format!("it takes one input and got {}", inputs.len()))),
        }
    }
}

/// Turns layer classes into layers.
pub trait IntoLayer: Layer + Sized + 'static {
    /// The layer, named by the first model it becomes part of (`conv2d`, `conv2d_1`, ..).
    fn layer(self) -> LayerRef {
        LayerRef::new(Box::new(self), None)
    }

    /// The layer under a name of its own.
    fn named(self, name: impl Into<String>) -> LayerRef {
        LayerRef::new(Box::new(self), Some(name.into()))
    }
}

impl<L: Layer + Sized + 'static> IntoLayer for L {}

impl<L: Layer + 'static> From<L> for LayerRef {
    fn from(layer: L) -> LayerRef {
        layer.layer()
    }
}
