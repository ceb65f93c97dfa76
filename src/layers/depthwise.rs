//! `DepthwiseConv1D`, `2D`, `3D`: every channel has its own filters.

use serde_json::{Value, json};

use super::settings::{check_rank, setters, size_setters};
use super::{
    Activation, Conv, DataFormat, Emitter, Initializer, IntoSizes, KerasSite, Layer, LayerRef, Padding, Weight,
    WeightSpec, in_keras,
};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, Dim, Reshape};
use crate::tensor::{Shape, Window};

/// Depthwise convolution over `R` spatial axes: output channel `c * depth_multiplier + m` sees input channel `c` only.
/// Weights: `kernel [k.., in, depth_multiplier]`, `bias [in * depth_multiplier]`.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthwiseConv<const R: usize> {
    pub(super) kernel_size: [usize; R],
    pub(super) strides: [usize; R],
    pub(super) dilation_rate: [usize; R],
    pub(super) padding: Padding,
    pub(super) data_format: DataFormat,
    pub(super) depth_multiplier: usize,
    pub(super) activation: Activation,
    pub(super) use_bias: bool,
    pub(super) depthwise_initializer: Initializer,
    pub(super) bias_initializer: Initializer,
}

/// Depthwise convolution over one spatial axis.
pub type DepthwiseConv1D = DepthwiseConv<1>;
/// Depthwise convolution over rows and columns.
pub type DepthwiseConv2D = DepthwiseConv<2>;
/// Depthwise convolution over three spatial axes.
pub type DepthwiseConv3D = DepthwiseConv<3>;

impl<const R: usize> DepthwiseConv<R> {
    /// A depthwise convolution with Keras's defaults.
    pub fn new(kernel_size: impl IntoSizes<R>) -> DepthwiseConv<R> {
        DepthwiseConv {
            kernel_size: kernel_size.sizes(),
            strides: [1; R],
            dilation_rate: [1; R],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
            depth_multiplier: 1,
            activation: Activation::Linear,
            use_bias: true,
            depthwise_initializer: Initializer::glorot_uniform(),
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
        /// Filters, and output channels, per input channel (1).
        depth_multiplier: usize,
        /// What happens to the result (nothing).
        activation: Activation,
        /// Whether there is a bias (yes).
        use_bias: bool,
        /// How the kernel starts (Glorot uniform).
        depthwise_initializer: Initializer,
        /// How the bias starts (zeros).
        bias_initializer: Initializer,
    }
}

impl<const R: usize> DepthwiseConv<R> {
    /// The same as a convolution with a group per channel, without bias and activation, and its view of the kernel
    /// `[k.., 1, in * depth_multiplier]`, which is the same elements.
    pub(super) fn grouped(&self, site: &KerasSite<'_>, suffix: &str) -> Result<(Conv<R>, Weight), String> {
        in_keras::not_both(&self.strides, &self.dilation_rate)?;
        let channels = site.channels(self.data_format)?;
        let filters = channels * self.depth_multiplier;
        let conv = Conv {
            strides: self.strides,
            dilation_rate: self.dilation_rate,
            data_format: self.data_format,
            groups: channels,
            use_bias: false,
            kernel_initializer: self.depthwise_initializer.clone(),
            bias_initializer: self.bias_initializer.clone(),
            ..Conv::new(filters, self.kernel_size)
        };
        let kernel = site.weights.first().ok_or("it has no weights yet")?;
        let shape: Vec<usize> = self.kernel_size.into_iter().chain([1, filters]).collect();
        Ok((conv, kernel.viewed(&format!("{}{suffix}", site.name), "kernel", shape)))
    }
}

/// Adds a depthwise convolution with a Keras kernel `[k.., in, multiplier]`.
pub(super) fn emit_depthwise(
    emitter: &mut Emitter<'_>,
    part: &str,
    window: Window,
    x: ValueId,
    kernel: ValueId,
) -> Result<ValueId, LayerError> {
    let shape = emitter.shape(kernel);
    let spatial = shape.rank().saturating_sub(2);
    let (channels, multiplier) = (shape[spatial], shape[spatial + 1]);
    let dims = shape[..spatial].iter().copied().chain([1, channels * multiplier]).map(Dim::Size).collect();
    let kernel = emitter.node("kernel", Reshape { dims }, &[kernel])?;
    emitter.node(part, ops::Conv::new(window, channels), &[x, kernel])
}

impl<const R: usize> Layer for DepthwiseConv<R> {
    fn class_name(&self) -> &'static str {
        match R {
            1 => "DepthwiseConv1D",
            2 => "DepthwiseConv2D",
            _ => "DepthwiseConv3D",
        }
    }

    fn config(&self) -> Value {
        json!({
            "depth_multiplier": self.depth_multiplier,
            "kernel_size": self.kernel_size.as_slice(),
            "strides": self.strides.as_slice(),
            "padding": self.padding.name(),
            "data_format": self.data_format.name(),
            "dilation_rate": self.dilation_rate.as_slice(),
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
            "depthwise_initializer": self.depthwise_initializer.to_config(),
            "bias_initializer": self.bias_initializer.to_config(),
        })
    }

    fn in_keras(&self, site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        site.check_rank(R)?;
        in_keras::named(self.activation)?;
        let causal = self.padding == Padding::Causal;
        let pad = causal.then(|| site.causal(&self.kernel_size, &self.dilation_rate, self.data_format));
        let padding = self.padding.without_causal();
        let layer = match R {
            3 => {
                let (conv, kernel) = self.grouped(site, "")?;
                let conv = Conv { padding, activation: self.activation, use_bias: self.use_bias, ..conv };
                site.layer("", conv, [kernel].into_iter().chain(site.weights.get(1).cloned()).collect())
            }
            _ if causal => site.layer("", DepthwiseConv { padding, ..self.clone() }, site.weights.to_vec()),
            _ => return Ok(Vec::new()),
        };
        Ok(pad.into_iter().chain([layer]).collect())
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let channels = self.data_format.channels(inputs.first().map_or(&[], |shape| shape))?;
        if self.depth_multiplier == 0 {
            return Err("the depth multiplier must be at least 1".into());
        }
        let kernel: Vec<usize> = self.kernel_size.into_iter().chain([channels, self.depth_multiplier]).collect();
        let mut specs = vec![WeightSpec::new("kernel", kernel, self.depthwise_initializer.clone())];
        if self.use_bias {
            let bias = [channels * self.depth_multiplier];
            specs.push(WeightSpec::new("bias", bias, self.bias_initializer.clone()));
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
            let y = emit_depthwise(emitter, "", window, x, weights[0])?;
            emitter.finish(y, weights.get(1).copied(), Activation::Linear)
        })?;
        Ok(vec![self.activation.emit(emitter, y)?])
    }
}
