//! Layers in Keras's semantics, sequential and functional models, and what they say of themselves.

mod activation;
mod config;
mod constraint;
mod conv;
mod conv_transpose;
mod dense;
mod depthwise;
mod elementwise;
mod from_config;
mod functional;
mod in_keras;
mod initializer;
mod keras_order;
mod layer;
mod merge;
mod model;
mod model_config;
mod named_weights;
mod names;
mod noise;
mod normalization;
mod per_weight;
mod pooling;
mod regularizer;
mod reshaping;
mod separable;
mod sequential;
mod settings;
mod shared_depthwise;
mod summary;
mod to_config;
mod training;

pub use activation::Activation;
pub use constraint::Constraint;
pub use conv::{Conv, Conv1D, Conv2D, Conv3D};
pub use conv_transpose::{Conv1DTranspose, Conv2DTranspose, Conv3DTranspose, ConvTranspose};
pub use dense::Dense;
pub use depthwise::{DepthwiseConv, DepthwiseConv1D, DepthwiseConv2D, DepthwiseConv3D};
pub use elementwise::{ActivationLayer, PReLU, PassThrough, SoftmaxLayer};
pub use from_config::layer_from_config;
pub use functional::{Input, SymbolicTensor};
pub use in_keras::{InKeras, KerasSite};
pub use initializer::{Fan, Initializer};
pub use keras_order::KerasGroup;
pub use layer::{Emitter, IntoLayer, Layer, LayerRef, Weight, WeightSpec};
pub use merge::{Concatenate, Dot, Merge};
pub use model::{Dims, InputSpec, LayerCall, Model, TensorRef};
pub use noise::Noise;
pub use normalization::{BatchNormalization, GroupNormalization, LayerNormalization, Normalization, Rescaling};
pub use pooling::{
    GlobalPooling, GlobalPooling1D, GlobalPooling2D, GlobalPooling3D, Pooling, Pooling1D, Pooling2D, Pooling3D,
};
pub use regularizer::Regularizer;
pub use reshaping::{Reshaping, Split};
pub use separable::{SeparableConv, SeparableConv1D, SeparableConv2D, SeparableConv3D};
pub use sequential::Sequential;
pub use settings::{DataFormat, IntoSizes, Padding};
pub use shared_depthwise::{SharedDepthwiseConv, SharedDepthwiseConv1D, SharedDepthwiseConv2D, SharedDepthwiseConv3D};
pub use summary::{Note, OPEN_AXIS, Row, Summary};
pub use training::{TrainedWeight, TrainingGraph};

/// An axis counted from either end as a position.
fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let position = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(position)
        .ok()
        .filter(|&position| position < rank)
        .ok_or_else(|| format!("axis {axis} does not exist in an input of {rank} axes"))
}
