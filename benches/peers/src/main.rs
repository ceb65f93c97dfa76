//! One training step by wgconv and by its peers: equal weights, equal data, one run, taking turns.
//!
//! `cargo run --release --features burn -- [--steps N] [--warmup N] [--batch N] [--json]`
//! PyTorch takes part when the Python that `WGCONV_PYTHON` names (else `python3`) has it; `WGCONV_DEVICE` names wgconv's adapter.

#[cfg(feature = "burn")]
mod with_burn;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wgconv::bench::Statistics;
use wgconv::layers::*;
use wgconv::session::Device;
use wgconv::tensor::Tensor;
use wgconv::train::{Batch, Loss, Optimizer, Settings, Trainer};
use wgconv_peers::{PAUSE, Python, Result, Spent, number, spent, timed, version};

const LEARNING_RATE: f64 = 0.1;

/// What all engines start from: convolution kernels are [out, in / groups, height, width], dense ones [in, out].
struct Task {
    batch: usize,
    /// [batch, 28, 28] of one channel, the same in either order of axes.
    x: Vec<f32>,
    /// [batch] of classes.
    y: Vec<u8>,
    /// Kernel and bias of each layer in turn.
    weights: Vec<(Vec<usize>, Vec<f32>)>,
}

/// One step: forward, backward and update, from a batch on the host to a loss on the host.
struct Step {
    loss: f64,
    spent: Spent,
}

impl Step {
    /// A step of this process, which gives its loss.
    fn timed(step: impl FnOnce() -> Result<f32>) -> Result<Step> {
        let (loss, spent) = timed(step)?;
        Ok(Step { loss: f64::from(loss), spent })
    }
}

trait Engine {
    fn label(&self) -> String;
    fn step(&mut self) -> Result<Step>;
}

struct Wgconv {
    trainer: Trainer,
    batch: Batch,
}

impl Wgconv {
    /// Draws the weights, too, which the others are given.
    fn new(batch: usize) -> Result<(Wgconv, Task)> {
        let model = Sequential::new()
            .add(Conv2D::new(16, 3).padding(Padding::Same))
            .add(DepthwiseConv2D::new(3).padding(Padding::Same))
            .add(Conv2D::new(32, 1))
            .add(ActivationLayer::new(Activation::RELU))
            .add(GlobalPooling2D::average())
            .add(Dense::new(10))
            .build([28, 28, 1])?;
        model.initialize(1);
        let x = Tensor::from_fn([batch, 28, 28, 1], |i| ((i * 7919) % 1000) as f32 / 1000.0);
        let y = Tensor::from_fn([batch], |i| (i % 3) as f32);
        let weights = model.weights().iter().map(|weight| in_peers_order(&weight.get())).collect::<Result<_>>()?;
        let classes = y.f32s()?.iter().map(|class| *class as u8).collect();
        let task = Task { batch, x: x.f32s()?.to_vec(), y: classes, weights };
        let batch = Batch {
            inputs: BTreeMap::from([(model.inputs()[0].name.clone(), x)]),
            targets: BTreeMap::from([(model.outputs()[0].0.clone(), y)]),
            sample_weights: None,
        };
        let optimizer = Optimizer::sgd().learning_rate(LEARNING_RATE);
        let settings = Settings::new(&model, Loss::SparseCategoricalCrossentropy { from_logits: true }, optimizer);
        let device = Device::select(&std::env::var("WGCONV_DEVICE").unwrap_or_else(|_| "gpu".into()))?;
        Ok((Wgconv { trainer: Trainer::new(&model, device, settings)?, batch }, task))
    }
}

impl Engine for Wgconv {
    fn label(&self) -> String {
        format!("wgconv {} on {}", version("wgconv"), self.trainer.device().name())
    }

    fn step(&mut self) -> Result<Step> {
        Step::timed(|| Ok(self.trainer.train_batch(&self.batch)?.loss))
    }
}

/// Kernels [height, width, in, out] as [out, in, height, width]. A depthwise one is [height, width, channels, 1] and becomes
/// [channels, 1, height, width]. Others stay.
fn in_peers_order(tensor: &Tensor) -> Result<(Vec<usize>, Vec<f32>)> {
    let (shape, values) = (tensor.shape().to_vec(), tensor.f32s()?);
    let &[height, width, inputs, outputs] = &shape[..] else { return Ok((shape, values.to_vec())) };
    let (taps, pairs) = (height * width, inputs * outputs);
    let (first, second) = if outputs == 1 { (inputs, 1) } else { (outputs, inputs) };
    let pair = |a: usize, b: usize| if outputs == 1 { a } else { b * outputs + a };
    let each = (0..pairs * taps).map(|i| (i / taps / second, i / taps % second, i % taps));
    let moved = each.map(|(a, b, tap)| values[tap * pairs + pair(a, b)]).collect();
    Ok((vec![first, second, height, width], moved))
}

/// PyTorch in a process of its own.
struct Torch {
    label: String,
    python: Python,
}

impl Torch {
    fn new(task: &Task) -> Result<Torch> {
        let mut python = Python::start("torch_step.py", &[])?;
        let (Task { batch, x, y, weights }, rate) = (task, LEARNING_RATE);
        let ready = python.ask(&json!({"batch": batch, "x": x, "y": y, "weights": weights, "learning_rate": rate}))?;
        Ok(Torch { label: ready["label"].as_str().ok_or("no label")?.to_string(), python })
    }
}

impl Engine for Torch {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn step(&mut self) -> Result<Step> {
        let answer = self.python.ask(&json!("step"))?;
        let loss = answer["loss"].as_f64().ok_or_else(|| format!("no `loss` in {answer}"))?;
        Ok(Step { loss, spent: spent(&answer)? })
    }
}

fn main() -> Result<()> {
    let (steps, warmup) = (number("--steps", 20)?, number("--warmup", 2)?);
    let (ours, task) = Wgconv::new(number("--batch", 64)?)?;
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(ours)];
    #[cfg(feature = "burn")]
    engines.push(Box::new(with_burn::Burn::new(&task)?));
    match Torch::new(&task) {
        Ok(torch) => engines.push(Box::new(torch)),
        Err(why) => eprintln!("without PyTorch ({why}): WGCONV_PYTHON names a Python that has it"),
    }

    let mut taken: Vec<Vec<Step>> = engines.iter().map(|_| Vec::new()).collect();
    for round in 0..warmup + steps {
        for turn in 0..engines.len() {
            let engine = (round + turn) % engines.len();
            taken[engine].push(engines[engine].step()?);
            std::thread::sleep(PAUSE);
        }
    }

    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (engine, taken_here) in engines.iter().zip(&taken) {
        let milliseconds: Vec<f64> = taken_here[warmup..].iter().map(|step| step.spent.seconds * 1e3).collect();
        let Statistics { median, min, p90, .. } = Statistics::of(&milliseconds).ok_or("no steps")?;
        let cpu = taken_here[warmup..].iter().map(|step| step.spent.cpu_seconds * 1e3).sum::<f64>() / steps as f64;
        let losses: Vec<f64> = taken_here.iter().map(|step| step.loss).collect();
        // Rounding is all that may tell engines apart: once at the start, piled up by the end.
        let apart = |at: usize| (losses[at] - taken[0][at].loss).abs() / taken[0][at].loss;
        let (last, label) = (losses.len() - 1, engine.label());
        let (start, end) = (apart(0), (0..=last).map(apart).fold(0.0, f64::max));
        // Written so that a loss that is no number is wrong, too.
        if !(start <= 1e-5 && end <= 1e-3 && losses[last] < losses[0]) {
            wrong.push(format!(
                "{label}: losses {losses:?} differ from wgconv's by {start:.1e} at first, {end:.1e} at most"
            ));
        }
        rows.push(
            json!({"engine": label, "first_ms": taken_here[0].spent.seconds * 1e3, "median_ms": median, "min_ms": min,
            "p90_ms": p90, "cpu_ms": cpu, "losses": losses, "all_ms": milliseconds}),
        );
    }
    let ratio =
        |row: &Value, key: &str| row[key].as_f64().unwrap_or(f64::NAN) / rows[0][key].as_f64().unwrap_or(f64::NAN);
    if std::env::args().any(|argument| argument == "--json") {
        println!(
            "{:#}",
            json!({"batch": task.batch, "steps": steps, "warmup": warmup, "engines": rows, "wrong": wrong})
        );
    } else {
        println!(
            "| engine | median ms | min | p90 | CPU ms | median : wgconv's | min : wgconv's | CPU : wgconv's | first step ms | loss |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|");
        for row in &rows {
            let number = |key: &str| format!("{:.1}", row[key].as_f64().unwrap_or(f64::NAN));
            let [median, min, p90, cpu, first] = ["median_ms", "min_ms", "p90_ms", "cpu_ms", "first_ms"].map(number);
            let ratios = ["median_ms", "min_ms", "cpu_ms"].map(|key| format!("{:.2}", ratio(row, key))).join(" | ");
            let loss = |at: Option<&Value>| at.and_then(Value::as_f64).unwrap_or(f64::NAN);
            let losses = row["losses"].as_array().ok_or("no losses")?;
            let (start, end) = (loss(losses.first()), loss(losses.last()));
            let label = row["engine"].as_str().unwrap_or("?");
            println!("| {label} | {median} | {min} | {p90} | {cpu} | {ratios} | {first} | {start:.6} to {end:.6} |");
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}
