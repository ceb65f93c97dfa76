//! Cases of convolutions at the edges of tiles and with channels that do not fill vectors.

use super::OpCase;
use super::conv_vectors::{activated, case, same, window};
use crate::ops::{Conv, ConvTranspose, Epilogue, UnaryFn};
use crate::tensor::{Padding, Window};

pub(super) fn cases() -> Vec<OpCase> {
    let mut cases = pointwise();
    cases.extend(tiles());
    cases.extend(strips());
    cases.extend(few_outputs());
    cases.extend(per_channel());
    cases.extend(multipliers());
    cases.extend(transposed());
    cases
}

/// Products that a device does in tiles of every kind, and sums that it cuts into slices.
fn tiles() -> Vec<OpCase> {
    let unit = || Conv::new(Window::unit(2), 1);
    let relu6 = |conv| activated(conv, UnaryFn::Relu6);
    let valid = |stride: usize, dilation: usize| Conv::new(window(&[stride; 2], &[dilation; 2], Padding::Valid), 1);
    let groups = |count: usize| Conv::new(same(2), count);
    let deep = Conv::new(window(&[1, 2, 1], &[2, 1, 1], Padding::Same), 1);
    vec![
        case("conv tiles/1023 rows by 124", relu6(unit()), &[1, 33, 31, 20], &[1, 1, 20, 124], Some(124), true),
        case("conv tiles/2040 rows by 60", unit(), &[1, 40, 51, 24], &[1, 1, 24, 60], Some(60), false),
        case("conv tiles/2040 rows by 28", unit(), &[1, 40, 51, 36], &[1, 1, 36, 28], None, false),
        case("conv tiles/2040 rows by 13", relu6(unit()), &[1, 40, 51, 17], &[1, 1, 17, 13], Some(13), false),
        case("conv tiles/500 rows by 60", unit(), &[2, 10, 25, 16], &[1, 1, 16, 60], Some(1), false),
        case("conv tiles/pointwise of a long sum", relu6(unit()), &[1, 7, 7, 528], &[1, 1, 528, 40], Some(40), true),
        case("conv tiles/pointwise of a longer sum", unit(), &[1, 3, 5, 1040], &[1, 1, 1040, 20], None, false),
        case(
            "conv tiles/3x3 of a long sum",
            relu6(Conv::new(same(1), 1)),
            &[1, 5, 7, 64],
            &[3, 3, 64, 24],
            Some(1),
            false,
        ),
        case(
            "conv tiles/3x3 of 1020 rows by 72",
            Conv::new(same(1), 1),
            &[1, 30, 34, 16],
            &[3, 3, 16, 72],
            Some(72),
            true,
        ),
        case("conv tiles/2x3 of one vector", Conv::new(same(2), 1), &[2, 13, 15, 4], &[2, 3, 4, 12], Some(12), false),
        case("conv tiles/3x3 without padding", valid(1, 2), &[1, 9, 11, 12], &[3, 3, 12, 8], None, true),
        case("conv tiles/1x1 stride 2 without padding", valid(2, 1), &[1, 7, 9, 32], &[1, 1, 32, 16], None, false),
        case("conv tiles/three axes", deep.clone(), &[2, 3, 5, 6, 16], &[2, 3, 3, 16, 8], Some(8), false),
        case("conv tiles/3x3 in 4 groups of 16", groups(4), &[2, 9, 11, 64], &[3, 3, 16, 48], Some(48), true),
        case("conv tiles/3x3 in 3 groups of 12", relu6(groups(3)), &[1, 9, 7, 36], &[3, 3, 12, 24], Some(1), false),
        case("conv tiles/3x3 in 2 groups of 5 to 9", groups(2), &[1, 9, 7, 10], &[3, 3, 5, 18], Some(18), true),
        case("conv tiles/3x3 in 2 groups of 64", groups(2), &[1, 9, 11, 128], &[3, 3, 64, 32], None, false),
        case(
            "conv tiles/1x1 in 8 groups",
            Conv::new(Window::unit(2), 8),
            &[1, 7, 9, 128],
            &[1, 1, 16, 64],
            None,
            false,
        ),
        case("conv tiles/three axes of 12 channels", deep, &[1, 5, 5, 6, 12], &[2, 3, 3, 12, 9], None, false),
    ]
}

fn pointwise() -> Vec<OpCase> {
    let unit = || Conv::new(Window::unit(2), 1);
    let dense = || Conv::new(Window::unit(0), 1);
    let relu6 = |conv| activated(conv, UnaryFn::Relu6);
    vec![
        case("conv tiles/pointwise of whole tiles", unit(), &[2, 8, 8, 64], &[1, 1, 64, 128], Some(128), false),
        case("conv tiles/pointwise 127 to 127", relu6(unit()), &[1, 13, 15, 127], &[1, 1, 127, 127], Some(127), true),
        case("conv tiles/pointwise 3 to 64", relu6(unit()), &[2, 9, 15, 3], &[1, 1, 3, 64], Some(64), false),
        case("conv tiles/pointwise 12 to 1", unit(), &[1, 15, 24, 12], &[1, 1, 12, 1], Some(1), false),
        case("conv tiles/pointwise 1 to 13", unit(), &[1, 5, 13, 1], &[1, 1, 1, 13], None, true),
        case("conv tiles/pointwise 64 to 66", relu6(unit()), &[1, 7, 11, 64], &[1, 1, 64, 66], Some(1), true),
        case("conv tiles/dense of one row", dense(), &[1, 127], &[127, 13], Some(13), false),
        case("conv tiles/dense of two rows", relu6(dense()), &[2, 509], &[509, 72], Some(72), true),
        case("conv tiles/dense of three rows", dense(), &[3, 12], &[12, 260], Some(1), false),
        case("conv tiles/dense of four rows", relu6(dense()), &[4, 1], &[1, 5], None, true),
        case("conv tiles/dense of many columns", dense(), &[1, 70], &[70, 4100], Some(4100), false),
        case("conv tiles/dense of many rows", dense(), &[5, 27, 60], &[60, 100], Some(100), true),
        case("conv tiles/one axis", Conv::new(Window::unit(1), 1), &[2, 127, 20], &[1, 20, 6], None, false),
    ]
}

/// Few input channels.
fn strips() -> Vec<OpCase> {
    let conv = |window| activated(Conv::new(window, 1), UnaryFn::Relu6);
    let valid = window(&[1, 3], &[2, 1], Padding::Valid);
    let one = window(&[2], &[1], Padding::Same);
    vec![
        case("conv tiles/3 to 20 in strips", conv(same(2)), &[2, 29, 31, 3], &[3, 3, 3, 20], Some(20), true),
        case("conv tiles/1 to 4 in strips", conv(same(1)), &[1, 13, 70, 1], &[5, 5, 1, 4], Some(1), false),
        case("conv tiles/4 to 12 in strips", conv(valid), &[1, 15, 24, 4], &[3, 2, 4, 12], None, true),
        case("conv tiles/2 to 8 over one axis", conv(one), &[2, 127, 2], &[9, 2, 8], Some(8), false),
    ]
}

/// Few output channels.
fn few_outputs() -> Vec<OpCase> {
    let conv = |window| activated(Conv::new(window, 1), UnaryFn::Relu6);
    let uneven = window(&[1, 1], &[2, 1], Padding::Explicit(vec![(3, 0), (0, 2)]));
    vec![
        case("conv tiles/16 to 1 in strips", conv(same(1)), &[3, 14, 13, 16], &[3, 3, 16, 1], Some(1), true),
        case("conv tiles/8 to 3 in strips", conv(same(2)), &[2, 15, 27, 8], &[5, 5, 8, 3], Some(3), false),
        case("conv tiles/20 to 2 in strips", conv(uneven), &[1, 9, 7, 20], &[2, 3, 20, 2], Some(1), true),
        case("conv tiles/4 to 1 larger than its input", conv(same(1)), &[1, 3, 2, 4], &[7, 11, 4, 1], None, false),
        case(
            "conv tiles/12 to 3 over one axis",
            conv(window(&[3], &[1], Padding::Same)),
            &[2, 127, 12],
            &[4, 12, 3],
            None,
            true,
        ),
        case("conv tiles/24 to 2 of one tap", conv(Window::unit(2)), &[2, 9, 31, 24], &[1, 1, 24, 2], Some(2), true),
        case("conv tiles/dense of many rows to 1", conv(Window::unit(0)), &[5, 27, 60], &[60, 1], Some(1), false),
    ]
}

/// Windows over each channel on its own, with a filter for each and with one for all.
fn per_channel() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for shared in [false, true] {
        let mut add = |id: &str, window: Window, x: &[usize], size: &[usize]| {
            let channels = x[x.len() - 1];
            let filters = if shared { 1 } else { channels };
            let conv = if shared { Conv::shared(window) } else { Conv::new(window, channels) };
            let w: Vec<usize> = size.iter().copied().chain([1, filters]).collect();
            let name = if shared { "shared" } else { "depthwise" };
            let (bias, residual) = ((cases.len() % 3 != 0).then_some(filters), cases.len() % 4 == 0);
            let conv = activated(conv, UnaryFn::HardSilu);
            cases.push(case(&format!("conv tiles/{name} {id}"), conv, x, &w, bias, residual));
        };
        let valid = |stride: usize| window(&[stride; 2], &[1; 2], Padding::Valid);
        let around = window(&[1, 1], &[1, 1], Padding::Explicit(vec![(4, 0), (0, 5)]));
        add("3x3 of a large plane", same(1), &[2, 15, 24, 64], &[3, 3]);
        add("3x3 of a large plane of one vector", same(1), &[1, 27, 29, 4], &[3, 3]);
        add("3x3 of three vectors", valid(1), &[2, 17, 19, 12], &[3, 3]);
        add("3x3 of 127 channels", same(1), &[1, 15, 16, 127], &[3, 3]);
        add("3x3 of one channel", same(1), &[2, 13, 15, 1], &[3, 3]);
        add("3x3 stride 2 of 6 channels", same(2), &[2, 13, 15, 6], &[3, 3]);
        add("3x3 stride 2 of many channels", valid(2), &[1, 15, 13, 272], &[3, 3]);
        add("3x3 under much padding", around, &[1, 5, 7, 8], &[3, 3]);
        add("5x5 stride 2", same(2), &[1, 24, 15, 12], &[5, 5]);
        add("5x5 larger than its input", same(1), &[2, 2, 1, 4], &[5, 5]);
        add("2x4", same(1), &[1, 13, 5, 8], &[2, 4]);
        add("3x3 stride 3 dilation 2 of 5 channels", window(&[3; 2], &[2; 2], Padding::Same), &[1, 15, 13, 5], &[3, 3]);
        let dilated = window(&[1; 2], &[2, 3], Padding::Same);
        add("3x5 dilated by 2 and 3", dilated.clone(), &[2, 13, 15, 8], &[3, 5]);
        add("3x3 of a large plane, dilated", dilated, &[1, 17, 20, 20], &[3, 3]);
        add("one axis, dilated by 5", window(&[1], &[5], Padding::Causal), &[2, 27, 12], &[3]);
        add("one axis", window(&[2], &[1], Padding::Same), &[2, 127, 12], &[5]);
        add("three axes, flat", Window { padding: Padding::Same, ..Window::unit(3) }, &[2, 3, 5, 7, 4], &[1, 3, 3]);
        add("three axes of 3 channels", window(&[2, 1, 2], &[1; 3], Padding::Same), &[1, 5, 6, 7, 3], &[3, 3, 3]);
        add("three axes, dilated", window(&[1; 3], &[2; 3], Padding::Same), &[1, 5, 6, 7, 4], &[3, 3, 3]);
        add("more planes than a grid has layers", same(1), &[65_537, 2, 1, 4], &[1, 2]);
    }
    cases
}

/// Transposed convolutions, phase by phase.
fn transposed() -> Vec<OpCase> {
    let add = |id: &str, stride: &[usize], pads: &[(usize, usize)], x: &[usize], w: &[usize], y: Option<&[usize]>| {
        let epilogue = Epilogue { bias: true, residual: y.is_some(), activation: Some(UnaryFn::Relu6) };
        let op = ConvTranspose {
            stride: stride.to_vec(),
            dilation: vec![1; stride.len()],
            pads: pads.to_vec(),
            output_padding: vec![0; stride.len()],
            groups: 1,
            epilogue,
        };
        let bias = [w[w.len() - 2]];
        let inputs: Vec<&[usize]> = [x, w, &bias].into_iter().chain(y).collect();
        OpCase::new(format!("conv tiles/transposed {id}"), op, &inputs)
    };
    let y = [2, 11, 14, 20];
    vec![
        add("3x3 stride 2", &[2, 2], &[(1, 1), (0, 1)], &[2, 6, 7, 32], &[3, 3, 20, 32], Some(&y)),
        add("4x4 stride 2 of 1020 pixels", &[2, 2], &[(1, 1); 2], &[1, 30, 34, 16], &[4, 4, 36, 16], None),
        add("2x5 stride 3 by 2", &[3, 2], &[(0, 0), (3, 2)], &[1, 5, 6, 48], &[2, 5, 12, 48], None),
        add("5x3 stride 1", &[1, 1], &[(2, 2), (1, 1)], &[1, 7, 9, 16], &[5, 3, 68, 16], None),
        add("fewer outputs than phases", &[4, 5], &[(3, 0), (1, 1)], &[1, 1, 1, 16], &[5, 4, 8, 16], None),
        add("one axis", &[2], &[(1, 0)], &[2, 27, 16], &[3, 4, 16], None),
    ]
}

fn multipliers() -> Vec<OpCase> {
    let depthwise = |window, channels| activated(Conv::new(window, channels), UnaryFn::Relu6);
    vec![
        case("conv tiles/multiplier 2", depthwise(same(1), 8), &[2, 7, 9, 8], &[3, 3, 1, 16], Some(16), true),
        case("conv tiles/multiplier 3 of 5", depthwise(same(2), 5), &[1, 9, 13, 5], &[3, 3, 1, 15], Some(1), false),
        case("conv tiles/one row, multiplier 4", depthwise(same(1), 3), &[1, 5, 13, 3], &[1, 7, 1, 12], None, false),
    ]
}
