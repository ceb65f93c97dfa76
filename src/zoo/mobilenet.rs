//! MobileNet (Howard et al. 2017) and MobileNetV2 (Sandler et al. 2018), as in `keras.applications`.

use super::blocks::{activate, conv, correct_pad, depthwise, make_divisible, norm, pad, slow_norm};
use super::options::Options;
use crate::error::ZooError;
use crate::layers::{
    Activation, Conv2D, Dense, GlobalPooling2D, Input, IntoLayer, Merge, Model, Noise, Padding, Reshaping,
};

/// Output channels (times alpha) and stride of the thirteen separable blocks.
const V1_BLOCKS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

pub(super) fn v1(options: &Options<'_>) -> Result<Model, ZooError> {
    let alpha = options.alpha()?;
    let (size, classes) = options.size_and_classes(224)?;
    let width = |channels: usize| ((channels as f64 * alpha) as usize).max(1);
    let input = Input::new([size, size, 3]);
    let x = conv(&input, "conv1", (width(32), 3), 2, Padding::Same);
    let x = norm(&x, "conv1_bn", 1e-3);
    let mut x = activate(&x, "conv1_relu", Activation::RELU6);
    for (i, &(channels, stride)) in V1_BLOCKS.iter().enumerate() {
        let id = i + 1;
        let mut padding = Padding::Same;
        if stride != 1 {
            x = pad(&x, &format!("conv_pad_{id}"), [(0, 1), (0, 1)]);
            padding = Padding::Valid;
        }
        x = depthwise(&x, &format!("conv_dw_{id}"), 3, stride, padding);
        x = norm(&x, &format!("conv_dw_{id}_bn"), 1e-3);
        x = activate(&x, &format!("conv_dw_{id}_relu"), Activation::RELU6);
        x = conv(&x, &format!("conv_pw_{id}"), (width(channels), 1), 1, Padding::Same);
        x = norm(&x, &format!("conv_pw_{id}_bn"), 1e-3);
        x = activate(&x, &format!("conv_pw_{id}_relu"), Activation::RELU6);
    }
    let x = GlobalPooling2D::average().keepdims(true).layer().call(&x);
    let x = Noise::dropout(1e-3).named("dropout").call(&x);
    let x = Conv2D::new(classes, 1).padding(Padding::Same).named("conv_preds").call(&x);
    let x = Reshaping::Reshape(vec![Some(classes)]).named("reshape_2").call(&x);
    let x = activate(&x, "predictions", Activation::SOFTMAX);
    Ok(Model::named(format!("mobilenet_{alpha:.2}_{size}"), &[input], &[x])?)
}

/// Expansion, output channels (times alpha), blocks and first stride of the stages.
const V2_STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

pub(super) fn v2(options: &Options<'_>) -> Result<Model, ZooError> {
    let alpha = options.alpha()?;
    let (size, classes) = options.size_and_classes(224)?;
    let input = Input::new([size, size, 3]);
    let mut channels = make_divisible(32.0 * alpha, 8.0);
    let x = conv(&input, "Conv1", (channels, 3), 2, Padding::Same);
    let x = slow_norm(&x, "bn_Conv1");
    let mut x = activate(&x, "Conv1_relu", Activation::RELU6);
    let mut map = size.div_ceil(2);
    let mut block = 0;
    for (expansion, out, repeats, first_stride) in V2_STAGES {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            let prefix = if block == 0 { "expanded_conv".to_string() } else { format!("block_{block}") };
            let named = |part: &str| format!("{prefix}_{part}");
            let start = x.clone();
            if block > 0 {
                x = conv(&x, &named("expand"), (expansion * channels, 1), 1, Padding::Same);
                x = slow_norm(&x, &named("expand_BN"));
                x = activate(&x, &named("expand_relu"), Activation::RELU6);
            }
            let mut padding = Padding::Same;
            if stride == 2 {
                x = pad(&x, &named("pad"), correct_pad(map, 3));
                padding = Padding::Valid;
                map = map.div_ceil(2);
            }
            x = depthwise(&x, &named("depthwise"), 3, stride, padding);
            x = slow_norm(&x, &named("depthwise_BN"));
            x = activate(&x, &named("depthwise_relu"), Activation::RELU6);
            let next = make_divisible(out as f64 * alpha, 8.0);
            x = conv(&x, &named("project"), (next, 1), 1, Padding::Same);
            x = slow_norm(&x, &named("project_BN"));
            if stride == 1 && next == channels {
                x = Merge::Add.named(named("add")).call_many(&[&start, &x]);
            }
            channels = next;
            block += 1;
        }
    }
    let last = if alpha > 1.0 { make_divisible(1280.0 * alpha, 8.0) } else { 1280 };
    let x = conv(&x, "Conv_1", (last, 1), 1, Padding::Valid);
    let x = slow_norm(&x, "Conv_1_bn");
    let x = activate(&x, "out_relu", Activation::RELU6);
    let x = GlobalPooling2D::average().layer().call(&x);
    let x = Dense::new(classes).activation(Activation::SOFTMAX).named("predictions").call(&x);
    Ok(Model::named(format!("mobilenetv2_{alpha:.2}_{size}"), &[input], &[x])?)
}
