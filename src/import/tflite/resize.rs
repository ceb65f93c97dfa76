//! `RESIZE_BILINEAR` and `RESIZE_NEAREST_NEIGHBOR` of rows and columns, by TFLite's rules.

use super::lower::{Call, Value};
use super::schema::{ResizeBilinearOptions, ResizeNearestNeighborOptions};
use crate::graph::Graph;
use crate::import::refusal::{Wrong, invalid};
use crate::import::resample;
use crate::ops::{Resize, ResizeMode};
use crate::tensor::Tensor;

/// How positions of the output become positions of the input.
struct Rule {
    linear: bool,
    align_corners: bool,
    half_pixel: bool,
}

impl Rule {
    /// The input elements that an output element is made of, with their weights.
    fn taps(&self, at: usize, input: usize, output: usize) -> [(usize, f32); 2] {
        // Single precision throughout, as TFLite computes positions.
        let scale = match self.align_corners && output > 1 {
            true => (input - 1) as f32 / (output - 1) as f32,
            false => input as f32 / output as f32,
        };
        let last = input - 1;
        if self.linear {
            let position = if self.half_pixel { (at as f32 + 0.5) * scale - 0.5 } else { at as f32 * scale };
            let low = (position.floor().max(0.0) as usize).min(last);
            let high = (position.ceil().max(0.0) as usize).min(last);
            let share = if low == high { 0.0 } else { position - low as f32 };
            return [(low, 1.0 - share), (high, share)];
        }
        let position = (at as f32 + if self.half_pixel { 0.5 } else { 0.0 }) * scale;
        let nearest = if self.align_corners { position.round() } else { position.floor() };
        [((nearest as usize).min(last), 1.0), (last, 0.0)]
    }

    /// The matrix `[input, output]` of an axis.
    fn matrix(&self, input: usize, output: usize) -> Tensor {
        let taps: Vec<[(usize, f32); 2]> = (0..output).map(|at| self.taps(at, input, output)).collect();
        let weight = |row: usize, column: usize| {
            taps[column].iter().filter(|(tap, _)| *tap == row).map(|(_, weight)| weight).sum()
        };
        Tensor::from_fn([input, output], |i| weight(i / output, i % output))
    }

    /// The whole factor by which this repeats or interpolates as [`Resize`] does, if it does.
    fn factor(&self, input: usize, output: usize) -> Option<usize> {
        let factor = Some(output / input).filter(|factor| factor * input == output)?;
        let same = match self.linear {
            true => factor == 1 || (self.half_pixel && !self.align_corners),
            false => (0..output).all(|at| self.taps(at, input, output)[0].0 == at / factor),
        };
        same.then_some(factor)
    }
}

pub(super) fn resize(graph: &mut Graph, call: &Call<'_>) -> Result<Value, Wrong> {
    let rule = match &*call.kind {
        "RESIZE_BILINEAR" => {
            let options: ResizeBilinearOptions<'_> = call.options()?;
            let align_corners = options.align_corners().unwrap_or(false);
            Rule { linear: true, align_corners, half_pixel: options.half_pixel_centers().unwrap_or(false) }
        }
        _ => {
            let options: ResizeNearestNeighborOptions<'_> = call.options()?;
            let align_corners = options.align_corners().unwrap_or(false);
            Rule { linear: false, align_corners, half_pixel: options.half_pixel_centers().unwrap_or(false) }
        }
    };
    let x = call.place(graph, 0)?;
    let shape = graph.ty(x).shape.to_vec();
    let size = |size: i64| usize::try_from(size).ok().filter(|size| (1..=1 << 15).contains(size));
    let (&[_, rows, columns, _], &[to_rows, to_columns]) = (&shape[..], call.ints(1)?) else {
        return invalid(format!("an input {shape:?} with sizes {:?}", call.ints(1)?));
    };
    let (Some(to_rows), Some(to_columns)) = (size(to_rows), size(to_columns)) else {
        return invalid(format!("sizes {:?}", call.ints(1)?));
    };
    if rows == 0 || columns == 0 {
        return invalid(format!("an input {shape:?}"));
    }
    if let (Some(down), Some(right)) = (rule.factor(rows, to_rows), rule.factor(columns, to_columns)) {
        let mode = if rule.linear { ResizeMode::Linear } else { ResizeMode::Nearest };
        return Ok(Value::Node(call.emit(graph, Resize { factors: vec![1, down, right, 1], mode }, &[x])?));
    }
    let mut y = x;
    for (axis, from, to) in [(1, rows, to_rows), (2, columns, to_columns)] {
        if from != to {
            call.room.spend(&[from, to], 4)?;
            y = resample::along(graph, &call.name, y, axis, rule.matrix(from, to))?;
        }
    }
    Ok(Value::Node(y))
}
