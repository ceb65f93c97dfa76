//! What kernels share whose invocations compute strips: outputs in a row, with the inputs under them in registers.

use super::window::window_fits;
use super::{Case, Refusal};
use crate::ops::{Conv, ConvSite, Filters, Op};
use crate::tensor::AxisWindow;

/// Longest row of taps that is unrolled.
const LONGEST: usize = 11;
/// Largest stride along a row: inputs of a strip stay in registers.
const LARGEST_STRIDE: usize = 4;
/// Invocations of a workgroup.
const INVOCATIONS: usize = 64;

/// A convolution in one group, resolved.
pub(super) fn convolution<'a>(case: &Case<'a>) -> Result<(&'a Conv, ConvSite), Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if conv.filters != (Filters::PerGroup { groups: 1 }) {
        return Refusal::because("takes convolutions in one group");
    }
    Ok((conv, site))
}

/// The axes of a window over one or two of them, whose rows can be unrolled.
pub(super) fn axes(site: &ConvSite) -> Result<[AxisWindow; 3], Refusal> {
    let axes = site.axes3();
    window_fits(&axes)?;
    let [depth, _, columns] = &axes;
    if !depth.passes() {
        return Refusal::because("takes windows over one or two axes");
    }
    if columns.size > LONGEST || columns.stride > LARGEST_STRIDE || (columns.dilation > 1 && columns.size > 1) {
        return Refusal::because(format!(
            "takes rows of up to {LONGEST} taps without dilation and strides of up to {LARGEST_STRIDE}; these have size {}, stride {}, dilation {}",
            columns.size, columns.stride, columns.dilation
        ));
    }
    Ok(axes)
}

/// How a map is divided.
pub(super) struct Strips {
    /// Outputs of a strip.
    pub pixels: usize,
    /// Invocations of a workgroup along columns and rows.
    pub lanes: [usize; 3],
    /// Workgroups along columns and rows.
    pub groups: [usize; 2],
}

impl Strips {
    /// The longest strips whose inputs, each of so many registers, take `most` of them.
    pub(super) fn of(rows: &AxisWindow, columns: &AxisWindow, registers: usize, most: usize) -> Strips {
        let inputs = |pixels: usize| ((pixels - 1) * columns.stride + columns.size) * registers;
        let pixels = [4, 2].into_iter().find(|&pixels| inputs(pixels) <= most).unwrap_or(1);
        let strips = columns.output.div_ceil(pixels);
        let along = strips.next_power_of_two().min(INVOCATIONS);
        let lanes = [along, INVOCATIONS / along, 1];
        Strips { pixels, lanes, groups: [strips.div_ceil(lanes[0]), rows.output.div_ceil(lanes[1])] }
    }
}
