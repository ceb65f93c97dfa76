//! `conv_generic`: any convolution, one element or one vector of channels per invocation.

use serde_json::json;

use super::epilogue::epilogue_bindings;
use super::layout::count;
use super::window::{AXES, Windows, axis_params, window_fits};
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, LONG_LOOP, Launch, Operand, Refusal, Shader, ends, linear,
    params,
};
use crate::ops::{Filters, Op};

params! {
    /// Parameters of `conv_generic`: elements or vectors of the output and of a pixel, channels of a group, and the windows
    /// of the three axes.
    struct Params {
        count: u32,
        in_channels: u32,
        out_channels: u32,
        per_group: u32,
        outs_per_group: u32,
        windows: Windows,
    }
}

/// Takes every convolution.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_generic", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    let axes = site.axes3();
    window_fits(&axes)?;
    let per_group = site.in_channels / site.groups;
    let outs_per_group = site.out_channels / site.groups;
    let one_to_one = per_group == 1 && outs_per_group == 1;
    let form = match conv.filters {
        Filters::Shared => "shared",
        _ if one_to_one => "channel",
        _ => "group",
    };
    let vectors = if form == "group" { outs_per_group.is_multiple_of(4) } else { site.in_channels.is_multiple_of(4) };
    let part = if vectors { 4 } else { 1 };
    let (items, workgroups) = linear(site.output.elements() / part, traits)?;
    let reduction = site.reduction();
    let unroll = if form == "group" && reduction > LONG_LOOP { 8 } else { 1 };
    ends(reduction / unroll + 2 * site.taps(), traits)?;
    // In the forms of one channel each, both operands are read in vectors; in groups the input is read element by element.
    let in_part = if form == "group" { 1 } else { part };
    let params = Params {
        count: items,
        in_channels: count(site.in_channels / in_part)?,
        out_channels: count(site.out_channels / part)?,
        per_group: count(per_group)?,
        outs_per_group: count((outs_per_group / part).max(1))?,
        windows: axis_params(&axes)?,
    };
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), Form::read(vectors && form != "group")),
        Binding::new("w", Operand::Input(1), Form::read(vectors && form != "shared")),
        Binding::new("y", Operand::Output(0), Form::write(vectors)),
    ];
    bindings.extend(epilogue_bindings(&conv.epilogue, case.inputs, 2, vectors));
    Ok(Dispatch {
        shader: Shader::new("conv_generic", Params::WGSL)
            .with("T", if vectors { "vec4<f32>" } else { "f32" })
            .with("form", form)
            .with("unroll", unroll)
            .with("axes", json!(AXES))
            .with_epilogue(&conv.epilogue, case.inputs, 2),
        bindings,
        params: params.words(),
        workgroups,
    }
    .into())
}
