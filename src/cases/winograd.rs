//! Cases of 3x3 convolutions on transformed filters: tiles that reach over the edge of the map, products of every kind.

use super::OpCase;
use super::conv_vectors::{activated, case, same, window};
use crate::ops::{Conv, Op, UnaryFn, Winograd};
use crate::tensor::{Padding, Window};

pub(super) fn cases() -> Vec<OpCase> {
    let conv = || Conv::new(same(1), 1);
    let relu = || activated(conv(), UnaryFn::Relu);
    let valid = Conv::new(Window::unit(2), 1);
    let around = |pads: [(usize, usize); 2]| Conv::new(window(&[1; 2], &[1; 2], Padding::Explicit(pads.to_vec())), 1);
    let direct = vec![
        case("of even sides", conv(), &[1, 8, 12, 16], &[3, 3, 16, 32], None, false),
        case("of odd sides", relu(), &[2, 7, 9, 20], &[3, 3, 20, 12], Some(12), true),
        case("of one pixel", relu(), &[1, 1, 1, 8], &[3, 3, 8, 4], Some(4), true),
        case("of one pixel without padding", valid.clone(), &[3, 3, 3, 16], &[3, 3, 16, 8], None, false),
        case("without padding", activated(valid, UnaryFn::Silu), &[2, 6, 9, 12], &[3, 3, 12, 20], Some(1), false),
        case("under uneven padding", around([(0, 3), (2, 0)]), &[2, 6, 7, 8], &[3, 3, 8, 8], Some(8), true),
        case("under much padding", around([(5, 1), (0, 6)]), &[1, 3, 4, 4], &[3, 3, 4, 4], None, false),
        case("3 to 8", relu(), &[1, 13, 15, 3], &[3, 3, 3, 8], Some(8), false),
        case("8 to 3", conv(), &[2, 5, 13, 8], &[3, 3, 8, 3], Some(1), true),
        case("13 to 5", relu(), &[2, 9, 7, 13], &[3, 3, 13, 5], Some(5), true),
        case("1 to 1", conv(), &[1, 13, 1, 1], &[3, 3, 1, 1], None, false),
        case("of a long sum", relu(), &[1, 5, 7, 272], &[3, 3, 272, 24], Some(24), false),
        case("of many tiles", conv(), &[4, 27, 29, 8], &[3, 3, 8, 132], Some(132), false),
    ];
    direct.into_iter().map(transformed).collect()
}

/// A convolution's case with filters as this op reads them.
fn transformed(direct: OpCase) -> OpCase {
    let mut case = direct;
    if let Op::Conv(conv) = case.op {
        case.op = Winograd { conv }.into();
    }
    if let Some(taps) = case.inputs.get_mut(1).and_then(|filters| filters.get_mut(..2)) {
        taps.fill(4);
    }
    OpCase { id: case.id.replace("conv vectors", "conv winograd"), ..case }
}
