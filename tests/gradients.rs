//! Gradients are the slopes of what the CPU reference computes, by finite differences along random directions.
//!
//! `WGCONV_CASES` keeps the cases whose id contains it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use wgconv::cases::{self, Fill, OpCase};
use wgconv::cpu;
use wgconv::error::TrainError;
use wgconv::ops::{BinaryFn, Op};
use wgconv::tensor::Tensor;
use wgconv::train::gradients;

/// Steps in units of the spread of an input, the largest first. What the inputs really moved by is read off them, so that
/// rounding does not matter. Small steps drown in the rounding of the outputs, large ones meet curves: the first that is
/// straight enough counts.
const STEPS: [f64; 6] = [1.0 / 64.0, 1.0 / 256.0, 1.0 / 1024.0, 1.0 / 4096.0, 1.0 / 16384.0, 1.0 / 65536.0];

/// How far an output may bend within a step, in units of how far it moves: the middle away from the mean of both ends, or half
/// the step away from half of the way. Beyond lies a kink, a pole or a jump, and the output is left out of the sum. What a
/// bend adds to a central difference is of its own size.
const BEND: f64 = 0.004;

/// Share of the moving outputs that must be left for a step to count.
const LEFT: f64 = 0.75;

/// Allowed difference between slope and gradient, in units of the root of the sum of squares of what the single outputs and
/// inputs contribute. Bends account for 0.004 of it where they are independent, and add up where one bend moves all outputs of
/// a line. A derivative that is wrong in one of a thousand places has a share of 0.03 of that root.
const TOLERANCE: f64 = 0.01;

/// Directions for each input. An error may by chance be nearly orthogonal to one of them, but hardly to all.
const DIRECTIONS: usize = 3;

/// Signs and magnitudes from 0.5 to 1 by a linear congruential step, so that no contribution vanishes.
fn directions(seed: &str, count: usize) -> Vec<f64> {
    let mut state = seed.bytes().fold(0x9E37_79B9u32, |state, byte| (state ^ u32::from(byte)).wrapping_mul(16_777_619));
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let mut value = || {
        let size = 0.5 + f64::from(next()) / f64::from(1u32 << 25);
        if next() & 0x8000 == 0 { size } else { -size }
    };
    (0..count).map(|_| value()).collect()
}

fn values(tensor: &Tensor) -> &[f32] {
    tensor.f32s().expect("gradients are of f32")
}

/// All outputs, one after the other.
fn forward(case: &OpCase, inputs: &BTreeMap<String, Tensor>) -> Result<Vec<f64>, String> {
    let graph = case.graph().map_err(|e| e.to_string())?;
    let outputs = cpu::run(&graph, inputs).map_err(|e| e.to_string())?;
    Ok(outputs.iter().flat_map(|output| values(output).iter().map(|&y| f64::from(y))).collect())
}

/// The gradients of `sum(y * dy)` with respect to all inputs; `None` for a case through which there is none.
fn backward(case: &OpCase, inputs: &BTreeMap<String, Tensor>, dy: &[f64]) -> Result<Option<Vec<Vec<f32>>>, String> {
    let mut graph = case.graph().map_err(|e| e.to_string())?;
    let (wanted, mut rest, mut seeds) = (graph.inputs().to_vec(), dy, Vec::new());
    for (_, y) in graph.outputs().to_vec() {
        let shape = graph.ty(y).shape.clone();
        let (own, others) = rest.split_at(shape.elements());
        rest = others;
        let own = Tensor::from_f32(shape, own.iter().map(|&dy| dy as f32).collect()).map_err(|e| e.to_string())?;
        seeds.push((y, graph.constant("dy", own)));
    }
    let found = match gradients(&mut graph, &seeds, &wanted) {
        Err(TrainError::NotDifferentiable { .. }) => return Ok(None),
        other => other.map_err(|e| e.to_string())?,
    };
    let first = graph.outputs().len();
    for (i, gradient) in found.iter().flatten().enumerate() {
        graph.output(format!("gradient {i}"), *gradient);
    }
    let mut computed = cpu::run(&graph, inputs).map_err(|e| e.to_string())?.into_iter().skip(first);
    let zeros = |id| vec![0.0; graph.ty(id).shape.elements()];
    let all =
        found.iter().zip(&wanted).map(|(gradient, &id)| match (gradient, gradient.and_then(|_| computed.next())) {
            (None, _) => Ok(zeros(id)),
            (Some(_), Some(tensor)) if tensor.shape() == &graph.ty(id).shape => Ok(values(&tensor).to_vec()),
            (Some(_), _) => Err("a gradient does not have the shape of its input".to_string()),
        });
    all.collect::<Result<_, _>>().map(Some)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

/// The standard deviation of an input, or 1 where all its elements are the same.
fn spread(x: &[f32]) -> f64 {
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / x.len().max(1) as f64;
    let centre = mean(&mut x.iter().map(|&x| f64::from(x)));
    let spread = mean(&mut x.iter().map(|&x| (f64::from(x) - centre).powi(2))).sqrt();
    if spread > 0.0 { spread } else { 1.0 }
}

/// Compares the gradient of one input along one direction. `Ok(false)` when the case has none.
fn check(case: &OpCase, name: &str, seed: usize) -> Result<bool, String> {
    let inputs = case.tensors();
    let y = forward(case, &inputs)?;
    let largest = y.iter().fold(0f64, |largest, y| largest.max(y.abs()));
    // The rounding of two outputs.
    let noise = 2.0 * f64::from(f32::EPSILON) * largest;
    let x = values(&inputs[name]);
    let direction = directions(&format!("{} {name} {seed}", case.id), x.len());
    for step in STEPS.map(|step| step * spread(x)) {
        let moved = |by: f64| -> Result<(Vec<f32>, Vec<f64>), String> {
            let x: Vec<f32> = x.iter().zip(&direction).map(|(&x, d)| (f64::from(x) + by * d) as f32).collect();
            let mut inputs = inputs.clone();
            let tensor = Tensor::from_f32(inputs[name].shape().clone(), x.clone()).map_err(|e| e.to_string())?;
            inputs.insert(name.to_string(), tensor);
            Ok((x, forward(case, &inputs)?))
        };
        let ((x_above, above), (x_below, below)) = (moved(step)?, moved(-step)?);
        let ((_, half_above), (_, half_below)) = (moved(0.5 * step)?, moved(-0.5 * step)?);
        let moves: Vec<f64> = above.iter().zip(&below).map(|(a, b)| a - b).collect();
        let usual = median(moves.iter().map(|by| by.abs()));
        let (mut moving, mut left) = (0.0, 0.0);
        let mut dy = directions(&format!("{} {name} dy {seed}", case.id), y.len());
        for (j, dy) in dy.iter_mut().enumerate() {
            let bends = [above[j] - 2.0 * y[j] + below[j], moves[j] - 2.0 * (half_above[j] - half_below[j])];
            let straight = bends.iter().all(|bend| bend.abs() <= BEND * moves[j].abs().max(usual) + 4.0 * noise);
            let moves = moves[j].abs() > 4.0 * noise;
            moving += f64::from(moves);
            left += f64::from(moves && straight);
            if !straight {
                *dy = 0.0;
            }
        }
        if left < LEFT * moving {
            continue;
        }
        let dy: Vec<f64> = dy.into_iter().map(|dy| f64::from(dy as f32)).collect();
        let Some(gradients) = backward(case, &inputs, &dy)? else { return Ok(false) };
        let position: usize = name[1..].parse().map_err(|_| "inputs are called x0, x1, ..")?;
        let parts: Vec<f64> = (gradients[position].iter().zip(x_above.iter().zip(&x_below)))
            .map(|(&g, (&a, &b))| f64::from(g) * (f64::from(a) - f64::from(b)))
            .collect();
        let expected: f64 = dy.iter().zip(&moves).map(|(dy, by)| dy * by).sum();
        let found: f64 = parts.iter().sum();
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let outputs = square(&mut dy.iter().zip(&moves).map(|(dy, by)| dy * by));
        let scale = outputs.max(square(&mut parts.iter().copied())).sqrt();
        let rounding = noise * square(&mut dy.iter().copied()).sqrt();
        let allowed = TOLERANCE * scale + 4.0 * rounding;
        // NaN must not pass.
        if (expected - found).abs() <= allowed {
            return Ok(true);
        }
        let relative = (expected - found) / scale;
        return Err(format!("slope {expected:e}, gradient {found:e}, {relative:.3} of the scale apart (step {step})"));
    }
    Err("bends too much for every step".into())
}

/// Whether there is nothing to compare: values at which differences say nothing, or no real result.
fn unfit(case: &OpCase) -> bool {
    // Its values stand closer together than any step, and each that enters or leaves the support is a kink.
    if case.id == "softmax/Sparsemax a line of unrolled loops" {
        return true;
    }
    let fill = |fill: &Fill| matches!(fill, Fill::Special | Fill::Large | Fill::Few | Fill::Whole);
    let followed = case.fills.iter().enumerate().filter(|&(position, _)| !chooses(&case.op, position));
    followed.map(|(_, fill)| fill).any(fill)
        || forward(case, &case.tensors()).is_ok_and(|y| !y.iter().all(|y| y.is_finite()))
}

/// Whether an input only says which elements of the others are taken.
fn chooses(op: &Op, position: usize) -> bool {
    matches!((op, position), (Op::Select(_), 0) | (Op::Gather(_), 1))
}

/// Ops that training does not go through, and why.
fn not_differentiable(op: &Op) -> bool {
    match op {
        // Second derivatives.
        Op::UnaryGrad(_) | Op::PoolGrad(_) | Op::ConvGradFilter(_) => true,
        Op::Random(_) | Op::Update(_) => true,
        // Made of other ops once their gradients are there.
        Op::Separable(_) | Op::InvertedResidual(_) | Op::SqueezeExcite(_) | Op::Winograd(_) | Op::Chain(_) => true,
        Op::Binary(binary) => matches!(
            binary.function,
            BinaryFn::Equal | BinaryFn::Less | BinaryFn::LessEqual | BinaryFn::Greater | BinaryFn::GreaterEqual
        ),
        Op::Unary(unary) => unary.function.is_stepped(),
        // What went into the activation is not kept.
        Op::Conv(conv) => conv.epilogue.activation.is_some_and(|function| !function.derives_from_output()),
        Op::ConvTranspose(conv) => conv.epilogue.activation.is_some_and(|function| !function.derives_from_output()),
        _ => false,
    }
}

/// How many gradients of a case were compared along how many directions, and what is wrong with them.
fn examine(case: &OpCase) -> (usize, Vec<String>) {
    let (mut compared, mut failures) = (0, Vec::new());
    let followed = (0..case.inputs.len()).filter(|&position| !chooses(&case.op, position));
    for name in followed.map(|position| format!("x{position}")) {
        // The first direction that fails says enough.
        let failure = (0..DIRECTIONS).find_map(|seed| match check(case, &name, seed) {
            Ok(true) => None,
            Ok(false) => Some("there is no gradient".to_string()),
            Err(why) => Some(why),
        });
        compared += 1;
        failures.extend(failure.map(|why| format!("{} by {name}: {why}", case.id)));
    }
    (compared, failures)
}

#[test]
fn gradients_are_the_slopes_of_the_reference() {
    let filter = std::env::var("WGCONV_CASES").unwrap_or_default();
    let cases = cases::all();
    let wanted = |case: &&OpCase| case.id.contains(&filter) && !not_differentiable(&case.op);
    let cases: Vec<&OpCase> = cases.iter().filter(wanted).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut compared, mut failures) = (0, Vec::new());
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !unfit(case) {
                let (own, wrong) = examine(case);
                compared += own;
                failures.extend(wrong);
            }
        }
        (compared, failures)
    };
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let results: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a panic says what it is about")).collect()
    });
    let compared: usize = results.iter().map(|(compared, _)| compared).sum();
    let failures: Vec<String> = results.into_iter().flat_map(|(_, failures)| failures).collect();
    println!("gradients of {compared} inputs compared");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(compared > 0 || !filter.is_empty(), "nothing was compared");
}
