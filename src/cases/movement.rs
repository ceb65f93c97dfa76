//! Cases of ops that move elements: slices, concatenations, permutations, expansions, padding and resampling.

use super::{Fill, OpCase};
use crate::ops::{Concat, Dim, Expand, Gather, Pad, PadMode, Resize, ResizeMode, Slice, SliceAxis, Transpose};

pub(super) fn cases() -> Vec<OpCase> {
    let mut cases = slices();
    cases.extend(concatenations());
    cases.extend(permutations());
    cases.extend(expansions());
    cases.extend(pads());
    cases.extend(resampling());
    cases.extend(lookups());
    cases
}

fn slices() -> Vec<OpCase> {
    let case = |id: &str, axes: &[(usize, i64, Option<i64>, i64)], x: &[usize]| {
        let axes = axes.iter().map(|&(axis, start, end, step)| SliceAxis { axis, start, end, step }).collect();
        OpCase::new(format!("slice/{id}"), Slice { axes }, &[x])
    };
    vec![
        case("rows", &[(1, 2, Some(5), 1)], &[3, 7, 8]),
        case("whole vectors of channels", &[(2, 4, Some(8), 1)], &[3, 7, 12]),
        case("channels across vectors", &[(2, 3, Some(7), 1)], &[3, 7, 12]),
        case("odd channels", &[(3, 1, Some(-1), 1)], &[2, 5, 7, 13]),
        case("steps", &[(1, 0, None, 2), (2, 1, None, 3)], &[2, 15, 24, 4]),
        case("backwards", &[(0, -1, None, -1), (2, -2, None, -2)], &[3, 5, 13]),
        case("backwards along rows", &[(1, -1, None, -1)], &[2, 13, 8]),
        case("the end of a line", &[(0, 124, None, 1)], &[127]),
        case("the end of an odd line", &[(0, 121, None, 1)], &[127]),
        case("one element", &[(0, 2, Some(3), 1), (1, 4, Some(5), 1)], &[5, 7]),
        case("nothing", &[], &[3, 13]),
        case(
            "many axes",
            &[(0, 1, None, 1), (2, 1, None, 1), (4, 1, None, 1), (6, 1, None, 1)],
            &[3, 2, 3, 2, 3, 2, 3],
        ),
    ]
}

fn lookups() -> Vec<OpCase> {
    let case = |id: &str, axis: usize, x: &[usize], positions: &[usize], fill| {
        let case = OpCase::new(format!("gather/{id}"), Gather { axis }, &[x, positions]);
        OpCase { fills: vec![Fill::Signed, fill], ..case }
    };
    vec![
        case("rows of whole vectors", 0, &[7, 12], &[13], Fill::Few),
        case("odd rows", 0, &[7, 13], &[3, 5], Fill::Few),
        case("channels", 3, &[2, 5, 7, 13], &[127], Fill::Few),
        case("an axis between", 1, &[3, 2, 8], &[5], Fill::Few),
        case("one position", 1, &[3, 127], &[], Fill::Few),
        case("positions outside", 0, &[1, 4], &[13], Fill::Few),
    ]
}

fn concatenations() -> Vec<OpCase> {
    let case =
        |id: &str, axis: usize, inputs: &[&[usize]]| OpCase::new(format!("concat/{id}"), Concat { axis }, inputs);
    vec![
        case("channels", 3, &[&[2, 5, 7, 8], &[2, 5, 7, 4]]),
        case("odd channels", 3, &[&[2, 5, 7, 3], &[2, 5, 7, 13], &[2, 5, 7, 1]]),
        case("an odd one between", 1, &[&[3, 8], &[3, 4], &[3, 5], &[3, 3]]),
        case("rows", 1, &[&[2, 5, 7, 4], &[2, 1, 7, 4]]),
        case("batch", 0, &[&[1, 13], &[3, 13], &[1, 13]]),
        case("lines", 0, &[&[13], &[12], &[127]]),
        case("one input", 1, &[&[3, 13]]),
        case("sixteen channels", 2, &[&[13, 7, 1][..]; 16]),
    ]
}

fn permutations() -> Vec<OpCase> {
    let case = |id: &str, perm: &[usize], x: &[usize]| {
        OpCase::new(format!("transpose/{id}"), Transpose { perm: perm.to_vec() }, &[x])
    };
    vec![
        case("channels first", &[0, 3, 1, 2], &[2, 15, 24, 13]),
        case("channels last", &[0, 2, 3, 1], &[2, 13, 15, 24]),
        case("few channels first", &[0, 3, 1, 2], &[1, 15, 24, 3]),
        case("few channels last", &[0, 2, 3, 1], &[1, 3, 15, 24]),
        case("vectors of channels first", &[0, 3, 1, 2], &[2, 9, 12, 20]),
        case("vectors of channels last", &[0, 2, 3, 1], &[2, 20, 9, 12]),
        case("vectors of channels and odd pixels", &[0, 3, 1, 2], &[3, 7, 7, 36]),
        case("odd pixels and vectors of channels", &[0, 2, 3, 1], &[3, 36, 7, 7]),
        case("matrix", &[1, 0], &[127, 65]),
        case("square", &[1, 0], &[64, 64]),
        case("matrices in swapped order", &[1, 0, 3, 2], &[2, 3, 33, 40]),
        case("rows of vectors", &[0, 2, 1, 3], &[2, 5, 7, 12]),
        case("rows of odd channels", &[0, 2, 1, 3], &[2, 5, 7, 13]),
        case("reversed", &[3, 2, 1, 0], &[2, 5, 7, 13]),
        case("identity", &[0, 1, 2], &[3, 5, 13]),
        case("axes of one element", &[3, 0, 2, 1], &[1, 13, 1, 7]),
        case("many axes", &[7, 6, 5, 4, 3, 2, 1, 0], &[2, 3, 2, 3, 2, 3, 2, 3]),
    ]
}

fn expansions() -> Vec<OpCase> {
    let case = |id: &str, dims: &[usize], x: &[usize]| {
        let dims = dims.iter().map(|&size| Dim::Size(size)).collect();
        OpCase::new(format!("expand/{id}"), Expand { dims }, &[x])
    };
    vec![
        case("scalar", &[13], &[]),
        case("scalar to one element", &[1, 1], &[]),
        case("vectors of channels", &[3, 5, 8], &[8]),
        case("odd channels", &[3, 5, 13], &[13]),
        case("along whole vectors", &[3, 5, 8], &[3, 5, 1]),
        case("rows", &[2, 9, 7, 4], &[2, 1, 7, 4]),
        case("every other axis", &[2, 3, 4, 5, 6], &[2, 1, 4, 1, 6]),
    ]
}

fn pads() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for (name, mode) in [
        ("constant", PadMode::Constant(0.0)),
        ("value", PadMode::Constant(-1.5)),
        ("lowest", PadMode::Constant(f32::NEG_INFINITY)),
        ("reflect", PadMode::Reflect),
        ("edge", PadMode::Edge),
    ] {
        for (what, pads, x) in [
            ("vectors", &[(0, 0), (1, 2), (2, 1), (0, 0)][..], &[2, 5, 7, 12][..]),
            ("odd channels", &[(0, 0), (1, 2), (2, 1), (0, 0)], &[2, 5, 7, 13]),
            ("channels", &[(0, 0), (0, 0), (4, 8)], &[3, 5, 12]),
            ("odd pads of channels", &[(0, 0), (0, 0), (1, 3)], &[3, 5, 13]),
            ("a line", &[(12, 11)], &[13]),
            ("outer axes", &[(1, 1), (0, 0), (0, 0)], &[3, 5, 13]),
            ("three axes", &[(0, 0), (2, 0), (0, 3), (1, 1), (0, 0)], &[2, 3, 4, 5, 4]),
            ("nothing", &[(0, 0), (0, 0)], &[3, 13]),
            ("axes of one element", &[(0, 0), (0, 0), (2, 2)], &[1, 1, 13]),
        ] {
            cases.push(OpCase::new(format!("pad/{name} {what}"), Pad { pads: pads.to_vec(), mode }, &[x]));
        }
    }
    let wide = Pad { pads: vec![(40, 30), (0, 0)], mode: PadMode::Edge };
    cases.push(OpCase::new("pad/edge wider than the input", wide, &[&[3, 5]]));
    cases
}

fn resampling() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for (name, mode) in [("nearest", ResizeMode::Nearest), ("linear", ResizeMode::Linear)] {
        for (what, factors, x) in [
            ("vectors", &[1, 2, 2, 1][..], &[2, 5, 7, 12][..]),
            ("odd channels", &[1, 2, 3, 1], &[2, 5, 7, 13]),
            ("one axis", &[1, 3, 1], &[2, 13, 4]),
            ("volumes", &[1, 2, 1, 3, 1], &[2, 3, 4, 5, 3]),
            ("three axes", &[1, 2, 4, 3, 1], &[1, 3, 2, 5, 4]),
            ("channels first", &[1, 1, 2, 2], &[2, 3, 5, 7]),
            ("one pixel", &[1, 4, 5, 1], &[1, 1, 1, 13]),
            ("by one", &[1, 1, 1], &[3, 5, 13]),
            ("every axis", &[2, 3, 2], &[3, 5, 7]),
        ] {
            cases.push(OpCase::new(format!("resize/{name} {what}"), Resize { factors: factors.to_vec(), mode }, &[x]));
        }
    }
    let linear = Resize { factors: vec![1, 2, 1], mode: ResizeMode::Linear };
    cases.push(OpCase::new("resize/linear special", linear, &[&[5, 13, 3]]).filled(Fill::Special));
    cases
}
