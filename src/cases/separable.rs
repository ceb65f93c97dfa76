//! Cases of depthwise and pointwise convolutions in one.

use super::OpCase;
use super::conv_vectors::{same, window};
use crate::ops::{Conv, Epilogue, Separable, UnaryFn};
use crate::tensor::{Padding, Window};

/// A pair of which the first has `first` bias elements, if any, and the second `second`, and a residual of shape `residual`.
fn case(
    id: &str,
    window: Window,
    [x, w]: [&[usize]; 2],
    outs: usize,
    [first, second]: [Option<usize>; 2],
    residual: Option<&[usize]>,
) -> OpCase {
    let channels = x[x.len() - 1];
    let spatial = window.axes();
    let epilogue =
        |bias: Option<usize>, residual: bool, activation| Epilogue { bias: bias.is_some(), residual, activation };
    let op = Separable {
        depthwise: Conv { epilogue: epilogue(first, false, Some(UnaryFn::Relu6)), ..Conv::new(window, channels) },
        pointwise: Conv {
            epilogue: epilogue(second, residual.is_some(), first.map(|_| UnaryFn::HardSilu)),
            ..Conv::new(Window::unit(spatial), 1)
        },
    };
    let pointwise: Vec<usize> = [vec![1; spatial], vec![channels, outs]].concat();
    let biases = [first.map(|elements| [elements]), second.map(|elements| [elements])];
    let mut inputs: Vec<&[usize]> = vec![x, w];
    inputs.extend(biases[0].iter().map(|bias| &bias[..]));
    inputs.push(&pointwise);
    inputs.extend(biases[1].iter().map(|bias| &bias[..]));
    inputs.extend(residual);
    OpCase::new(format!("separable/{id}"), op, &inputs)
}

pub(super) fn cases() -> Vec<OpCase> {
    let valid = window(&[1, 2], &[2, 1], Padding::Valid);
    let one = window(&[2], &[3], Padding::Same);
    vec![
        case("3x3", same(1), [&[2, 13, 15, 16], &[3, 3, 1, 16]], 24, [Some(16), Some(24)], None),
        case(
            "3x3 of odd vectors",
            same(1),
            [&[1, 9, 11, 20], &[3, 3, 1, 20]],
            68,
            [None, Some(1)],
            Some(&[1, 9, 11, 68]),
        ),
        case("3x3 stride 2", same(2), [&[1, 15, 14, 32], &[3, 3, 1, 32]], 40, [Some(1), None], None),
        case("3x3 of many pixels", same(1), [&[1, 70, 71, 12], &[3, 3, 1, 12]], 60, [Some(12), Some(60)], None),
        case("5x5", same(1), [&[1, 7, 9, 36], &[5, 5, 1, 36]], 132, [Some(36), Some(132)], Some(&[1, 7, 9, 132])),
        case("2x3 valid, dilated", valid, [&[2, 9, 12, 4], &[2, 3, 1, 4]], 4, [None, None], None),
        case("one axis, dilated", one, [&[2, 27, 8], &[4, 1, 8]], 12, [Some(8), Some(12)], None),
    ]
}
