//! `conv_few`: a convolution to up to three output channels, strips of outputs in a row.

use serde_json::json;

use super::epilogue::epilogue_bindings;
use super::lane::read_form;
use super::layout::count;
use super::strips::{self, Strips};
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params, workgroups,
};

params! {
    /// Parameters of `conv_few`: the map on both sides, vectors of input channels, and the window along rows, with the padding in
    /// front of both axes.
    struct Params {
        in_rows: u32,
        in_columns: u32,
        out_rows: u32,
        out_columns: u32,
        quads: u32,
        size_rows: u32,
        stride_rows: u32,
        dilation_rows: u32,
        before_rows: u32,
        before_columns: u32,
    }
}

/// Takes windows over one or two axes in one group, from channels that divide by four. Processors read through images.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_few", accepts };

/// Output channels that are unrolled; from four on they are read and written in vectors elsewhere.
const MOST_OUTS: usize = 3;
/// Vectors of inputs of a strip that registers hold.
const MOST_INPUTS: usize = 12;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    case.fits(traits)?;
    let (conv, site) = strips::convolution(case)?;
    let (ins, outs) = (site.in_channels, site.out_channels);
    if outs > MOST_OUTS || !ins.is_multiple_of(4) {
        return Refusal::because(format!(
            "takes input channels that divide by 4 to up to {MOST_OUTS} output channels, and these are {ins} and {outs}"
        ));
    }
    let [depth, rows, columns] = &mut strips::axes(&site)?;
    let mut planes = site.batch * depth.output;
    if site.is_pointwise() {
        // All pixels are one row.
        (columns.input, columns.output) = (site.pixels(), site.pixels());
        (rows.input, rows.output, planes) = (1, 1, 1);
    }
    let quads = ins / 4;
    ends(rows.size.saturating_mul(quads + 1), traits)?;
    let Strips { pixels, lanes, groups: [across, down] } = Strips::of(rows, columns, 1, MOST_INPUTS);
    let workgroups = workgroups([across, down, planes], "strips", traits)?;
    let params = Params {
        in_rows: count(rows.input)?,
        in_columns: count(columns.input)?,
        out_rows: count(rows.output)?,
        out_columns: count(columns.output)?,
        quads: count(quads)?,
        size_rows: count(rows.size)?,
        stride_rows: count(rows.stride)?,
        dilation_rows: count(rows.dilation)?,
        before_rows: count(rows.before)?,
        before_columns: count(columns.before)?,
    };
    let form = |input: usize| read_form(Form::ReadVec4, case.inputs[input].shape.elements(), traits);
    let forms = [form(0), form(1)];
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), forms[0]),
        Binding::new("w", Operand::Input(1), forms[1]),
        Binding::new("y", Operand::Output(0), Form::Write),
    ];
    bindings.extend(epilogue_bindings(&conv.epilogue, case.inputs, 2, false));
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("T", "f32")
        .with("outs", outs)
        .with("size", columns.size)
        .with("stride", columns.stride)
        .with("pixels", pixels)
        .with("forms", json!(forms))
        .with("lanes", json!(lanes))
        .with_epilogue(&conv.epilogue, case.inputs, 2);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kernels::check::launches;
    use crate::ops::Conv;
    use crate::tensor::{Padding, Window};

    #[test]
    fn few_outputs_of_whole_vectors_are_taken() {
        let first = |x: &[usize], w: &[usize], stride: usize| {
            let axes = w.len() - 2;
            let window = Window { stride: vec![stride; axes], padding: Padding::Same, ..Window::unit(axes) };
            launches(Conv::new(window, 1), &[x, w]).into_iter().find(|(stem, _)| *stem == "conv_few")
        };
        let pixels = |size: usize, stride: usize| {
            let (_, launch) = first(&[2, 9, 30, 16], &[3, size, 16, 1], stride).unwrap();
            launch.dispatches[0].shader.options["pixels"].clone()
        };
        assert_eq!([pixels(3, 1), pixels(7, 2), pixels(11, 1)], [json!(4), json!(2), json!(2)]);
        assert!(first(&[1, 9, 9, 16], &[3, 3, 16, 4], 1).is_none());
        assert!(first(&[1, 9, 9, 15], &[3, 3, 15, 1], 1).is_none());
        let (_, launch) = first(&[100_000, 8], &[8, 3], 1).unwrap();
        assert_eq!(launch.dispatches[0].workgroups, [391, 1, 1]);
    }
}
