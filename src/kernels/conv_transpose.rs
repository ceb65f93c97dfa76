//! `conv_transpose`: any transposed convolution, gathered: no zeros are put between the inputs.

use serde_json::json;

use super::epilogue::epilogue_bindings;
use super::layout::count;
use super::window::{AXES, transposed_fits};
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, linear, params,
};
use crate::ops::{Op, TransposeAxis};

params! {
    /// Parameters of `conv_transpose`: elements or vectors of the output, of a pixel and of a group, and the three axes
    /// with the taps of each that meet an input.
    struct Params {
        count: u32,
        in_channels: u32,
        out_channels: u32,
        per_group: u32,
        outs_per_group: u32,
        depth_input: u32,
        depth_output: u32,
        depth_size: u32,
        depth_stride: u32,
        depth_dilation: u32,
        depth_before: u32,
        depth_common: u32,
        depth_step: u32,
        depth_inverse: u32,
        depth_hop: u32,
        height_input: u32,
        height_output: u32,
        height_size: u32,
        height_stride: u32,
        height_dilation: u32,
        height_before: u32,
        height_common: u32,
        height_step: u32,
        height_inverse: u32,
        height_hop: u32,
        width_input: u32,
        width_output: u32,
        width_size: u32,
        width_stride: u32,
        width_dilation: u32,
        width_before: u32,
        width_common: u32,
        width_step: u32,
        width_inverse: u32,
        width_hop: u32,
    }
}

/// Takes every transposed convolution whose taps 32 bits can number; the channels summed over, and those of the output,
/// go by vectors where they fill whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_transpose", accepts };

/// The taps of an axis that meet an input at an output `position` (padding included): tap `k` does where
/// `position - k * dilation` is a multiple of the stride.
#[derive(Debug, PartialEq)]
struct Taps {
    /// The greatest common divisor of stride and dilation; a position that it does not divide meets nothing.
    common: usize,
    /// From one such tap to the next.
    step: usize,
    /// `position / common * inverse % step` is the first one.
    inverse: usize,
    /// From one such tap to the next, the inputs to go back by.
    hop: usize,
}

/// Steps up to which the product of two remainders fits 32 bits.
const LONGEST_STEP: usize = 1 << 16;

impl Taps {
    fn of(axis: &TransposeAxis) -> Result<Taps, Refusal> {
        let common = common_divisor(axis.stride, axis.dilation);
        let (step, hop) = (axis.stride / common, axis.dilation / common);
        let inverse = inverse(hop, step);
        if step > LONGEST_STEP && inverse > 1 {
            return Refusal::because(format!(
                "stride {} with dilation {} lets every {step}th tap meet an input, and without dilation or with steps of up to {LONGEST_STEP} those can be found",
                axis.stride, axis.dilation
            ));
        }
        Ok(Taps { common, step, inverse, hop })
    }
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a.max(1) } else { common_divisor(b, a % b) }
}

/// The number that gives 1 when multiplied by `value`, modulo `modulus`; the two have no common divisor.
fn inverse(value: usize, modulus: usize) -> usize {
    // Euclid's algorithm: `value * factor = remainder` holds for both pairs, modulo `modulus`.
    let modulus = modulus as i128;
    let (mut before, mut now) = ((modulus, 0), (value as i128 % modulus, 1));
    while now.0 > 0 {
        let times = before.0 / now.0;
        (before, now) = (now, (before.0 - times * now.0, before.1 - times * now.1));
    }
    before.1.rem_euclid(modulus) as usize
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::ConvTranspose(conv) = case.op else { return Refusal::because("takes transposed convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    let (per_group, outs_per_group) = (site.in_channels / site.groups, site.out_channels / site.groups);
    let vectors = per_group.is_multiple_of(4);
    let in_part = if vectors { 4 } else { 1 };
    let part = if outs_per_group.is_multiple_of(4) { 4 } else { 1 };
    transposed_fits(&site.axes)?;
    let mut words = [[0; 10]; 3];
    let mut met = 1;
    for (words, axis) in words.iter_mut().zip(&site.axes) {
        let taps = Taps::of(axis)?;
        met *= axis.size.div_ceil(taps.step);
        let values = [axis.input, axis.output, axis.size, axis.stride, axis.dilation, axis.before];
        for (word, value) in
            words.iter_mut().zip(values.into_iter().chain([taps.common, taps.step, taps.inverse, taps.hop]))
        {
            *word = count(value)?;
        }
    }
    ends(met * (per_group / in_part + 2), traits)?;
    let (items, workgroups) = linear(site.output.elements() / part, traits)?;
    let [depth, height, width] = words;
    let params = Params {
        count: items,
        in_channels: count(site.in_channels / in_part)?,
        out_channels: count(site.out_channels / part)?,
        per_group: count(per_group / in_part)?,
        outs_per_group: count(outs_per_group / part)?,
        depth_input: depth[0],
        depth_output: depth[1],
        depth_size: depth[2],
        depth_stride: depth[3],
        depth_dilation: depth[4],
        depth_before: depth[5],
        depth_common: depth[6],
        depth_step: depth[7],
        depth_inverse: depth[8],
        depth_hop: depth[9],
        height_input: height[0],
        height_output: height[1],
        height_size: height[2],
        height_stride: height[3],
        height_dilation: height[4],
        height_before: height[5],
        height_common: height[6],
        height_step: height[7],
        height_inverse: height[8],
        height_hop: height[9],
        width_input: width[0],
        width_output: width[1],
        width_size: width[2],
        width_stride: width[3],
        width_dilation: width[4],
        width_before: width[5],
        width_common: width[6],
        width_step: width[7],
        width_inverse: width[8],
        width_hop: width[9],
    };
    let read = Form::read(vectors);
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), read),
        Binding::new("w", Operand::Input(1), read),
        Binding::new("y", Operand::Output(0), Form::write(part == 4)),
    ];
    bindings.extend(epilogue_bindings(&conv.epilogue, case.inputs, 2, part == 4));
    Ok(Dispatch {
        shader: Shader::new("conv_transpose", Params::WGSL)
            .with("T", if part == 4 { "vec4<f32>" } else { "f32" })
            .with("vectors", vectors)
            .with("axes", json!(AXES))
            .with_epilogue(&conv.epilogue, case.inputs, 2),
        bindings,
        params: params.words(),
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{launches, refusals};
    use crate::ops::{ConvTranspose, Epilogue, UnaryFn};

    #[test]
    fn the_taps_are_those_that_meet_an_input() {
        for (stride, dilation) in (1..=9).flat_map(|stride| (1..=9).map(move |dilation| (stride, dilation))) {
            let axis = TransposeAxis { input: 5, output: 60, size: 7, stride, dilation, before: 0 };
            let taps = Taps::of(&axis).unwrap();
            for position in 0..axis.output {
                let expected: Vec<_> = (0..axis.size)
                    .filter(|tap| position >= tap * dilation && (position - tap * dilation).is_multiple_of(stride))
                    .map(|tap| (tap, (position - tap * dilation) / stride))
                    .collect();
                let first = position / taps.common * taps.inverse % taps.step;
                let start = position.checked_sub(first * dilation).filter(|reach| reach.is_multiple_of(stride));
                let found: Vec<_> = match start {
                    Some(reach) => (0..axis.size)
                        .map(|turn| (first + turn * taps.step, (reach / stride).checked_sub(turn * taps.hop)))
                        .filter_map(|(tap, input)| Some((tap, input?)).filter(|_| tap < axis.size))
                        .collect(),
                    None => Vec::new(),
                };
                assert_eq!(found, expected, "{axis:?} at {position}");
            }
        }
    }

    fn transposed(stride: &[usize], dilation: usize, groups: usize) -> ConvTranspose {
        ConvTranspose {
            stride: stride.to_vec(),
            dilation: vec![dilation; stride.len()],
            pads: vec![(0, 0); stride.len()],
            output_padding: vec![0; stride.len()],
            groups,
            epilogue: Epilogue { bias: true, residual: false, activation: Some(UnaryFn::Relu) },
        }
    }

    #[test]
    fn both_operands_and_the_output_go_by_vectors_each_on_its_own() {
        for (ins, outs) in [(8, 8), (8, 5), (5, 8), (5, 3)] {
            for groups in [1, 2] {
                let w = [3, 3, outs, ins * groups];
                let found = launches(transposed(&[2, 3], 1, groups), &[&[1, 5, 6, ins * groups], &w, &[outs * groups]]);
                let bindings = &found[0].1.dispatches[0].bindings;
                assert_eq!(bindings[0].form == Form::ReadVec4, ins == 8, "{ins} to {outs}");
                assert_eq!(bindings[2].form == Form::WriteVec4, outs == 8, "{ins} to {outs}");
            }
        }
        launches(transposed(&[2], 3, 1), &[&[2, 13, 5], &[4, 3, 5], &[1]]);
        launches(transposed(&[2, 1, 3], 2, 1), &[&[1, 3, 4, 5, 4], &[2, 3, 2, 4, 4], &[4]]);
    }

    #[test]
    fn steps_that_cannot_be_counted_are_refused_with_their_numbers() {
        let refused = |stride, dilation| {
            let refused = refusals(transposed(&[stride], dilation, 1), &[&[1, 1, 1], &[2, 1, 1], &[1]]);
            refused.into_iter().find(|(stem, _)| *stem == "conv_transpose")
        };
        assert_eq!(refused(70_001, 1), None);
        let (_, why) = refused(70_001, 2).unwrap();
        assert!(why.contains("stride 70001 with dilation 2"), "{why}");
    }
}
