//! Cases of convolutions whose channels fill whole vectors, at sizes that leave tiles, strips and lanes partly empty.

use super::OpCase;
use crate::ops::{Conv, Epilogue, UnaryFn};
use crate::tensor::{Padding, Window};

/// A window of the given strides and dilations.
pub(super) fn window(stride: &[usize], dilation: &[usize], padding: Padding) -> Window {
    Window { stride: stride.to_vec(), dilation: dilation.to_vec(), padding, ceil_mode: false }
}

pub(super) fn same(stride: usize) -> Window {
    window(&[stride; 2], &[1; 2], Padding::Same)
}

/// A case with the inputs that the epilogue asks for; `bias` is its number of elements.
pub(super) fn case(id: &str, conv: Conv, x: &[usize], w: &[usize], bias: Option<usize>, residual: bool) -> OpCase {
    let activation = conv.epilogue.activation;
    let conv = Conv { epilogue: Epilogue { bias: bias.is_some(), residual, activation }, ..conv };
    let mut inputs = vec![x.to_vec(), w.to_vec()];
    inputs.extend(bias.map(|elements| vec![elements]));
    if residual {
        let types: Vec<_> = inputs.iter().map(|shape| crate::tensor::TensorType::f32(shape.clone())).collect();
        let plain = Conv { epilogue: Epilogue { bias: bias.is_some(), ..Epilogue::default() }, ..conv.clone() };
        // A case whose shapes do not fit fails by name when its graph is built.
        inputs.push(plain.site(&types).map(|site| site.output.to_vec()).unwrap_or_default());
    }
    let inputs: Vec<&[usize]> = inputs.iter().map(Vec::as_slice).collect();
    OpCase::new(format!("conv vectors/{id}"), conv, &inputs)
}

pub(super) fn activated(conv: Conv, activation: UnaryFn) -> Conv {
    Conv { epilogue: Epilogue { activation: Some(activation), ..conv.epilogue }, ..conv }
}

pub(super) fn cases() -> Vec<OpCase> {
    let mut cases = pointwise();
    cases.extend(dense_windows());
    cases.extend(few_channels());
    cases.extend(per_channel());
    cases
}

fn pointwise() -> Vec<OpCase> {
    let unit = || Conv::new(Window::unit(2), 1);
    let relu6 = || activated(unit(), UnaryFn::Relu6);
    vec![
        case("pointwise", unit(), &[2, 7, 7, 24], &[1, 1, 24, 20], None, false),
        case("pointwise of odd quads", relu6(), &[2, 13, 15, 12], &[1, 1, 12, 8], Some(8), false),
        case("pointwise with one bias", unit(), &[1, 5, 9, 16], &[1, 1, 16, 36], Some(1), false),
        case("pointwise residual", relu6(), &[3, 7, 11, 40], &[1, 1, 40, 28], Some(28), true),
        case("pointwise residual alone", unit(), &[1, 13, 3, 4], &[1, 1, 4, 4], None, true),
        case("pointwise silu", activated(unit(), UnaryFn::Silu), &[1, 6, 6, 32], &[1, 1, 32, 64], Some(64), false),
        case("one pixel", relu6(), &[1, 1, 1, 96], &[1, 1, 96, 24], Some(24), false),
        case("three pixels", unit(), &[3, 1, 1, 40], &[1, 1, 40, 76], Some(76), true),
        case("dense of one row", Conv::new(Window::unit(0), 1), &[1, 127 * 4], &[127 * 4, 100], Some(100), false),
        case("dense of many rows", Conv::new(Window::unit(0), 1), &[3, 13, 64], &[64, 12], Some(12), false),
        case("pointwise of 4x4", unit(), &[1, 4, 4, 64], &[1, 1, 64, 60], Some(60), false),
        case("pointwise of 7x7", relu6(), &[1, 7, 7, 64], &[1, 1, 64, 32], Some(32), true),
        case("pointwise of 13x15", relu6(), &[1, 13, 15, 64], &[1, 1, 64, 60], Some(60), true),
        case("pointwise of 24 channels", unit(), &[1, 11, 17, 24], &[1, 1, 24, 24], Some(24), false),
        case("pointwise of 60 channels", unit(), &[2, 9, 7, 20], &[1, 1, 20, 60], Some(60), false),
        case("image of many texel rows", unit(), &[1, 127, 127, 8], &[1, 1, 8, 4], None, false),
    ]
}

fn dense_windows() -> Vec<OpCase> {
    let conv = |window| Conv::new(window, 1);
    let valid = |stride: usize, dilation: usize| window(&[stride; 2], &[dilation; 2], Padding::Valid);
    let around = |padding: &[(usize, usize)], stride: &[usize]| {
        conv(window(stride, &vec![1; stride.len()], Padding::Explicit(padding.to_vec())))
    };
    let relu = |window| activated(conv(window), UnaryFn::Relu);
    vec![
        case("3x3", relu(same(1)), &[2, 13, 15, 8], &[3, 3, 8, 12], Some(12), false),
        case("3x3 residual", relu(same(1)), &[2, 7, 7, 20], &[3, 3, 20, 20], Some(20), true),
        case("3x3 of 7x7", relu(same(1)), &[1, 7, 7, 16], &[3, 3, 16, 36], Some(36), false),
        case("3x3 of many channels", conv(same(1)), &[1, 12, 8, 12], &[3, 3, 12, 60], Some(60), true),
        case("3x3 stride 2 of 13x13", relu(same(2)), &[2, 13, 13, 8], &[3, 3, 8, 16], Some(16), false),
        case("3x3 stride 2", conv(same(2)), &[2, 13, 15, 8], &[3, 3, 8, 20], None, false),
        case("3x3 stride 2 of an even size", conv(same(2)), &[1, 14, 12, 16], &[3, 3, 16, 16], Some(1), false),
        case("3x3 stride 3", conv(same(3)), &[1, 13, 15, 12], &[3, 3, 12, 8], None, false),
        case("3x3 valid", conv(valid(1, 1)), &[1, 5, 9, 4], &[3, 3, 4, 4], None, false),
        case(
            "3x3 dilation 2",
            conv(window(&[1; 2], &[2; 2], Padding::Same)),
            &[2, 9, 7, 16],
            &[3, 3, 16, 4],
            None,
            false,
        ),
        case("3x3 dilation 2 stride 2", conv(valid(2, 2)), &[1, 13, 15, 8], &[3, 3, 8, 8], None, false),
        case("5x5 stride 2", conv(same(2)), &[2, 15, 13, 8], &[5, 5, 8, 4], Some(4), false),
        case("7x7 larger than its input", conv(same(1)), &[1, 3, 5, 4], &[7, 7, 4, 8], None, false),
        case("1x7", conv(same(1)), &[1, 5, 13, 8], &[1, 7, 8, 8], None, false),
        case("3x1", conv(same(1)), &[1, 5, 13, 12], &[3, 1, 12, 8], None, false),
        case("1x3", conv(same(1)), &[1, 5, 13, 4], &[1, 3, 4, 8], None, false),
        case("1x1 stride 2", conv(same(2)), &[1, 7, 9, 16], &[1, 1, 16, 8], None, false),
        case("uneven padding", around(&[(0, 3), (2, 0)], &[2, 1]), &[1, 7, 6, 8], &[3, 3, 8, 8], None, false),
        case("one axis, causal", conv(window(&[1], &[3], Padding::Causal)), &[2, 27, 8], &[3, 8, 12], Some(12), false),
        case(
            "three axes",
            around(&[(1, 1), (0, 1), (1, 0)], &[2, 1, 2]),
            &[2, 5, 4, 7, 8],
            &[3, 2, 3, 8, 4],
            None,
            true,
        ),
    ]
}

fn few_channels() -> Vec<OpCase> {
    let conv = |stride| Conv::new(same(stride), 1);
    let first = |id: &str, x: &[usize], w: &[usize], stride| case(id, conv(stride), x, w, Some(w[3]), false);
    let dilated = Conv::new(window(&[1; 2], &[2; 2], Padding::Same), 1);
    vec![
        first("3 channels stride 2", &[2, 15, 24, 3], &[3, 3, 3, 32], 2),
        first("3 channels 7x7 stride 2", &[1, 13, 27, 3], &[7, 7, 3, 16], 2),
        first("3 channels 11x11 stride 4", &[1, 23, 29, 3], &[11, 11, 3, 8], 4),
        first("3 channels in patches", &[1, 12, 16, 3], &[4, 4, 3, 8], 4),
        first("3 channels in one tap", &[2, 7, 5, 3], &[1, 1, 3, 12], 1),
        first("1 channel", &[2, 13, 15, 1], &[3, 3, 1, 8], 1),
        first("2 channels 5x5", &[1, 9, 7, 2], &[5, 5, 2, 4], 1),
        first("5 channels", &[1, 7, 9, 5], &[3, 3, 5, 8], 1),
        first("6 channels stride 2", &[1, 7, 9, 6], &[3, 3, 6, 8], 2),
        first("10 channels 5x5", &[1, 7, 9, 10], &[5, 5, 10, 4], 1),
        case("3 channels dilated", dilated, &[1, 9, 11, 3], &[3, 3, 3, 8], None, true),
    ]
}

fn per_channel() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for shared in [false, true] {
        let form = if shared { "shared" } else { "depthwise" };
        let mut add = |id: &str, window: Window, x: &[usize], size: &[usize]| {
            let channels = x[x.len() - 1];
            let filters = if shared { 1 } else { channels };
            let w: Vec<usize> = size.iter().copied().chain([1, filters]).collect();
            let bias = (cases.len() % 2 == 0).then_some(filters);
            let residual = cases.len() % 3 == 0;
            let conv = if shared { Conv::shared(window) } else { Conv::new(window, channels) };
            let conv = activated(conv, UnaryFn::Relu6);
            cases.push(case(&format!("{form} {id}"), conv, x, &w, bias, residual));
        };
        add("3x3", same(1), &[2, 13, 15, 12], &[3, 3]);
        add("3x3 of many channels", same(1), &[1, 7, 7, 52], &[3, 3]);
        add("3x3 of one vector", same(1), &[1, 14, 3, 4], &[3, 3]);
        add("3x3 stride 2", same(2), &[2, 13, 15, 8], &[3, 3]);
        add("3x3 stride 2 of an even size", same(2), &[1, 14, 12, 36], &[3, 3]);
        add("3x3 stride 3", same(3), &[1, 13, 15, 8], &[3, 3]);
        add("3x3 stride 1 by 2", window(&[1, 2], &[1; 2], Padding::Valid), &[1, 9, 11, 8], &[3, 3]);
        add("3x3 dilation 2", window(&[1; 2], &[2; 2], Padding::Same), &[1, 9, 11, 8], &[3, 3]);
        add("3x3 dilation of rows", window(&[1; 2], &[2, 1], Padding::Same), &[1, 9, 11, 8], &[3, 3]);
        add("5x5", same(1), &[2, 7, 9, 8], &[5, 5]);
        add("5x5 stride 2", same(2), &[1, 15, 13, 20], &[5, 5]);
        add("7x7 larger than its input", same(1), &[1, 5, 3, 8], &[7, 7]);
        add("9x9", same(1), &[1, 12, 11, 4], &[9, 9]);
        add("1x3", same(1), &[1, 5, 13, 8], &[1, 3]);
        add("1x1", same(1), &[1, 5, 13, 8], &[1, 1]);
        add("one axis, causal", window(&[1], &[1], Padding::Causal), &[2, 27, 8], &[4]);
        add("one axis, dilated", window(&[2], &[3], Padding::Same), &[1, 27, 16], &[3]);
        add("three axes", window(&[2, 1, 1], &[1; 3], Padding::Same), &[2, 5, 6, 7, 8], &[3, 3, 3]);
    }
    cases
}
