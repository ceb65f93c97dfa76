//! MobileNetV3 (Howard et al. 2019), as in `keras.applications`.

use super::blocks::{activate, conv, correct_pad, depthwise, make_divisible, pad, slow_norm};
use super::options::Options;
use crate::error::ZooError;
use crate::layers::{
    Activation, Conv2D, DataFormat, GlobalPooling2D, Input, IntoLayer, Merge, Model, Noise, Padding, Rescaling,
    Reshaping, SymbolicTensor,
};
use crate::ops::UnaryFn;

/// Expansion in tenths of the input channels, output channels, kernel, stride, squeeze-and-excite, hard swish.
type Block = (f64, usize, usize, usize, bool, bool);

const SMALL: [Block; 11] = [
    (1.0, 16, 3, 2, true, false),
    (72.0 / 16.0, 24, 3, 2, false, false),
    (88.0 / 24.0, 24, 3, 1, false, false),
    (4.0, 40, 5, 2, true, true),
    (6.0, 40, 5, 1, true, true),
    (6.0, 40, 5, 1, true, true),
    (3.0, 48, 5, 1, true, true),
    (3.0, 48, 5, 1, true, true),
    (6.0, 96, 5, 2, true, true),
    (6.0, 96, 5, 1, true, true),
    (6.0, 96, 5, 1, true, true),
];

const LARGE: [Block; 15] = [
    (1.0, 16, 3, 1, false, false),
    (4.0, 24, 3, 2, false, false),
    (3.0, 24, 3, 1, false, false),
    (3.0, 40, 5, 2, true, false),
    (3.0, 40, 5, 1, true, false),
    (3.0, 40, 5, 1, true, false),
    (6.0, 80, 3, 2, false, true),
    (2.5, 80, 3, 1, false, true),
    (2.3, 80, 3, 1, false, true),
    (2.3, 80, 3, 1, false, true),
    (6.0, 112, 3, 1, true, true),
    (6.0, 112, 3, 1, true, true),
    (6.0, 160, 5, 2, true, true),
    (6.0, 160, 5, 1, true, true),
    (6.0, 160, 5, 1, true, true),
];

pub(super) fn small(options: &Options<'_>) -> Result<Model, ZooError> {
    build(options, &SMALL, 1024, "small")
}

pub(super) fn large(options: &Options<'_>) -> Result<Model, ZooError> {
    build(options, &LARGE, 1280, "large")
}

/// Pools, squeezes, excites, and scales the channels.
fn squeeze_excite(x: &SymbolicTensor, channels: usize, prefix: &str) -> SymbolicTensor {
    let named = |part: &str| format!("{prefix}_squeeze_excite{part}");
    let gate = GlobalPooling2D::average().keepdims(true).named(named("_avg_pool")).call(x);
    let squeezed = make_divisible(channels as f64 * 0.25, 8.0);
    let gate = Conv2D::new(squeezed, 1).padding(Padding::Same).named(named("_conv")).call(&gate);
    let gate = activate(&gate, &named("_relu"), Activation::RELU);
    let gate = Conv2D::new(channels, 1).padding(Padding::Same).named(named("_conv_1")).call(&gate);
    let gate = activate(&gate, &named("_gate"), UnaryFn::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }.into());
    Merge::Multiply.named(named("_mul")).call_many(&[x, &gate])
}

fn build(options: &Options<'_>, blocks: &[Block], last_point: usize, kind: &str) -> Result<Model, ZooError> {
    let alpha = options.alpha()?;
    let (size, classes) = options.size_and_classes(224)?;
    let minimalistic = options.flag("minimalistic", false)?;
    let swish: Activation = if minimalistic { Activation::RELU } else { UnaryFn::HardSilu.into() };
    let input = Input::new([size, size, 3]);
    let x = Rescaling::new(vec![1.0 / 127.5], vec![-1.0]).layer().call(&input);
    let x = conv(&x, "conv", (16, 3), 2, Padding::Same);
    let x = slow_norm(&x, "conv_bn");
    let mut x = activate(&x, "conv_act", swish);
    let (mut channels, mut map) = (16, size.div_ceil(2));
    for (i, &(expansion, out, kernel, stride, squeeze, hard)) in blocks.iter().enumerate() {
        let kernel = if minimalistic { 3 } else { kernel };
        let activation = if hard { swish } else { Activation::RELU };
        let prefix = if i == 0 { "expanded_conv".to_string() } else { format!("expanded_conv_{i}") };
        let named = |part: &str| format!("{prefix}_{part}");
        let start = x.clone();
        let mut wide = channels;
        if i > 0 {
            wide = make_divisible(channels as f64 * expansion, 8.0);
            x = conv(&x, &named("expand"), (wide, 1), 1, Padding::Same);
            x = slow_norm(&x, &named("expand_bn"));
            x = activate(&x, &named("expand_act"), activation);
        }
        let mut padding = Padding::Same;
        if stride == 2 {
            x = pad(&x, &named("depthwise_pad"), correct_pad(map, kernel));
            padding = Padding::Valid;
            map = map.div_ceil(2);
        }
        x = depthwise(&x, &named("depthwise"), kernel, stride, padding);
        x = slow_norm(&x, &named("depthwise_bn"));
        x = activate(&x, &named("depthwise_act"), activation);
        if squeeze && !minimalistic {
            x = squeeze_excite(&x, wide, &prefix);
        }
        let next = make_divisible(out as f64 * alpha, 8.0);
        x = conv(&x, &named("project"), (next, 1), 1, Padding::Same);
        x = slow_norm(&x, &named("project_bn"));
        if stride == 1 && next == channels {
            x = Merge::Add.named(named("add")).call_many(&[&start, &x]);
        }
        channels = next;
    }
    let last = make_divisible(channels as f64 * 6.0, 8.0);
    let last_point = if alpha > 1.0 { make_divisible(last_point as f64 * alpha, 8.0) } else { last_point };
    let x = conv(&x, "conv_1", (last, 1), 1, Padding::Same);
    let x = slow_norm(&x, "conv_1_bn");
    let x = activate(&x, "conv_1_act", swish);
    let x = GlobalPooling2D::average().keepdims(true).layer().call(&x);
    let x = Conv2D::new(last_point, 1).padding(Padding::Same).named("conv_2").call(&x);
    let x = activate(&x, "conv_2_act", swish);
    let x = Noise::dropout(0.2).named("dropout").call(&x);
    let x = Conv2D::new(classes, 1).padding(Padding::Same).named("logits").call(&x);
    let x = Reshaping::Flatten(DataFormat::ChannelsLast).layer().call(&x);
    let x = activate(&x, "predictions", Activation::SOFTMAX);
    Ok(Model::named(format!("MobileNetV3{kind}"), &[input], &[x])?)
}
