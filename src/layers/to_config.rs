//! Models as Keras 3 writes them: the JSON of `Sequential` and `Functional`, with layers, calls, inputs and outputs.

use serde_json::{Map, Value, json};

use super::keras_order::{Operation, keras_order};
use super::{Dims, InputSpec, LayerRef, Model, TensorRef};

/// Classes of this crate that Keras lacks.
const OWN: &[&str] = &[
    "PointwiseConv1D",
    "PointwiseConv2D",
    "PointwiseConv3D",
    "DepthwiseConv3D",
    "SeparableConv3D",
    "SharedDepthwiseConv1D",
    "SharedDepthwiseConv2D",
    "SharedDepthwiseConv3D",
];

/// Classes that are functions in Keras (`keras.ops`): they stand in functional models only, and hold no weights.
const FUNCTIONS: &[&str] = &["GetItem", "Split"];

/// Classes that Keras calls with a list of inputs, even of one.
const LISTS: &[&str] = &["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"];

/// The shortest decimal that is this `f32`, as Python would have written it.
pub(super) fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |value| json!(value))
}

/// One number alone, several as a list.
pub(super) fn numbers(values: &[f32]) -> Value {
    match values {
        [value] => number(*value),
        _ => values.iter().map(|&value| number(value)).collect(),
    }
}

/// The key of the penalty or the constraint (`what`) on a weight: Keras names depthwise kernels after what they are.
fn key_about(class: &str, weight: &str, what: &str) -> String {
    let stem = match weight.strip_suffix("_kernel") {
        Some(stem) => stem,
        None if weight == "kernel" && class.starts_with("DepthwiseConv") => "depthwise",
        None => weight,
    };
    format!("{stem}_{what}")
}

fn dtype() -> Value {
    json!({ "module": "keras", "class_name": "DTypePolicy", "config": { "name": "float32" }, "registered_name": null })
}

impl LayerRef {
    /// Whether the layer is a function in Keras rather than a layer.
    pub(super) fn is_function(&self) -> bool {
        FUNCTIONS.contains(&self.layer().class_name())
    }

    /// Whether Keras has no class like this one.
    pub(super) fn is_own_class(&self) -> bool {
        OWN.contains(&self.layer().class_name())
    }

    /// The entry of the layer in a model's list.
    fn to_config(&self, inputs: &[Dims]) -> Value {
        if let Some(model) = self.layer().as_model() {
            return model.entry(self.name());
        }
        let class = self.layer().class_name();
        let mut config = Map::new();
        config.insert("name".into(), json!(self.name()));
        if !self.is_function() {
            // Keras's spatial dropout does not take the key.
            if !class.starts_with("SpatialDropout") {
                config.insert("trainable".into(), json!(self.trainable()));
            }
            config.insert("dtype".into(), dtype());
        }
        if let Value::Object(settings) = self.layer().config() {
            config.extend(settings);
        }
        for weight in self.weights() {
            let name = weight.spec().name;
            if let Some(regularizer) = self.regularizer(name) {
                config.insert(key_about(class, name, "regularizer"), regularizer.to_config());
            }
            if let Some(constraint) = self.constraint(name) {
                config.insert(key_about(class, name, "constraint"), constraint.to_config());
            }
        }
        let (module, registered) = match () {
            () if self.is_function() => ("keras.src.ops.numpy", json!(class)),
            () if self.is_own_class() => ("wgconv.layers", json!(format!("wgconv>{class}"))),
            () => ("keras.layers", Value::Null),
        };
        let mut entry =
            json!({ "module": module, "class_name": class, "config": config, "registered_name": registered });
        if let ([input], false) = (inputs, self.weights().is_empty()) {
            entry["build_config"] = json!({ "input_shape": input });
        }
        entry
    }
}

impl Model {
    /// The model as Keras 3 writes it to `config.json`: classes, settings and calls, no weights. [`Model::from_config`] makes
    /// the same model of it. Classes that Keras lacks are written as this crate's own; `export` writes what Keras loads.
    ///
    /// Keras's seeds are not kept, so they are absent, which means none.
    pub fn to_config(&self) -> Value {
        self.entry(&self.name)
    }

    /// [`Model::to_config`] as text.
    pub fn to_json(&self) -> String {
        self.to_config().to_string()
    }

    /// The class under which the model is written: Keras's `Sequential` takes neither functions nor a layer twice.
    pub(super) fn is_written_as_sequential(&self) -> bool {
        self.sequential
            && self.inputs.len() == 1
            && self.calls.iter().all(|call| call.index == 0 && !call.layer.is_function())
    }

    fn entry(&self, name: &str) -> Value {
        if self.is_written_as_sequential() {
            let shape = self.dims(TensorRef::Input(0));
            json!({
                "module": "keras",
                "class_name": "Sequential",
                "config": self.settings(name),
                "registered_name": null,
                "build_config": { "input_shape": shape },
            })
        } else {
            json!({
                "module": "keras.src.models.functional",
                "class_name": "Functional",
                "config": self.settings(name),
                "registered_name": "Functional",
                "build_config": { "input_shape": null },
            })
        }
    }

    /// What Keras's `get_config` gives of the model under a name.
    pub(super) fn settings(&self, name: &str) -> Value {
        let dims = |call: &super::LayerCall| call.inputs.iter().map(|&input| self.dims(input)).collect::<Vec<_>>();
        if self.is_written_as_sequential() {
            let inputs = self.inputs.iter().map(input_entry);
            let layers = inputs.chain(self.calls.iter().map(|call| call.layer.to_config(&dims(call))));
            return json!({
                "name": name,
                "trainable": true,
                "dtype": dtype(),
                "layers": layers.collect::<Vec<_>>(),
                "build_input_shape": self.dims(TensorRef::Input(0)),
            });
        }
        let layers = keras_order(self).into_iter().filter_map(|operation| match operation {
            Operation::Input(position) => {
                let input = self.inputs.get(position)?;
                let mut entry = input_entry(input);
                entry["name"] = json!(input.name);
                entry["inbound_nodes"] = json!([]);
                Some(entry)
            }
            Operation::Layer(first) => {
                let first = self.calls.get(first)?;
                let mut entry = first.layer.to_config(&dims(first));
                entry["name"] = json!(first.layer.name());
                let calls = self.calls.iter().filter(|call| call.layer.is(&first.layer));
                entry["inbound_nodes"] = calls.map(|call| self.node(call)).collect();
                Some(entry)
            }
        });
        let inputs = (0..self.inputs.len()).map(|position| self.end(TensorRef::Input(position)));
        let outputs = self.outputs.iter().map(|(_, output)| self.end(*output));
        json!({
            "name": name,
            "trainable": true,
            "layers": layers.collect::<Vec<_>>(),
            "input_layers": one_or_all(inputs.collect()),
            "output_layers": one_or_all(outputs.collect()),
        })
    }

    /// One call of a layer: its arguments.
    fn node(&self, call: &super::LayerCall) -> Value {
        let tensor = |&input: &TensorRef| {
            let config =
                json!({ "shape": self.dims(input), "dtype": "float32", "keras_history": self.history(input, false) });
            json!({ "class_name": "__keras_tensor__", "config": config })
        };
        let mut tensors: Vec<Value> = call.inputs.iter().map(tensor).collect();
        if tensors.len() > 1 || LISTS.contains(&call.layer.layer().class_name()) {
            tensors = vec![Value::Array(tensors)];
        }
        let rank = call.inputs.first().map_or(0, |&input| self.dims(input).len());
        tensors.extend(call.layer.layer().call_arguments(rank));
        json!({ "args": tensors, "kwargs": {} })
    }

    fn end(&self, tensor: TensorRef) -> Value {
        self.history(tensor, true)
    }

    /// `[layer, call, output]`. A functional model counts its own making as its call 0 where `ends` are named.
    fn history(&self, tensor: TensorRef, ends: bool) -> Value {
        match tensor {
            TensorRef::Input(position) => {
                json!([self.inputs.get(position).map_or("", |input| input.name.as_str()), 0, 0])
            }
            TensorRef::Call { call, output } => match self.calls.get(call) {
                Some(call) => {
                    let functional =
                        call.layer.layer().as_model().is_some_and(|model| !model.is_written_as_sequential());
                    json!([call.layer.name(), call.index + usize::from(ends && functional), output])
                }
                None => Value::Null,
            },
        }
    }
}

/// One end alone, several as a list.
fn one_or_all(mut ends: Vec<Value>) -> Value {
    if ends.len() == 1 { ends.remove(0) } else { Value::Array(ends) }
}

fn input_entry(input: &InputSpec) -> Value {
    let shape: Dims = [None].into_iter().chain(input.shape.iter().copied()).collect();
    json!({
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {
            "batch_shape": shape,
            "dtype": "float32",
            "sparse": false,
            "ragged": false,
            "name": input.name,
            "optional": false,
        },
        "registered_name": null,
    })
}
