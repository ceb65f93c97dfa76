//! Layers that move elements: `Flatten`, `Reshape`, `Permute`, `RepeatVector`, `Slice`, padding, cropping, upsampling.

use serde_json::{Value, json};

use super::settings::setters;
use super::{DataFormat, Emitter, KerasSite, Layer, LayerRef, WeightSpec};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, Dim, Op, PadMode, ResizeMode, SliceAxis};
use crate::tensor::Shape;

/// A layer without weights that turns one input into one output.
#[derive(Debug, Clone, PartialEq)]
pub enum Reshaping {
    /// All axes but the batch in one.
    Flatten(DataFormat),
    /// Another shape, batch not counted; `None` once for what is left over.
    Reshape(Vec<Option<usize>>),
    /// Axes in another order, counted from 1, batch not counted.
    Permute(Vec<usize>),
    /// `[batch, features]` repeated `n` times.
    RepeatVector(usize),
    /// Zeros before and after every spatial axis.
    ZeroPadding(Vec<(usize, usize)>, DataFormat),
    /// Elements cut off before and after every spatial axis.
    Cropping(Vec<(usize, usize)>, DataFormat),
    /// Spatial axes grown by whole factors.
    UpSampling(Vec<usize>, ResizeMode, DataFormat),
    /// Part of the input; axes count from 0, the batch. The axes listed last are dropped (they have one element left).
    Slice(Vec<SliceAxis>, Vec<usize>),
}

impl Reshaping {
    /// The channels `start..end` of an input with `rank` axes and channels last.
    pub fn channels(rank: usize, start: usize, end: usize) -> Reshaping {
        let axis = rank.saturating_sub(1);
        Reshaping::Slice(vec![SliceAxis { axis, start: start as i64, end: Some(end as i64), step: 1 }], Vec::new())
    }

    /// A pair per axis, or one pair alone, as Keras writes it for one axis.
    fn pairs(pads: &[(usize, usize)]) -> Value {
        if let [pair] = pads { json!(pair) } else { json!(pads) }
    }

    fn spatial(pads: &[(usize, usize)], format: DataFormat, rank: usize) -> Vec<(usize, usize)> {
        let mut all = vec![(0, 0); rank];
        for (pad, slot) in pads.iter().zip(all.iter_mut().skip(format.first_spatial())) {
            *slot = *pad;
        }
        all
    }
}

impl Layer for Reshaping {
    fn class_name(&self) -> &'static str {
        let by_rank = |count: usize, names: [&'static str; 3]| names[count.clamp(1, 3) - 1];
        match self {
            Reshaping::Flatten(_) => "Flatten",
            Reshaping::Reshape(_) => "Reshape",
            Reshaping::Permute(_) => "Permute",
            Reshaping::RepeatVector(_) => "RepeatVector",
            Reshaping::ZeroPadding(pads, _) => by_rank(pads.len(), ["ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"]),
            Reshaping::Cropping(cuts, _) => by_rank(cuts.len(), ["Cropping1D", "Cropping2D", "Cropping3D"]),
            Reshaping::UpSampling(factors, ..) => {
                by_rank(factors.len(), ["UpSampling1D", "UpSampling2D", "UpSampling3D"])
            }
            Reshaping::Slice(..) => "GetItem",
        }
    }

    fn config(&self) -> Value {
        match self {
            Reshaping::Flatten(format) => json!({ "data_format": format.name() }),
            Reshaping::Reshape(target) => {
                let sizes: Vec<Value> = target.iter().map(|size| size.map_or(json!(-1), |size| json!(size))).collect();
                json!({ "target_shape": sizes })
            }
            Reshaping::Permute(dims) => json!({ "dims": dims }),
            Reshaping::RepeatVector(n) => json!({ "n": n }),
            Reshaping::ZeroPadding(pads, format) => {
                json!({ "padding": Reshaping::pairs(pads), "data_format": format.name() })
            }
            Reshaping::Cropping(cuts, format) => {
                let mut config = json!({ "cropping": Reshaping::pairs(cuts) });
                if cuts.len() > 1 || *format != DataFormat::ChannelsLast {
                    config["data_format"] = json!(format.name());
                }
                config
            }
            Reshaping::UpSampling(factors, mode, format) => {
                let size = if let [factor] = factors[..] { json!(factor) } else { json!(factors) };
                let mut config = json!({ "size": size });
                // Keras's classes of one and three axes lack keys that the one of two has.
                if factors.len() == 2 || *mode != ResizeMode::Nearest {
                    config["interpolation"] = json!(if *mode == ResizeMode::Nearest { "nearest" } else { "bilinear" });
                }
                if factors.len() > 1 || *format != DataFormat::ChannelsLast {
                    config["data_format"] = json!(format.name());
                }
                config
            }
            // Keras keeps the ranges in the call.
            Reshaping::Slice(..) => json!({}),
        }
    }

    fn call_arguments(&self, rank: usize) -> Vec<Value> {
        let Reshaping::Slice(axes, dropped) = self else { return Vec::new() };
        let slice = |start: Option<i64>, stop: Option<i64>, step: Option<i64>| json!({ "class_name": "__slice__", "config": { "start": start, "stop": stop, "step": step } });
        let part = |axis: usize| match axes.iter().find(|cut| cut.axis == axis) {
            Some(cut) if dropped.contains(&axis) => json!(cut.start),
            Some(cut) => slice(Some(cut.start), cut.end, (cut.step != 1).then_some(cut.step)),
            None => slice(None, None, None),
        };
        vec![(0..rank).map(part).collect()]
    }

    fn in_keras(&self, _site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        match self {
            Reshaping::UpSampling(factors, ResizeMode::Linear, _) if factors.len() != 2 => {
                Err("Keras upsamples rows and columns linearly, no other number of axes".into())
            }
            Reshaping::UpSampling(factors, _, DataFormat::ChannelsFirst) if factors.len() == 1 => {
                Err("Keras's UpSampling1D takes channels last only".into())
            }
            Reshaping::Cropping(cuts, DataFormat::ChannelsFirst) if cuts.len() == 1 => {
                Err("Keras's Cropping1D takes channels last only".into())
            }
            _ => Ok(Vec::new()),
        }
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
        let mut x = emitter.one(inputs)?;
        let shape = emitter.shape(x);
        let rank = shape.rank();
        let spatial = |count: usize| (rank == count + 2).then_some(()).ok_or(count + 2);
        let op: Op = match self {
            Reshaping::Flatten(format) => {
                if *format == DataFormat::ChannelsFirst && rank > 2 {
                    let perm = [0].into_iter().chain(2..rank).chain([1]).collect();
                    x = emitter.node("channels_last", ops::Transpose { perm }, &[x])?;
                }
                ops::Reshape { dims: vec![Dim::Keep(0), Dim::Size(shape[1..].iter().product())] }.into()
            }
            Reshaping::Reshape(target) => {
                let dims = target.iter().map(|size| size.map_or(Dim::Infer, Dim::Size));
                ops::Reshape { dims: [Dim::Keep(0)].into_iter().chain(dims).collect() }.into()
            }
            Reshaping::Permute(dims) => {
                ops::Transpose { perm: [0].into_iter().chain(dims.iter().copied()).collect() }.into()
            }
            Reshaping::RepeatVector(n) => {
                let dims = vec![Dim::Keep(0), Dim::Size(1), Dim::Keep(1)];
                x = emitter.node("row", ops::Reshape { dims }, &[x])?;
                ops::Expand { dims: vec![Dim::Infer, Dim::Size(*n), Dim::Infer] }.into()
            }
            Reshaping::ZeroPadding(pads, format) => {
                spatial(pads.len()).map_err(|n| emitter.wrong(format!("it works on {n} axes and got {shape}")))?;
                ops::Pad { pads: Reshaping::spatial(pads, *format, rank), mode: PadMode::Constant(0.0) }.into()
            }
            Reshaping::Cropping(cuts, format) => {
                spatial(cuts.len()).map_err(|n| emitter.wrong(format!("it works on {n} axes and got {shape}")))?;
                let axes = cuts.iter().zip(format.first_spatial()..).map(|(&(before, after), axis)| SliceAxis {
                    axis,
                    start: before as i64,
                    end: (after > 0).then_some(-(after as i64)),
                    step: 1,
                });
                ops::Slice { axes: axes.collect() }.into()
            }
            Reshaping::UpSampling(factors, mode, format) => {
                spatial(factors.len()).map_err(|n| emitter.wrong(format!("it works on {n} axes and got {shape}")))?;
                let mut all = vec![1; rank];
                for (factor, slot) in factors.iter().zip(all.iter_mut().skip(format.first_spatial())) {
                    *slot = *factor;
                }
                ops::Resize { factors: all, mode: *mode }.into()
            }
            Reshaping::Slice(axes, dropped) => {
                let y = emitter.node("", ops::Slice { axes: axes.clone() }, &[x])?;
                if dropped.is_empty() {
                    return Ok(vec![y]);
                }
                x = y;
                let kept = (0..rank).filter(|axis| !dropped.contains(axis));
                ops::Reshape { dims: kept.map(Dim::Keep).collect() }.into()
            }
        };
        Ok(vec![emitter.node("", op, &[x])?])
    }
}

/// An input cut into equal parts along an axis, one output each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    parts: usize,
    axis: i64,
}

impl Split {
    /// `parts` equal parts along the last axis.
    pub fn new(parts: usize) -> Split {
        Split { parts, axis: -1 }
    }

    setters! {
        /// The axis that is cut (-1).
        axis: i64,
    }
}

impl Layer for Split {
    fn class_name(&self) -> &'static str {
        "Split"
    }

    fn config(&self) -> Value {
        json!({ "indices_or_sections": self.parts, "axis": self.axis })
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
        let axis = super::axis_of(self.axis, shape.rank()).map_err(|what| emitter.wrong(what))?;
        if self.parts == 0 || !shape[axis].is_multiple_of(self.parts) {
            return Err(emitter.wrong(format!("axis {axis} of {shape} does not divide into {} parts", self.parts)));
        }
        let size = (shape[axis] / self.parts) as i64;
        (0..self.parts as i64)
            .map(|i| emitter.node("", ops::Slice::range(axis, i * size, Some((i + 1) * size)), &[x]))
            .collect()
    }
}
