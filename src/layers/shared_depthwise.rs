//! `SharedDepthwiseConv1D`, `2D`, `3D`: one filter applied to every channel on its own.

use serde_json::{Value, json};

use super::settings::{check_rank, setters, size_setters};
use super::{
    Activation, Concatenate, Conv, DataFormat, Dims, Emitter, Initializer, Input, IntoLayer, IntoSizes, KerasSite,
    Layer, LayerRef, Model, Padding, Reshaping, SymbolicTensor, WeightSpec, in_keras,
};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, SliceAxis};
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

impl<const R: usize> SharedDepthwiseConv<R> {
    /// The activation as the last layer, if it looks along an axis.
    fn last(&self, site: &KerasSite<'_>) -> Option<LayerRef> {
        site.along_axis(self.activation)
    }

    /// The activation of the convolution itself.
    fn inner_activation(&self, site: &KerasSite<'_>) -> Activation {
        if self.last(site).is_some() { Activation::Linear } else { self.activation }
    }

    /// A convolution over `N = R + 1` axes, the channels among them, with one filter whose window over the channels is 1.
    fn beside_channels<const N: usize>(&self, site: &KerasSite<'_>) -> Result<LayerRef, String> {
        let place = if self.data_format == DataFormat::ChannelsFirst { 0 } else { R };
        let with_channels = |sizes: &[usize; R]| {
            let mut all = [1; N];
            let axes = (0..N).filter(|&axis| axis != place);
            axes.zip(sizes).for_each(|(axis, &size)| all[axis] = size);
            all
        };
        let kernel_size = with_channels(&self.kernel_size);
        let conv = Conv::<N> {
            strides: with_channels(&self.strides),
            dilation_rate: with_channels(&self.dilation_rate),
            padding: self.padding,
            activation: self.inner_activation(site),
            use_bias: self.use_bias,
            kernel_initializer: self.kernel_initializer.clone(),
            bias_initializer: self.bias_initializer.clone(),
            ..Conv::new(1, kernel_size)
        };
        let kernel = site.weights.first().ok_or("it has no weights yet")?;
        let shape: Vec<usize> = kernel_size.into_iter().chain([1, 1]).collect();
        let kernel = kernel.viewed(&format!("{}_filter", site.name), "kernel", shape);
        Ok(site.layer("_filter", conv, [kernel].into_iter().chain(site.weights.get(1).cloned()).collect()))
    }

    /// A model that sends every channel through one convolution.
    fn slices(&self, site: &KerasSite<'_>) -> Result<LayerRef, String> {
        let channels = site.channels(self.data_format)?;
        let conv = Conv::<R> {
            strides: self.strides,
            dilation_rate: self.dilation_rate,
            padding: self.padding.without_causal(),
            data_format: self.data_format,
            activation: self.inner_activation(site),
            use_bias: self.use_bias,
            kernel_initializer: self.kernel_initializer.clone(),
            bias_initializer: self.bias_initializer.clone(),
            ..Conv::new(1, self.kernel_size)
        };
        let filter = LayerRef::with_weights(Box::new(conv), "filter".into(), site.weights.to_vec());
        let input = Input::open("channels", site.input.iter().skip(1).copied().collect());
        let causal = self.padding == Padding::Causal;
        let pad = causal.then(|| site.causal(&self.kernel_size, &self.dilation_rate, self.data_format));
        let padded = pad.map_or_else(|| input.clone(), |pad| pad.call(&input));
        let axis = self.data_format.channel_axis(site.input.len());
        let parts: Vec<SymbolicTensor> = (0..channels as i64)
            .map(|channel| {
                let cut = SliceAxis { axis, start: channel, end: Some(channel + 1), step: 1 };
                filter.call(&Reshaping::Slice(vec![cut], Vec::new()).layer().call(&padded))
            })
            .collect();
        let joined = Concatenate::new(axis as i64).layer().call_many(&parts.iter().collect::<Vec<_>>());
        let suffix = if self.last(site).is_some() { "_slices" } else { "" };
        let name = format!("{}{suffix}", site.name);
        Ok(Model::named(name.clone(), &[input], &[joined]).map_err(|why| why.to_string())?.named(name))
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

    fn in_keras(&self, site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        site.check_rank(R)?;
        in_keras::named(self.activation)?;
        in_keras::not_both(&self.strides, &self.dilation_rate)?;
        let causal = self.padding == Padding::Causal;
        let shape = |dims: &Dims, last: Option<usize>| dims.iter().skip(1).copied().chain(last.map(Some)).collect();
        let (planes, merged): (Vec<_>, Vec<_>) = (shape(site.input, Some(1)), shape(site.output, None));
        let open = [&planes, &merged].iter().any(|sizes| sizes.iter().filter(|size| size.is_none()).count() > 1);
        let filter = match R {
            1 if !open && !causal => self.beside_channels::<2>(site),
            2 if !open && !causal => self.beside_channels::<3>(site),
            _ => return self.slices(site).map(|slices| [slices].into_iter().chain(self.last(site)).collect()),
        }?;
        let suffix = if self.last(site).is_some() { "_merge" } else { "" };
        let merge = Reshaping::Reshape(merged).named(format!("{}{suffix}", site.name));
        let planes = Reshaping::Reshape(planes).named(format!("{}_planes", site.name));
        Ok([planes, filter, merge].into_iter().chain(self.last(site)).collect())
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
