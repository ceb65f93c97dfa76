//! Layers from the configurations in Keras files. Every key is understood, known to be harmless, or an error.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::*;
use crate::error::LayerError;
use crate::ops::{ResizeMode, UnaryFn};

/// Reads the keys of one layer's configuration, and complains about what is left at the end.
struct Config<'a> {
    class: &'a str,
    layer: String,
    map: &'a Map<String, Value>,
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
    "noise_shape",
    "rate",
    "stddev",
    "l1",
    "l2",
    "momentum",
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
    fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn problem(&self, what: String) {
        self.problems.borrow_mut().push(what);
    }

    fn parsed<T>(&self, key: &'static str, default: T, parse: impl FnOnce(&Value) -> Option<T>, expected: &str) -> T {
        let Some(value) = self.get(key) else { return default };
        parse(value).unwrap_or_else(|| {
            self.problem(format!("`{key}` is {value} where {expected} is expected"));
            default
        })
    }

    fn required(&self, key: &'static str) -> usize {
        if self.get(key).is_none() {
            self.problem(format!("`{key}` is missing"));
        }
        self.parsed(key, 1, as_usize, "a whole number")
    }

    fn flag(&self, key: &'static str, default: bool) -> bool {
        self.parsed(key, default, Value::as_bool, "true or false")
    }

    fn number(&self, key: &'static str, default: f32) -> f32 {
        self.parsed(key, default, as_f32, "a number")
    }

    fn whole(&self, key: &'static str, default: i64) -> i64 {
        self.parsed(
            key,
            default,
            |value| as_list(value, Value::as_i64).filter(|l| l.len() == 1).map(|l| l[0]),
            "a whole number",
        )
    }

    fn sizes<const R: usize>(&self, key: &'static str, default: [usize; R]) -> [usize; R] {
        let parse = |value: &Value| match as_usize(value) {
            Some(size) => Some([size; R]),
            None => as_list(value, as_usize)?.try_into().ok(),
        };
        self.parsed(key, default, parse, &format!("a whole number or {R} of them"))
    }

    /// A value under one of two keys; Keras 2 and 3 name some of them differently.
    fn either(&self, key: &'static str, older: &'static str) -> Option<&'a Value> {
        self.get(key).or_else(|| self.get(older))
    }

    fn padding(&self) -> Padding {
        let parse = |value: &Value| match value.as_str()?.to_lowercase().as_str() {
            "valid" => Some(Padding::Valid),
            "same" => Some(Padding::Same),
            "causal" => Some(Padding::Causal),
            _ => None,
        };
        self.parsed("padding", Padding::Valid, parse, "\"valid\", \"same\" or \"causal\"")
    }

    fn data_format(&self) -> DataFormat {
        let parse = |value: &Value| match value.as_str()? {
            "channels_last" => Some(DataFormat::ChannelsLast),
            "channels_first" => Some(DataFormat::ChannelsFirst),
            _ => None,
        };
        self.parsed("data_format", DataFormat::ChannelsLast, parse, "\"channels_last\" or \"channels_first\"")
    }

    fn activation(&self) -> Activation {
        let parse = |value: &Value| {
            let name = value.as_str().or_else(|| match value.get("config") {
                Some(Value::String(name)) => Some(name),
                _ => value.get("class_name")?.as_str(),
            })?;
            Activation::from_name(name)
        };
        self.parsed("activation", Activation::Linear, parse, "a function of keras.activations")
    }

    fn initializer(&self, key: &'static str, default: Initializer) -> Initializer {
        let Some(value) = self.get(key) else { return default };
        let config = value.get("config");
        let number = |name: &str, other: f32| config.and_then(|c| c.get(name)).and_then(as_f32).unwrap_or(other);
        let name = value.as_str().or_else(|| value.get("class_name").and_then(Value::as_str)).unwrap_or_default();
        match Initializer::from_name(name) {
            Some(Initializer::Constant(_)) => Initializer::Constant(number("value", 0.0)),
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
    fn pairs(&self, key: &'static str, axes: usize, default: usize) -> Vec<(usize, usize)> {
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

    fn numbers(&self, key: &'static str, default: Vec<f32>) -> Vec<f32> {
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

    fn done<L: Layer + 'static>(self, layer: L) -> Result<LayerRef, LayerError> {
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
        let problems = self.problems.into_inner();
        if problems.is_empty() {
            let name = self.layer;
            return Ok(if name.is_empty() { layer.layer() } else { layer.named(name) });
        }
        Err(LayerError::Config { layer: self.layer, class: self.class.into(), problems })
    }
}

/// Whether a key that is not understood asks for anything.
fn is_set(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
        && *value != Value::Array(Vec::new())
        && *value != Value::Object(Map::new())
}

fn as_usize(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|size| usize::try_from(size).ok())
}

fn as_f32(value: &Value) -> Option<f32> {
    value.as_f64().map(|x| x as f32)
}

fn as_list<T>(value: &Value, item: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::Array(values) => values.iter().map(item).collect(),
        // Keras writes tuples inside other objects like this.
        Value::Object(object) => object.get("items")?.as_array()?.iter().map(item).collect(),
        value => Some(vec![item(value)?]),
    }
}

/// A layer of the Keras class `class` from its configuration.
///
/// # Errors
/// [`LayerError::Config`], naming the layer, for a class that is not supported and for every key that asks for something that
/// is not.
pub fn layer_from_config(class: &str, map: &Map<String, Value>) -> Result<LayerRef, LayerError> {
    let layer = map.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
    let config = Config { class, layer, map, read: RefCell::default(), problems: RefCell::default() };
    let activation = |function: UnaryFn, class: &'static str| ActivationLayer::of_class(class, function);
    if let Some(layer) = PassThrough::of_class(class) {
        return config.done(layer);
    }
    match class {
        "Conv1D" => conv::<1>(config, false),
        "Conv2D" => conv::<2>(config, false),
        "Conv3D" => conv::<3>(config, false),
        "PointwiseConv1D" => conv::<1>(config, true),
        "PointwiseConv2D" => conv::<2>(config, true),
        "PointwiseConv3D" => conv::<3>(config, true),
        "Conv1DTranspose" => conv_transpose::<1>(config),
        "Conv2DTranspose" => conv_transpose::<2>(config),
        "Conv3DTranspose" => conv_transpose::<3>(config),
        "DepthwiseConv1D" => depthwise::<1>(config),
        "DepthwiseConv2D" => depthwise::<2>(config),
        "DepthwiseConv3D" => depthwise::<3>(config),
        "SeparableConv1D" => separable::<1>(config),
        "SeparableConv2D" => separable::<2>(config),
        "SeparableConv3D" => separable::<3>(config),
        "SharedDepthwiseConv1D" => shared_depthwise::<1>(config),
        "SharedDepthwiseConv2D" => shared_depthwise::<2>(config),
        "SharedDepthwiseConv3D" => shared_depthwise::<3>(config),
        "MaxPooling1D" => pooling::<1>(config, true),
        "MaxPooling2D" => pooling::<2>(config, true),
        "MaxPooling3D" => pooling::<3>(config, true),
        "AveragePooling1D" => pooling::<1>(config, false),
        "AveragePooling2D" => pooling::<2>(config, false),
        "AveragePooling3D" => pooling::<3>(config, false),
        "GlobalMaxPooling1D" => global_pooling::<1>(config, true),
        "GlobalMaxPooling2D" => global_pooling::<2>(config, true),
        "GlobalMaxPooling3D" => global_pooling::<3>(config, true),
        "GlobalAveragePooling1D" => global_pooling::<1>(config, false),
        "GlobalAveragePooling2D" => global_pooling::<2>(config, false),
        "GlobalAveragePooling3D" => global_pooling::<3>(config, false),
        "Dense" => {
            let dense = Dense::new(config.required("units"))
                .activation(config.activation())
                .use_bias(config.flag("use_bias", true))
                .kernel_initializer(config.initializer("kernel_initializer", Initializer::glorot_uniform()))
                .bias_initializer(config.initializer("bias_initializer", Initializer::Zeros));
            config.done(dense)
        }
        "Flatten" => {
            let format = config.data_format();
            config.done(Reshaping::Flatten(format))
        }
        "Reshape" => {
            let size = |value: &Value| match value.as_i64()? {
                -1 => Some(None),
                size => usize::try_from(size).ok().map(Some),
            };
            let target = config.parsed("target_shape", Vec::new(), |value| as_list(value, size), "a shape");
            config.done(Reshaping::Reshape(target))
        }
        "Permute" => {
            let dims = config.parsed("dims", Vec::new(), |value| as_list(value, as_usize), "axes from 1");
            config.done(Reshaping::Permute(dims))
        }
        "RepeatVector" => {
            let n = config.required("n");
            config.done(Reshaping::RepeatVector(n))
        }
        "ZeroPadding1D" | "ZeroPadding2D" | "ZeroPadding3D" => {
            let pads = config.pairs("padding", rank_of(class), 1);
            let format = config.data_format();
            config.done(Reshaping::ZeroPadding(pads, format))
        }
        "Cropping1D" | "Cropping2D" | "Cropping3D" => {
            let cuts = config.pairs("cropping", rank_of(class), 1);
            let format = config.data_format();
            config.done(Reshaping::Cropping(cuts, format))
        }
        "UpSampling1D" | "UpSampling2D" | "UpSampling3D" => {
            let axes = rank_of(class);
            let parse = |value: &Value| match as_usize(value) {
                Some(size) => Some(vec![size; axes]),
                None => as_list(value, as_usize).filter(|sizes| sizes.len() == axes),
            };
            let factors = config.parsed("size", vec![2; axes], parse, "a factor or one per axis");
            let mode = |value: &Value| match value.as_str()? {
                "nearest" => Some(ResizeMode::Nearest),
                "bilinear" => Some(ResizeMode::Linear),
                _ => None,
            };
            let mode = config.parsed("interpolation", ResizeMode::Nearest, mode, "\"nearest\" or \"bilinear\"");
            let format = config.data_format();
            config.done(Reshaping::UpSampling(factors, mode, format))
        }
        "Add" => config.done(Merge::Add),
        "Subtract" => config.done(Merge::Subtract),
        "Multiply" => config.done(Merge::Multiply),
        "Average" => config.done(Merge::Average),
        "Maximum" => config.done(Merge::Maximum),
        "Minimum" => config.done(Merge::Minimum),
        "Concatenate" => {
            let axis = config.whole("axis", -1);
            config.done(Concatenate::new(axis))
        }
        "Dot" => {
            let parse = |value: &Value| as_list(value, Value::as_i64).and_then(|l| Some((*l.first()?, *l.last()?)));
            let axes = config.parsed("axes", (-1, -1), parse, "one axis or two");
            config.done(Dot::new(axes))
        }
        "BatchNormalization" => {
            let layer = BatchNormalization::new()
                .axis(config.whole("axis", -1))
                .epsilon(config.number("epsilon", 1e-3))
                .center(config.flag("center", true))
                .scale(config.flag("scale", true));
            config.done(layer)
        }
        "LayerNormalization" => {
            let axis = config.parsed("axis", vec![-1], |value| as_list(value, Value::as_i64), "axes");
            let layer = LayerNormalization::new()
                .axis(axis)
                .epsilon(config.number("epsilon", 1e-3))
                .center(config.flag("center", true))
                .scale(config.flag("scale", true));
            config.done(layer)
        }
        "GroupNormalization" => {
            let layer = GroupNormalization::new(config.whole("groups", 32))
                .axis(config.whole("axis", -1))
                .epsilon(config.number("epsilon", 1e-3))
                .center(config.flag("center", true))
                .scale(config.flag("scale", true));
            config.done(layer)
        }
        "Normalization" => {
            let axis = match config.map.get("axis") {
                Some(Value::Null) => None,
                _ => Some(config.whole("axis", -1)),
            };
            let (mean, variance) = (config.numbers("mean", Vec::new()), config.numbers("variance", Vec::new()));
            if mean.is_empty() || variance.is_empty() {
                config.problem(
                    "`mean` and `variance` must be in the configuration; adapted statistics are not read".into(),
                );
            }
            let layer = Normalization::new(mean, variance).axis(axis).invert(config.flag("invert", false));
            config.done(layer)
        }
        "Rescaling" => {
            let (scale, offset) = (config.numbers("scale", vec![1.0]), config.numbers("offset", vec![0.0]));
            config.done(Rescaling::new(scale, offset))
        }
        "Activation" => {
            let function = config.activation();
            config.done(ActivationLayer::new(function))
        }
        "Softmax" => {
            let axis = config.whole("axis", -1);
            config.done(SoftmaxLayer::new(axis))
        }
        "ReLU" => {
            let max_value = config.number("max_value", f32::INFINITY);
            let (negative_slope, threshold) = (config.number("negative_slope", 0.0), config.number("threshold", 0.0));
            let function = match (max_value, negative_slope, threshold) {
                (6.0, 0.0, 0.0) => UnaryFn::Relu6,
                (f32::INFINITY, 0.0, 0.0) => UnaryFn::Relu,
                _ => UnaryFn::ReluGeneral { max_value, negative_slope, threshold },
            };
            config.done(activation(function, "ReLU"))
        }
        "LeakyReLU" => {
            let slope = config.either("negative_slope", "alpha").and_then(as_f32).unwrap_or(0.3);
            config.done(activation(UnaryFn::LeakyRelu { negative_slope: slope }, "LeakyReLU"))
        }
        "ELU" => {
            let alpha = config.number("alpha", 1.0);
            config.done(activation(UnaryFn::Elu { alpha }, "ELU"))
        }
        "PReLU" => {
            let axes = config.parsed("shared_axes", Vec::new(), |value| as_list(value, as_usize), "axes from 1");
            config.done(PReLU::new(axes))
        }
        _ => {
            config.problem(format!("the class {class} is not supported"));
            config.done(Merge::Add)
        }
    }
}

/// The number of spatial axes that a class name ends in, `2D`.
fn rank_of(class: &str) -> usize {
    class.chars().rev().nth(1).and_then(|digit| digit.to_digit(10)).map_or(1, |digit| digit as usize)
}

fn conv<const R: usize>(config: Config<'_>, pointwise: bool) -> Result<LayerRef, LayerError> {
    let filters = config.required("filters");
    let mut layer = Conv::<R>::new(filters, config.sizes("kernel_size", [1; R]));
    layer.pointwise = pointwise;
    let layer = layer
        .strides(config.sizes("strides", [1; R]))
        .dilation_rate(config.sizes("dilation_rate", [1; R]))
        .padding(config.padding())
        .data_format(config.data_format())
        .groups(config.parsed("groups", 1, as_usize, "a whole number"))
        .activation(config.activation())
        .use_bias(config.flag("use_bias", true))
        .kernel_initializer(config.initializer("kernel_initializer", Initializer::glorot_uniform()))
        .bias_initializer(config.initializer("bias_initializer", Initializer::Zeros));
    config.done(layer)
}

fn conv_transpose<const R: usize>(config: Config<'_>) -> Result<LayerRef, LayerError> {
    let output_padding = config.get("output_padding").map(|_| config.sizes("output_padding", [0; R]));
    if config.parsed("groups", 1, as_usize, "a whole number") != 1 {
        config.problem("`groups` other than 1 is not supported".into());
    }
    let layer = ConvTranspose::<R>::new(config.required("filters"), config.sizes("kernel_size", [1; R]))
        .strides(config.sizes("strides", [1; R]))
        .dilation_rate(config.sizes("dilation_rate", [1; R]))
        .padding(config.padding())
        .output_padding(output_padding)
        .data_format(config.data_format())
        .activation(config.activation())
        .use_bias(config.flag("use_bias", true))
        .kernel_initializer(config.initializer("kernel_initializer", Initializer::glorot_uniform()))
        .bias_initializer(config.initializer("bias_initializer", Initializer::Zeros));
    config.done(layer)
}

fn depthwise<const R: usize>(config: Config<'_>) -> Result<LayerRef, LayerError> {
    let layer = DepthwiseConv::<R>::new(config.sizes("kernel_size", [1; R]))
        .strides(config.sizes("strides", [1; R]))
        .dilation_rate(config.sizes("dilation_rate", [1; R]))
        .padding(config.padding())
        .data_format(config.data_format())
        .depth_multiplier(config.parsed("depth_multiplier", 1, as_usize, "a whole number"))
        .activation(config.activation())
        .use_bias(config.flag("use_bias", true))
        .depthwise_initializer(config.initializer("depthwise_initializer", Initializer::glorot_uniform()))
        .bias_initializer(config.initializer("bias_initializer", Initializer::Zeros));
    config.done(layer)
}

fn separable<const R: usize>(config: Config<'_>) -> Result<LayerRef, LayerError> {
    let layer = SeparableConv::<R>::new(config.required("filters"), config.sizes("kernel_size", [1; R]))
        .strides(config.sizes("strides", [1; R]))
        .dilation_rate(config.sizes("dilation_rate", [1; R]))
        .padding(config.padding())
        .data_format(config.data_format())
        .depth_multiplier(config.parsed("depth_multiplier", 1, as_usize, "a whole number"))
        .activation(config.activation())
        .use_bias(config.flag("use_bias", true))
        .depthwise_initializer(config.initializer("depthwise_initializer", Initializer::glorot_uniform()))
        .pointwise_initializer(config.initializer("pointwise_initializer", Initializer::glorot_uniform()))
        .bias_initializer(config.initializer("bias_initializer", Initializer::Zeros));
    config.done(layer)
}

fn shared_depthwise<const R: usize>(config: Config<'_>) -> Result<LayerRef, LayerError> {
    let layer = SharedDepthwiseConv::<R>::new(config.sizes("kernel_size", [1; R]))
        .strides(config.sizes("strides", [1; R]))
        .dilation_rate(config.sizes("dilation_rate", [1; R]))
        .padding(config.padding())
        .data_format(config.data_format())
        .activation(config.activation())
        .use_bias(config.flag("use_bias", true))
        .kernel_initializer(config.initializer("kernel_initializer", Initializer::glorot_uniform()))
        .bias_initializer(config.initializer("bias_initializer", Initializer::Zeros));
    config.done(layer)
}

fn pooling<const R: usize>(config: Config<'_>, maximum: bool) -> Result<LayerRef, LayerError> {
    let size = config.sizes("pool_size", [2; R]);
    let layer = if maximum { Pooling::<R>::max(size) } else { Pooling::<R>::average(size) };
    let layer =
        layer.strides(config.sizes("strides", size)).padding(config.padding()).data_format(config.data_format());
    config.done(layer)
}

fn global_pooling<const R: usize>(config: Config<'_>, maximum: bool) -> Result<LayerRef, LayerError> {
    let layer = if maximum { GlobalPooling::<R>::max() } else { GlobalPooling::<R>::average() };
    let layer = layer.keepdims(config.flag("keepdims", false)).data_format(config.data_format());
    config.done(layer)
}
