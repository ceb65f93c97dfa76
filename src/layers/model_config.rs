//! Models from the configurations in Keras files: `Sequential` and `Functional`, as Keras 2 and Keras 3 write them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Input, IntoLayer, LayerRef, Model, Reshaping, Sequential, SymbolicTensor, layer_from_config};
use crate::error::LayerError;
use crate::ops::SliceAxis;

impl Model {
    /// A model from a Keras configuration: `{"class_name": "Functional", "config": {..}}`.
    ///
    /// # Errors
    /// [`LayerError`], naming the layer, for everything that is not understood.
    pub fn from_config(config: &Value) -> Result<Model, LayerError> {
        let wrong = |what: &str| LayerError::Model { model: "?".into(), what: what.into() };
        let class = config
            .get("class_name")
            .and_then(Value::as_str)
            .ok_or_else(|| wrong("the configuration names no class"))?;
        let inner = config.get("config").ok_or_else(|| wrong("the configuration is empty"))?;
        match class {
            "Sequential" => sequential(inner),
            "Functional" | "Model" => Functional::read(inner),
            other => Err(wrong(&format!("the class {other} is no Sequential or Functional model"))),
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn model_error(config: &Value, what: impl Into<String>) -> LayerError {
    LayerError::Model { model: text(config, "name").into(), what: what.into() }
}

/// An error in the configuration of one layer.
fn entry_error(entry: &Value, problem: String) -> LayerError {
    let own = text(entry, "name");
    let name = if own.is_empty() { text(entry.get("config").unwrap_or(entry), "name") } else { own };
    LayerError::Config { layer: name.into(), class: text(entry, "class_name").into(), problems: vec![problem] }
}

/// The shape of an input layer without the batch; inputs of other element types than float32 are refused.
fn input_shape(entry: &Value) -> Result<Vec<Option<usize>>, LayerError> {
    let config = layer_config(entry)?;
    let dtype = config.get("dtype").and_then(|dtype| {
        dtype.as_str().or_else(|| dtype.get("config").and_then(|c| c.get("name")).and_then(Value::as_str))
    });
    if let Some(dtype) = dtype.filter(|dtype| *dtype != "float32") {
        return Err(entry_error(entry, format!("`dtype` is {dtype}; only float32 inputs are supported")));
    }
    batch_shape(config).ok_or_else(|| entry_error(entry, "the input has no shape".into()))
}

fn layer_list(config: &Value) -> Result<&Vec<Value>, LayerError> {
    config.get("layers").and_then(Value::as_array).ok_or_else(|| model_error(config, "it has no list of layers"))
}

fn layer_config(entry: &Value) -> Result<&Map<String, Value>, LayerError> {
    entry.get("config").and_then(Value::as_object).ok_or_else(|| LayerError::Config {
        layer: text(entry, "name").into(),
        class: text(entry, "class_name").into(),
        problems: vec!["it has no configuration".into()],
    })
}

/// The shape of an input without the batch, from `batch_shape` (Keras 3) or `batch_input_shape` (Keras 2).
fn batch_shape(config: &Map<String, Value>) -> Option<Vec<Option<usize>>> {
    let shape = config.get("batch_shape").or_else(|| config.get("batch_input_shape"))?.as_array()?;
    Some(shape.iter().skip(1).map(|size| size.as_u64().map(|size| size as usize)).collect())
}

fn layer(entry: &Value) -> Result<LayerRef, LayerError> {
    let class = text(entry, "class_name");
    let registered = text(entry, "registered_name");
    if registered.contains('>') && !registered.starts_with("wgconv>") {
        return Err(entry_error(entry, format!("the class {registered} is the model's own, not Keras's {class}")));
    }
    match class {
        "Sequential" | "Functional" | "Model" => {
            let model = Model::from_config(entry)?;
            let name = model.name().to_string();
            Ok(model.named(name))
        }
        _ => layer_from_config(class, layer_config(entry)?),
    }
}

fn sequential(config: &Value) -> Result<Model, LayerError> {
    let mut input = None;
    let mut model = Sequential::new();
    for entry in layer_list(config)? {
        let settings = layer_config(entry)?;
        if text(entry, "class_name") == "InputLayer" {
            input_shape(entry)?;
        }
        if input.is_none() {
            input = batch_shape(settings).map(|shape| {
                let given = text(entry.get("config").unwrap_or(entry), "name");
                let own = text(entry, "class_name") == "InputLayer";
                Input::open(if own { given.to_string() } else { String::new() }, shape)
            });
        }
        if text(entry, "class_name") != "InputLayer" {
            model = model.add(layer(entry)?);
        }
    }
    let built = config.get("build_input_shape").and_then(Value::as_array).map(|shape| {
        Input::open("", shape.iter().skip(1).map(|size| size.as_u64().map(|size| size as usize)).collect())
    });
    let input = input.or(built).ok_or_else(|| model_error(config, "it has no input shape; build it before saving"))?;
    model.build_named(text(config, "name"), input)
}

/// A functional model while it is read.
struct Functional<'a> {
    config: &'a Value,
    /// Outputs of every call of every layer, by layer name.
    calls: HashMap<&'a str, Vec<Option<SymbolicTensor>>>,
    /// Layers that are models; their own making counts as their call 0 where outputs are named.
    models: Vec<&'a str>,
}

/// A call that waits for its inputs.
struct Pending<'a> {
    name: &'a str,
    index: usize,
    layer: Option<LayerRef>,
    entry: &'a Value,
    node: &'a Value,
}

impl<'a> Functional<'a> {
    fn read(config: &'a Value) -> Result<Model, LayerError> {
        let mut reader = Functional { config, calls: HashMap::new(), models: Vec::new() };
        let mut pending = Vec::new();
        for entry in layer_list(config)? {
            let own = text(entry, "name");
            let name = if own.is_empty() { text(entry.get("config").unwrap_or(entry), "name") } else { own };
            if text(entry, "class_name") == "InputLayer" {
                let shape = input_shape(entry)?;
                reader.calls.insert(name, vec![Some(Input::open(name, shape))]);
                continue;
            }
            let nodes = entry.get("inbound_nodes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            // Slices have their ranges in the call, not in the configuration, so every call is a layer of its own.
            let slices = ["GetItem", "SlicingOpLambda"].contains(&text(entry, "class_name"));
            let shared = if slices { None } else { Some(layer(entry)?) };
            // In Keras 3 that is so for functional models only; its calls are objects.
            let newer = nodes.first().is_some_and(Value::is_object);
            let class = text(entry, "class_name");
            if ["Functional", "Model"].contains(&class) || (class == "Sequential" && !newer) {
                reader.models.push(name);
            }
            reader.calls.insert(name, vec![None; nodes.len()]);
            for (index, node) in nodes.iter().enumerate() {
                pending.push(Pending { name, index, layer: shared.clone(), entry, node });
            }
        }
        while !pending.is_empty() {
            let before = pending.len();
            let mut waiting = Vec::new();
            for call in pending {
                match reader.call(&call)? {
                    true => {}
                    false => waiting.push(call),
                }
            }
            if waiting.len() == before {
                let names: Vec<&str> = waiting.iter().map(|call| call.name).collect();
                return Err(model_error(config, format!("inputs of {} do not exist", names.join(", "))));
            }
            pending = waiting;
        }
        let inputs = reader.ends("input_layers")?;
        let outputs = reader.ends("output_layers")?;
        Model::named(text(config, "name"), &inputs, &outputs)
    }

    /// Makes a call when all of its inputs exist; says whether they do.
    fn call(&mut self, call: &Pending<'a>) -> Result<bool, LayerError> {
        if asks_for_training(call.node) {
            let problem = "a call has `training=True`, which is not supported at inference".into();
            return Err(entry_error(call.entry, problem));
        }
        let mut histories = Vec::new();
        histories_of(call.node, &mut histories);
        let mut inputs = Vec::with_capacity(histories.len());
        for (name, node, output) in histories {
            match self.tensor(&name, node, output)? {
                Some(tensor) => inputs.push(tensor),
                None => return Ok(false),
            }
        }
        if inputs.is_empty() {
            return Err(model_error(self.config, format!("a call of `{}` has no inputs that are tensors", call.name)));
        }
        let layer = match &call.layer {
            Some(layer) => layer.clone(),
            None => slice_layer(call.entry, call.name, call.index, call.node)?,
        };
        let operands: Vec<&SymbolicTensor> = inputs.iter().collect();
        let result = layer.call_many(&operands);
        if let Some(slot) = self.calls.get_mut(call.name).and_then(|calls| calls.get_mut(call.index)) {
            *slot = Some(result);
        }
        Ok(true)
    }

    /// Output `output` of call `node` of a layer; `None` while that call has not been made.
    fn tensor(&self, name: &str, node: usize, output: usize) -> Result<Option<SymbolicTensor>, LayerError> {
        let calls = self.calls.get(name).ok_or_else(|| {
            model_error(self.config, format!("a call reads the layer `{name}`, which does not exist"))
        })?;
        let call = calls
            .get(node)
            .ok_or_else(|| model_error(self.config, format!("call {node} of `{name}` does not exist")))?;
        Ok(call.as_ref().map(|tensor| SymbolicTensor { call: tensor.call.clone(), output }))
    }

    fn ends(&self, key: &str) -> Result<Vec<SymbolicTensor>, LayerError> {
        let mut ends = Vec::new();
        named_histories(self.config.get(key).unwrap_or(&Value::Null), &mut ends);
        if ends.is_empty() {
            return Err(model_error(self.config, format!("`{key}` names no tensors")));
        }
        ends.into_iter()
            .map(|(name, node, output)| {
                let node = if self.models.contains(&name.as_str()) { node.saturating_sub(1) } else { node };
                self.tensor(&name, node, output)?
                    .ok_or_else(|| model_error(self.config, format!("`{key}` names `{name}`, which is never called")))
            })
            .collect()
    }
}

/// Whether the arguments of a call say `training=True`, wherever Keras 2 and 3 put them.
fn asks_for_training(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            object.get("training") == Some(&Value::Bool(true)) || object.values().any(asks_for_training)
        }
        Value::Array(items) => items.iter().any(asks_for_training),
        _ => false,
    }
}

type History = (String, usize, usize);

fn history(items: &[Value]) -> Option<History> {
    let [Value::String(name), node, output, ..] = items else { return None };
    Some((name.clone(), node.as_u64()? as usize, output.as_u64()? as usize))
}

/// The tensors in the arguments of one call: Keras 3's `__keras_tensor__` objects, or Keras 2's `[name, node, output, kwargs]`.
fn histories_of(value: &Value, out: &mut Vec<History>) {
    match value {
        Value::Object(object) if text(value, "class_name") == "__keras_tensor__" => {
            let items = object.get("config").and_then(|c| c.get("keras_history")).and_then(Value::as_array);
            out.extend(items.and_then(|items| history(items)));
        }
        Value::Object(object) => object.values().for_each(|value| histories_of(value, out)),
        Value::Array(items) => match history(items) {
            Some(found) => {
                out.push(found);
                items.iter().skip(3).for_each(|value| histories_of(value, out));
            }
            None => items.iter().for_each(|value| histories_of(value, out)),
        },
        _ => {}
    }
}

/// `["name", 0, 0]`, or any nesting of such lists (dictionaries of outputs included).
fn named_histories(value: &Value, out: &mut Vec<History>) {
    match value {
        Value::Array(items) => match history(items) {
            Some(found) => out.push(found),
            None => items.iter().for_each(|value| named_histories(value, out)),
        },
        Value::Object(object) => object.values().for_each(|value| named_histories(value, out)),
        _ => {}
    }
}

/// The slice that a `GetItem` (Keras 3) or `SlicingOpLambda` (Keras 2) makes in one call.
fn slice_layer(entry: &Value, name: &str, index: usize, node: &Value) -> Result<LayerRef, LayerError> {
    let wrong = |what: String| LayerError::Config {
        layer: name.into(),
        class: text(entry, "class_name").into(),
        problems: vec![what],
    };
    let key = node
        .pointer("/args/1")
        .or_else(|| node.pointer("/3/slice_spec"))
        .or_else(|| node.pointer("/0/3/slice_spec"))
        .ok_or_else(|| wrong("the call has no slice".into()))?;
    let parts = match key {
        Value::Array(parts) => parts.clone(),
        Value::Object(object) if object.contains_key("items") => {
            object.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
        }
        one => vec![one.clone()],
    };
    let (mut axes, mut dropped) = (Vec::new(), Vec::new());
    for (axis, part) in parts.iter().enumerate() {
        if let Some(position) = part.as_i64() {
            let end = if position == -1 { None } else { Some(position + 1) };
            axes.push(SliceAxis { axis, start: position, end, step: 1 });
            dropped.push(axis);
            continue;
        }
        let range = part.get("config").unwrap_or(part);
        if !["start", "stop", "step"].iter().all(|key| range.get(key).is_some()) {
            return Err(wrong(format!("{part} is no slice or position; ellipses and new axes are not supported")));
        }
        let bound = |key: &str| range.get(key).and_then(Value::as_i64);
        let step = bound("step").unwrap_or(1);
        let start = bound("start").unwrap_or(if step < 0 { -1 } else { 0 });
        if (start, bound("stop"), step) != (0, None, 1) {
            axes.push(SliceAxis { axis, start, end: bound("stop"), step });
        }
    }
    let name = if index == 0 { name.to_string() } else { format!("{name}_call{index}") };
    Ok(Reshaping::Slice(axes, dropped).named(name))
}
