//! `GridSample`: elements read between pixels, at positions that are computed at run time.

use super::lower::{Call, Lower, Lowered, Value, Wrong, invalid, unsupported};
use crate::graph::ValueId;
use crate::ops::{BinaryFn, Gather, Slice, UnaryFn};

/// What lies outside of the image.
#[derive(Clone, Copy, PartialEq)]
enum Outside {
    Zeros,
    Border,
    Reflection,
}

/// A node's ops on positions, which all have the shape of one coordinate of the grid.
struct Positions<'a, 'b> {
    lower: &'a mut Lower,
    call: &'a Call<'b>,
}

impl Positions<'_, '_> {
    fn unary(&mut self, function: UnaryFn, x: ValueId) -> Result<ValueId, Wrong> {
        self.lower.unary(self.call, function, x)
    }

    fn affine(&mut self, x: ValueId, scale: f64, offset: f64) -> Result<ValueId, Wrong> {
        self.unary(UnaryFn::Affine { scale: scale as f32, offset: offset as f32 }, x)
    }

    fn binary(&mut self, function: BinaryFn, a: ValueId, b: ValueId) -> Result<ValueId, Wrong> {
        self.lower.binary(self.call, function, a, b)
    }

    /// A coordinate between -1 and 1 as a position along an axis of `size` pixels.
    fn denormalized(&mut self, x: ValueId, size: usize, corners: bool) -> Result<ValueId, Wrong> {
        let size = size as f64;
        match corners {
            true => self.affine(x, (size - 1.0) / 2.0, (size - 1.0) / 2.0),
            false => self.affine(x, size / 2.0, (size - 1.0) / 2.0),
        }
    }

    /// A position mirrored into the image, at the centres of the last pixels (`corners`) or at their far edges.
    fn reflected(&mut self, x: ValueId, size: usize, corners: bool) -> Result<ValueId, Wrong> {
        let (low, length) = if corners { (0.0, size as f64 - 1.0) } else { (-0.5, size as f64) };
        if length == 0.0 {
            return self.affine(x, 0.0, 0.0);
        }
        // A triangle of twice the length: the distance from the nearest even multiple.
        let periods = self.affine(x, 0.5 / length, -low * 0.5 / length)?;
        let nearest = self.unary(UnaryFn::Round, periods)?;
        let away = self.binary(BinaryFn::Sub, periods, nearest)?;
        let away = self.unary(UnaryFn::Abs, away)?;
        self.affine(away, 2.0 * length, low)
    }

    /// A pixel that there is, for one that may lie outside.
    fn held(&mut self, pixel: ValueId, size: usize, outside: Outside, corners: bool) -> Result<ValueId, Wrong> {
        let pixel = match outside {
            Outside::Reflection => {
                let pixel = self.reflected(pixel, size, corners)?;
                self.unary(UnaryFn::Round, pixel)?
            }
            _ => pixel,
        };
        self.unary(UnaryFn::Clip { low: 0.0, high: size as f32 - 1.0 }, pixel)
    }

    /// Pixels around a position along one axis, each with its weight.
    fn taps(&mut self, x: ValueId, mode: &str) -> Result<Vec<(ValueId, Option<ValueId>)>, Wrong> {
        if mode == "nearest" {
            return Ok(vec![(self.unary(UnaryFn::Round, x)?, None)]);
        }
        let first = self.unary(UnaryFn::Floor, x)?;
        let part = self.binary(BinaryFn::Sub, x, first)?;
        let rest = self.affine(part, -1.0, 1.0)?;
        let second = self.affine(first, 1.0, 1.0)?;
        if matches!(mode, "linear" | "bilinear") {
            return Ok(vec![(first, Some(rest)), (second, Some(part))]);
        }
        // Keys's cubic convolution with a = -0.75, near and far from the position.
        let mut taps = Vec::with_capacity(4);
        for (pixel, distance, far) in [(-1.0, part, true), (0.0, part, false), (1.0, rest, false), (2.0, rest, true)] {
            let distance = if far { self.affine(distance, 1.0, 1.0)? } else { distance };
            let cubic = if far { [-0.75, 3.75, -6.0, 3.0] } else { [1.25, -2.25, 0.0, 1.0] };
            let mut weight = self.affine(distance, cubic[0], cubic[1])?;
            for coefficient in &cubic[2..] {
                let product = self.binary(BinaryFn::Mul, weight, distance)?;
                weight = self.affine(product, 1.0, *coefficient)?;
            }
            taps.push((self.affine(first, 1.0, pixel)?, Some(weight)));
        }
        Ok(taps)
    }
}

/// `GridSample` of images and volumes.
pub(super) fn grid_sample(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let (input, grid) = (call.input(0)?, call.input(1)?);
    let (shape, of_grid) = (lower.shape(input), lower.shape(grid));
    let spatial = shape.len().saturating_sub(2);
    if !(2..=3).contains(&spatial) {
        return unsupported(format!("{spatial} spatial axes (2 and 3 are)"));
    }
    if of_grid.len() != shape.len() || of_grid[0] != shape[0] || of_grid.last() != Some(&spatial) {
        return invalid(format!("a grid {of_grid:?} for {shape:?}"));
    }
    let corners = call.int("align_corners", 0) != 0;
    let outside = match call.string("padding_mode", "zeros").as_str() {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => return invalid(format!("padding_mode {other}")),
    };
    let mode = call.string("mode", "linear");
    if !matches!(mode.as_str(), "nearest" | "linear" | "bilinear" | "cubic" | "bicubic") {
        return invalid(format!("mode {mode}"));
    }
    let pixels: usize = shape[2..].iter().product();
    if shape[0] * pixels > 1 << 24 {
        return unsupported(format!("positions among {} pixels (f32 counts to 2^24)", shape[0] * pixels));
    }
    let (x, grid) = (lower.place(call, input)?, lower.place(call, grid)?);
    let x = lower.channels_last(call, x)?;
    let rows = lower.reshape(call, x, &[shape[0] * pixels, shape[1]])?;
    let places = &of_grid[..of_grid.len() - 1];
    let images = lower.constant(call, &[shape[0], 1, 1, 1][..=spatial], |image| (image * pixels) as f32)?;
    let mut at = Positions { lower, call };
    // Products of the taps of each axis: position in the image, weight.
    let mut taps: Vec<(ValueId, Option<ValueId>)> = vec![(images, None)];
    for axis in 0..spatial {
        let size = shape[axis + 2];
        // The grid has its innermost axis first.
        let from = (spatial - 1 - axis) as i64;
        let coordinate = at.lower.emit(call, Slice::range(spatial + 1, from, Some(from + 1)), &[grid])?;
        let coordinate = at.lower.reshape(call, coordinate, places)?;
        let position = at.denormalized(coordinate, size, corners)?;
        let stride: usize = shape[axis + 3..].iter().product();
        let mut own = Vec::new();
        for (pixel, weight) in at.taps(position, &mode)? {
            let held = at.held(pixel, size, outside, corners)?;
            let weight = match outside {
                Outside::Zeros => {
                    let here = at.binary(BinaryFn::Equal, held, pixel)?;
                    Some(match weight {
                        Some(weight) => at.binary(BinaryFn::Mul, weight, here)?,
                        None => here,
                    })
                }
                _ => weight,
            };
            own.push((at.affine(held, stride as f64, 0.0)?, weight));
        }
        let mut joined = Vec::with_capacity(taps.len() * own.len());
        for &(place, weight) in &taps {
            for &(step, factor) in &own {
                let place = at.binary(BinaryFn::Add, place, step)?;
                let weight = match (weight, factor) {
                    (Some(weight), Some(factor)) => Some(at.binary(BinaryFn::Mul, weight, factor)?),
                    (weight, factor) => weight.or(factor),
                };
                joined.push((place, weight));
            }
        }
        taps = joined;
    }
    let with_channels = [places, &[1]].concat();
    let mut sum = None;
    for (place, weight) in taps {
        let mut value = at.lower.emit(call, Gather { axis: 0 }, &[rows, place])?;
        if let Some(weight) = weight {
            let weight = at.lower.reshape(call, weight, &with_channels)?;
            value = at.binary(BinaryFn::Mul, value, weight)?;
        }
        sum = Some(match sum {
            Some(sum) => at.binary(BinaryFn::Add, sum, value)?,
            None => value,
        });
    }
    let Some(y) = sum else { return invalid("a grid without positions") };
    Ok(vec![Value::Node(lower.channels_first(call, y)?, input.elem())])
}
