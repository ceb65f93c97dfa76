//! `BatchNormalization`, `LayerNormalization`, `GroupNormalization`, `Normalization` and `Rescaling`.

use serde_json::{Value, json};

use super::settings::setters;
use super::to_config::{number, numbers};
use super::{Emitter, Initializer, Layer, WeightSpec, axis_of};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, Binary, BinaryFn, Dim, Reshape, Transpose, Unary, UnaryFn};
use crate::tensor::{Shape, Tensor};

fn weight(name: &'static str, size: usize, initializer: Initializer, trainable: bool) -> WeightSpec {
    WeightSpec { trainable, ..WeightSpec::new(name, [size], initializer) }
}

/// A weight if the layer has it, else a constant of one value.
fn or_constant(emitter: &mut Emitter<'_>, part: &str, weight: Option<ValueId>, size: usize, value: f32) -> ValueId {
    weight.unwrap_or_else(|| emitter.constant(part, Tensor::full([size], value)))
}

/// Batch normalisation: by the moving statistics at inference, by those of the batch in training.
/// Weights: `gamma`, `beta`, `moving_mean`, `moving_variance`, each `[size of the axis]`.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormalization {
    axis: i64,
    momentum: f32,
    epsilon: f32,
    center: bool,
    scale: bool,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        BatchNormalization::new()
    }
}

impl BatchNormalization {
    /// Keras's defaults: the last axis, momentum 0.99, epsilon 0.001, scale and offset.
    pub fn new() -> BatchNormalization {
        BatchNormalization { axis: -1, momentum: 0.99, epsilon: 1e-3, center: true, scale: true }
    }

    setters! {
        /// The axis with statistics of its own (-1).
        axis: i64,
        /// Share of the moving statistics that stays with every batch of training (0.99).
        momentum: f32,
        /// Added to the variance (0.001).
        epsilon: f32,
        /// Whether there is an offset `beta` (yes).
        center: bool,
        /// Whether there is a factor `gamma` (yes).
        scale: bool,
    }
}

impl Layer for BatchNormalization {
    fn class_name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn config(&self) -> Value {
        json!({
            "axis": self.axis,
            "momentum": number(self.momentum),
            "epsilon": number(self.epsilon),
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": Initializer::Zeros.to_config(),
            "gamma_initializer": Initializer::Ones.to_config(),
            "moving_mean_initializer": Initializer::Zeros.to_config(),
            "moving_variance_initializer": Initializer::Ones.to_config(),
        })
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let shape = inputs.first().ok_or("it takes one input")?;
        let size = shape[axis_of(self.axis, shape.rank())?];
        let mut specs = Vec::new();
        if self.scale {
            specs.push(weight("gamma", size, Initializer::Ones, true));
        }
        if self.center {
            specs.push(weight("beta", size, Initializer::Zeros, true));
        }
        specs.push(weight("moving_mean", size, Initializer::Zeros, false));
        specs.push(weight("moving_variance", size, Initializer::Ones, false));
        Ok(specs)
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        let shape = emitter.shape(x);
        let axis = axis_of(self.axis, shape.rank()).map_err(|what| emitter.wrong(what))?;
        let size = shape[axis];
        let mut weights = weights.iter().copied();
        let gamma = if self.scale { weights.next() } else { None };
        let beta = if self.center { weights.next() } else { None };
        let (mean, variance) = (weights.next(), weights.next());
        let gamma = or_constant(emitter, "gamma", gamma, size, 1.0);
        let beta = or_constant(emitter, "beta", beta, size, 0.0);
        let op = ops::BatchNorm { axis, epsilon: self.epsilon };
        if emitter.training() && emitter.trainable() {
            let statistics = emitter.nodes("moments", ops::Moments { axis }, &[x])?;
            for (moving, &now) in [mean, variance].into_iter().zip(&statistics) {
                if let Some(moving) = moving {
                    let part = emitter.node("moving", scaled(1.0 - self.momentum), &[now])?;
                    let kept = emitter.node("moving", scaled(self.momentum), &[moving])?;
                    let next = emitter.node("moving", Binary { function: BinaryFn::Add }, &[kept, part])?;
                    emitter.update(moving, next);
                }
            }
            return Ok(vec![emitter.node("", op, &[x, gamma, beta, statistics[0], statistics[1]])?]);
        }
        let mean = or_constant(emitter, "mean", mean, size, 0.0);
        let variance = or_constant(emitter, "variance", variance, size, 1.0);
        Ok(vec![emitter.node("", op, &[x, gamma, beta, mean, variance])?])
    }
}

fn scaled(scale: f32) -> Unary {
    Unary { function: UnaryFn::Affine { scale, offset: 0.0 } }
}

/// Reshapes a value that has the axes `axes` of `shape` so that it broadcasts to it.
fn align(emitter: &mut Emitter<'_>, value: ValueId, axes: &[usize], shape: &Shape) -> Result<ValueId, LayerError> {
    let dims = (0..shape.rank()).map(|axis| Dim::Size(if axes.contains(&axis) { shape[axis] } else { 1 })).collect();
    emitter.node("align", Reshape { dims }, &[value])
}

/// Layer normalisation over the given axes. Weights: `gamma`, `beta`, of the axes' sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNormalization {
    axis: Vec<i64>,
    epsilon: f32,
    center: bool,
    scale: bool,
}

impl Default for LayerNormalization {
    fn default() -> Self {
        LayerNormalization::new()
    }
}

impl LayerNormalization {
    /// Keras's defaults: the last axis, epsilon 0.001, scale and offset.
    pub fn new() -> LayerNormalization {
        LayerNormalization { axis: vec![-1], epsilon: 1e-3, center: true, scale: true }
    }

    setters! {
        /// The axes over which statistics are taken (the last one).
        axis: Vec<i64>,
        /// Added to the variance (0.001).
        epsilon: f32,
        /// Whether there is an offset `beta` (yes).
        center: bool,
        /// Whether there is a factor `gamma` (yes).
        scale: bool,
    }

    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        let mut axes: Vec<usize> = self.axis.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }
}

impl Layer for LayerNormalization {
    fn class_name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn config(&self) -> Value {
        json!({
            "axis": self.axis,
            "epsilon": number(self.epsilon),
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": Initializer::Zeros.to_config(),
            "gamma_initializer": Initializer::Ones.to_config(),
        })
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let shape = inputs.first().ok_or("it takes one input")?;
        let sizes: Vec<usize> = self.axes(shape.rank())?.into_iter().map(|axis| shape[axis]).collect();
        let mut specs = Vec::new();
        if self.scale {
            specs.push(WeightSpec::new("gamma", sizes.clone(), Initializer::Ones));
        }
        if self.center {
            specs.push(WeightSpec::new("beta", sizes, Initializer::Zeros));
        }
        Ok(specs)
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        let shape = emitter.shape(x);
        let axes = self.axes(shape.rank()).map_err(|what| emitter.wrong(what))?;
        let mut weights = weights.iter().copied();
        let gamma = if self.scale { weights.next() } else { None };
        let beta = if self.center { weights.next() } else { None };
        let gamma = match gamma {
            Some(gamma) => align(emitter, gamma, &axes, &shape)?,
            None => emitter.constant("gamma", Tensor::full([1], 1.0)),
        };
        let beta = match beta {
            Some(beta) => align(emitter, beta, &axes, &shape)?,
            None => emitter.constant("beta", Tensor::full([1], 0.0)),
        };
        let op = ops::Normalize { axes, epsilon: self.epsilon };
        Ok(vec![emitter.node("", op, &[x, gamma, beta])?])
    }
}

/// Group normalisation: statistics per group of channels over all other axes but the batch.
/// Weights: `gamma`, `beta`, each `[channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupNormalization {
    groups: i64,
    axis: i64,
    epsilon: f32,
    center: bool,
    scale: bool,
}

impl GroupNormalization {
    /// `groups` groups of channels; -1 for a group per channel (instance normalisation). Keras's default is 32.
    pub fn new(groups: i64) -> GroupNormalization {
        GroupNormalization { groups, axis: -1, epsilon: 1e-3, center: true, scale: true }
    }

    setters! {
        /// The axis of the channels (-1).
        axis: i64,
        /// Added to the variance (0.001).
        epsilon: f32,
        /// Whether there is an offset `beta` (yes).
        center: bool,
        /// Whether there is a factor `gamma` (yes).
        scale: bool,
    }
}

impl Layer for GroupNormalization {
    fn class_name(&self) -> &'static str {
        "GroupNormalization"
    }

    fn config(&self) -> Value {
        json!({
            "groups": self.groups,
            "axis": self.axis,
            "epsilon": number(self.epsilon),
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": Initializer::Zeros.to_config(),
            "gamma_initializer": Initializer::Ones.to_config(),
        })
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let shape = inputs.first().ok_or("it takes one input")?;
        let channels = shape[axis_of(self.axis, shape.rank())?];
        let groups = if self.groups == -1 { channels } else { usize::try_from(self.groups).unwrap_or(0) };
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(format!("{channels} channels do not divide into {} groups", self.groups));
        }
        let mut specs = Vec::new();
        if self.scale {
            specs.push(weight("gamma", channels, Initializer::Ones, true));
        }
        if self.center {
            specs.push(weight("beta", channels, Initializer::Zeros, true));
        }
        Ok(specs)
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        let rank = emitter.shape(x).rank();
        let axis = axis_of(self.axis, rank).map_err(|what| emitter.wrong(what))?;
        let to_last: Vec<usize> = (0..rank).filter(|&other| other != axis).chain([axis]).collect();
        let mut back = vec![0; rank];
        for (position, &from) in to_last.iter().enumerate() {
            back[from] = position;
        }
        let x = emitter.node("channels_last", Transpose { perm: to_last }, &[x])?;
        let channels = emitter.shape(x).last_axis();
        let groups = if self.groups == -1 { channels } else { usize::try_from(self.groups).unwrap_or(1) };
        let size = channels / groups.max(1);
        let kept = |last: &[usize]| Reshape {
            dims: (0..rank - 1).map(Dim::Keep).chain(last.iter().map(|&size| Dim::Size(size))).collect(),
        };
        let mut weights = weights.iter().copied();
        let mut grouped = |emitter: &mut Emitter<'_>, there: bool, part: &str, value: f32| {
            let weight = if there { weights.next() } else { None };
            let weight = or_constant(emitter, part, weight, channels, value);
            emitter.node(part, Reshape { dims: vec![Dim::Size(groups), Dim::Size(size)] }, &[weight])
        };
        let gamma = grouped(emitter, self.scale, "gamma", 1.0)?;
        let beta = grouped(emitter, self.center, "beta", 0.0)?;
        let x = emitter.node("groups", kept(&[groups, size]), &[x])?;
        let axes = (1..rank - 1).chain([rank]).collect();
        let y = emitter.node("", ops::Normalize { axes, epsilon: self.epsilon }, &[x, gamma, beta])?;
        let y = emitter.node("ungroup", kept(&[channels]), &[y])?;
        Ok(vec![emitter.node("back", Transpose { perm: back }, &[y])?])
    }
}

/// `(x - mean) / max(sqrt(variance), 1e-7)` with given statistics along the last axis (or one for all).
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    mean: Vec<f32>,
    variance: Vec<f32>,
    axis: Option<i64>,
    invert: bool,
}

impl Normalization {
    /// Statistics per element of the last axis, or one each for all.
    pub fn new(mean: Vec<f32>, variance: Vec<f32>) -> Normalization {
        Normalization { mean, variance, axis: Some(-1), invert: false }
    }

    setters! {
        /// The axis of the statistics (-1).
        axis: Option<i64>,
        /// Undo a normalisation instead (no).
        invert: bool,
    }
}

impl Layer for Normalization {
    fn class_name(&self) -> &'static str {
        "Normalization"
    }

    fn config(&self) -> Value {
        json!({
            "axis": self.axis.into_iter().collect::<Vec<i64>>(),
            "mean": numbers(&self.mean),
            "variance": numbers(&self.variance),
            "invert": self.invert,
        })
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        let shape = emitter.shape(x);
        let count = self.mean.len().max(self.variance.len());
        let axis = axis_of(self.axis.unwrap_or(-1), shape.rank()).map_err(|what| emitter.wrong(what))?;
        if ![1, shape[axis]].contains(&count) || self.mean.is_empty() || self.variance.is_empty() {
            return Err(emitter.wrong(format!("{count} statistics for the axis {axis} of {shape}")));
        }
        let value = |values: &[f32], i: usize| f64::from(values[i % values.len()]);
        let deviation = |i: usize| value(&self.variance, i).sqrt().max(1e-7);
        let (scale, offset): (Vec<f32>, Vec<f32>) = (0..count)
            .map(|i| {
                let (mean, deviation) = (value(&self.mean, i), deviation(i));
                if self.invert { (deviation, mean) } else { (1.0 / deviation, -mean / deviation) }
            })
            .map(|(scale, offset)| (scale as f32, offset as f32))
            .unzip();
        affine(emitter, x, axis, &shape, scale, offset).map(|y| vec![y])
    }
}

/// `x * scale + offset`, by one element-wise op when both are single numbers.
fn affine(
    emitter: &mut Emitter<'_>,
    x: ValueId,
    axis: usize,
    shape: &Shape,
    scale: Vec<f32>,
    offset: Vec<f32>,
) -> Result<ValueId, LayerError> {
    if let ([scale], [offset]) = (&scale[..], &offset[..]) {
        let function = UnaryFn::Affine { scale: *scale, offset: *offset };
        return emitter.node("", Unary { function }, &[x]);
    }
    let operand = |emitter: &mut Emitter<'_>, part: &str, values: Vec<f32>| {
        let size = values.len();
        let aligned: Vec<usize> =
            (0..shape.rank()).skip(axis).map(|other| if other == axis { size } else { 1 }).collect();
        Ok::<_, LayerError>(emitter.constant(part, Tensor::from_f32(aligned, values)?))
    };
    let scale = operand(emitter, "scale", scale)?;
    let offset = operand(emitter, "offset", offset)?;
    let y = emitter.node("scale", Binary { function: BinaryFn::Mul }, &[x, scale])?;
    emitter.node("", Binary { function: BinaryFn::Add }, &[y, offset])
}

/// `x * scale + offset`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rescaling {
    scale: Vec<f32>,
    offset: Vec<f32>,
}

impl Rescaling {
    /// One factor and one summand for all, or one per element of the last axis.
    pub fn new(scale: Vec<f32>, offset: Vec<f32>) -> Rescaling {
        Rescaling { scale, offset }
    }
}

impl Layer for Rescaling {
    fn class_name(&self) -> &'static str {
        "Rescaling"
    }

    fn config(&self) -> Value {
        json!({ "scale": numbers(&self.scale), "offset": numbers(&self.offset) })
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        let shape = emitter.shape(x);
        let last = shape.rank().saturating_sub(1);
        affine(emitter, x, last, &shape, self.scale.clone(), self.offset.clone()).map(|y| vec![y])
    }
}
