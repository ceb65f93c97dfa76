//! Reading one layer's configuration key by key, so that nothing is skipped silently.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Activation, Constraint, DataFormat, Fan, Initializer, IntoLayer, Layer, LayerRef, Padding, Regularizer};
use crate::error::LayerError;

/// Reads the keys of one layer's configuration, and complains about what is left at the end.
pub(super) struct Config<'a> {
    class: &'a str,
    layer: String,
    pub map: &'a Map<String, Value>,
    read: RefCell<BTreeSet<&'static str>>,
    problems: RefCell<Vec<String>>,
}

/// Keys that change nothing about inference whatever they hold.
const HARMLESS: &[&str] = &[
    "name",
    "trainable",
    "batch_shape",
    "batch_input_shape",
    "seed",
    "l1",
    "l2",
    "renorm_momentum",
    "synchronized",
    "autocast",
    "input_dim",
    "sparse",
    "ragged",
    "optional",
    "quantization_config",
    "batch_size",
    "build_config",
    "alpha_initializer",
    "input_shape",
];

impl<'a> Config<'a> {
    /// The configuration of a layer of this class.
    pub fn new(class: &'a str, map: &'a Map<String, Value>) -> Config<'a> {
        let layer = map.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
        Config { class, layer, map, read: RefCell::default(), problems: RefCell::default() }
    }

    pub fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn problem(&self, what: String) {
        self.problems.borrow_mut().push(what);
    }

    pub fn parsed<T>(
        &self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&Value) -> Option<T>,
        expected: &str,
    ) -> T {
        let Some(value) = self.get(key) else { return default };
        parse(value).unwrap_or_else(|| {
            self.problem(format!("`{key}` is {value} where {expected} is expected"));
            default
        })
    }

    pub fn required(&self, key: &'static str) -> usize {
        if self.get(key).is_none() {
            self.problem(format!("`{key}` is missing"));
        }
        self.parsed(key, 1, as_usize, "a whole number")
    }

    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        self.parsed(key, default, Value::as_bool, "true or false")
    }

    pub fn number(&self, key: &'static str, default: f32) -> f32 {
        self.parsed(key, default, as_f32, "a number")
    }

    pub fn whole(&self, key: &'static str, default: i64) -> i64 {
        self.parsed(
            key,
            default,
            |value| as_list(value, Value::as_i64).filter(|l| l.len() == 1).map(|l| l[0]),
            "a whole number",
        )
    }

    pub fn sizes<const R: usize>(&self, key: &'static str, default: [usize; R]) -> [usize; R] {
        let parse = |value: &Value| match as_usize(value) {
            Some(size) => Some([size; R]),
            None => as_list(value, as_usize)?.try_into().ok(),
        };
        self.parsed(key, default, parse, &format!("a whole number or {R} of them"))
    }

    /// A value under one of two keys; Keras 2 and 3 name some of them differently.
    pub fn either(&self, key: &'static str, older: &'static str) -> Option<&'a Value> {
        self.get(key).or_else(|| self.get(older))
    }

    pub fn padding(&self) -> Padding {
        let parse = |value: &Value| match value.as_str()?.to_lowercase().as_str() {
            "valid" => Some(Padding::Valid),
            "same" => Some(Padding::Same),
            "causal" => Some(Padding::Causal),
            _ => None,
        };
        self.parsed("padding", Padding::Valid, parse, "\"valid\", \"same\" or \"causal\"")
    }

    /// Keras 2 writes the key for layers that take no other value.
    pub fn one_group(&self) {
        if self.parsed("groups", 1, as_usize, "a whole number") != 1 {
            self.problem("`groups` other than 1 is not supported".into());
        }
    }

    pub fn data_format(&self) -> DataFormat {
        let parse = |value: &Value| match value.as_str()? {
            "channels_last" => Some(DataFormat::ChannelsLast),
            "channels_first" => Some(DataFormat::ChannelsFirst),
            _ => None,
        };
        self.parsed("data_format", DataFormat::ChannelsLast, parse, "\"channels_last\" or \"channels_first\"")
    }

    pub fn activation(&self) -> Activation {
        self.parsed("activation", Activation::Linear, Activation::from_config, "a function of keras.activations")
    }

    pub fn initializer(&self, key: &'static str, default: Initializer) -> Initializer {
        let Some(value) = self.get(key) else { return default };
        let config = value.get("config");
        let number = |name: &str, other: f32| config.and_then(|c| c.get(name)).and_then(as_f32).unwrap_or(other);
        let name = value.as_str().or_else(|| value.get("class_name").and_then(Value::as_str)).unwrap_or_default();
        match Initializer::from_name(name) {
            Some(Initializer::Constant(_)) => match config.and_then(|c| c.get("value")) {
                Some(Value::Array(values)) => Initializer::Values(values.iter().filter_map(as_f32).collect()),
                _ => Initializer::Constant(number("value", 0.0)),
            },
            Some(Initializer::RandomUniform { min, max }) => {
                Initializer::RandomUniform { min: number("minval", min), max: number("maxval", max) }
            }
            Some(Initializer::RandomNormal { mean, stddev }) => {
                Initializer::RandomNormal { mean: number("mean", mean), stddev: number("stddev", stddev) }
            }
            Some(Initializer::TruncatedNormal { mean, stddev }) => {
                Initializer::TruncatedNormal { mean: number("mean", mean), stddev: number("stddev", stddev) }
            }
            Some(Initializer::Orthogonal { gain }) => Initializer::Orthogonal { gain: number("gain", gain) },
            Some(Initializer::VarianceScaling { .. }) if name.to_lowercase().starts_with("variance") => {
                let text = |key: &str| config.and_then(|c| c.get(key)).and_then(Value::as_str).unwrap_or_default();
                let fan = match text("mode") {
                    "fan_out" => Fan::Out,
                    "fan_avg" => Fan::Average,
                    _ => Fan::In,
                };
                let uniform = text("distribution") == "uniform";
                Initializer::VarianceScaling { scale: number("scale", 1.0), fan, uniform }
            }
            Some(other) => other,
            // It matters only for training from scratch; weights from a file take its place.
            None => default,
        }
    }

    /// Padding or cropping: one number, one per axis, or a pair per axis.
    pub fn pairs(&self, key: &'static str, axes: usize, default: usize) -> Vec<(usize, usize)> {
        let pair = |value: &Value| match as_usize(value) {
            Some(size) => Some((size, size)),
            None => as_list(value, as_usize).filter(|l| l.len() == 2).map(|l| (l[0], l[1])),
        };
        let parse = |value: &Value| match (as_usize(value), axes) {
            (Some(size), _) => Some(vec![(size, size); axes]),
            // One axis: `[before, after]`, which is no list of pairs.
            (None, 1) => pair(value).map(|pair| vec![pair]).or_else(|| as_list(value, pair).filter(|l| l.len() == 1)),
            (None, _) => as_list(value, pair).filter(|l| l.len() == axes),
        };
        self.parsed(key, vec![(default, default); axes], parse, "a number or a pair per axis")
    }

    pub fn numbers(&self, key: &'static str, default: Vec<f32>) -> Vec<f32> {
        // Keras wraps statistics in as many lists as the input has axes.
        fn flat(value: &Value, out: &mut Vec<f32>) -> Option<()> {
            match value {
                Value::Array(values) => values.iter().try_for_each(|value| flat(value, out)),
                value => as_f32(value).map(|x| out.push(x)),
            }
        }
        let parse = |value: &Value| {
            let mut out = Vec::new();
            flat(value, &mut out)?;
            Some(out)
        };
        self.parsed(key, default, parse, "numbers")
    }

    pub fn done<L: Layer + 'static>(self, layer: L) -> Result<LayerRef, LayerError> {
        if let Some(dtype) = self.get("dtype") {
            let name = dtype.as_str().or_else(|| dtype.get("config")?.get("name")?.as_str()).unwrap_or("?");
            if name != "float32" {
                self.problem(format!("`dtype` is {name}; only float32 is supported"));
            }
        }
        for (key, value) in self.map {
            let ignored = HARMLESS.contains(&key.as_str())
                || ["_regularizer", "_constraint", "_initializer"].iter().any(|ending| key.ends_with(ending));
            if !self.read.borrow().contains(key.as_str()) && !ignored && is_set(value) {
                self.problem(format!("`{key}` = {value} is not supported"));
            }
        }
        let (mut regularizers, mut constraints) = (Vec::new(), Vec::new());
        let unknown = |key: &str, value: &Value| {
            log::warn!("`{}`: its {key} {value} is of no known class and left out", self.layer);
        };
        for (key, value) in self.map.iter().filter(|(_, value)| is_set(value)) {
            if key == "activity_regularizer" {
                // It shrinks outputs rather than weights; only training would notice.
                log::warn!("`{}`: its {key} is left out", self.layer);
            } else if let Some(stem) = key.strip_suffix("_regularizer") {
                match Regularizer::from_config(value) {
                    Some(regularizer) => regularizers.push((weight_about(self.class, stem), regularizer)),
                    None => unknown(key, value),
                }
            } else if let Some(stem) = key.strip_suffix("_constraint") {
                match Constraint::from_config(value) {
                    Some(constraint) => constraints.push((weight_about(self.class, stem), constraint)),
                    None => unknown(key, value),
                }
            }
        }
        let problems = self.problems.into_inner();
        if problems.is_empty() {
            let name = self.layer;
            let layer = if name.is_empty() { layer.layer() } else { layer.named(name) };
            layer.set_trainable(self.map.get("trainable").and_then(Value::as_bool).unwrap_or(true));
            let layer = regularizers.into_iter().fold(layer, |layer, (weight, own)| layer.regularized(&weight, own));
            return Ok(constraints.into_iter().fold(layer, |layer, (weight, own)| layer.constrained(&weight, own)));
        }
        Err(LayerError::Config { layer: self.layer, class: self.class.into(), problems })
    }
}

/// The weight that `<stem>_regularizer` or `<stem>_constraint` is about.
fn weight_about(class: &str, stem: &str) -> String {
    match stem {
        "depthwise" if class.starts_with("DepthwiseConv") => "kernel".into(),
        "depthwise" | "pointwise" => format!("{stem}_kernel"),
        stem => stem.into(),
    }
}

/// Whether a key that is not understood asks for anything.
fn is_set(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
        && *value != Value::Array(Vec::new())
        && *value != Value::Object(Map::new())
}

pub(super) fn as_usize(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|size| usize::try_from(size).ok())
}

pub(super) fn as_f32(value: &Value) -> Option<f32> {
    value.as_f64().map(|x| x as f32)
}

pub(super) fn as_list<T>(value: &Value, item: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::Array(values) => values.iter().map(item).collect(),
        // Keras writes tuples inside other objects like this.
        Value::Object(object) => object.get("items")?.as_array()?.iter().map(item).collect(),
        value => Some(vec![item(value)?]),
    }
}
