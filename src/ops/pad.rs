//! Elements added around a tensor.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, PadGrad, Slice, SliceAxis, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// What stands in the added elements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PadMode {
    /// One value.
    Constant(f32),
    /// The input mirrored at its edge element, which is not repeated.
    Reflect,
    /// The edge element repeated.
    Edge,
}

/// Elements added around a tensor. One input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pad {
    /// Elements before and after each axis of the input.
    pub pads: Vec<(usize, usize)>,
    /// What stands in the added elements.
    pub mode: PadMode,
}

impl Pad {
    /// The input position along an axis of `size` elements that fills position `index` of the output.
    fn source(&self, index: usize, before: usize, size: usize) -> Option<usize> {
        self.mode.source(index, before, size)
    }
}

impl PadMode {
    /// The input position along an axis of `size` elements that fills position `index` of the output.
    pub(super) fn source(self, index: usize, before: usize, size: usize) -> Option<usize> {
        let position = index as i64 - before as i64;
        let last = size as i64 - 1;
        let position = match self {
            PadMode::Constant(_) => return (0..=last).contains(&position).then_some(position as usize),
            PadMode::Edge => position.clamp(0, last),
            PadMode::Reflect if position < 0 => -position,
            PadMode::Reflect if position > last => 2 * last - position,
            PadMode::Reflect => position,
        };
        Some(position as usize)
    }
}

impl OpSpec for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        let shape = &inputs[0].shape;
        if self.pads.len() != shape.rank() {
            return Err(ShapeError::mismatch(self.name(), format!("{} pads for the axes of {shape}", self.pads.len())));
        }
        for (&(before, after), &size) in self.pads.iter().zip(shape.iter()) {
            if self.mode == PadMode::Reflect && before.max(after) >= size {
                return Err(ShapeError::mismatch(
                    self.name(),
                    format!("an axis of {size} elements cannot be mirrored by {} or more", before.max(after)),
                ));
            }
        }
        let padded = self.pads.iter().zip(shape.iter()).map(|((before, after), size)| before + size + after);
        Ok(vec![TensorType::f32(padded.collect::<Vec<_>>())])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let x = values(self.name(), inputs)?[0];
        let (shape, source, own) = (inputs[0].shape(), inputs[0].shape().strides(), ty.shape.strides());
        let fill = match self.mode {
            PadMode::Constant(value) => value,
            _ => 0.0,
        };
        let y = (0..ty.shape.elements())
            .map(|i| {
                let offset = (0..shape.rank()).try_fold(0, |offset, axis| {
                    let index = i / own[axis] % ty.shape[axis];
                    Some(offset + self.source(index, self.pads[axis].0, shape[axis])? * source[axis])
                });
                offset.map_or(fill, |offset| x[offset])
            })
            .collect();
        output(self.name(), &ty, y)
    }

    fn gradient(&self, site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        let (dy, input) = (site.dy()?, site.shape(site.inputs[0]));
        let gradient = match self.mode {
            PadMode::Constant(_) => {
                let range = |(axis, &(before, _)): (usize, &(usize, usize))| SliceAxis {
                    axis,
                    start: before as i64,
                    end: Some((before + input[axis]) as i64),
                    step: 1,
                };
                site.emit(Slice { axes: self.pads.iter().enumerate().map(range).collect() }, &[dy])?
            }
            PadMode::Reflect | PadMode::Edge => {
                let mut gradient = dy;
                for (axis, &(before, after)) in self.pads.iter().enumerate().filter(|(_, pads)| **pads != (0, 0)) {
                    let op = PadGrad { mode: self.mode, axis, before, after };
                    gradient = site.emit(op, &[gradient])?;
                }
                gradient
            }
        };
        GradientSite::only(gradient)
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        Accuracy::Exact
    }
}
