//! `depthwise_transpose`: a transposed convolution of each channel on its own, a tile of outputs of every phase per invocation.

use serde_json::json;

use super::epilogue::epilogue_bindings;
use super::lane::{image_fits, lanes};
use super::phases::{Params, PhaseAxis, grid};
use super::window::{transposed_densely, two_axes};
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, LINEAR_WORKGROUP, Launch, Operand, Refusal,
    Shader,
};
use crate::ops::{Op, TransposeAxis};

/// Takes one or two axes without dilation, with one input and one output channel for each filter, over channels that divide
/// by four. Processors read through images.
pub(super) const KERNEL: Kernel = Kernel { stem: "depthwise_transpose", accepts };

/// Longest row or column of taps that is unrolled.
const LONGEST: usize = 7;
/// Largest stride whose phases are unrolled.
const LARGEST_STRIDE: usize = 3;

/// Inputs of one invocation as `[rows, columns]`; it has as many outputs for each as the strides have phases. Registers of
/// GPUs hold both, with the inputs that a longer window reaches back to.
fn tile(rows: &TransposeAxis, columns: &TransposeAxis, processor: bool) -> [usize; 2] {
    let (phases, longest) = (rows.stride * columns.stride, rows.size.max(columns.size));
    match (processor, phases <= 4) {
        (true, true) => [2, 4],
        (true, false) => [2, 2],
        (false, true) if longest <= 3 => [2, 2],
        (false, true) => [1, 2],
        (false, false) => [1, 1],
    }
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::ConvTranspose(conv) = case.op else { return Refusal::because("takes transposed convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if site.groups != site.in_channels || site.groups != site.out_channels {
        return Refusal::because("takes filters over each channel on its own, with one output for each");
    }
    if !site.in_channels.is_multiple_of(4) {
        return Refusal::because(format!("takes channels that divide by 4, and these are {}", site.in_channels));
    }
    let [rows, columns] = two_axes(&site.axes)?;
    transposed_densely(&site.axes)?;
    for TransposeAxis { size, stride, .. } in [rows, columns] {
        if *size > LONGEST || *stride > LARGEST_STRIDE {
            return Refusal::because(format!(
                "takes windows of up to {LONGEST} and strides of up to {LARGEST_STRIDE}; this one has size {size} and stride {stride}"
            ));
        }
    }
    let processor = traits.class == DeviceClass::Cpu;
    let threads = if processor { lanes(traits)? } else { LINEAR_WORKGROUP };
    let images = processor && case.inputs[..2].iter().all(|input| image_fits(input.shape.elements(), 4, traits));
    let tile = tile(rows, columns, processor);
    let axis = |axis: &TransposeAxis| PhaseAxis {
        input: axis.input,
        output: axis.output,
        positions: axis.output,
        stride: axis.stride,
        before: axis.before,
    };
    let sizes = (site.in_channels / 4, threads, site.batch);
    let (params, workgroups) = grid([axis(rows), axis(columns)], tile, sizes, traits)?;
    let read = if images { Form::Image } else { Form::ReadVec4 };
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), read),
        Binding::new("w", Operand::Input(1), read),
        Binding::new("y", Operand::Output(0), Form::WriteVec4),
    ];
    bindings.extend(epilogue_bindings(&conv.epilogue, case.inputs, 2, true));
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("threads", threads)
        .with("images", images)
        .with("T", "vec4<f32>")
        .with("tile", json!(tile))
        .with("size", json!([rows.size, columns.size]))
        .with("stride", json!([rows.stride, columns.stride]))
        .with_epilogue(&conv.epilogue, case.inputs, 2);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{ConvTranspose, Epilogue};

    #[test]
    fn windows_are_short_and_dense() {
        let first = |size: usize, stride: usize, dilation: usize, channels: usize| {
            let op = ConvTranspose {
                stride: vec![stride; 2],
                dilation: vec![dilation; 2],
                pads: vec![(1, 0); 2],
                output_padding: vec![0; 2],
                groups: channels,
                epilogue: Epilogue::default(),
            };
            launches(op, &[&[1, 9, 9, channels], &[size, size, 1, channels]])[0].0
        };
        for (size, stride) in [(1, 2), (3, 1), (3, 2), (5, 2), (2, 3), (7, 3)] {
            assert_eq!(first(size, stride, 1, 8), "depthwise_transpose");
        }
        assert_eq!(first(3, 2, 1, 6), "conv_transpose");
        assert_eq!(first(3, 2, 2, 8), "conv_transpose");
        assert_eq!(first(3, 4, 1, 8), "conv_transpose");
        assert_eq!(first(9, 2, 1, 8), "conv_transpose");
    }
}
