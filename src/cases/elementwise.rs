//! Cases of functions of one and two elements.

use super::{Fill, OpCase};
use crate::ops::{Binary, BinaryFn, Select, Unary, UnaryFn};

/// Every function of one element, with parameters at which it behaves differently.
pub(super) const UNARY: [UnaryFn; 48] = [
    UnaryFn::Relu,
    UnaryFn::Relu6,
    UnaryFn::ReluGeneral { max_value: f32::INFINITY, negative_slope: 0.1, threshold: -0.5 },
    UnaryFn::ReluGeneral { max_value: 1.5, negative_slope: 0.0, threshold: 0.5 },
    UnaryFn::LeakyRelu { negative_slope: 0.2 },
    UnaryFn::LeakyRelu { negative_slope: 0.0 },
    UnaryFn::Elu { alpha: 1.0 },
    UnaryFn::Selu,
    UnaryFn::Celu { alpha: 0.7 },
    UnaryFn::Gelu,
    UnaryFn::GeluTanh,
    UnaryFn::Silu,
    UnaryFn::HardSilu,
    UnaryFn::Sigmoid,
    UnaryFn::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
    UnaryFn::HardSigmoid { alpha: 0.2, beta: 0.5 },
    UnaryFn::LogSigmoid,
    UnaryFn::SparseSigmoid,
    UnaryFn::Tanh,
    UnaryFn::HardTanh,
    UnaryFn::TanhShrink,
    UnaryFn::Softplus,
    UnaryFn::Softsign,
    UnaryFn::SparsePlus,
    UnaryFn::Squareplus { b: 4.0 },
    UnaryFn::HardShrink { threshold: 0.5 },
    UnaryFn::SoftShrink { threshold: 0.5 },
    UnaryFn::Threshold { threshold: 0.1, value: -1.0 },
    UnaryFn::Mish,
    UnaryFn::Exp,
    UnaryFn::Affine { scale: 1.0 / 255.0, offset: -0.5 },
    UnaryFn::Clip { low: -0.25, high: 1.25 },
    UnaryFn::Neg,
    UnaryFn::Abs,
    UnaryFn::Log,
    UnaryFn::Sqrt,
    UnaryFn::Square,
    UnaryFn::Reciprocal,
    UnaryFn::Floor,
    UnaryFn::Ceil,
    UnaryFn::Round,
    UnaryFn::Sign,
    UnaryFn::Erf,
    UnaryFn::IsNan,
    UnaryFn::Elu { alpha: 0.3 },
    UnaryFn::Clip { low: f32::NEG_INFINITY, high: 0.5 },
    UnaryFn::Clip { low: 0.5, high: f32::INFINITY },
    UnaryFn::Affine { scale: -3.0, offset: 0.0 },
];

pub(super) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for function in UNARY {
        let case = |what: &str, fill| {
            OpCase::new(format!("unary/{function:?} {what}"), Unary { function }, &[&[3, 5, 23]]).filled(fill)
        };
        cases.extend([
            case("signed", Fill::Signed),
            case("positive", Fill::Positive),
            case("small", Fill::Small),
            case("large", Fill::Large),
            case("special", Fill::Special),
        ]);
    }
    cases.push(OpCase::new("unary/one element", Unary { function: UnaryFn::Tanh }, &[&[]]));
    for function in
        [BinaryFn::Add, BinaryFn::Sub, BinaryFn::Mul, BinaryFn::Div, BinaryFn::Max, BinaryFn::Min, BinaryFn::Prelu]
    {
        for (what, a, b) in [
            ("of one shape", &[3, 5, 7][..], &[3, 5, 7][..]),
            ("and a scalar", &[2, 13, 5], &[]),
            ("and vectors of channels", &[2, 7, 5, 12], &[12]),
            ("and odd channels", &[2, 7, 5, 13], &[13]),
        ] {
            cases.push(OpCase::new(format!("binary/{function:?} {what}"), Binary { function }, &[a, b]));
        }
        let special = OpCase::new(format!("binary/{function:?} special"), Binary { function }, &[&[11, 7, 5], &[7, 5]]);
        cases.push(special.filled(Fill::Special));
    }
    for function in [BinaryFn::Equal, BinaryFn::Less, BinaryFn::LessEqual, BinaryFn::Greater, BinaryFn::GreaterEqual] {
        let case = |what: &str, a: &[usize], b: &[usize], fill| {
            OpCase::new(format!("binary/{function:?} {what}"), Binary { function }, &[a, b]).filled(fill)
        };
        cases.extend([
            case("of one shape", &[3, 5, 7], &[3, 5, 7], Fill::Few),
            case("and a scalar", &[2, 13, 5], &[], Fill::Few),
            case("and vectors of channels", &[2, 7, 5, 12], &[12], Fill::Few),
            case("and odd channels", &[2, 7, 5, 13], &[2, 1, 1, 13], Fill::Few),
            case("of different values", &[127], &[127], Fill::Signed),
            case("special", &[11, 7, 5], &[7, 5], Fill::Special),
        ]);
    }
    cases.extend(powers());
    cases.extend(choices());
    let function = BinaryFn::Sub;
    for (what, a, b) in [
        ("scalar first", &[][..], &[2, 13, 5][..]),
        ("channels first", &[12, 1, 1], &[2, 12, 4, 5]),
        ("odd channels first", &[2, 13, 3, 5], &[13, 1, 1]),
        ("channels and a batch scale", &[2, 7, 5, 12], &[2, 1, 1, 12]),
        ("squeeze and excite", &[2, 1, 1, 8], &[2, 9, 11, 8]),
        ("an outer product", &[127, 1], &[1, 13]),
        ("both broadcast over many axes", &[2, 1, 3, 1, 5, 1, 2], &[1, 4, 1, 6, 1, 3, 2]),
        ("missing axes", &[5], &[2, 3, 4, 5]),
        ("one element", &[1, 1], &[1]),
        ("a long line", &[40_001], &[40_001]),
    ] {
        cases.push(OpCase::new(format!("binary/{what}"), Binary { function }, &[a, b]));
    }
    cases
}

fn powers() -> Vec<OpCase> {
    let case = |what: &str, a: &[usize], b: &[usize], fills: [Fill; 2]| {
        let case = OpCase::new(format!("binary/Pow {what}"), Binary { function: BinaryFn::Pow }, &[a, b]);
        OpCase { fills: fills.to_vec(), ..case }
    };
    vec![
        case("of positive numbers", &[3, 5, 7], &[3, 5, 7], [Fill::Positive, Fill::Signed]),
        case("by channel", &[2, 7, 5, 12], &[12], [Fill::Positive, Fill::Signed]),
        case("by whole numbers", &[2, 7, 5, 13], &[13], [Fill::Signed, Fill::Few]),
        case("of -1, 0 and 1", &[13, 5], &[13, 5], [Fill::Few, Fill::Few]),
        case("of negative numbers", &[127], &[127], [Fill::Signed, Fill::Signed]),
        case("where it is exact or at an end", &[11, 1], &[11], [Fill::Ends, Fill::Ends]),
        case("special", &[11, 7, 5], &[7, 5], [Fill::Special, Fill::Special]),
    ]
}

fn choices() -> Vec<OpCase> {
    let case = |what: &str, shapes: [&[usize]; 3], fill| {
        let case = OpCase::new(format!("select/{what}"), Select, &shapes);
        OpCase { fills: vec![Fill::Few, fill, fill], ..case }
    };
    vec![
        case("of one shape", [&[3, 5, 7], &[3, 5, 7], &[3, 5, 7]], Fill::Signed),
        case("of scalars", [&[2, 13, 5], &[], &[]], Fill::Signed),
        case("by a scalar", [&[], &[13, 5], &[13, 5]], Fill::Signed),
        case("by channel", [&[12], &[2, 7, 5, 12], &[2, 1, 1, 12]], Fill::Signed),
        case("of odd channels", [&[2, 7, 5, 13], &[13], &[2, 1, 1, 13]], Fill::Signed),
        case("over many axes", [&[2, 1, 3, 1, 5], &[1, 4, 1, 6, 1], &[4, 3, 1, 5]], Fill::Signed),
        case("of infinities", [&[11, 7, 5], &[11, 7, 5], &[7, 5]], Fill::Special),
    ]
}
