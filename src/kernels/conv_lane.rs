//! `conv_lane`: a convolution in one group with any window, on a processor.

use serde_json::json;

use super::lane::{Rounds, TEXEL, Tile, images_fit, lane_bindings, lanes, tile};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params};
use crate::ops::{Filters, Op};

params! {
    /// Parameters of `conv_lane`.
    struct Params {
        strips: u32,
        strips_per_row: u32,
        in_texels: u32,
        in_channels: u32,
        out_quads: u32,
        out_tiles: u32,
        in_depth: u32,
        in_rows: u32,
        in_columns: u32,
        out_depth: u32,
        out_rows: u32,
        out_columns: u32,
        size_depth: u32,
        size_rows: u32,
        size_columns: u32,
        stride_depth: u32,
        stride_rows: u32,
        dilation_depth: u32,
        dilation_rows: u32,
        dilation_columns: u32,
        before_depth: u32,
        before_rows: u32,
        before_columns: u32,
    }
}

/// Takes ungrouped convolutions whose output channels divide by four, on processors.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_lane", accepts };

/// Vector instructions that replace a texel outside of the input by zero, and that cut a scalar out of texels.
const MASK: usize = 12;
const SCALAR: usize = 9;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let lanes = lanes(traits)?;
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    let site = conv.site(case.inputs).map_err(|e| Refusal(e.to_string()))?;
    if site.groups != 1 || conv.filters == Filters::Shared {
        return Refusal::because("takes convolutions in one group");
    }
    if !site.out_channels.is_multiple_of(4) {
        let to = site.out_channels;
        return Refusal::because(format!("takes output channels that divide by 4, and these are {to}"));
    }
    let scalar = !site.in_channels.is_multiple_of(4);
    let mut bindings =
        vec![Binding::new("x", Operand::Input(0), Form::Image), Binding::new("w", Operand::Input(1), Form::Image)];
    bindings.extend(lane_bindings(&conv.epilogue, 2));
    images_fit(case, &bindings, traits)?;
    let [depth, rows, columns] = site.axes3();
    // Neighbouring outputs share the inputs of a dense row of taps, as far as that keeps the shader short.
    let (shares, size) = (columns.dilation == 1 && columns.stride <= 4, columns.size);
    let joined = site.in_channels <= 3 && shares && size <= 7;
    let taps = if joined || (size == 3 && shares && columns.stride <= 2) { size } else { 1 };
    let channels = match site.in_channels {
        n if n.is_multiple_of(8) && taps == 1 => 8,
        n => [4, 3, 2].into_iter().find(|&step| n.is_multiple_of(step)).unwrap_or(1),
    };
    let out_quads = site.out_channels / 4;
    let lines = site.batch * depth.output * rows.output;
    let tiles = |tile: Tile| {
        let strips = lines * columns.output.div_ceil(tile.pixels);
        strips.div_ceil(lanes as usize) * out_quads.div_ceil(tile.quads)
    };
    let inputs = |tile: Tile| {
        let inputs = (tile.pixels - 1) * columns.stride + taps;
        match scalar {
            true => inputs * channels * SCALAR + inputs * (channels + 6) / 4 * TEXEL,
            false => inputs * channels / 4 * (TEXEL + MASK),
        }
    };
    let rounds = Rounds { count: site.taps() / taps * (site.in_channels / channels), rows: taps * channels };
    let tile = tile(&rounds, lanes as usize, tiles, inputs);
    let out_tiles = out_quads.div_ceil(tile.quads);
    let strips_per_row = columns.output.div_ceil(tile.pixels);
    let strips = lines * strips_per_row;
    let groups = tiles(tile) as u64;
    let Some(workgroups) = traits.fold(groups) else {
        return Refusal::because(format!("{groups} tiles are more than one dispatch can count"));
    };
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("lanes", lanes)
        .with("pixels", tile.pixels)
        .with("out_quads", tile.quads)
        .with("scalar", scalar)
        .with("joined", joined)
        .with("channels", channels)
        .with("taps", taps)
        .with("stride", columns.stride)
        .with(
            "loops",
            json!({
                "depth": depth.size > 1,
                "rows": rows.size > 1,
                "columns": size > taps,
                "channels": site.in_channels > channels,
            }),
        );
    let params = Params {
        strips: strips as u32,
        strips_per_row: strips_per_row as u32,
        in_texels: case.inputs[0].shape.elements().div_ceil(4) as u32,
        in_channels: site.in_channels as u32,
        out_quads: out_quads as u32,
        out_tiles: out_tiles as u32,
        in_depth: depth.input as u32,
        in_rows: rows.input as u32,
        in_columns: columns.input as u32,
        out_depth: depth.output as u32,
        out_rows: rows.output as u32,
        out_columns: columns.output as u32,
        size_depth: depth.size as u32,
        size_rows: rows.size as u32,
        size_columns: columns.size as u32,
        stride_depth: depth.stride as u32,
        stride_rows: rows.stride as u32,
        dilation_depth: depth.dilation as u32,
        dilation_rows: rows.dilation as u32,
        dilation_columns: columns.dilation as u32,
        before_depth: depth.before as u32,
        before_rows: rows.before as u32,
        before_columns: columns.before as u32,
    };
    Ok(Dispatch {
        shader: shader.with_epilogue(&conv.epilogue, case.inputs, 2),
        bindings,
        params: params.words(),
        workgroups,
    }
    .into())
}
