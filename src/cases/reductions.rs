//! Cases of reductions, normalisations and matrix products.

use super::{Fill, OpCase};
use crate::ops::{BatchNorm, MatMul, Normalize, Reduce, ReduceFn, Softmax, SoftmaxKind};

pub(super) fn cases() -> Vec<OpCase> {
    let mut cases = reductions();
    cases.extend(softmax());
    cases.extend(normalisations());
    cases.extend(batch_norms());
    cases.extend(products());
    cases
}

fn reductions() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for function in [ReduceFn::Sum, ReduceFn::Mean, ReduceFn::Max, ReduceFn::Min] {
        let case = |id: &str, axes: &[usize], keepdims: bool, x: &[usize]| {
            OpCase::new(format!("reduce/{function:?} {id}"), Reduce { function, axes: axes.to_vec(), keepdims }, &[x])
        };
        cases.extend([
            case("pixels", &[1, 2], false, &[2, 15, 24, 12]),
            case("pixels of odd channels", &[1, 2], true, &[2, 15, 24, 13]),
            case("few pixels", &[1, 2], false, &[3, 2, 5, 8]),
            case("pixels of channels first", &[2, 3], true, &[2, 13, 15, 24]),
            case("channels", &[3], true, &[2, 5, 7, 127]),
            case("few channels", &[3], false, &[2, 5, 7, 3]),
            case("batch", &[0], false, &[127, 13]),
            case("all pixels", &[0, 1, 2], false, &[4, 28, 30, 12]),
            case("all pixels of odd channels", &[0, 1, 2], true, &[2, 15, 24, 13]),
            case("many columns", &[0], false, &[96, 5000]),
            case("special columns", &[0, 1], false, &[5, 64, 8]).filled(Fill::Special),
            case("batch of one", &[0], false, &[1, 12]),
            case("everything", &[0, 1, 2, 3], false, &[2, 15, 24, 13]),
            case("nothing", &[], false, &[3, 13]),
            case("outer and inner", &[0, 2], false, &[13, 5, 40]),
            case("every other axis", &[1, 3, 5], true, &[2, 3, 4, 5, 4, 3, 4]),
            case("a long line", &[1], false, &[3, 40_001]),
            case("many short lines", &[1], false, &[4_001, 3]),
            case("special", &[1], false, &[55, 23]).filled(Fill::Special),
            case("special pixels", &[0], false, &[55, 24]).filled(Fill::Special),
        ]);
    }
    let sum = Reduce { function: ReduceFn::Sum, axes: vec![0], keepdims: false };
    cases.push(OpCase::new("reduce/a line of unrolled loops", sum, &[&[4_200_007]]));
    cases
}

fn softmax() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax, SoftmaxKind::Sparsemax] {
        let case = |id: &str, axis: usize, x: &[usize]| {
            OpCase::new(format!("softmax/{kind:?} {id}"), Softmax { kind, axis }, &[x])
        };
        cases.extend([
            case("classes", 1, &[3, 1000]),
            case("odd lines", 2, &[5, 7, 13]),
            case("one element", 1, &[13, 1]),
            case("of 127", 1, &[13, 127]),
            case("a long line", 1, &[2, 5003]),
            case("outer axis", 0, &[127, 13]),
            case("a line of unrolled loops", 1, &[1, 300_001]),
            case("middle axis", 1, &[3, 40, 24]),
            case("wide", 1, &[13, 300]).filled(Fill::Large),
            case("close", 1, &[13, 300]).filled(Fill::Small),
            case("special", 1, &[55, 9]).filled(Fill::Special),
            case("special lines", 1, &[9, 55]).filled(Fill::Special),
        ]);
    }
    cases
}

fn normalisations() -> Vec<OpCase> {
    let case = |id: &str, axes: &[usize], x: &[usize], gamma: &[usize], beta: &[usize]| {
        let op = Normalize { axes: axes.to_vec(), epsilon: 1e-3 };
        OpCase::new(format!("normalize/{id}"), op, &[x, gamma, beta])
    };
    vec![
        case("channels", &[3], &[2, 5, 7, 64], &[64], &[64]),
        case("odd channels", &[3], &[2, 5, 7, 13], &[13], &[13]),
        case("few channels", &[1], &[127, 4], &[4], &[4]),
        case("many channels", &[1], &[3, 1025], &[1025], &[1025]),
        case("groups", &[1, 2, 4], &[2, 5, 7, 3, 4], &[3, 4], &[3, 4]),
        case("groups of odd channels", &[1, 2, 4], &[2, 5, 7, 3, 5], &[3, 5], &[3, 5]),
        case("large groups", &[1, 2, 4], &[2, 24, 24, 2, 8], &[2, 8], &[2, 8]),
        case("pixels of every channel", &[1, 2], &[2, 15, 24, 12], &[12], &[12]),
        case("channels first", &[1], &[2, 13, 5, 7], &[13, 1, 1], &[13, 1, 1]),
        case("everything but the batch", &[1, 2, 3], &[3, 5, 7, 4], &[5, 7, 4], &[5, 7, 4]),
        case("one scale for all", &[2], &[3, 5, 12], &[], &[1]),
        case("a scale for each row", &[2], &[3, 5, 12], &[5, 1], &[12]),
        case("positive", &[1], &[13, 300], &[300], &[300]).filled(Fill::Positive),
        case("a large mean", &[1], &[13, 300], &[1], &[1]).filled(Fill::Shifted),
        case("a large mean of odd channels", &[1], &[13, 301], &[1], &[1]).filled(Fill::Shifted),
        case("special", &[1], &[55, 12], &[12], &[12]).filled(Fill::Special),
    ]
}

fn batch_norms() -> Vec<OpCase> {
    let case = |id: &str, axis: usize, x: &[usize]| {
        let channels: &[usize] = &[x[axis]];
        let inputs = [x, channels, channels, channels, channels];
        OpCase::new(format!("batch_norm/{id}"), BatchNorm { axis, epsilon: 1e-3 }, &inputs).filled(Fill::Positive)
    };
    vec![
        case("vectors", 3, &[2, 15, 24, 12]),
        case("odd channels", 3, &[2, 5, 7, 13]),
        case("channels first", 1, &[2, 13, 4, 5]),
        case("odd channels first", 1, &[2, 12, 3, 5]),
        case("one channel", 1, &[127, 1]),
        case("a row", 0, &[13]),
        case("negative variances", 1, &[13, 12]).filled(Fill::Signed),
        case("special", 1, &[55, 12]).filled(Fill::Special),
    ]
}

fn products() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let case = |id: &str, batch_a: &[usize], batch_b: &[usize], [m, k, n]: [usize; 3]| {
            let pair = |batch: &[usize], rows: usize, columns: usize, swap: bool| -> Vec<usize> {
                let matrix = if swap { [columns, rows] } else { [rows, columns] };
                batch.iter().copied().chain(matrix).collect()
            };
            let (a, b) = (pair(batch_a, m, k, transpose_a), pair(batch_b, k, n, transpose_b));
            let flags =
                ["", " a turned"][usize::from(transpose_a)].to_string() + ["", " b turned"][usize::from(transpose_b)];
            OpCase::new(format!("matmul/{id}{flags}"), MatMul { transpose_a, transpose_b }, &[&a, &b])
        };
        cases.extend([
            case("plain", &[], &[], [15, 24, 13]),
            case("batch", &[3], &[3], [33, 40, 17]),
            case("broadcast batch", &[2, 1, 3], &[4, 1], [5, 7, 9]),
            case("one for all", &[5], &[], [20, 64, 20]),
            case("large", &[], &[], [127, 65, 130]),
            case("a row", &[2], &[2], [1, 127, 13]),
            case("a column", &[2], &[2], [127, 13, 1]),
            case("one term", &[], &[], [13, 1, 40]),
            case("a long sum", &[], &[], [3, 1001, 5]),
            case("a very long sum", &[], &[], [2, 70_001, 2]),
            case("special", &[], &[], [13, 24, 17]).filled(Fill::Special),
        ]);
    }
    cases
}
