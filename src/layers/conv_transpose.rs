//! `Conv1DTranspose`, `Conv2DTranspose`, `Conv3DTranspose`.

use serde_json::{Value, json};

use super::settings::{check_rank, setters, size_setters};
use super::{
    Activation, DataFormat, Emitter, Initializer, IntoSizes, KerasSite, Layer, LayerRef, Padding, WeightSpec, in_keras,
};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, Epilogue};
use crate::tensor::Shape;

/// Transposed convolution over `R` spatial axes. Weights: `kernel [k.., filters, in]`, `bias [filters]`.
///
/// With `e = dilation * (k - 1) + 1` the output has, per axis, `input * stride` elements for `Same` and
/// `(input - 1) * stride + max(e, stride)` for `Valid`; with an output padding `p` it has
/// `(input - 1) * stride + e % 2 + p` and `(input - 1) * stride + e + p` (Keras 3).
#[derive(Debug, Clone, PartialEq)]
pub struct ConvTranspose<const R: usize> {
    pub(super) filters: usize,
    pub(super) kernel_size: [usize; R],
    pub(super) strides: [usize; R],
    pub(super) dilation_rate: [usize; R],
    pub(super) padding: Padding,
    pub(super) output_padding: Option<[usize; R]>,
    pub(super) data_format: DataFormat,
    pub(super) activation: Activation,
    pub(super) use_bias: bool,
    pub(super) kernel_initializer: Initializer,
    pub(super) bias_initializer: Initializer,
}

/// Transposed convolution over one spatial axis.
pub type Conv1DTranspose = ConvTranspose<1>;
/// Transposed convolution over rows and columns.
pub type Conv2DTranspose = ConvTranspose<2>;
/// Transposed convolution over three spatial axes.
pub type Conv3DTranspose = ConvTranspose<3>;

impl<const R: usize> ConvTranspose<R> {
    /// A transposed convolution with Keras's defaults.
    pub fn new(filters: usize, kernel_size: impl IntoSizes<R>) -> ConvTranspose<R> {
        ConvTranspose {
            filters,
            kernel_size: kernel_size.sizes(),
            strides: [1; R],
            dilation_rate: [1; R],
            padding: Padding::Valid,
            output_padding: None,
            data_format: DataFormat::ChannelsLast,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::glorot_uniform(),
            bias_initializer: Initializer::Zeros,
        }
    }

    size_setters! { R;
        /// Steps between the outputs of neighbouring inputs (1).
        strides,
        /// Steps between neighbouring taps (1).
        dilation_rate,
    }
    setters! {
        /// Which part of the full result is kept (valid: all of it).
        padding: Padding,
        /// Output elements added, see the type (chosen by Keras's rule).
        output_padding: Option<[usize; R]>,
        /// Where the channels are (last).
        data_format: DataFormat,
        /// What happens to the result (nothing).
        activation: Activation,
        /// Whether there is a bias (yes).
        use_bias: bool,
        /// How the kernel starts (Glorot uniform).
        kernel_initializer: Initializer,
        /// How the bias starts (zeros).
        bias_initializer: Initializer,
    }

    /// Padding before and after, and output padding, of one axis.
    fn axis(&self, axis: usize) -> Result<(usize, usize, usize), String> {
        let stride = self.strides[axis];
        let extent = self.dilation_rate[axis] * (self.kernel_size[axis].max(1) - 1) + 1;
        let given = self.output_padding.map(|padding| padding[axis]);
        // The output beyond `(input - 1) * stride`, as Keras sizes it.
        let beyond = match (self.padding, given) {
            (Padding::Valid, None) => extent.max(stride),
            (Padding::Valid, Some(padding)) => extent + padding,
            (Padding::Same, None) => stride,
            (Padding::Same, Some(padding)) => extent % 2 + padding,
            (Padding::Causal, _) => return Err("causal padding has no transpose in Keras".into()),
        };
        let cut = if self.padding == Padding::Valid { 0 } else { extent.saturating_sub(beyond) };
        let before = cut / 2;
        Ok((before, cut - before, (beyond + cut).saturating_sub(extent)))
    }
}

impl<const R: usize> Layer for ConvTranspose<R> {
    fn class_name(&self) -> &'static str {
        match R {
            1 => "Conv1DTranspose",
            2 => "Conv2DTranspose",
            _ => "Conv3DTranspose",
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
            "output_padding": self.output_padding.as_ref().map(<[usize; R]>::as_slice),
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
        let beyond =
            |padding: &[usize; R]| padding.iter().zip(&self.strides).any(|(padding, stride)| padding >= stride);
        match self.output_padding.as_ref().filter(|padding| beyond(padding)) {
            Some(padding) => {
                Err(format!("Keras refuses the output padding {padding:?} with strides {:?}", self.strides))
            }
            None => Ok(Vec::new()),
        }
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let channels = self.data_format.channels(inputs.first().map_or(&[], |shape| shape))?;
        let kernel: Vec<usize> = self.kernel_size.into_iter().chain([self.filters, channels]).collect();
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
        let axes: Vec<(usize, usize, usize)> =
            (0..R).map(|axis| self.axis(axis)).collect::<Result<_, _>>().map_err(|what| emitter.wrong(what))?;
        let op = ops::ConvTranspose {
            stride: self.strides.to_vec(),
            dilation: self.dilation_rate.to_vec(),
            pads: axes.iter().map(|&(before, after, _)| (before, after)).collect(),
            output_padding: axes.iter().map(|&(_, _, output_padding)| output_padding).collect(),
            groups: 1,
            epilogue: Epilogue::default(),
        };
        let y = self.data_format.around(emitter, x, |emitter, x| {
            let y = emitter.node("", op, &[x, weights[0]])?;
            emitter.finish(y, weights.get(1).copied(), Activation::Linear)
        })?;
        Ok(vec![self.activation.emit(emitter, y)?])
    }
}
