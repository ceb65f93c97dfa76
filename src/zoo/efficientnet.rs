//! EfficientNetB0 (Tan and Le 2019), as in `keras.applications`.

use super::blocks::{activate, conv, correct_pad, depthwise, norm, pad};
use super::options::Options;
use crate::error::ZooError;
use crate::layers::{
    Activation, Conv2D, Dense, GlobalPooling2D, Input, IntoLayer, Merge, Model, Noise, Normalization, Padding,
    Rescaling, Reshaping,
};

/// Kernel, blocks, input and output channels, expansion, first stride.
const STAGES: [(usize, usize, usize, usize, usize, usize); 7] = [
    (3, 1, 32, 16, 1, 1),
    (3, 2, 16, 24, 6, 2),
    (5, 2, 24, 40, 6, 2),
    (3, 3, 40, 80, 6, 2),
    (5, 3, 80, 112, 6, 1),
    (5, 4, 112, 192, 6, 2),
    (3, 1, 192, 320, 6, 1),
];

pub(super) fn b0(options: &Options<'_>) -> Result<Model, ZooError> {
    let (size, classes) = options.size_and_classes(224)?;
    let input = Input::new([size, size, 3]);
    let x = Rescaling::new(vec![1.0 / 255.0], vec![0.0]).layer().call(&input);
    let x = Normalization::new(vec![0.485, 0.456, 0.406], vec![0.229 * 0.229, 0.224 * 0.224, 0.225 * 0.225])
        .layer()
        .call(&x);
    let x = pad(&x, "stem_conv_pad", correct_pad(size, 3));
    let x = conv(&x, "stem_conv", (32, 3), 2, Padding::Valid);
    let x = norm(&x, "stem_bn", 1e-3);
    let mut x = activate(&x, "stem_activation", Activation::SILU);
    let mut map = size.div_ceil(2);
    let blocks: usize = STAGES.iter().map(|stage| stage.1).sum();
    let mut block = 0;
    for (stage, (kernel, repeats, stage_in, out, expansion, first_stride)) in STAGES.into_iter().enumerate() {
        for repeat in 0..repeats {
            let (channels, stride) = if repeat == 0 { (stage_in, first_stride) } else { (out, 1) };
            let letter = char::from(b'a' + repeat as u8);
            let named = |part: &str| format!("block{}{letter}_{part}", stage + 1);
            let start = x.clone();
            let wide = channels * expansion;
            if expansion != 1 {
                x = conv(&x, &named("expand_conv"), (wide, 1), 1, Padding::Same);
                x = norm(&x, &named("expand_bn"), 1e-3);
                x = activate(&x, &named("expand_activation"), Activation::SILU);
            }
            let mut padding = Padding::Same;
            if stride == 2 {
                x = pad(&x, &named("dwconv_pad"), correct_pad(map, kernel));
                padding = Padding::Valid;
                map = map.div_ceil(2);
            }
            x = depthwise(&x, &named("dwconv"), kernel, stride, padding);
            x = norm(&x, &named("bn"), 1e-3);
            x = activate(&x, &named("activation"), Activation::SILU);
            let gate = GlobalPooling2D::average().named(named("se_squeeze")).call(&x);
            let gate = Reshaping::Reshape(vec![Some(1), Some(1), Some(wide)]).named(named("se_reshape")).call(&gate);
            let reduce = Conv2D::new((channels / 4).max(1), 1).padding(Padding::Same).activation(Activation::SILU);
            let gate = reduce.named(named("se_reduce")).call(&gate);
            let expand = Conv2D::new(wide, 1).padding(Padding::Same).activation(Activation::SIGMOID);
            let gate = expand.named(named("se_expand")).call(&gate);
            x = Merge::Multiply.named(named("se_excite")).call_many(&[&x, &gate]);
            x = conv(&x, &named("project_conv"), (out, 1), 1, Padding::Same);
            x = norm(&x, &named("project_bn"), 1e-3);
            if stride == 1 && channels == out {
                // Stochastic depth: whole pictures skip the block, more of them the deeper it lies.
                let skip = Noise::dropout(0.2 * block as f32 / blocks as f32);
                x = skip.noise_shape(vec![None, Some(1), Some(1), Some(1)]).named(named("drop")).call(&x);
                x = Merge::Add.named(named("add")).call_many(&[&x, &start]);
            }
            block += 1;
        }
    }
    let x = conv(&x, "top_conv", (1280, 1), 1, Padding::Same);
    let x = norm(&x, "top_bn", 1e-3);
    let x = activate(&x, "top_activation", Activation::SILU);
    let x = GlobalPooling2D::average().named("avg_pool").call(&x);
    let x = Noise::dropout(0.2).named("top_dropout").call(&x);
    let x = Dense::new(classes).activation(Activation::SOFTMAX).named("predictions").call(&x);
    Ok(Model::named("efficientnetb0", &[input], &[x])?)
}
