//! `Conv1D`, `Conv2D`, `Conv3D`, and `PointwiseConv` as their named 1x1 form.

use serde_json::{Value, json};

use super::settings::{check_rank, setters, size_setters};
use super::{
    Activation, DataFormat, Emitter, Initializer, IntoSizes, KerasSite, Layer, LayerRef, Padding, WeightSpec, in_keras,
};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops;
use crate::tensor::Shape;

/// Convolution over `R` spatial axes. Weights: `kernel [k.., in / groups, filters]`, `bias [filters]`.
///
/// Stride and dilation may both be larger than 1 (Keras refuses that): the output has
/// `floor((input + padding - dilation * (k - 1) - 1) / stride) + 1` elements per axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv<const R: usize> {
    pub(super) filters: usize,
    pub(super) kernel_size: [usize; R],
    pub(super) strides: [usize; R],
    pub(super) dilation_rate: [usize; R],
    pub(super) padding: Padding,
    pub(super) data_format: DataFormat,
    pub(super) groups: usize,
    pub(super) activation: Activation,
    pub(super) use_bias: bool,
    pub(super) kernel_initializer: Initializer,
    pub(super) bias_initializer: Initializer,
    pub(super) pointwise: bool,
}

/// Convolution over one spatial axis.
pub type Conv1D = Conv<1>;
/// Convolution over rows and columns.
pub type Conv2D = Conv<2>;
/// Convolution over three spatial axes.
pub type Conv3D = Conv<3>;

impl<const R: usize> Conv<R> {
    /// A convolution with Keras's defaults: stride 1, valid padding, a bias, no activation, Glorot uniform.
    pub fn new(filters: usize, kernel_size: impl IntoSizes<R>) -> Conv<R> {
        Conv {
            filters,
            kernel_size: kernel_size.sizes(),
            strides: [1; R],
            dilation_rate: [1; R],
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
            groups: 1,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::glorot_uniform(),
            bias_initializer: Initializer::Zeros,
            pointwise: false,
        }
    }

    /// A 1x1 convolution: every output channel is a weighted sum of the input channels of the same pixel.
    pub fn pointwise(filters: usize) -> Conv<R> {
        Conv { pointwise: true, ..Conv::new(filters, 1) }
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
        /// Groups of channels that do not see each other (1).
        groups: usize,
        /// What happens to the result (nothing).
        activation: Activation,
        /// Whether there is a bias (yes).
        use_bias: bool,
        /// How the kernel starts (Glorot uniform).
        kernel_initializer: Initializer,
        /// How the bias starts (zeros).
        bias_initializer: Initializer,
    }
}

impl<const R: usize> Layer for Conv<R> {
    fn class_name(&self) -> &'static str {
        match (self.pointwise, R) {
            (false, 1) => "Conv1D",
            (false, 2) => "Conv2D",
            (false, _) => "Conv3D",
            (true, 1) => "PointwiseConv1D",
            (true, 2) => "PointwiseConv2D",
            (true, _) => "PointwiseConv3D",
        }
    }

    fn config(&self) -> Value {
        json!({
            "filters": self.filters,
            "kernel_size": self.kernel_size.as_slice(),
            "strides": self.strides.as_slice(),
            "padding": self.padding.name(),
            "data_format": self.data_format.name(),
            "dilation_rate": self.dilation_rate.as_slice(),
            "groups": self.groups,
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.to_config(),
            "bias_initializer": self.bias_initializer.to_config(),
        })
    }

    fn in_keras(&self, site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        site.check_rank(R)?;
        in_keras::named(self.activation)?;
        in_keras::not_both(&self.strides, &self.dilation_rate)?;
        let causal = self.padding == Padding::Causal && R > 1;
        if !self.pointwise && !causal {
            return Ok(Vec::new());
        }
        let padding = if causal { Padding::Valid } else { self.padding };
        let pad = causal.then(|| site.causal(&self.kernel_size, &self.dilation_rate, self.data_format));
        let conv = Conv { pointwise: false, padding, ..self.clone() };
        Ok(pad.into_iter().chain([site.layer("", conv, site.weights.to_vec())]).collect())
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let channels = self.data_format.channels(inputs.first().map_or(&[], |shape| shape))?;
        if self.groups == 0 || !channels.is_multiple_of(self.groups) || !self.filters.is_multiple_of(self.groups) {
            return Err(format!(
                "{channels} input channels and {} filters do not divide into {} groups",
                self.filters, self.groups
            ));
        }
        if self.filters == 0 {
            return Err("it has no filters".into());
        }
        let kernel: Vec<usize> = self.kernel_size.into_iter().chain([channels / self.groups, self.filters]).collect();
        let mut specs = vec![WeightSpec::new("kernel", kernel, self.kernel_initializer.clone())];
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
            let y = emitter.node("", ops::Conv::new(window, self.groups), &[x, weights[0]])?;
            emitter.finish(y, weights.get(1).copied(), Activation::Linear)
        })?;
        // Activations that look along an axis look along the last one, whatever the data format.
        Ok(vec![self.activation.emit(emitter, y)?])
    }
}
