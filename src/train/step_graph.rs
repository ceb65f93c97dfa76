//! One step of training as one graph: forward pass, loss, backward pass, clipping and update.

use super::expression::Expression;
use super::{Clipping, Optimizer, Settings, backward_recomputing};
use crate::error::TrainError;
use crate::graph::{Graph, ValueId};
use crate::layers::{Constraint, Model, Regularizer, TrainedWeight, Weight};
use crate::ops::{BinaryFn, Reduce, ReduceFn, Slice, UnaryFn, Update};
use crate::passes::prepare;
use crate::tensor::{Shape, Tensor, TensorType};

/// What a graph is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// A step of the optimizer.
    Train,
    /// Gradients are added up for a later step.
    Accumulate,
    /// The loss, without a backward pass.
    Evaluate,
    /// The outputs.
    Predict,
}

/// Names of a graph's inputs and outputs beside the model's own.
pub(super) mod names {
    pub const LOSS: &str = "loss";
    pub const RATES: &str = "rates";
    pub const SAMPLE_WEIGHTS: &str = "sample_weights";
    pub const GRADIENT_NORM: &str = "gradient_norm";

    pub fn target(output: &str) -> String {
        format!("target/{output}")
    }

    pub fn prediction(output: &str) -> String {
        format!("prediction/{output}")
    }

    /// The next value of a variable.
    pub fn next(variable: &str) -> String {
        format!("next/{variable}")
    }

    pub fn slot(slot: &str, weight: &str) -> String {
        format!("optimizer/{slot}/{weight}")
    }

    pub fn accumulated(weight: &str) -> String {
        format!("accumulated/{weight}")
    }

    pub fn average(weight: &str) -> String {
        format!("ema/{weight}")
    }
}

/// A tensor that lives from step to step.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub name: String,
    pub first: Tensor,
    /// The model's weight that it is the value of, if it is one.
    pub weight: Option<Weight>,
}

/// All variables of a training: weights first, then what the optimizer keeps for each trainable one.
pub(super) fn variables(model: &Model, settings: &Settings) -> Result<Vec<Variable>, TrainError> {
    let graph = model.training_graph(1, &settings.shapes)?;
    let own = |weight: &TrainedWeight| Variable {
        name: weight.name.clone(),
        first: weight.weight.get(),
        weight: Some(weight.weight.clone()),
    };
    let mut variables: Vec<Variable> = graph.weights.iter().map(own).collect();
    for weight in graph.weights.iter().filter(|weight| weight.trainable) {
        let shape = weight.weight.spec().shape.clone();
        let mut add = |name: String, first: Tensor| variables.push(Variable { name, first, weight: None });
        for slot in settings.optimizer.rule.slots() {
            let first = Tensor::full(shape.clone(), settings.optimizer.initial_slot(slot));
            add(names::slot(slot, &weight.name), first);
        }
        if settings.accumulation > 1 {
            add(names::accumulated(&weight.name), Tensor::full(shape.clone(), 0.0));
        }
        if settings.optimizer.ema_momentum.is_some() {
            add(names::average(&weight.name), weight.weight.get());
        }
    }
    Ok(variables)
}

/// The graph of one phase. `weighted` batches have sample weights.
pub(super) fn step_graph(
    model: &Model,
    settings: &Settings,
    batch: usize,
    phase: Phase,
    weighted: bool,
) -> Result<Graph, TrainError> {
    let training = matches!(phase, Phase::Train | Phase::Accumulate);
    let emitted = match training {
        true => model.training_graph(batch, &settings.shapes)?,
        false => model.evaluation_graph(batch, &settings.shapes)?,
    };
    let (mut graph, weights) = (emitted.graph, emitted.weights);
    for (name, value) in emitted.outputs {
        graph.output(names::prediction(&name), value);
    }
    for weight in &weights {
        if let Some(updated) = weight.updated {
            graph.output(names::next(&weight.name), updated);
        }
    }
    let (mut graph, _) = prepare(graph)?;
    if phase == Phase::Predict {
        return Ok(graph);
    }
    let kept = graph.take_outputs();
    let sample_weights = weighted.then(|| graph.input(names::SAMPLE_WEIGHTS, TensorType::f32([batch])));
    let mut total: Option<ValueId> = None;
    let mut add = |graph: &mut Graph, part: ValueId| -> Result<(), TrainError> {
        total = Some(match total {
            Some(sum) => Expression::new(graph, names::LOSS).add(sum, part)?,
            None => part,
        });
        Ok(())
    };
    for (output, &(loss, share)) in &settings.losses {
        let Some(&(_, prediction)) = kept.iter().find(|(name, _)| *name == names::prediction(output)) else { continue };
        let shape = loss.target_shape(&graph.ty(prediction).shape);
        let target = graph.input(names::target(output), TensorType::f32(shape));
        let mut value = loss.emit(&mut graph, target, prediction, sample_weights)?;
        if share != 1.0 {
            value = Expression::new(&mut graph, names::LOSS).affine(value, share, 0.0)?;
        }
        add(&mut graph, value)?;
    }
    let placed = |graph: &Graph, name: &str| graph.inputs().iter().copied().find(|&id| graph.value(id).name == name);
    for weight in &weights {
        if let (Some(regularizer), Some(value)) = (weight.regularizer, placed(&graph, &weight.name)) {
            let part = penalty(&mut Expression::new(&mut graph, "regularizer"), regularizer, value)?;
            add(&mut graph, part)?;
        }
    }
    let total = total.ok_or_else(|| TrainError::Setting { what: "there is no loss".into() })?;
    let mut next: Vec<(String, ValueId)> = Vec::new();
    let mut norm = None;
    if training {
        let trained: Vec<(&TrainedWeight, ValueId)> = weights
            .iter()
            .filter(|weight| weight.trainable)
            .filter_map(|weight| Some((weight, placed(&graph, &weight.name)?)))
            .collect();
        let values: Vec<ValueId> = trained.iter().map(|(_, value)| *value).collect();
        let gradients = backward_recomputing(&mut graph, total, &values, settings.segments)?;
        // A weight that the loss does not depend on stays what it is.
        let steps = trained.into_iter().zip(gradients).filter_map(|(weight, gradient)| Some((weight, gradient?)));
        let steps = steps.map(|((weight, value), gradient)| Trained {
            name: &weight.name,
            constraint: weight.constraint.as_ref(),
            value,
            gradient,
        });
        let steps: Vec<Trained<'_>> = steps.collect();
        if settings.check_numbers {
            norm = squared_norm(&mut Expression::new(&mut graph, names::GRADIENT_NORM), &steps)?;
        }
        match phase {
            Phase::Accumulate => accumulate(&mut graph, &steps, &mut next)?,
            _ => update(&mut graph, settings, steps, &mut next)?,
        }
    }
    graph.output(names::LOSS, total);
    norm.into_iter().for_each(|norm| graph.output(names::GRADIENT_NORM, norm));
    kept.into_iter().for_each(|(name, value)| graph.output(name, value));
    next.into_iter().for_each(|(name, value)| graph.output(names::next(&name), value));
    Ok(graph)
}

struct Trained<'a> {
    name: &'a str,
    constraint: Option<&'a Constraint>,
    value: ValueId,
    gradient: ValueId,
}

fn penalty(e: &mut Expression<'_>, regularizer: Regularizer, w: ValueId) -> Result<ValueId, TrainError> {
    let mut parts = Vec::new();
    for (factor, function) in [(regularizer.l1, UnaryFn::Abs), (regularizer.l2, UnaryFn::Square)] {
        if factor != 0.0 {
            let sizes = e.unary(function, w)?;
            let sum = e.all(ReduceFn::Sum, sizes)?;
            parts.push(e.affine(sum, factor, 0.0)?);
        }
    }
    match parts[..] {
        [] => Ok(e.scalar(0.0)),
        [only] => Ok(only),
        [a, b, ..] => Ok(e.add(a, b)?),
    }
}

fn squared_norm(e: &mut Expression<'_>, steps: &[Trained<'_>]) -> Result<Option<ValueId>, TrainError> {
    let mut total = None;
    for step in steps {
        let squares = e.unary(UnaryFn::Square, step.gradient)?;
        let sum = e.all(ReduceFn::Sum, squares)?;
        total = Some(match total {
            Some(total) => e.add(total, sum)?,
            None => sum,
        });
    }
    Ok(total)
}

fn accumulate(graph: &mut Graph, steps: &[Trained<'_>], next: &mut Vec<(String, ValueId)>) -> Result<(), TrainError> {
    for step in steps {
        let name = names::accumulated(step.name);
        let so_far = graph.input(name.clone(), graph.ty(step.gradient).clone());
        next.push((name, Expression::new(graph, step.name).add(so_far, step.gradient)?));
    }
    Ok(())
}

/// The optimizer's step on every weight.
fn update(
    graph: &mut Graph,
    settings: &Settings,
    mut steps: Vec<Trained<'_>>,
    next: &mut Vec<(String, ValueId)>,
) -> Result<(), TrainError> {
    let optimizer = &settings.optimizer;
    if settings.accumulation > 1 {
        for step in &mut steps {
            let name = names::accumulated(step.name);
            let ty = graph.ty(step.gradient).clone();
            let so_far = graph.input(name.clone(), ty.clone());
            let mut e = Expression::new(graph, step.name);
            let sum = e.add(so_far, step.gradient)?;
            step.gradient = e.affine(sum, 1.0 / settings.accumulation as f32, 0.0)?;
            next.push((name, e.constant(Tensor::full(ty.shape, 0.0))));
        }
    }
    clip(graph, optimizer.clipping, &mut steps)?;
    let rates = graph.input(names::RATES, TensorType::f32([Update::RATES]));
    for step in &steps {
        let ty = graph.ty(step.value).clone();
        let mut inputs = vec![step.value, step.gradient];
        let mut kept = vec![step.name.to_string()];
        for slot in optimizer.rule.slots() {
            let name = names::slot(slot, step.name);
            inputs.push(graph.input(name.clone(), ty.clone()));
            kept.push(name);
        }
        inputs.push(rates);
        let first = graph.node(format!("{}/update", step.name), Update { rule: optimizer.rule }, &inputs)?;
        let mut outputs = graph.producer(first).map_or_else(|| vec![first], |node| node.outputs.clone());
        if optimizer.ema_momentum.is_some() {
            let name = names::average(step.name);
            let average = graph.input(name.clone(), ty);
            let mut e = Expression::new(graph, name.clone());
            let at = Optimizer::EMA_RATE as i64;
            let momentum = e.node(Slice::range(0, at, Some(at + 1)), &[rates])?;
            let momentum = e.reshape(momentum, &[])?;
            let rest = e.affine(momentum, -1.0, 1.0)?;
            let (old, new) = (e.mul(average, momentum)?, e.mul(first, rest)?);
            next.push((name, e.add(old, new)?));
        }
        // Keras's averages, too, are of the weights before their constraints.
        if let (Some(constraint), Some(weight)) = (step.constraint, outputs.first_mut()) {
            *weight =
                constrained(&mut Expression::new(graph, format!("{}/constraint", step.name)), constraint, *weight)?;
        }
        next.extend(kept.into_iter().zip(outputs));
    }
    Ok(())
}

/// A weight brought back to its constraint (`keras.constraints` of Keras 3).
fn constrained(e: &mut Expression<'_>, constraint: &Constraint, w: ValueId) -> Result<ValueId, TrainError> {
    const EPSILON: f32 = 1e-7;
    let axes = match constraint {
        Constraint::NonNegative => return Ok(e.unary(UnaryFn::Relu, w)?),
        Constraint::MaxNorm { axes, .. } | Constraint::UnitNorm { axes } | Constraint::MinMaxNorm { axes, .. } => axes,
    };
    let rank = e.shape(w).rank() as i64;
    let mut positions = Vec::new();
    for &axis in axes {
        let position = if axis < 0 { axis + rank } else { axis };
        if !(0..rank).contains(&position) {
            let what = format!("`{}` asks for the norm along axis {axis} of a weight of {rank} axes", e.name);
            return Err(TrainError::Setting { what });
        }
        positions.push(position as usize);
    }
    positions.sort_unstable();
    positions.dedup();
    let squares = e.unary(UnaryFn::Square, w)?;
    let squares = e.node(Reduce { function: ReduceFn::Sum, axes: positions, keepdims: true }, &[squares])?;
    let norms = e.unary(UnaryFn::Sqrt, squares)?;
    let divisor = e.affine(norms, 1.0, EPSILON)?;
    let wanted = match *constraint {
        Constraint::MaxNorm { max, .. } => e.unary(UnaryFn::Clip { low: 0.0, high: max }, norms)?,
        Constraint::MinMaxNorm { min, max, rate, .. } => {
            let clipped = e.unary(UnaryFn::Clip { low: min, high: max }, norms)?;
            let (all, rest) = (e.affine(clipped, rate, 0.0)?, e.affine(norms, 1.0 - rate, 0.0)?);
            e.add(all, rest)?
        }
        _ => return Ok(e.div(w, divisor)?),
    };
    let share = e.div(wanted, divisor)?;
    Ok(e.mul(w, share)?)
}

fn clip(graph: &mut Graph, clipping: Clipping, steps: &mut [Trained<'_>]) -> Result<(), TrainError> {
    let mut e = Expression::new(graph, "clip");
    match clipping {
        Clipping::None => {}
        Clipping::Value(bound) => {
            for step in steps {
                step.gradient = e.unary(UnaryFn::Clip { low: -bound, high: bound }, step.gradient)?;
            }
        }
        Clipping::Norm(bound) => {
            for step in steps {
                let own = std::slice::from_ref(&*step);
                if let Some(square) = squared_norm(&mut e, own)? {
                    let share = share(&mut e, square, bound)?;
                    step.gradient = e.mul(step.gradient, share)?;
                }
            }
        }
        Clipping::GlobalNorm(bound) => {
            if let Some(square) = squared_norm(&mut e, steps)? {
                let share = share(&mut e, square, bound)?;
                for step in steps {
                    step.gradient = e.mul(step.gradient, share)?;
                }
            }
        }
    }
    Ok(())
}

/// What a gradient of this squared norm is multiplied with so that its norm is `bound` at most.
fn share(e: &mut Expression<'_>, square: ValueId, bound: f32) -> Result<ValueId, TrainError> {
    let norm = e.unary(UnaryFn::Sqrt, square)?;
    let bound = e.constant(Tensor::full(Shape::default(), bound));
    let largest = e.binary(BinaryFn::Max, norm, bound)?;
    Ok(e.div(bound, largest)?)
}
