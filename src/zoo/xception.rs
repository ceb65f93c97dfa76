//! Xception (Chollet 2017), as in `keras.applications`.

use super::blocks::{activate, conv, norm};
use super::options::Options;
use crate::error::ZooError;
use crate::layers::{
    Activation, Dense, GlobalPooling2D, Input, IntoLayer, Merge, Model, Padding, Pooling2D, SeparableConv2D,
    SymbolicTensor,
};

const EPSILON: f32 = 1e-3;

fn separable(x: &SymbolicTensor, name: &str, filters: usize) -> SymbolicTensor {
    let layer = SeparableConv2D::new(filters, 3).padding(Padding::Same).use_bias(false).named(name);
    norm(&layer.call(x), &format!("{name}_bn"), EPSILON)
}

/// Two separable convolutions, a pool, and a strided 1x1 convolution around them.
fn downsampling(
    x: &SymbolicTensor,
    block: usize,
    (first, second): (usize, usize),
    start_active: bool,
) -> SymbolicTensor {
    let residual = conv(x, &format!("block{block}_residual"), (second, 1), 2, Padding::Same);
    let residual = norm(&residual, &format!("block{block}_residual_bn"), EPSILON);
    let name = |part: &str| format!("block{block}_{part}");
    let mut y = x.clone();
    if start_active {
        y = activate(&y, &name("sepconv1_act"), Activation::RELU);
    }
    y = separable(&y, &name("sepconv1"), first);
    y = activate(&y, &name("sepconv2_act"), Activation::RELU);
    y = separable(&y, &name("sepconv2"), second);
    y = Pooling2D::max(3).strides(2).padding(Padding::Same).named(name("pool")).call(&y);
    Merge::Add.layer().call_many(&[&y, &residual])
}

pub(super) fn build(options: &Options<'_>) -> Result<Model, ZooError> {
    let (size, classes) = options.size_and_classes(299)?;
    if size < 71 {
        return Err(options.wrong(format!("size {size} is below 71, which leaves nothing of the picture")));
    }
    let input = Input::new([size, size, 3]);
    let x = conv(&input, "block1_conv1", (32, 3), 2, Padding::Valid);
    let x = norm(&x, "block1_conv1_bn", EPSILON);
    let x = activate(&x, "block1_conv1_act", Activation::RELU);
    let x = conv(&x, "block1_conv2", (64, 3), 1, Padding::Valid);
    let x = norm(&x, "block1_conv2_bn", EPSILON);
    let x = activate(&x, "block1_conv2_act", Activation::RELU);
    let x = downsampling(&x, 2, (128, 128), false);
    let x = downsampling(&x, 3, (256, 256), true);
    let mut x = downsampling(&x, 4, (728, 728), true);
    for block in 5..13 {
        let start = x.clone();
        for part in 1..4 {
            x = activate(&x, &format!("block{block}_sepconv{part}_act"), Activation::RELU);
            x = separable(&x, &format!("block{block}_sepconv{part}"), 728);
        }
        x = Merge::Add.layer().call_many(&[&x, &start]);
    }
    let x = downsampling(&x, 13, (728, 1024), true);
    let x = separable(&x, "block14_sepconv1", 1536);
    let x = activate(&x, "block14_sepconv1_act", Activation::RELU);
    let x = separable(&x, "block14_sepconv2", 2048);
    let x = activate(&x, "block14_sepconv2_act", Activation::RELU);
    let x = GlobalPooling2D::average().named("avg_pool").call(&x);
    let x = Dense::new(classes).activation(Activation::SOFTMAX).named("predictions").call(&x);
    Ok(Model::named("xception", &[input], &[x])?)
}
