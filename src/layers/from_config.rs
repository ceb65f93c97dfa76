//! Layers from the configurations in Keras files. Every key is understood, known to be harmless, or an error.

use serde_json::{Map, Value};

use super::config::{Config, as_f32, as_list, as_usize};
use super::*;
use crate::error::LayerError;
use crate::ops::{ResizeMode, UnaryFn};

/// A layer of the Keras class `class` from its configuration.
///
/// # Errors
/// [`LayerError::Config`], naming the layer, for a class that is not supported and for every key that asks for something that
/// is not.
pub fn layer_from_config(class: &str, map: &Map<String, Value>) -> Result<LayerRef, LayerError> {
    let config = Config::new(class, map);
    if let Some(layer) = PassThrough::of_class(class) {
        return config.done(layer.settings(map));
    }
    if let Some((class, function)) = activation_class(class, &config) {
        return config.done(ActivationLayer::of_class(class, function));
    }
    if let Some(layer) = noise(class, &config) {
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
        "Split" => {
            let (parts, axis) = (config.required("indices_or_sections"), config.whole("axis", 0));
            config.done(Split::new(parts).axis(axis))
        }
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
                .momentum(config.number("momentum", 0.99))
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
            // Keras 3 writes no axis as an empty list.
            let axis = match config.map.get("axis") {
                Some(Value::Null) => None,
                Some(Value::Array(axes)) if axes.is_empty() => config.get("axis").and(None),
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
        "PReLU" => {
            let axes = config.parsed("shared_axes", Vec::new(), |value| as_list(value, as_usize), "axes from 1");
            let initializer = config.initializer("alpha_initializer", Initializer::Zeros);
            config.done(PReLU::new(axes).alpha_initializer(initializer))
        }
        _ => {
            config.problem(format!("the class {class} is not supported"));
            config.done(Merge::Add)
        }
    }
}

/// The function of a class that is one: `ReLU`, `LeakyReLU`, `ELU`.
pub(super) fn activation_class(class: &str, config: &Config<'_>) -> Option<(&'static str, UnaryFn)> {
    Some(match class {
        "ReLU" => {
            let max_value = config.number("max_value", f32::INFINITY);
            let (negative_slope, threshold) = (config.number("negative_slope", 0.0), config.number("threshold", 0.0));
            let function = match (max_value, negative_slope, threshold) {
                (6.0, 0.0, 0.0) => UnaryFn::Relu6,
                (f32::INFINITY, 0.0, 0.0) => UnaryFn::Relu,
                _ => UnaryFn::ReluGeneral { max_value, negative_slope, threshold },
            };
            ("ReLU", function)
        }
        "LeakyReLU" => {
            let slope = config.either("negative_slope", "alpha").and_then(as_f32).unwrap_or(0.3);
            ("LeakyReLU", UnaryFn::LeakyRelu { negative_slope: slope })
        }
        "ELU" => ("ELU", UnaryFn::Elu { alpha: config.number("alpha", 1.0) }),
        _ => return None,
    })
}

/// A layer that adds noise in training, if the class is one.
fn noise(class: &str, config: &Config<'_>) -> Option<Noise> {
    let rate = |key: &'static str, default: f32| config.number(key, default);
    let axis = |value: &Value| match value {
        Value::Null => Some(None),
        value => as_usize(value).map(Some),
    };
    let layer = match class {
        "Dropout" => Noise::dropout(rate("rate", 0.5)),
        "SpatialDropout1D" | "SpatialDropout2D" | "SpatialDropout3D" => {
            let (axes, format) = (rank_of(class), config.data_format());
            let layer = Noise::spatial_dropout(axes, rate("rate", 0.5));
            if format == DataFormat::ChannelsFirst { layer.channels_first() } else { layer }
        }
        "GaussianDropout" => Noise::gaussian_dropout(rate("rate", 0.5)),
        "AlphaDropout" => Noise::alpha_dropout(rate("rate", 0.5)),
        "GaussianNoise" => Noise::gaussian(rate("stddev", 1.0)),
        _ => return None,
    };
    match config.get("noise_shape") {
        None => Some(layer),
        Some(_) => {
            let shape = config.parsed("noise_shape", Vec::new(), |value| as_list(value, axis), "a shape");
            Some(layer.noise_shape(shape))
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
    config.one_group();
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
    config.one_group();
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
    config.one_group();
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
