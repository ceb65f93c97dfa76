//! `split_sum`: the slices of a product's sum added up in their order, with the epilogue that waits for the whole sum.

use super::epilogue::epilogue_bindings;
use super::layout::count;
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Operand, Refusal, Shader, linear, params};
use crate::ops::Epilogue;

params! {
    /// Parameters of `split_sum`: vectors of the output, those of a pixel, and slices.
    struct Params { count: u32, channels: u32, slices: u32 }
}

/// The most slices that are worth while: the second dispatch reads all of them.
pub(super) const MOST_SLICES: usize = 16;

/// The dispatch that adds up so many slices in scratch buffer 0, in vectors.
pub(super) fn dispatch(
    slices: usize,
    case: &Case<'_>,
    epilogue: &Epilogue,
    traits: &DeviceTraits,
) -> Result<Dispatch, Refusal> {
    let output = &case.outputs[0];
    let (items, workgroups) = linear(output.shape.elements() / 4, traits)?;
    let mut bindings = vec![
        Binding::new("x", Operand::Scratch(0), Form::ReadVec4),
        Binding::new("y", Operand::Output(0), Form::WriteVec4),
    ];
    bindings.extend(epilogue_bindings(epilogue, case.inputs, 2, true));
    let params = Params { count: items, channels: count(output.shape.last_axis() / 4)?, slices: count(slices)? };
    let shader = Shader::new("split_sum", Params::WGSL).with("T", "vec4<f32>").with_epilogue(epilogue, case.inputs, 2);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups })
}
