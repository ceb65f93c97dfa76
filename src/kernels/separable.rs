//! `separable`: a depthwise and a pointwise convolution as one tiled matrix product, whose left operand is computed on the way.

use serde_json::json;

use super::epilogue::{bias, epilogue_bindings};
use super::gemm::Tile;
use super::layout::count;
use super::shader::function_options;
use super::window::window_fits;
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params,
};
use crate::ops::{ConvSite, Filters, Op, Separable};
use crate::tensor::{AxisWindow, TensorType};

params! {
    /// Parameters of `separable`: rows (pixels), columns (output channels), input channels, tiles beside each other, vectors
    /// of input channels, and the window.
    struct Params {
        rows: u32,
        columns: u32,
        reduction: u32,
        column_tiles: u32,
        channels: u32,
        height_input: u32,
        height_output: u32,
        height_stride: u32,
        height_before: u32,
        width_input: u32,
        width_output: u32,
        width_stride: u32,
        width_before: u32,
    }
}

/// Takes windows of up to 31 taps over one or two axes, with a filter for each channel and channels that divide by four.
pub(super) const KERNEL: Kernel = Kernel { stem: "separable", accepts };

/// Taps that the bits of a number stand for.
const MOST_TAPS: usize = 31;
/// Workgroups that keep a GPU busy.
pub(super) const BUSY: usize = 64;
/// Terms of the sum that are in workgroup memory at once.
const DEPTH: usize = 16;

/// Both convolutions, resolved.
pub(super) struct Pair<'a> {
    pub(super) op: &'a Separable,
    pub(super) depthwise: ConvSite,
    pub(super) pointwise: ConvSite,
}

impl<'a> Pair<'a> {
    fn of(case: &Case<'a>) -> Result<Pair<'a>, Refusal> {
        let Op::Separable(op) = case.op else { return Refusal::because("takes pairs of convolutions") };
        Pair::new(op, case.inputs)
    }

    pub(super) fn new(op: &'a Separable, inputs: &[TensorType]) -> Result<Pair<'a>, Refusal> {
        let wrong = |error: crate::error::ShapeError| Refusal(error.to_string());
        let [first, second] = op.stages(inputs).map_err(wrong)?;
        let depthwise = op.depthwise.site(&first).map_err(wrong)?;
        Ok(Pair { op, depthwise, pointwise: op.pointwise.site(&second).map_err(wrong)? })
    }

    /// Checks what the kernels ask of both convolutions, and gives the axes of the window.
    pub(super) fn window(&self) -> Result<[AxisWindow; 2], Refusal> {
        let Pair { op, depthwise, pointwise } = self;
        if op.depthwise.filters == Filters::Shared || op.depthwise.epilogue.residual {
            return Refusal::because("takes a filter for each channel, and nothing that is added to its result");
        }
        let (ins, outs) = (pointwise.in_channels, pointwise.out_channels);
        if !ins.is_multiple_of(4) || !outs.is_multiple_of(4) {
            return Refusal::because(format!("takes channels that divide by 4, and these are {ins} and {outs}"));
        }
        let axes = depthwise.axes3();
        window_fits(&axes)?;
        let [depth, height, width] = axes;
        if !depth.passes() || height.size * width.size > MOST_TAPS {
            return Refusal::because(format!(
                "takes up to {MOST_TAPS} taps over one or two axes, and here are {}",
                depthwise.taps()
            ));
        }
        Ok([height, width])
    }

    /// The tile with `rows` threads along its rows: all columns if they are up to 128.
    pub(super) fn tile_of(&self, rows: usize) -> Tile {
        let (across, own) = match self.pointwise.out_channels {
            0..=32 => (8, 1),
            33..=64 => (16, 1),
            _ => (16, 2),
        };
        Tile { threads: [rows, across], own: [1, own], depth: DEPTH, pace: 1.0 }
    }

    /// The tile, of half the rows where that keeps more of a device busy.
    fn tile(&self) -> Tile {
        if self.tiles(self.tile_of(16)) >= BUSY { self.tile_of(16) } else { self.tile_of(8) }
    }

    pub(super) fn column_tiles(&self, tile: Tile) -> usize {
        self.pointwise.out_channels.div_ceil(tile.columns())
    }

    fn tiles(&self, tile: Tile) -> usize {
        self.pointwise.pixels().div_ceil(tile.rows()).saturating_mul(self.column_tiles(tile))
    }
}

/// Whether a device gains from doing both at once, or why it does not.
///
/// Every tile of columns computes the first convolution anew, and what is saved is writing and reading its result.
pub fn pays(case: &Case<'_>, traits: &DeviceTraits) -> Result<(), Refusal> {
    if traits.class == DeviceClass::Cpu {
        return Refusal::because("a processor has what lies between in its cache");
    }
    let pair = Pair::of(case)?;
    launch(&pair, case, traits)?;
    let tile = pair.tile();
    let (tiles, column_tiles) = (pair.tiles(tile), pair.column_tiles(tile));
    let bytes = |pixels: usize| pixels.saturating_mul(4 * pair.depthwise.in_channels);
    let input = bytes(pair.depthwise.batch * pair.depthwise.axes.iter().map(|axis| axis.input).product::<usize>());
    let between = bytes(pair.pointwise.pixels());
    let (joined, apart) = (input.saturating_mul(column_tiles), input.saturating_add(between.saturating_mul(2)));
    if joined >= apart {
        return Refusal::because(format!(
            "{column_tiles} tiles of columns would read {joined} bytes, and apart both move {apart}"
        ));
    }
    if tiles < BUSY {
        return Refusal::because(format!("its {tiles} tiles would not keep a device busy"));
    }
    Ok(())
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    launch(&Pair::of(case)?, case, traits)
}

fn launch(pair: &Pair<'_>, case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    case.fits(traits)?;
    let Pair { op, pointwise, .. } = pair;
    let [height, width] = pair.window()?;
    let (ins, outs) = (pointwise.in_channels, pointwise.out_channels);
    let tile = pair.tile();
    tile.fits(tile.bytes(), traits)?;
    ends(ins.div_ceil(DEPTH), traits)?;
    let tiles = pair.tiles(tile);
    let Some(workgroups) = traits.fold(tiles as u64) else {
        return Refusal::because(format!("{tiles} tiles are more than one dispatch can count"));
    };
    let params = Params {
        rows: count(pointwise.pixels())?,
        columns: count(outs)?,
        reduction: count(ins)?,
        column_tiles: count(pair.column_tiles(tile))?,
        channels: count(ins / 4)?,
        height_input: count(height.input)?,
        height_output: count(height.output)?,
        height_stride: count(height.stride)?,
        height_before: count(height.before)?,
        width_input: count(width.input)?,
        width_output: count(width.output)?,
        width_stride: count(width.stride)?,
        width_before: count(width.before)?,
    };
    let second = op.depthwise_inputs();
    let (inner, after) = (&op.depthwise.epilogue, second + 1);
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), Form::ReadVec4),
        Binding::new("inner", Operand::Input(1), Form::ReadVec4),
        Binding::new("w", Operand::Input(second), Form::ReadVec4),
        Binding::new("y", Operand::Output(0), Form::WriteVec4),
    ];
    let inner_bindings = epilogue_bindings(inner, case.inputs, 2, true).into_iter();
    bindings.extend(inner_bindings.map(|binding| Binding { name: "inner_bias", ..binding }));
    bindings.extend(epilogue_bindings(&op.pointwise.epilogue, case.inputs, after, true));
    let inner_activation = inner.activation.map_or(serde_json::Value::Null, function_options);
    let shader = tile
        .options(Shader::new(KERNEL.stem, Params::WGSL), ins)
        .with("T", "vec4<f32>")
        .with("vectors", true)
        .with("size", json!([height.size, width.size]))
        .with("dilation", json!([height.dilation, width.dilation]))
        .with("inner_bias", bias(inner, case.inputs, 2))
        .with("inner_activation", inner_activation)
        .with_epilogue(&op.pointwise.epilogue, case.inputs, after);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::launches;
    use crate::ops::Conv;
    use crate::tensor::{Padding, Window};

    fn pair(stride: usize, channels: usize) -> Op {
        let window = Window { stride: vec![stride; 2], padding: Padding::Same, ..Window::unit(2) };
        let (depthwise, pointwise) = (Conv::new(window, channels), Conv::new(Window::unit(2), 1));
        Separable { depthwise, pointwise }.into()
    }

    #[test]
    fn pairs_are_joined_where_that_saves_bytes_and_keeps_a_device_busy() {
        let why = |class, side: usize, ins: usize, outs: usize, stride: usize| {
            let op = pair(stride, ins);
            let shapes: [Vec<usize>; 3] = [vec![1, side, side, ins], vec![3, 3, 1, ins], vec![1, 1, ins, outs]];
            let inputs = shapes.map(TensorType::f32);
            let outputs = op.spec().infer(&inputs).unwrap();
            let case = Case { op: &op, inputs: &inputs, outputs: &outputs };
            pays(&case, &DeviceTraits::portable(class)).err().map(|why| why.0)
        };
        let card = DeviceClass::Discrete;
        assert_eq!(why(card, 112, 32, 64, 1), None);
        assert_eq!(why(card, 56, 128, 128, 1), None);
        assert_eq!(why(card, 56, 128, 256, 1), None);
        assert_eq!(why(card, 112, 64, 128, 2), None);
        assert!(why(card, 112, 64, 256, 2).unwrap().contains("2 tiles of columns"));
        assert!(why(card, 56, 128, 512, 1).unwrap().contains("4 tiles of columns"));
        assert!(why(card, 14, 128, 128, 1).unwrap().contains("7 tiles"));
        assert!(why(DeviceClass::Cpu, 56, 128, 128, 1).unwrap().contains("cache"));
    }

    #[test]
    fn tiles_hold_all_columns_where_they_can() {
        let threads = |outs: usize| {
            let found = launches(pair(1, 16), &[&[1, 40, 40, 16], &[3, 3, 1, 16], &[1, 1, 16, outs]]);
            found[0].1.dispatches[0].shader.options["own"].clone()
        };
        assert_eq!(threads(24), json!([1, 1]));
        assert_eq!(threads(64), json!([1, 1]));
        assert_eq!(threads(68), json!([1, 2]));
    }
}
