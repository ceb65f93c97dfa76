//! `SharedDepthwiseConv1D`, `2D`, `3D`: one filter applied to every channel on its own.

use serde_json::{Value, json};

use super::settings::{check_rank, setters, size_setters};
use super::{Activation, DataFormat, Emitter, Initializer, IntoSizes, Layer, Padding, WeightSpec};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops;
use crate::tensor::Shape;

/// One `k x k` filter for all channels: as many channels come out as go in, and the layer has `k * k + 1` parameters however
/// many there are. Weights: `kernel [k.., 1, 1]`, `bias [1]`. Keras has no such layer; the same numbers come from sending
/// every channel through one `Conv2D(1, k)`, whose weights have the same shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedDepthwiseConv<const R: usize> {
    pub(super) kernel_size: [usize; R],
    pub(super) strides: [usize; R],
    pub(super) dilation_rate: [usize; R],
    pub(super) padding: Padding,
    pub(super) data_format: DataFormat,
    pub(super) activation: Activation,
    pub(super) use_bias: bool,
    pub(super) kernel_initializer: Initializer,
    pub(super) bias_initializer: Initializer,
}

/// One filter for all channels, over one spatial axis.
pub type SharedDepthwiseConv1D = SharedDepthwiseConv<1>;
/// One filter for all channels, over rows and columns.
pub type SharedDepthwiseConv2D = SharedDepthwiseConv<2>;
/// One filter for all channels, over three spatial axes.
pub type SharedDepthwiseConv3D = SharedDepthwiseConv<3>;

impl<const R: usize> SharedDepthwiseConv<R> {
    /// One filter with the defaults of `Conv`: stride 1, valid padding, a bias, no activation, Glorot uniform.
    pub fn new(kernel_size: impl IntoSizes<R>) -> SharedDepthwiseConv<R> {
        SharedDepthwiseConv {
            kernel_size: kernel_size.sizes(),
            strides: [1; R],
            dilation_rate: [1; R],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::glorot_uniform(),
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
        /// What happens to the result (nothing).
        activation: Activation,
        /// Whether there is a bias (yes), one for all channels.
        use_bias: bool,
        /// How the kernel starts (Glorot uniform).
        kernel_initializer: Initializer,
        /// How the bias starts (zeros).
        bias_initializer: Initializer,
    }
}

impl<const R: usize> Layer for SharedDepthwiseConv<R> {
    fn class_name(&self) -> &'static str {
        match R {
            1 => "SharedDepthwiseConv1D",
            2 => "SharedDepthwiseConv2D",
            _ => "SharedDepthwiseConv3D",
        }
    }

    fn config(&self) -> Value {
        json!({
            "kernel_size": self.kernel_size.as_slice(),
            "strides": self.strides.as_slice(),
            "padding": self.padding.name(),
            "data_format": self.data_format.name(),
            "dilation_rate": self.dilation_rate.as_slice(),
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.to_config(),
            "bias_initializer": self.bias_initializer.to_config(),
        })
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let kernel: Vec<usize> = self.kernel_size.into_iter().chain([1, 1]).collect();
        let mut specs = vec![WeightSpec::new("kernel", kernel, self.kernel_initializer.clone())];
        if self.use_bias {
            specs.push(WeightSpec::new("bias", [1], self.bias_initializer.clone()));
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
            let y = emitter.node("", ops::Conv::shared(window), &[x, weights[0]])?;
            emitter.finish(y, weights.get(1).copied(), Activation::Linear)
        })?;
        Ok(vec![self.activation.emit(emitter, y)?])
    }
}
