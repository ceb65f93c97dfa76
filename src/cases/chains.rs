//! Cases of functions of each element in one op.

use super::OpCase;
use crate::ops::{BinaryFn, Chain, ChainStep, UnaryFn};

pub(super) fn cases() -> Vec<OpCase> {
    use ChainStep::Unary;
    let with = |function, operand| ChainStep::Binary { function, reversed: false, operand };
    let of = |function, operand| ChainStep::Binary { function, reversed: true, operand };
    let chain = |id: &str, steps: &[ChainStep], inputs: &[&[usize]]| {
        OpCase::new(format!("chain/{id}"), Chain { steps: steps.to_vec() }, inputs)
    };
    let hard = [Unary(UnaryFn::HardSigmoid { alpha: 0.2, beta: 0.5 }), with(BinaryFn::Mul, 0), Unary(UnaryFn::Relu6)];
    let many = [
        with(BinaryFn::Add, 0),
        Unary(UnaryFn::Silu),
        with(BinaryFn::Mul, 1),
        of(BinaryFn::Sub, 2),
        of(BinaryFn::Max, 3),
    ];
    // Quantised to whole numbers and back: the scale and the zero point are read twice.
    let quantised = [
        with(BinaryFn::Div, 0),
        Unary(UnaryFn::Round),
        with(BinaryFn::Add, 1),
        Unary(UnaryFn::Clip { low: -2.0, high: 3.0 }),
        with(BinaryFn::Sub, 1),
        with(BinaryFn::Mul, 0),
    ];
    let x: &[usize] = &[2, 5, 13];
    vec![
        chain("functions", &[Unary(UnaryFn::Affine { scale: 0.5, offset: -1.0 }), Unary(UnaryFn::Tanh)], &[&[13, 127]]),
        chain("element by element", &hard, &[x, x]),
        chain("one for each channel", &hard, &[x, &[13]]),
        chain("vectors of channels", &many, &[&[2, 7, 12], &[12], &[1, 1, 12], &[2, 7, 12], &[]]),
        chain("channels one by one", &many, &[x, &[], &[1, 1, 13], x, &[13]]),
        chain(
            "a slope of its own",
            &[of(BinaryFn::Prelu, 0), Unary(UnaryFn::Abs), with(BinaryFn::Min, 1)],
            &[x, x, &[1]],
        ),
        chain("quantised", &quantised, &[&[3, 7, 12], &[1], &[]]),
        chain("quantised by channel", &quantised, &[x, &[13], &[1]]),
    ]
}
