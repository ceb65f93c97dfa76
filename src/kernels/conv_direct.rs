//! `conv_direct`: a convolution of few input channels, a strip of outputs per invocation.

use serde_json::json;

use super::epilogue::epilogue_bindings;
use super::layout::count;
use super::strips::{self, Strips};
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params, workgroups,
};

params! {
    /// Parameters of `conv_direct`: both maps, vectors of output channels, workgroups along the rows, and the window's rows.
    struct Params {
        in_rows: u32,
        in_columns: u32,
        out_rows: u32,
        out_columns: u32,
        out_vectors: u32,
        row_groups: u32,
        size_rows: u32,
        stride_rows: u32,
        dilation_rows: u32,
        before_rows: u32,
        before_columns: u32,
    }
}

/// Takes windows in one group over one or two axes, from up to four channels to such as divide by four.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_direct", accepts };

/// Input channels that are unrolled.
const MOST_CHANNELS: usize = 4;
/// Inputs of a strip that leave room for its sums in registers.
const MOST_INPUTS: usize = 48;
/// Vectors of output channels of one invocation.
const OUTS: usize = 2;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    case.fits(traits)?;
    let (conv, site) = strips::convolution(case)?;
    let (ins, outs) = (site.in_channels, site.out_channels);
    if ins > MOST_CHANNELS || !outs.is_multiple_of(4) {
        return Refusal::because(format!(
            "takes up to {MOST_CHANNELS} input channels and output channels that divide by 4, and these are {ins} and {outs}"
        ));
    }
    let [depth, rows, columns] = &strips::axes(&site)?;
    ends(rows.size, traits)?;
    let Strips { pixels, lanes, groups: [across, row_groups] } = Strips::of(rows, columns, ins, MOST_INPUTS);
    let vectors = outs / 4;
    let outs = OUTS.min(vectors);
    let blocks = vectors.div_ceil(outs);
    let workgroups = workgroups([across, row_groups * blocks, site.batch * depth.output], "strips", traits)?;
    let params = Params {
        in_rows: count(rows.input)?,
        in_columns: count(columns.input)?,
        out_rows: count(rows.output)?,
        out_columns: count(columns.output)?,
        out_vectors: count(vectors)?,
        row_groups: count(row_groups)?,
        size_rows: count(rows.size)?,
        stride_rows: count(rows.stride)?,
        dilation_rows: count(rows.dilation)?,
        before_rows: count(rows.before)?,
        before_columns: count(columns.before)?,
    };
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), Form::Read),
        Binding::new("w", Operand::Input(1), Form::ReadVec4),
        Binding::new("y", Operand::Output(0), Form::WriteVec4),
    ];
    bindings.extend(epilogue_bindings(&conv.epilogue, case.inputs, 2, true));
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("T", "vec4<f32>")
        .with("channels", ins)
        .with("size", columns.size)
        .with("stride", columns.stride)
        .with("pixels", pixels)
        .with("outs", outs)
        .with("lanes", json!(lanes))
        .with_epilogue(&conv.epilogue, case.inputs, 2);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::Conv;
    use crate::tensor::{Padding, Window};

    #[test]
    fn first_layers_go_by_strips() {
        let first = |ins: usize, outs: usize, size: usize, stride: usize, dilation: usize| {
            let window = Window {
                stride: vec![stride; 2],
                dilation: vec![dilation; 2],
                padding: Padding::Same,
                ceil_mode: false,
            };
            let found = launches(Conv::new(window, 1), &[&[1, 29, 31, ins], &[size, size, ins, outs]]);
            (found[0].0, found[0].1.dispatches[0].shader.options.get("pixels").and_then(|pixels| pixels.as_u64()))
        };
        assert_eq!(first(3, 32, 3, 2, 1), ("conv_direct", Some(4)));
        assert_eq!(first(3, 64, 7, 2, 1), ("conv_direct", Some(4)));
        assert_eq!(first(3, 64, 11, 4, 1), ("conv_direct", Some(2)));
        assert_eq!(first(1, 4, 5, 1, 1), ("conv_direct", Some(4)));
        assert_eq!(first(3, 32, 3, 2, 2).0, "conv_gemm");
        assert_eq!(first(3, 30, 3, 2, 1).0, "conv_gemm");
        assert_eq!(first(8, 32, 3, 2, 1).0, "conv_gemm");
    }
}
