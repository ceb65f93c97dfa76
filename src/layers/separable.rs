//! `SeparableConv1D`, `2D`, `3D`: a depthwise half, then a pointwise half, each to be had as a layer of its own.

use serde_json::{Value, json};

use super::depthwise::emit_depthwise;
use super::settings::{check_rank, setters, size_setters};
use super::{
    Activation, Conv, DataFormat, DepthwiseConv, Emitter, Initializer, IntoSizes, KerasSite, Layer, LayerRef, Padding,
    WeightSpec, in_keras,
};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops;
use crate::tensor::{Shape, Window};

/// Depthwise separable convolution over `R` spatial axes. Weights: `depthwise_kernel [k.., in, depth_multiplier]`,
/// `pointwise_kernel [1.., in * depth_multiplier, filters]`, `bias [filters]`.
///
/// Note what it does *not* do: the pointwise half mixes all channels, so `filters = 1` makes one channel of sixteen. To keep
/// every channel apart take a [`DepthwiseConv`], or [`LayerRef::depthwise_half`] of this layer.
#[derive(Debug, Clone, PartialEq)]
pub struct SeparableConv<const R: usize> {
    pub(super) filters: usize,
    pub(super) kernel_size: [usize; R],
    pub(super) strides: [usize; R],
    pub(super) dilation_rate: [usize; R],
    pub(super) padding: Padding,
    pub(super) data_format: DataFormat,
    pub(super) depth_multiplier: usize,
    pub(super) activation: Activation,
    pub(super) use_bias: bool,
    pub(super) depthwise_initializer: Initializer,
    pub(super) pointwise_initializer: Initializer,
    pub(super) bias_initializer: Initializer,
}

/// Separable convolution over one spatial axis.
pub type SeparableConv1D = SeparableConv<1>;
/// Separable convolution over rows and columns.
pub type SeparableConv2D = SeparableConv<2>;
/// Separable convolution over three spatial axes (Keras has none).
pub type SeparableConv3D = SeparableConv<3>;

impl<const R: usize> SeparableConv<R> {
    /// A separable convolution with Keras's defaults.
    pub fn new(filters: usize, kernel_size: impl IntoSizes<R>) -> SeparableConv<R> {
        SeparableConv {
            filters,
            kernel_size: kernel_size.sizes(),
            strides: [1; R],
            dilation_rate: [1; R],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
            depth_multiplier: 1,
            activation: Activation::Linear,
            use_bias: true,
            depthwise_initializer: Initializer::glorot_uniform(),
            pointwise_initializer: Initializer::glorot_uniform(),
            bias_initializer: Initializer::Zeros,
        }
    }

    size_setters! { R;
        /// Steps between neighbouring windows (1).
        strides,
        /// Steps between neighbouring taps (1).
        dilation_rate,
    }
    setters! {
        /// How the window may reach over the edges (valid).
        padding: Padding,
        /// Where the channels are (last).
        data_format: DataFormat,
        /// Channels per input channel between the halves (1).
        depth_multiplier: usize,
        /// What happens to the result (nothing).
        activation: Activation,
        /// Whether there is a bias (yes).
        use_bias: bool,
        /// How the depthwise kernel starts (Glorot uniform).
        depthwise_initializer: Initializer,
        /// How the pointwise kernel starts (Glorot uniform).
        pointwise_initializer: Initializer,
        /// How the bias starts (zeros).
        bias_initializer: Initializer,
    }
}

impl<const R: usize> Layer for SeparableConv<R> {
    fn class_name(&self) -> &'static str {
        match R {
            1 => "SeparableConv1D",
            2 => "SeparableConv2D",
            _ => "SeparableConv3D",
        }
    }

    fn config(&self) -> Value {
        json!({
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
            "kernel_size": self.kernel_size.as_slice(),
            "strides": self.strides.as_slice(),
            "padding": self.padding.name(),
            "data_format": self.data_format.name(),
            "dilation_rate": self.dilation_rate.as_slice(),
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
            "depthwise_initializer": self.depthwise_initializer.to_config(),
            "pointwise_initializer": self.pointwise_initializer.to_config(),
            "bias_initializer": self.bias_initializer.to_config(),
        })
    }

    fn in_keras(&self, site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        site.check_rank(R)?;
        in_keras::named(self.activation)?;
        let causal = self.padding == Padding::Causal;
        let pad = causal.then(|| site.causal(&self.kernel_size, &self.dilation_rate, self.data_format));
        let padding = self.padding.without_causal();
        if R < 3 {
            let layer = || site.layer("", SeparableConv { padding, ..self.clone() }, site.weights.to_vec());
            return Ok(pad.into_iter().flat_map(|pad| [pad, layer()]).collect());
        }
        let depthwise = DepthwiseConv::<R> {
            strides: self.strides,
            dilation_rate: self.dilation_rate,
            data_format: self.data_format,
            depth_multiplier: self.depth_multiplier,
            depthwise_initializer: self.depthwise_initializer.clone(),
            ..DepthwiseConv::new(self.kernel_size)
        };
        let (depthwise, kernel) = depthwise.grouped(site, "_depthwise")?;
        let depthwise = site.layer("_depthwise", Conv { padding, ..depthwise }, vec![kernel]);
        let pointwise = Conv::<R> {
            data_format: self.data_format,
            activation: self.activation,
            use_bias: self.use_bias,
            kernel_initializer: self.pointwise_initializer.clone(),
            bias_initializer: self.bias_initializer.clone(),
            ..Conv::new(self.filters, 1)
        };
        let kernel = site.weights.get(1).ok_or("it has no weights yet")?;
        let kernel = kernel.viewed(site.name, "kernel", kernel.spec().shape.clone());
        let weights = [kernel].into_iter().chain(site.weights.get(2).cloned()).collect();
        Ok(pad.into_iter().chain([depthwise, site.layer("", pointwise, weights)]).collect())
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let channels = self.data_format.channels(inputs.first().map_or(&[], |shape| shape))?;
        if self.depth_multiplier == 0 || self.filters == 0 {
            return Err("filters and the depth multiplier must be at least 1".into());
        }
        let depthwise: Vec<usize> = self.kernel_size.into_iter().chain([channels, self.depth_multiplier]).collect();
        let pointwise: Vec<usize> =
            [1; R].into_iter().chain([channels * self.depth_multiplier, self.filters]).collect();
        let mut specs = vec![
            WeightSpec::new("depthwise_kernel", depthwise, self.depthwise_initializer.clone()),
            WeightSpec::new("pointwise_kernel", pointwise, self.pointwise_initializer.clone()),
        ];
        if self.use_bias {
            specs.push(WeightSpec::new("bias", [self.filters], self.bias_initializer.clone()));
        }
        Ok(specs)
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        check_rank(emitter, x, R)?;
        let window = self.padding.window(&self.strides, &self.dilation_rate);
        let y = self.data_format.around(emitter, x, |emitter, x| {
            let y = emit_depthwise(emitter, "depthwise", window, x, weights[0])?;
            let y = emitter.node("pointwise", ops::Conv::new(Window::unit(R), 1), &[y, weights[1]])?;
            emitter.finish(y, weights.get(2).copied(), Activation::Linear)
        })?;
        Ok(vec![self.activation.emit(emitter, y)?])
    }

    fn halves(&self) -> Option<(Box<dyn Layer>, Box<dyn Layer>)> {
        let depthwise = DepthwiseConv::<R> {
            strides: self.strides,
            dilation_rate: self.dilation_rate,
            padding: self.padding,
            data_format: self.data_format,
            depth_multiplier: self.depth_multiplier,
            use_bias: false,
            ..DepthwiseConv::new(self.kernel_size)
        };
        let pointwise = Conv::<R> {
            data_format: self.data_format,
            activation: self.activation,
            use_bias: self.use_bias,
            ..Conv::pointwise(self.filters)
        };
        Some((Box::new(depthwise), Box::new(pointwise)))
    }
}

impl LayerRef {
    /// The depthwise half of a separable layer: a `DepthwiseConv` without bias that shares the layer's depthwise kernel.
    ///
    /// # Errors
    /// [`LayerError::Layer`] when the layer is not separable, or has no weights yet because it is part of no model.
    pub fn depthwise_half(&self) -> Result<LayerRef, LayerError> {
        self.half("depthwise", |(depthwise, _)| depthwise, 0..1)
    }

    /// The pointwise half of a separable layer: a `PointwiseConv` that shares the layer's pointwise kernel and bias, and
    /// applies its activation.
    ///
    /// # Errors
    /// As [`LayerRef::depthwise_half`].
    pub fn pointwise_half(&self) -> Result<LayerRef, LayerError> {
        self.half("pointwise", |(_, pointwise)| pointwise, 1..self.weights().len().max(1))
    }

    fn half(
        &self,
        part: &str,
        pick: impl FnOnce((Box<dyn Layer>, Box<dyn Layer>)) -> Box<dyn Layer>,
        weights: std::ops::Range<usize>,
    ) -> Result<LayerRef, LayerError> {
        let wrong = |what: String| LayerError::Layer {
            layer: self.name().into(),
            class: self.layer().class_name().into(),
            what,
        };
        let halves =
            self.layer().halves().ok_or_else(|| wrong(format!("only separable convolutions have a {part} half")))?;
        let shared = self.weights().get(weights).filter(|shared| !shared.is_empty()).ok_or_else(|| {
            wrong(format!("its {part} half shares its weights, which it has once it is part of a model"))
        })?;
        Ok(LayerRef::with_weights(pick(halves), format!("{}_{part}", self.name()), shared.to_vec()))
    }
}
