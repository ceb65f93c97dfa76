//! Cases of convolutions at the edges of tiles and with channels that do not fill vectors.

use super::OpCase;
use super::conv_vectors::{activated, case, same, window};
use crate::ops::{Conv, UnaryFn};
use crate::tensor::{Padding, Window};

pub(super) fn cases() -> Vec<OpCase> {
    let mut cases = pointwise();
    cases.extend(per_channel());
    cases.extend(multipliers());
    cases
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
        case("conv tiles/dense of many rows", dense(), &[5, 27, 60], &[60, 100], Some(100), true),
        case("conv tiles/one axis", Conv::new(Window::unit(1), 1), &[2, 127, 20], &[1, 20, 6], None, false),
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
        add("one axis", window(&[2], &[1], Padding::Same), &[2, 127, 12], &[5]);
        add("three axes, flat", Window { padding: Padding::Same, ..Window::unit(3) }, &[2, 3, 5, 7, 4], &[1, 3, 3]);
        add("three axes of 3 channels", window(&[2, 1, 2], &[1; 3], Padding::Same), &[1, 5, 6, 7, 3], &[3, 3, 3]);
        add("three axes, dilated", window(&[1; 3], &[2; 3], Padding::Same), &[1, 5, 6, 7, 4], &[3, 3, 3]);
        add("more planes than a grid has layers", same(1), &[65_537, 2, 1, 4], &[1, 2]);
    }
    cases
}

fn multipliers() -> Vec<OpCase> {
    let depthwise = |window, channels| activated(Conv::new(window, channels), UnaryFn::Relu6);
    vec![
        case("conv tiles/multiplier 2", depthwise(same(1), 8), &[2, 7, 9, 8], &[3, 3, 1, 16], Some(16), true),
        case("conv tiles/multiplier 3 of 5", depthwise(same(2), 5), &[1, 9, 13, 5], &[3, 3, 1, 15], Some(1), false),
        case("conv tiles/one row, multiplier 4", depthwise(same(1), 3), &[1, 5, 13, 3], &[1, 7, 1, 12], None, false),
    ]
}
