//! Cases of the ops that gradients and steps of training are made of.

use super::elementwise::UNARY;
use super::{Fill, OpCase};
use crate::ops::{
    ConvGradFilter, Distribution, Moments, Op, PadGrad, PadMode, PoolGrad, PoolKind, Random, ResizeGrad, SliceGrad,
    UnaryGrad, Update, UpdateRule,
};
use crate::tensor::{Padding, TensorType, Window};

pub(super) fn cases() -> Vec<OpCase> {
    let mut cases = filters();
    cases.extend(pools());
    cases.extend(movements());
    cases.extend(functions());
    cases.extend(moments());
    cases.extend(random());
    cases.extend(updates());
    cases
}

/// A filter gradient. `w` is the shape of the weights, without which the groups would not be known.
fn filter(id: &str, window: Window, x: &[usize], w: &[usize]) -> OpCase {
    let axes = window.axes();
    let size = w[..axes].to_vec();
    let groups = x[axes + 1] / w[axes];
    // A case whose shapes do not fit fails by name when its graph is built.
    let outputs = window.resolve(&x[1..=axes], &size).unwrap_or_default();
    let dy: Vec<usize> =
        [x[0]].into_iter().chain(outputs.iter().map(|axis| axis.output)).chain([w[axes + 1]]).collect();
    OpCase::new(format!("conv_grad_filter/{id}"), ConvGradFilter { window, size, groups }, &[x, &dy])
}

fn window(stride: &[usize], dilation: &[usize], padding: Padding) -> Window {
    Window { stride: stride.to_vec(), dilation: dilation.to_vec(), padding, ceil_mode: false }
}

fn filters() -> Vec<OpCase> {
    use Padding::{Causal, Explicit, Same, SameLower, Valid};
    let same = |stride: usize| window(&[stride; 2], &[1; 2], Same);
    let valid = |stride: usize, dilation: usize| window(&[stride; 2], &[dilation; 2], Valid);
    let dilated = || window(&[1; 2], &[2; 2], Same);
    let around =
        |pads: &[(usize, usize)], stride: &[usize]| window(stride, &vec![1; stride.len()], Explicit(pads.to_vec()));
    let mut cases = vec![
        // Four by four channels.
        filter("3x3", same(1), &[2, 13, 15, 8], &[3, 3, 8, 12]),
        filter("3x3 of many channels", same(1), &[2, 7, 9, 68], &[3, 3, 68, 36]),
        filter("3x3 stride 2", same(2), &[2, 13, 15, 8], &[3, 3, 8, 20]),
        filter("3x3 stride 2 of an even size", same(2), &[1, 14, 12, 16], &[3, 3, 16, 4]),
        filter("3x3 dilation 2 stride 2", valid(2, 2), &[1, 13, 15, 4], &[3, 3, 4, 8]),
        filter("3x3 dilation 2", dilated(), &[2, 9, 11, 8], &[3, 3, 8, 8]),
        filter("2x4 stride 1x3", window(&[1, 3], &[1, 1], SameLower), &[1, 9, 13, 4], &[2, 4, 4, 4]),
        filter("uneven padding", around(&[(0, 3), (2, 0)], &[2, 1]), &[1, 7, 6, 8], &[3, 3, 8, 8]),
        filter("taps that never read inside", around(&[(9, 0), (0, 11)], &[1, 1]), &[1, 2, 3, 4], &[5, 7, 4, 8]),
        filter("7x7 larger than its input", same(1), &[2, 3, 5, 4], &[7, 7, 4, 8]),
        filter("one pixel", around(&[(1, 1), (1, 1)], &[1, 1]), &[1, 1, 1, 8], &[3, 3, 8, 4]),
        filter("many pixels", same(1), &[3, 57, 61, 4], &[3, 3, 4, 4]),
        filter("one axis, causal", window(&[1], &[3], Causal), &[2, 127, 8], &[3, 8, 12]),
        filter("three axes", around(&[(1, 1), (0, 1), (1, 0)], &[2, 1, 2]), &[2, 5, 4, 7, 8], &[3, 2, 3, 8, 4]),
        filter("pointwise", Window::unit(2), &[2, 13, 15, 24], &[1, 1, 24, 20]),
        filter("pointwise of many channels", Window::unit(2), &[1, 7, 7, 132], &[1, 1, 132, 68]),
        filter("pointwise of many pixels", Window::unit(2), &[2, 61, 59, 8], &[1, 1, 8, 16]),
        filter("pointwise stride 2", same(2), &[2, 7, 9, 16], &[1, 1, 16, 8]),
        filter("dense", Window::unit(0), &[127, 32], &[32, 12]),
        filter("dense of one row", Window::unit(0), &[1, 64], &[64, 100]),
        // One by four channels.
        filter("3 channels stride 2", same(2), &[2, 15, 24, 3], &[3, 3, 3, 32]),
        filter("1 channel", same(1), &[4, 28, 28, 1], &[3, 3, 1, 16]),
        filter("1 channel 7x7 dilated", dilated(), &[1, 13, 15, 1], &[7, 7, 1, 4]),
        filter("10 channels 5x5", same(1), &[1, 7, 9, 10], &[5, 5, 10, 4]),
        filter("pointwise of 5 channels", Window::unit(2), &[2, 13, 15, 5], &[1, 1, 5, 8]),
        filter("dense of 127 channels", Window::unit(0), &[13, 127], &[127, 12]),
        // One by one channel.
        filter("3 to 5 channels", same(1), &[2, 7, 5, 3], &[3, 3, 3, 5]),
        filter("32 to 10 channels", Window::unit(0), &[64, 32], &[32, 10]),
        filter("to 127 channels", same(1), &[1, 5, 4, 13], &[3, 3, 13, 127]),
        filter("stride with dilation", window(&[2, 3], &[3, 2], Valid), &[1, 15, 24, 3], &[3, 3, 3, 6]),
        filter("2 groups", same(1), &[2, 6, 5, 6], &[3, 3, 3, 10]),
        filter("3 groups of vectors", valid(1, 1), &[1, 6, 5, 12], &[3, 3, 4, 24]),
        filter("4 groups over one axis", window(&[1], &[1], Same), &[1, 13, 8], &[3, 2, 12]),
        filter("2 groups over three axes", window(&[1; 3], &[1; 3], Valid), &[1, 3, 4, 5, 6], &[2, 2, 2, 3, 8]),
        filter("dense in groups", Window::unit(0), &[5, 9], &[3, 12]),
        filter("multiplier 3", valid(2, 1), &[2, 7, 8, 3], &[3, 3, 1, 9]),
        filter("multiplier in vectors", dilated(), &[1, 7, 8, 4], &[3, 3, 1, 16]),
    ];
    // A filter for each channel.
    let mut add = |id: &str, window: Window, x: &[usize], size: &[usize]| {
        let w: Vec<usize> = size.iter().copied().chain([1, x[x.len() - 1]]).collect();
        cases.push(filter(&format!("depthwise {id}"), window, x, &w));
    };
    add("3x3", same(1), &[2, 13, 15, 12], &[3, 3]);
    add("3x3 of many channels", same(1), &[2, 7, 7, 272], &[3, 3]);
    add("3x3 of one vector", same(1), &[1, 14, 3, 4], &[3, 3]);
    add("3x3 of many pixels", same(1), &[3, 57, 29, 8], &[3, 3]);
    add("3x3 of 127 channels", same(1), &[2, 9, 7, 127], &[3, 3]);
    add("3x3 of one channel", same(1), &[2, 13, 15, 1], &[3, 3]);
    add("3x3 stride 2", same(2), &[2, 13, 15, 8], &[3, 3]);
    add("3x3 stride 2 of an even size", same(2), &[1, 14, 12, 36], &[3, 3]);
    add("3x3 stride 3", same(3), &[1, 13, 15, 8], &[3, 3]);
    add("3x3 stride 1 by 2", window(&[1, 2], &[1; 2], Valid), &[1, 9, 11, 8], &[3, 3]);
    add("3x3 dilation 2", dilated(), &[1, 9, 11, 8], &[3, 3]);
    add("3x3 dilation of rows", window(&[1; 2], &[2, 1], Same), &[1, 9, 11, 8], &[3, 3]);
    add("3x3 under much padding", around(&[(4, 0), (0, 5)], &[1, 1]), &[1, 5, 7, 8], &[3, 3]);
    add("taps that never read inside", around(&[(9, 0), (0, 9)], &[1, 2]), &[1, 2, 3, 8], &[5, 5]);
    add("5x5", same(1), &[2, 7, 9, 8], &[5, 5]);
    add("5x5 stride 2", same(2), &[1, 24, 15, 12], &[5, 5]);
    add("7x7 larger than its input", same(1), &[1, 5, 3, 8], &[7, 7]);
    add("9x9", same(1), &[1, 12, 11, 4], &[9, 9]);
    add("2x4", same(1), &[1, 13, 5, 8], &[2, 4]);
    add("1x1", same(1), &[1, 5, 13, 8], &[1, 1]);
    add("one axis, causal", window(&[1], &[1], Causal), &[2, 127, 8], &[4]);
    add("one axis, dilated", window(&[2], &[3], Same), &[1, 27, 16], &[3]);
    add("three axes", window(&[2, 1, 1], &[1; 3], Same), &[2, 5, 6, 7, 8], &[3, 3, 3]);
    cases
}

/// The gradients of the pools that are cases themselves, and of maxima that stand several times in a window.
fn pools() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for case in super::pools::cases() {
        // What several special values sum up to depends on their order.
        let (Op::Pool(pool), [input], [Fill::Signed]) = (&case.op, &case.inputs[..], &case.fills[..]) else { continue };
        // Processors stop loops that are this long, and for each tap of a maximum all earlier ones are looked at.
        if pool.size.iter().product::<usize>() > 1000 {
            continue;
        }
        let output = case.op.spec().infer(&[TensorType::f32(input.clone())]);
        // A case whose shapes do not fit fails by name when its graph is built.
        let output = output.map(|types| types.into_iter().flat_map(|ty| ty.shape.to_vec()).collect()).unwrap_or(vec![]);
        let mut add = |what: &str, fill: Fill| {
            let op = PoolGrad { pool: pool.clone(), input: input.clone().into() };
            let id = format!("pool_grad/{}{what}", case.id.trim_start_matches("pool/"));
            let operands: &[&[usize]] = &[&output, input, &output];
            let count = if pool.kind == PoolKind::Max { 3 } else { 1 };
            let mut gradient = OpCase::new(id, op, &operands[..count]);
            gradient.fills.iter_mut().skip(1).for_each(|own| *own = fill);
            cases.push(gradient);
        };
        add("", Fill::Signed);
        if pool.kind == PoolKind::Max {
            add(" with ties", Fill::Few);
        }
    }
    cases
}

fn movements() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for case in super::movement::cases() {
        let Op::Slice(slice) = &case.op else { continue };
        let Some(input) = case.inputs.first() else { continue };
        let taken = case.op.spec().infer(&[TensorType::f32(input.clone())]);
        let taken = taken.map(|types| types.into_iter().flat_map(|ty| ty.shape.to_vec()).collect()).unwrap_or(vec![]);
        let op = SliceGrad { slice: slice.clone(), input: input.clone().into() };
        cases.push(OpCase::new(format!("slice_grad/{}", case.id.trim_start_matches("slice/")), op, &[&taken]));
    }
    for (name, mode) in [("reflect", PadMode::Reflect), ("edge", PadMode::Edge)] {
        for (what, axis, (before, after), padded) in [
            ("rows", 1, (1, 2), &[2, 8, 7, 12][..]),
            ("columns of odd channels", 2, (2, 1), &[2, 5, 10, 13]),
            ("as far as it goes", 1, (4, 4), &[3, 13, 4]),
            ("channels", 2, (4, 8), &[3, 5, 25]),
            ("the first axis", 0, (2, 0), &[7, 5, 3]),
            ("behind only", 1, (0, 3), &[2, 9, 5]),
            ("a line", 0, (12, 11), &[36]),
            ("nothing", 1, (0, 0), &[3, 13]),
        ] {
            cases.push(OpCase::new(
                format!("pad_grad/{name} {what}"),
                PadGrad { mode, axis, before, after },
                &[padded],
            ));
        }
    }
    let edge = |axis, before, after| PadGrad { mode: PadMode::Edge, axis, before, after };
    cases.push(OpCase::new("pad_grad/edge wider than the input", edge(0, 40, 30), &[&[73, 5]]));
    cases.push(OpCase::new("pad_grad/edge of one element", edge(1, 2, 2), &[&[3, 5, 13]]));
    for (what, axis, factor, x) in [
        ("rows", 1, 2, &[2, 10, 7, 12][..]),
        ("columns of odd channels", 2, 3, &[2, 5, 21, 13]),
        ("channels", 3, 2, &[1, 5, 3, 26]),
        ("one pixel", 1, 5, &[3, 5, 4]),
        ("two pixels", 1, 4, &[3, 8, 5]),
        ("by one", 1, 1, &[3, 5, 13]),
        ("a long line by 16", 0, 16, &[127 * 16]),
    ] {
        cases.push(OpCase::new(format!("resize_grad/{what}"), ResizeGrad { axis, factor }, &[x]));
    }
    cases
}

fn functions() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for function in UNARY {
        let case = |what: &str, fill| {
            let mut case =
                OpCase::new(format!("unary_grad/{function:?} {what}"), UnaryGrad { function }, &[&[3, 5, 23][..]; 2]);
            case.fills[0] = fill;
            case
        };
        cases.extend([
            case("signed", Fill::Signed),
            case("positive", Fill::Positive),
            case("small", Fill::Small),
            case("large", Fill::Large),
            case("few", Fill::Few),
            case("special", Fill::Special),
        ]);
    }
    cases
}

fn moments() -> Vec<OpCase> {
    let case = |id: &str, axis: usize, x: &[usize]| OpCase::new(format!("moments/{id}"), Moments { axis }, &[x]);
    vec![
        case("vectors", 3, &[2, 15, 24, 12]),
        case("odd channels", 3, &[2, 15, 24, 13]),
        case("many channels", 3, &[2, 7, 7, 516]),
        case("channels first", 1, &[2, 13, 4, 5]),
        case("a middle axis", 2, &[3, 5, 8, 4]),
        case("one channel", 1, &[127, 1]),
        case("one element of each", 1, &[1, 13]),
        case("the first axis", 0, &[13, 40]),
        case("a line", 0, &[13]),
        case("long", 1, &[64 * 28 * 28, 4]),
        case("long of odd channels", 1, &[40_001, 3]),
        case("a large mean", 3, &[2, 15, 24, 12]).filled(Fill::Shifted),
        case("a large mean of odd channels", 1, &[4, 13, 7, 9]).filled(Fill::Shifted),
        case("equal values", 2, &[5, 7, 8]).filled(Fill::Few),
    ]
}

fn random() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for (name, distribution) in [
        ("keep", Distribution::Keep { rate: 0.3 }),
        ("keep all", Distribution::Keep { rate: 0.0 }),
        ("keep few", Distribution::Keep { rate: 0.95 }),
        ("normal", Distribution::Normal { mean: 0.0, deviation: 1.0 }),
        ("shifted normal", Distribution::Normal { mean: -3.0, deviation: 0.25 }),
    ] {
        for (stream, shape) in [(0, &[2, 13, 15, 5][..]), (u32::MAX, &[127]), (7, &[])] {
            let op = Random { distribution, shape: shape.to_vec().into(), stream };
            cases.push(OpCase::new(format!("random/{name} of {shape:?}"), op, &[&[4]]).filled(Fill::Whole));
        }
    }
    cases
}

fn updates() -> Vec<OpCase> {
    let (beta_1, beta_2, epsilon) = (0.9, 0.999, 1e-7);
    let rmsprop = |momentum, centered| UpdateRule::RmsProp { rho: 0.9, momentum, epsilon, centered };
    let rules = [
        ("sgd", UpdateRule::Sgd { momentum: 0.0, nesterov: false }),
        ("sgd momentum", UpdateRule::Sgd { momentum: 0.9, nesterov: false }),
        ("sgd nesterov", UpdateRule::Sgd { momentum: 0.9, nesterov: true }),
        ("adam", UpdateRule::Adam { beta_1, beta_2, epsilon, amsgrad: false }),
        ("adam amsgrad", UpdateRule::Adam { beta_1, beta_2, epsilon, amsgrad: true }),
        ("adamax", UpdateRule::Adamax { beta_1, beta_2, epsilon }),
        ("nadam", UpdateRule::Nadam { beta_1, beta_2, epsilon }),
        ("rmsprop", rmsprop(0.0, false)),
        ("rmsprop momentum", rmsprop(0.5, false)),
        ("rmsprop centered", rmsprop(0.0, true)),
        ("rmsprop centered momentum", rmsprop(0.5, true)),
        ("adagrad", UpdateRule::Adagrad { epsilon }),
        ("lion", UpdateRule::Lion { beta_1: 0.9, beta_2: 0.99 }),
    ];
    let mut cases = Vec::new();
    for (name, rule) in rules {
        let slots = rule.slots();
        for (what, shape) in [("a filter", &[3, 3, 5, 7][..]), ("vectors", &[13, 64]), ("one weight", &[])] {
            let mut inputs = vec![shape; slots.len() + 2];
            inputs.push(&[Update::RATES]);
            let mut case = OpCase::new(format!("update/{name} of {what}"), Update { rule }, &inputs);
            // Second moments are never negative, and exceed the square of a mean.
            for (fill, slot) in case.fills.iter_mut().skip(2).zip(&slots) {
                *fill = match *slot {
                    "momentum" => Fill::Signed,
                    "average_gradient" => Fill::Small,
                    _ => Fill::Positive,
                };
            }
            case.fills[slots.len() + 2] = Fill::Positive;
            cases.push(case);
        }
    }
    cases
}
