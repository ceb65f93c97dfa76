//! Cases of max and average pooling.

use super::{Fill, OpCase};
use crate::ops::{Pool, PoolKind};
use crate::tensor::{Padding, Window};

pub(super) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for (name, kind) in [
        ("max", PoolKind::Max),
        ("average", PoolKind::Average { count_include_pad: false }),
        ("padded average", PoolKind::Average { count_include_pad: true }),
    ] {
        let case = |id: &str, size: &[usize], stride: &[usize], padding: Padding, x: &[usize]| {
            let window = Window { stride: stride.to_vec(), dilation: vec![1; size.len()], padding, ceil_mode: false };
            OpCase::new(format!("pool/{name} {id}"), Pool { kind, size: size.to_vec(), window }, &[x])
        };
        let explicit = Padding::Explicit(vec![(1, 0), (0, 1)]);
        let mut dilated = case("dilated", &[3, 3], &[1, 2], Padding::Same, &[2, 15, 24, 4]);
        let mut rounded = case("rounded up", &[3, 3], &[2, 2], explicit.clone(), &[2, 14, 13, 5]);
        for (op, dilation, ceil_mode) in [(&mut dilated.op, [2, 3], false), (&mut rounded.op, [1, 1], true)] {
            if let crate::ops::Op::Pool(pool) = op {
                pool.window = Window { dilation: dilation.to_vec(), ceil_mode, ..pool.window.clone() };
            }
        }
        cases.extend([
            case("halves", &[2, 2], &[2, 2], Padding::Valid, &[2, 15, 24, 12]),
            case("halves of odd channels", &[2, 2], &[2, 2], Padding::Same, &[2, 15, 25, 13]),
            case("overlapping", &[3, 3], &[2, 2], Padding::Same, &[1, 13, 15, 16]),
            case("explicit padding", &[3, 2], &[1, 1], explicit, &[2, 5, 7, 3]),
            case("wider than the input", &[5, 7], &[1, 1], Padding::Same, &[2, 3, 2, 4]),
            case("whole pictures", &[7, 9], &[1, 1], Padding::Valid, &[3, 7, 9, 8]),
            case("lines", &[3], &[2], Padding::Same, &[2, 127, 5]),
            case("volumes", &[2, 3, 2], &[1, 2, 2], Padding::Same, &[2, 4, 5, 7, 4]),
            case("volumes of odd channels", &[2, 2, 2], &[2, 2, 2], Padding::Valid, &[1, 5, 6, 7, 3]),
            case("single taps", &[1, 1], &[2, 3], Padding::Valid, &[2, 13, 15, 4]),
            case("a line of unrolled loops", &[16_391], &[2], Padding::Valid, &[1, 16_400, 1]),
            case("special", &[2, 2], &[1, 1], Padding::Same, &[2, 13, 15, 3]).filled(Fill::Special),
            dilated,
            rounded,
        ]);
    }
    cases
}
