//! `conv_transpose_gemm`: a transposed convolution in one group as tiled matrix products, one for each phase of its strides.

use super::epilogue::epilogue_bindings;
use super::gemm::Tile;
use super::layout::count;
use super::team::busy;
use super::window::{transposed_densely, two_axes};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params};
use crate::ops::{Op, TransposeAxis};

params! {
    /// Parameters of `conv_transpose_gemm`: output channels, tiles of them beside each other, vectors of input channels,
    /// the batch, and both axes.
    struct Params {
        columns: u32,
        column_tiles: u32,
        channels: u32,
        batch: u32,
        height_input: u32,
        height_output: u32,
        height_size: u32,
        height_stride: u32,
        height_before: u32,
        width_input: u32,
        width_output: u32,
        width_size: u32,
        width_stride: u32,
        width_before: u32,
    }
}

/// Takes one or two axes without dilation, in one group, from channels that divide by 16 to such as divide by 4.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_transpose_gemm", accepts };

/// Input channels that are whole steps of the sum, whatever its tile.
const STEP: usize = 16;
/// Sums of an invocation, in blocks of 4 x 4, that registers hold beside the rows and columns that they are computed from.
const MOST_BLOCKS: usize = 2;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::ConvTranspose(conv) = case.op else { return Refusal::because("takes transposed convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    let [height, width] = two_axes(&site.axes)?;
    if site.groups != 1 {
        return Refusal::because("takes one group");
    }
    let (ins, outs) = (site.in_channels, site.out_channels);
    if !ins.is_multiple_of(STEP) || !outs.is_multiple_of(4) {
        return Refusal::because(format!(
            "takes input channels that divide by {STEP} and output channels that divide by 4, and these are {ins} and {outs}"
        ));
    }
    transposed_densely(&site.axes)?;
    let phases = height.stride.saturating_mul(width.stride);
    let outputs = |axis: &TransposeAxis| axis.output.div_ceil(axis.stride);
    let rows = site.batch * outputs(height) * outputs(width);
    let tiles = |tile: Tile| rows.div_ceil(tile.rows()).saturating_mul(outs.div_ceil(tile.columns()));
    let time = |tile: Tile| tile.time(tiles(tile) as f64 * (tile.invocations() * phases) as f64, busy(traits));
    // Columns are padded in workgroup memory as rows are.
    let bytes = |tile: Tile| tile.bytes() + 16 * tile.columns();
    let tile = Tile::fastest(|tile| tile.own[0] * tile.own[1] <= MOST_BLOCKS, bytes, time, traits)?;
    ends(site.reduction() / tile.depth, traits)?;
    let Some([x, y, _]) = traits.fold(tiles(tile) as u64).filter(|_| phases <= traits.max_workgroups as usize) else {
        return Refusal::because(format!(
            "{} tiles in {phases} phases are more than one dispatch can count",
            tiles(tile)
        ));
    };
    let params = Params {
        columns: count(outs)?,
        column_tiles: count(outs.div_ceil(tile.columns()))?,
        channels: count(ins / 4)?,
        batch: count(site.batch)?,
        height_input: count(height.input)?,
        height_output: count(height.output)?,
        height_size: count(height.size)?,
        height_stride: count(height.stride)?,
        height_before: count(height.before)?,
        width_input: count(width.input)?,
        width_output: count(width.output)?,
        width_size: count(width.size)?,
        width_stride: count(width.stride)?,
        width_before: count(width.before)?,
    };
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), Form::ReadVec4),
        Binding::new("w", Operand::Input(1), Form::ReadVec4),
        Binding::new("y", Operand::Output(0), Form::WriteVec4),
    ];
    bindings.extend(epilogue_bindings(&conv.epilogue, case.inputs, 2, true));
    let shader = tile
        .options(Shader::new(KERNEL.stem, Params::WGSL), STEP)
        .with("phased", true)
        .with("T", "vec4<f32>")
        .with_epilogue(&conv.epilogue, case.inputs, 2);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups: [x, y, count(phases)?] }.into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{ConvTranspose, Epilogue};

    #[test]
    fn every_phase_is_a_product_of_its_own() {
        let op = |stride: [usize; 2], dilation: usize, groups: usize| ConvTranspose {
            stride: stride.to_vec(),
            dilation: vec![dilation; 2],
            pads: vec![(1, 0); 2],
            output_padding: vec![0; 2],
            groups,
            epilogue: Epilogue::default(),
        };
        let first = |op: ConvTranspose, ins: usize, outs: usize| {
            let w = [3, 3, outs / op.groups, ins];
            let (stem, launch) = launches(op, &[&[2, 9, 9, ins], &w]).remove(0);
            (stem, launch.dispatches[0].workgroups[2])
        };
        assert_eq!(first(op([2, 3], 1, 1), 32, 20), ("conv_transpose_gemm", 6));
        assert_eq!(first(op([1, 1], 1, 1), 16, 4), ("conv_transpose_gemm", 1));
        assert_eq!(first(op([2, 2], 2, 1), 32, 20).0, "conv_transpose");
        assert_eq!(first(op([2, 2], 1, 2), 32, 20).0, "conv_transpose");
        assert_eq!(first(op([2, 2], 1, 1), 24, 20).0, "conv_transpose");
    }
}
