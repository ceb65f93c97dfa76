//! ResNet-18 (He et al. 2015), in the layout of torchvision with Keras's layer names.

use super::blocks::{activate, norm, pad};
use super::options::Options;
use crate::error::ZooError;
use crate::layers::{
    Activation, Conv2D, Dense, GlobalPooling2D, Input, IntoLayer, Merge, Model, Pooling2D, SymbolicTensor,
};

const EPSILON: f32 = 1e-5;

/// Padding, a 3x3 convolution without bias, and batch normalisation.
fn conv3(x: &SymbolicTensor, name: &str, filters: usize, stride: usize) -> SymbolicTensor {
    let x = pad(x, &format!("{name}_pad"), [(1, 1), (1, 1)]);
    let x = Conv2D::new(filters, 3).strides(stride).use_bias(false).named(format!("{name}_conv")).call(&x);
    norm(&x, &format!("{name}_bn"), EPSILON)
}

pub(super) fn resnet18(options: &Options<'_>) -> Result<Model, ZooError> {
    let (size, classes) = options.size_and_classes(224)?;
    let input = Input::new([size, size, 3]);
    let x = pad(&input, "conv1_pad", [(3, 3), (3, 3)]);
    let x = Conv2D::new(64, 7).strides(2).use_bias(false).named("conv1_conv").call(&x);
    let x = norm(&x, "conv1_bn", EPSILON);
    let x = activate(&x, "conv1_relu", Activation::RELU);
    // Zeros around a rectified map never win the maximum.
    let x = pad(&x, "pool1_pad", [(1, 1), (1, 1)]);
    let mut x = Pooling2D::max(3).strides(2).named("pool1_pool").call(&x);
    for (stage, filters) in [64, 128, 256, 512].into_iter().enumerate() {
        for block in 1..=2 {
            let name = format!("conv{}_block{block}", stage + 2);
            let stride = if stage > 0 && block == 1 { 2 } else { 1 };
            let mut shortcut = x.clone();
            if stride == 2 {
                let layer = Conv2D::new(filters, 1).strides(2).use_bias(false).named(format!("{name}_0_conv"));
                shortcut = norm(&layer.call(&x), &format!("{name}_0_bn"), EPSILON);
            }
            let y = conv3(&x, &format!("{name}_1"), filters, stride);
            let y = activate(&y, &format!("{name}_1_relu"), Activation::RELU);
            let y = conv3(&y, &format!("{name}_2"), filters, 1);
            let sum = Merge::Add.named(format!("{name}_add")).call_many(&[&shortcut, &y]);
            x = activate(&sum, &format!("{name}_out"), Activation::RELU);
        }
    }
    let x = GlobalPooling2D::average().named("avg_pool").call(&x);
    let x = Dense::new(classes).activation(Activation::SOFTMAX).named("predictions").call(&x);
    Ok(Model::named("resnet18", &[input], &[x])?)
}
