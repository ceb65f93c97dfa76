//! Cases of functions of one and two elements.

use super::{Fill, OpCase};
use crate::ops::{Unary, UnaryFn};

pub(super) fn cases() -> Vec<OpCase> {
    let unary = |id: &str, function| OpCase::new(format!("unary/{id}"), Unary { function }, &[&[3, 5, 7]]);
    vec![unary("relu", UnaryFn::Relu), unary("relu special", UnaryFn::Relu).filled(Fill::Special)]
}
