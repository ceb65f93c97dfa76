//! Cases of inverted residual blocks.

use super::OpCase;
use super::conv_vectors::{same, window};
use crate::ops::{Conv, Epilogue, InvertedResidual, Separable, UnaryFn};
use crate::tensor::{Padding, Window};

/// A block that expands `x` to so many channels and projects them to `outs`; biases of so many elements, and whether a residual is
/// added.
fn case(
    id: &str,
    window: Window,
    [x, size]: [&[usize]; 2],
    [expanded, outs]: [usize; 2],
    biases: [Option<usize>; 3],
    residual: bool,
) -> OpCase {
    let (spatial, channels) = (window.axes(), x[x.len() - 1]);
    let epilogue = |bias: Option<usize>, activation| Epilogue { bias: bias.is_some(), residual: false, activation };
    let pointwise = |epilogue| Conv { epilogue, ..Conv::new(Window::unit(spatial), 1) };
    let depthwise =
        Conv { epilogue: epilogue(biases[1], Some(UnaryFn::HardSilu)), ..Conv::new(window.clone(), expanded) };
    let project = pointwise(Epilogue { residual, ..epilogue(biases[2], None) });
    let op = InvertedResidual {
        expand: pointwise(epilogue(biases[0], Some(UnaryFn::Relu6))),
        separable: Separable { depthwise, pointwise: project },
    };
    let weights = |ins: usize, outs: usize| Some([vec![1; spatial], vec![ins, outs]].concat());
    let bias = |position: usize| biases[position].map(|elements| vec![elements]);
    let output = residual.then(|| [&x[..=spatial], &[outs]].concat());
    let parts = [
        Some(x.to_vec()),
        weights(channels, expanded),
        bias(0),
        Some([size, &[1, expanded]].concat()),
        bias(1),
        weights(expanded, outs),
        bias(2),
        output,
    ];
    let inputs: Vec<Vec<usize>> = parts.into_iter().flatten().collect();
    OpCase::new(format!("inverted_residual/{id}"), op, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

pub(super) fn cases() -> Vec<OpCase> {
    let valid = window(&[1, 2], &[2, 1], Padding::Valid);
    let one = window(&[1], &[2], Padding::Same);
    let all = |a, b, c| [Some(a), Some(b), Some(c)];
    vec![
        case("3x3 with a residual", same(1), [&[2, 13, 11, 12], &[3, 3]], [48, 12], all(48, 48, 12), true),
        case("3x3 stride 2", same(2), [&[1, 19, 17, 8], &[3, 3]], [36, 24], all(1, 36, 1), false),
        case("3x3 of many rectangles", same(1), [&[1, 70, 66, 4], &[3, 3]], [16, 40], [None, Some(1), None], false),
        case("3x3 of several column tiles", same(1), [&[1, 9, 9, 4], &[3, 3]], [20, 132], [None; 3], true),
        case("2x3 valid, dilated", valid, [&[2, 9, 12, 4], &[2, 3]], [8, 4], all(8, 8, 4), false),
        case("one axis, dilated", one, [&[2, 27, 8], &[3]], [28, 8], all(28, 28, 8), true),
    ]
}
