//! Cases of squeeze-and-excite blocks.

use super::OpCase;
use crate::ops::{Conv, Epilogue, Reduce, ReduceFn, SqueezeExcite, UnaryFn};
use crate::tensor::Window;

/// A block over pictures of shape `x` with so many features and factors, biases of so many elements, and activations.
fn case(
    id: &str,
    x: &[usize],
    [features, outs]: [usize; 2],
    biases: [Option<usize>; 2],
    [first, second]: [Option<UnaryFn>; 2],
) -> OpCase {
    let (spatial, channels) = (x.len() - 2, x[x.len() - 1]);
    let axes: Vec<usize> = (1..=spatial).collect();
    let squeezed = x[1..=spatial].iter().any(|&size| size != 1);
    let layer = |bias: Option<usize>, activation| Conv {
        epilogue: Epilogue { bias: bias.is_some(), residual: false, activation },
        ..Conv::new(Window::unit(spatial), 1)
    };
    let op = SqueezeExcite {
        squeeze: squeezed.then_some(Reduce { function: ReduceFn::Mean, axes, keepdims: true }),
        reduce: layer(biases[0], first),
        expand: layer(biases[1], second),
    };
    let weights = |ins: usize, outs: usize| [vec![1; spatial], vec![ins, outs]].concat();
    let bias = |elements: Option<usize>| elements.map(|elements| vec![elements]);
    let parts = [Some(x.to_vec()), Some(weights(channels, features)), bias(biases[0])];
    let parts = parts.into_iter().chain([Some(weights(features, outs)), bias(biases[1])]);
    let inputs: Vec<Vec<usize>> = parts.flatten().collect();
    OpCase::new(format!("squeeze_excite/{id}"), op, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

pub(super) fn cases() -> Vec<OpCase> {
    let (relu, silu) = (Some(UnaryFn::Relu), Some(UnaryFn::Silu));
    let hard = Some(UnaryFn::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 });
    let sigmoid = Some(UnaryFn::Sigmoid);
    vec![
        case("of MobileNetV3", &[1, 14, 13, 96], [24, 96], [Some(24), Some(96)], [relu, hard]),
        case("of EfficientNet", &[2, 7, 9, 144], [6, 144], [Some(6), Some(144)], [silu, sigmoid]),
        case("of many channels", &[1, 3, 3, 1100], [129, 1100], [Some(1), Some(1100)], [relu, None]),
        case("without a mean", &[3, 1, 1, 36], [8, 36], [Some(8), Some(1)], [relu, hard]),
        case("without spatial axes", &[5, 20], [3, 12], [None, None], [None, None]),
        case("of one feature", &[2, 31, 8], [1, 8], [Some(1), Some(8)], [relu, sigmoid]),
    ]
}
