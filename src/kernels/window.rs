//! What kernels with sliding windows share: the axes as parameters, and the sizes that 32 bits can hold.

use super::Refusal;
use super::layout::count;
use crate::tensor::AxisWindow;

/// The axes as shaders call them.
pub(super) const AXES: [&str; 3] = ["depth", "height", "width"];
/// Positions beyond this could wrap around in a shader.
pub(super) const FARTHEST: usize = 1 << 31;

/// Checks that no position of a window wraps around.
pub(super) fn window_fits(axes: &[AxisWindow; 3]) -> Result<(), Refusal> {
    for axis in axes {
        let reach = axis.output.saturating_mul(axis.stride).saturating_add(axis.size.saturating_mul(axis.dilation));
        if reach >= FARTHEST || axis.before >= FARTHEST {
            return Refusal::because(format!("a window that reaches over {reach} positions is beyond its 32 bits"));
        }
    }
    Ok(())
}

/// Whether a window has nothing to do with an axis: every position is its own output.
pub(super) fn passes(axis: &AxisWindow) -> bool {
    axis.size == 1 && axis.stride == 1 && axis.before == 0 && axis.after == 0
}

/// Input, output, size, stride, dilation and padding before, of every axis.
///
/// A field of this type in `params!` becomes the fields `depth_input` to `width_before`.
pub(super) type Windows = [[u32; 6]; 3];

/// The axes as parameters.
pub(super) fn axis_params(axes: &[AxisWindow; 3]) -> Result<Windows, Refusal> {
    let mut words = [[0; 6]; 3];
    for (words, axis) in words.iter_mut().zip(axes) {
        let values = [axis.input, axis.output, axis.size, axis.stride, axis.dilation, axis.before];
        for (word, value) in words.iter_mut().zip(values) {
            *word = count(value)?;
        }
    }
    Ok(words)
}
