//! `Resize` and `Upsample`: along each axis a product with a matrix of interpolation weights.

use super::lower::{Call, Lower, Lowered, Value, Wrong, axes_of, invalid, unsupported};
use super::movement::sizes_of;
use crate::graph::ValueId;
use crate::import::resample;
use crate::ops::{BinaryFn, Resize, ResizeMode};
use crate::tensor::Tensor;

/// Elements of an axis that was resampled.
const MOST: usize = 1 << 24;

/// Taps that the outputs of an axis have together.
const MOST_TAPS: usize = 1 << 26;

/// How one axis is resampled.
struct Axis {
    axis: usize,
    input: usize,
    output: usize,
    scale: f64,
    /// Start and end of the region of interest, for `tf_crop_and_resize`.
    region: (f64, f64),
}

/// The op's attributes.
struct Settings {
    mode: String,
    coordinates: String,
    nearest: String,
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
}

impl Settings {
    fn of(call: &Call<'_>) -> Settings {
        let coordinates = if call.opset < 11 { "asymmetric" } else { "half_pixel" };
        let nearest = if call.opset < 11 { "up_and_down" } else { "round_prefer_floor" };
        Settings {
            mode: call.string("mode", "nearest"),
            coordinates: call.string("coordinate_transformation_mode", coordinates),
            nearest: call.string("nearest_mode", nearest),
            cubic: call.float("cubic_coeff_a", -0.75).into(),
            exclude_outside: call.int("exclude_outside", 0) != 0,
            antialias: call.int("antialias", 0) != 0,
        }
    }

    /// Where an output element lies in the input (ONNX's `coordinate_transformation_mode`).
    fn position(&self, axis: &Axis, i: usize) -> Result<f64, Wrong> {
        let (x, input, output) = (i as f64, axis.input as f64, axis.output as f64);
        Ok(match self.coordinates.as_str() {
            "half_pixel" => (x + 0.5) / axis.scale - 0.5,
            "half_pixel_symmetric" => {
                let adjustment = output / (axis.scale * input);
                input / 2.0 * (1.0 - adjustment) + (x + 0.5) / axis.scale - 0.5
            }
            "pytorch_half_pixel" if axis.output > 1 => (x + 0.5) / axis.scale - 0.5,
            "pytorch_half_pixel" => 0.0,
            // The resized length counts before it is rounded down.
            "align_corners" if axis.output > 1 => x * (input - 1.0) / (axis.scale * input - 1.0),
            "align_corners" => 0.0,
            "asymmetric" => x / axis.scale,
            "tf_half_pixel_for_nn" => (x + 0.5) / axis.scale,
            "tf_crop_and_resize" => {
                let (start, end) = axis.region;
                match axis.output {
                    1 => 0.5 * (start + end) * (input - 1.0),
                    _ => start * (input - 1.0) + x * (end - start) * (input - 1.0) / (output - 1.0),
                }
            }
            other => return unsupported(format!("coordinate_transformation_mode {other}")),
        })
    }

    /// The element that is nearest to a position; it may lie outside of the axis.
    fn nearest(&self, axis: &Axis, at: f64) -> Result<i64, Wrong> {
        let whole = match self.nearest.as_str() {
            "round_prefer_floor" => (at - 0.5).ceil(),
            "round_prefer_ceil" => (at + 0.5).floor(),
            "up_and_down" if axis.scale < 1.0 => at.ceil(),
            "up_and_down" | "floor" => at.floor(),
            "ceil" => at.ceil(),
            other => return unsupported(format!("nearest_mode {other}")),
        };
        Ok(whole as i64)
    }

    /// Taps around a position with their weights; positions may lie outside of the axis.
    fn taps(&self, axis: &Axis, at: f64) -> Result<Vec<(i64, f64)>, Wrong> {
        let stretch = if self.antialias && axis.scale < 1.0 { 1.0 / axis.scale } else { 1.0 };
        let (reach, kernel): (f64, Box<dyn Fn(f64) -> f64>) = match self.mode.as_str() {
            "nearest" => return Ok(vec![(self.nearest(axis, at)?, 1.0)]),
            "linear" | "bilinear" => (1.0, Box::new(|x: f64| (1.0 - x.abs()).max(0.0))),
            "cubic" => {
                let a = self.cubic;
                let cubic = move |x: f64| match x.abs() {
                    x if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
                    x if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
                    _ => 0.0,
                };
                (2.0, Box::new(cubic))
            }
            other => return unsupported(format!("mode {other}")),
        };
        let (first, last) = ((at - reach * stretch).floor() as i64, (at + reach * stretch).ceil() as i64);
        if last.saturating_sub(first) as usize > MOST_TAPS / axis.output {
            return unsupported(format!("{} filters of {} taps", axis.output, last.saturating_sub(first)));
        }
        let mut taps: Vec<(i64, f64)> = (first..=last).map(|tap| (tap, kernel((tap as f64 - at) / stretch))).collect();
        if self.exclude_outside {
            taps.retain(|&(tap, _)| tap >= 0 && tap < axis.input as i64);
        }
        let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
        if self.antialias || self.exclude_outside {
            taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
        }
        Ok(taps)
    }

    /// The matrix `[input, output]` of an axis, and which outputs lie outside of the input (`tf_crop_and_resize`).
    fn matrix(&self, axis: &Axis) -> Result<(Vec<f32>, Vec<bool>), Wrong> {
        let mut weights = vec![0f32; axis.input * axis.output];
        let mut outside = vec![false; axis.output];
        let last = axis.input as i64 - 1;
        for (i, outside) in outside.iter_mut().enumerate() {
            let at = self.position(axis, i)?;
            *outside = self.coordinates == "tf_crop_and_resize" && !(0.0..=last as f64).contains(&at);
            let place = |tap: i64| tap.clamp(0, last) as usize * axis.output + i;
            if self.mode == "nearest" {
                weights[place(self.nearest(axis, at)?)] = 1.0;
                continue;
            }
            // Taps come in order, so that those which the edge gathers are neighbours.
            for taps in self.taps(axis, at)?.chunk_by(|&(a, _), &(b, _)| place(a) == place(b)) {
                weights[place(taps[0].0)] = taps.iter().map(|(_, weight)| weight).sum::<f64>() as f32;
            }
        }
        Ok((weights, outside))
    }
}

/// `Resize` (10, 11 and later) and `Upsample` (7, 9).
pub(super) fn resize(lower: &mut Lower, call: &Call<'_>) -> Lowered {
    let input = call.input(0)?;
    let settings = Settings::of(call);
    let shape = lower.shape(input);
    if shape.contains(&0) {
        return unsupported("an axis without elements");
    }
    let axes = resolve(call, &shape)?;
    let mut id = lower.place(call, input)?;
    if let Some(factors) = repetition(&settings, &axes, shape.len()) {
        if factors.len() >= 3 && factors[1] == 1 {
            let twin = lower.channels_last(call, id)?;
            let turned = [factors[0]].into_iter().chain(factors[2..].to_vec()).chain([factors[1]]).collect();
            let twin = lower.emit(call, Resize { factors: turned, mode: ResizeMode::Nearest }, &[twin])?;
            return Ok(vec![Value::Node(lower.channels_first(call, twin)?, input.elem())]);
        }
        let id = lower.emit(call, Resize { factors, mode: ResizeMode::Nearest }, &[id])?;
        return Ok(vec![Value::Node(id, input.elem())]);
    }
    let mut kept: Option<ValueId> = None;
    for axis in &axes {
        lower.room.spend(&[axis.input, axis.output], 4)?;
        let (matrix, outside) = settings.matrix(axis)?;
        let same = axis.input == axis.output
            && (0..matrix.len()).all(|i| matrix[i] == f32::from(u8::from(i / axis.output == i % axis.output)));
        if !same {
            let matrix =
                Tensor::from_f32([axis.input, axis.output], matrix).map_err(|e| Wrong::Invalid(e.to_string()))?;
            id = multiply(lower, call, id, axis.axis, matrix)?;
        }
        if outside.contains(&true) {
            let mut sizes = vec![1; shape.len()];
            sizes[axis.axis] = axis.output;
            let mask = lower.constant(call, &sizes, |i| f32::from(u8::from(!outside[i])))?;
            kept = Some(match kept {
                Some(other) => lower.binary(call, BinaryFn::Mul, other, mask)?,
                None => mask,
            });
        }
    }
    if let Some(kept) = kept {
        let fill = crate::ops::UnaryFn::Affine { scale: -1.0, offset: 1.0 };
        let rest = lower.unary(call, fill, kept)?;
        let value = crate::ops::UnaryFn::Affine { scale: call.float("extrapolation_value", 0.0), offset: 0.0 };
        let rest = lower.unary(call, value, rest)?;
        let inside = lower.binary(call, BinaryFn::Mul, id, kept)?;
        id = lower.binary(call, BinaryFn::Add, inside, rest)?;
    }
    Ok(vec![Value::Node(id, input.elem())])
}

/// Repeats elements: nearest with whole factors, where every form of rounding takes the same elements.
fn repetition(settings: &Settings, axes: &[Axis], rank: usize) -> Option<Vec<usize>> {
    if settings.mode != "nearest" {
        return None;
    }
    let mut factors = vec![1; rank];
    for axis in axes {
        let factor = axis.output / axis.input;
        let repeats = |i: usize| {
            let nearest = settings.nearest(axis, settings.position(axis, i).ok()?).ok()?;
            Some(nearest.clamp(0, axis.input as i64 - 1) as usize == i / factor)
        };
        if factor == 0 || factor * axis.input != axis.output || !(0..axis.output).all(|i| repeats(i) == Some(true)) {
            return None;
        }
        factors[axis.axis] = factor;
    }
    (settings.coordinates != "tf_crop_and_resize").then_some(factors)
}

/// `x` times a matrix `[size of the axis, new size]` along one axis.
pub(super) fn multiply(
    lower: &mut Lower,
    call: &Call<'_>,
    x: ValueId,
    axis: usize,
    matrix: Tensor,
) -> Result<ValueId, Wrong> {
    Ok(resample::along(&mut lower.graph, &call.name, x, axis, matrix)?)
}

/// Scales and sizes of the axes that change, by the op's version.
fn resolve(call: &Call<'_>, shape: &[usize]) -> Result<Vec<Axis>, Wrong> {
    let axes = wanted(call, shape)?;
    match axes.iter().find(|axis| axis.output > MOST) {
        Some(axis) => invalid(format!("axis {} becomes {} elements ({MOST} at most)", axis.axis, axis.output)),
        None => Ok(axes),
    }
}

fn wanted(call: &Call<'_>, shape: &[usize]) -> Result<Vec<Axis>, Wrong> {
    let (region, scales, sizes) = match (call.op(), call.opset) {
        ("Upsample", _) if call.has("scales") => (None, call.floats("scales"), None),
        (_, ..11) => (None, None, None),
        _ => (call.known(1)?, None, call.known(3)?.filter(|sizes| sizes.len() > 0)),
    };
    let scales_at = if call.op() == "Upsample" || call.opset < 11 { 1 } else { 2 };
    let scales: Vec<f64> = match scales {
        Some(scales) => scales.into_iter().map(f64::from).collect(),
        None => call.known(scales_at)?.map(|scales| scales.to_f64()).unwrap_or_default(),
    };
    let axes = match call.ints("axes") {
        Some(axes) => axes_of(&axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let regions = region.map(|region| region.to_f64()).unwrap_or_default();
    let region = |i: usize| {
        let (start, end) = (regions.get(i), regions.get(i + axes.len()));
        (start.copied().unwrap_or(0.0), end.copied().unwrap_or(1.0))
    };
    let axis = |i: usize, output: usize, scale: f64| Axis {
        axis: axes[i],
        input: shape[axes[i]],
        output,
        scale,
        region: region(i),
    };
    if let Some(sizes) = sizes {
        let mut sizes = sizes_of(&sizes.to_i64()?)?;
        if sizes.len() != axes.len() || sizes.contains(&0) {
            return invalid(format!("sizes {sizes:?} for {} axes", axes.len()));
        }
        let ratio = |i: usize, size: usize| size as f64 / shape[axes[i]] as f64;
        let ratios: Vec<f64> = sizes.iter().enumerate().map(|(i, &size)| ratio(i, size)).collect();
        let common = match call.string("keep_aspect_ratio_policy", "stretch").as_str() {
            "stretch" => None,
            "not_larger" => Some(ratios.iter().copied().fold(f64::INFINITY, f64::min)),
            "not_smaller" => Some(ratios.iter().copied().fold(0.0, f64::max)),
            other => return invalid(format!("keep_aspect_ratio_policy {other}")),
        };
        if let Some(scale) = common {
            sizes = axes.iter().map(|&axis| ((scale * shape[axis] as f64 + 0.5).floor() as usize).max(1)).collect();
        }
        return Ok(sizes.iter().enumerate().map(|(i, &size)| axis(i, size, common.unwrap_or(ratios[i]))).collect());
    }
    if scales.len() != axes.len() || scales.iter().any(|&scale| !(scale > 0.0 && scale < 1e6)) {
        return invalid(format!("scales {scales:?} for {} axes", axes.len()));
    }
    let crops = call.string("coordinate_transformation_mode", "") == "tf_crop_and_resize";
    let mut resolved = Vec::with_capacity(axes.len());
    for (i, &scale) in scales.iter().enumerate() {
        let (start, end) = if crops { region(i) } else { (0.0, 1.0) };
        let output = (shape[axes[i]] as f64 * (end - start) * scale).floor();
        if !(1.0..=1e9).contains(&output) {
            return unsupported(format!("a scale of {scale} for an axis of {}", shape[axes[i]]));
        }
        resolved.push(axis(i, output as usize, scale));
    }
    Ok(resolved)
}
