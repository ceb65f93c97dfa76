//! Cases of functions of each element in one op.

use super::OpCase;
use crate::ops::{BinaryFn, Chain, ChainStep, UnaryFn};

pub(super) fn cases() -> Vec<OpCase> {
    use ChainStep::Unary;
    let with = |function| ChainStep::Binary { function, reversed: false };
    let of = |function| ChainStep::Binary { function, reversed: true };
    let chain = |id: &str, steps: &[ChainStep], inputs: &[&[usize]]| {
        OpCase::new(format!("chain/{id}"), Chain { steps: steps.to_vec() }, inputs)
    };
    let hard = [Unary(UnaryFn::HardSigmoid { alpha: 0.2, beta: 0.5 }), with(BinaryFn::Mul), Unary(UnaryFn::Relu6)];
    let many = [with(BinaryFn::Add), Unary(UnaryFn::Silu), with(BinaryFn::Mul), of(BinaryFn::Sub), of(BinaryFn::Max)];
    let x: &[usize] = &[2, 5, 13];
    vec![
        chain("functions", &[Unary(UnaryFn::Affine { scale: 0.5, offset: -1.0 }), Unary(UnaryFn::Tanh)], &[&[13, 127]]),
        chain("element by element", &hard, &[x, x]),
        chain("one for each channel", &hard, &[x, &[13]]),
        chain("vectors of channels", &many, &[&[2, 7, 12], &[12], &[1, 1, 12], &[2, 7, 12], &[]]),
        chain("channels one by one", &many, &[x, &[], &[1, 1, 13], x, &[13]]),
        chain("a slope of its own", &[of(BinaryFn::Prelu), Unary(UnaryFn::Abs), with(BinaryFn::Min)], &[x, x, &[1]]),
    ]
}
