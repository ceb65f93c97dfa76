//! What kernels with sliding windows share: the axes as parameters, and the sizes that 32 bits can hold.

use super::Refusal;
use super::layout::count;
use crate::ops::TransposeAxis;
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

/// Checks that no position of a transposed window wraps around.
pub(super) fn transposed_fits(axes: &[TransposeAxis; 3]) -> Result<(), Refusal> {
    for axis in axes {
        let window = axis.size.saturating_mul(axis.dilation).saturating_add(axis.stride);
        let reach = window.saturating_add(axis.output).saturating_add(axis.before);
        if reach >= FARTHEST {
            return Refusal::because(format!(
                "a window that reaches over {reach} positions with stride {} is beyond its 32 bits",
                axis.stride
            ));
        }
    }
    Ok(())
}

/// Checks that transposed windows have no dilation, and that none of their positions wraps around.
pub(super) fn transposed_densely(axes: &[TransposeAxis; 3]) -> Result<(), Refusal> {
    match axes.iter().find(|axis| axis.dilation > 1 && axis.size > 1) {
        Some(axis) => {
            Refusal::because(format!("takes windows without dilation; this one has dilation {}", axis.dilation))
        }
        None => transposed_fits(axes),
    }
}

/// Height and width of a transposed convolution whose depth is none.
pub(super) fn two_axes([depth, height, width]: &[TransposeAxis; 3]) -> Result<[&TransposeAxis; 2], Refusal> {
    match [depth.size, depth.stride, depth.input, depth.output] == [1; 4] && depth.before == 0 {
        true => Ok([height, width]),
        false => Refusal::because("takes one or two axes"),
    }
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
