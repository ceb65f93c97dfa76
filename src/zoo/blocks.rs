//! What the architectures share: a convolution with its batch normalisation, channel rounding, asymmetric padding.

use crate::layers::{
    Activation, ActivationLayer, BatchNormalization, Conv2D, DataFormat, DepthwiseConv2D, IntoLayer, Padding,
    Reshaping, SymbolicTensor,
};

/// `channels` rounded to a multiple of `divisor`, never below nine tenths of it.
pub(super) fn make_divisible(channels: f64, divisor: f64) -> usize {
    let rounded = ((channels + divisor / 2.0) / divisor).floor() * divisor;
    let rounded = rounded.max(divisor);
    (if rounded < 0.9 * channels { rounded + divisor } else { rounded }) as usize
}

/// Batch normalisation under a name.
pub(super) fn norm(x: &SymbolicTensor, name: &str, epsilon: f32) -> SymbolicTensor {
    BatchNormalization::new().epsilon(epsilon).named(name).call(x)
}

/// Batch normalisation with the slower statistics of MobileNetV2 and V3.
pub(super) fn slow_norm(x: &SymbolicTensor, name: &str) -> SymbolicTensor {
    BatchNormalization::new().momentum(0.999).named(name).call(x)
}

/// An activation under a name.
pub(super) fn activate(x: &SymbolicTensor, name: &str, activation: Activation) -> SymbolicTensor {
    ActivationLayer::new(activation).named(name).call(x)
}

/// A convolution without bias.
pub(super) fn conv(
    x: &SymbolicTensor,
    name: &str,
    (filters, kernel): (usize, usize),
    stride: usize,
    padding: Padding,
) -> SymbolicTensor {
    Conv2D::new(filters, kernel).strides(stride).padding(padding).use_bias(false).named(name).call(x)
}

/// A depthwise convolution without bias.
pub(super) fn depthwise(
    x: &SymbolicTensor,
    name: &str,
    kernel: usize,
    stride: usize,
    padding: Padding,
) -> SymbolicTensor {
    DepthwiseConv2D::new(kernel).strides(stride).padding(padding).use_bias(false).named(name).call(x)
}

/// Zeros around rows and columns.
pub(super) fn pad(x: &SymbolicTensor, name: &str, pads: [(usize, usize); 2]) -> SymbolicTensor {
    Reshaping::ZeroPadding(pads.to_vec(), DataFormat::ChannelsLast).named(name).call(x)
}

/// Keras's `correct_pad`: what a strided `valid` convolution needs for a map of `size`.
pub(super) fn correct_pad(size: usize, kernel: usize) -> [(usize, usize); 2] {
    let half = kernel / 2;
    let axis = (half - (1 - size % 2), half);
    [axis, axis]
}
