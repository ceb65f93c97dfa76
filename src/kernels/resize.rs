//! `resize`: nearest and linear resampling by whole factors.

use serde_json::json;

use super::layout::axis_words;
use super::{Binding, Case, DeviceTraits, Dispatch, Kernel, Launch, Operand, Refusal, Shader, forms, linear, params};
use crate::ops::{Op, ResizeMode};

params! {
    /// Parameters of `resize`: elements or vectors of the output, and for each axis of the input its size and factor.
    struct Params { count: u32, sizes: [u32; 8], factors: [u32; 8] }
}

/// Takes both modes and any factors; in vectors where the innermost axis keeps its size and fills whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "resize", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Resize(op), [x], [y]) = (case.op, case.inputs, case.outputs) else {
        return Refusal::because("takes resampling by whole factors");
    };
    case.fits(traits)?;
    let mut axes: Vec<(usize, usize)> = Vec::new();
    for (&size, &factor) in x.shape.iter().zip(&op.factors).filter(|axis| *axis != (&1, &1)) {
        match axes.last_mut() {
            Some((outer, 1)) if factor == 1 => *outer *= size,
            _ => axes.push((size, factor)),
        }
    }
    let mut vectors = false;
    if let Some((size, 1)) = axes.last_mut() {
        vectors = size.is_multiple_of(4);
        *size /= if vectors { 4 } else { 1 };
    }
    let elements = y.shape.elements();
    let (count, workgroups) = linear(if vectors { elements / 4 } else { elements }, traits)?;
    let params = Params {
        count,
        sizes: axis_words(axes.iter().map(|axis| axis.0))?,
        factors: axis_words(axes.iter().map(|axis| axis.1))?,
    };
    let between: Vec<usize> = match op.mode {
        ResizeMode::Nearest => Vec::new(),
        ResizeMode::Linear => axes.iter().enumerate().filter(|(_, axis)| axis.1 > 1).map(|(axis, _)| axis).collect(),
    };
    let (read, write, element) = forms(vectors);
    Ok(Dispatch {
        shader: Shader::new("resize", Params::WGSL)
            .with("T", element)
            .with("rank", axes.len())
            .with("corners", 1u32 << between.len())
            .with("between", json!(between)),
        bindings: vec![Binding::new("x", Operand::Input(0), read), Binding::new("y", Operand::Output(0), write)],
        params: params.words(),
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{Resize, ResizeMode};

    #[test]
    fn every_mode_is_valid_over_any_axes() {
        for mode in [ResizeMode::Nearest, ResizeMode::Linear] {
            for factors in [[1, 2, 2, 1], [2, 1, 1, 3], [1, 1, 1, 1], [2, 2, 2, 2]] {
                for channels in [8, 5] {
                    let op = Resize { factors: factors.to_vec(), mode };
                    assert_eq!(launches(op, &[&[2, 3, 5, channels]]).len(), 1);
                }
            }
        }
        assert_eq!(launches(Resize { factors: vec![1, 1], mode: ResizeMode::Linear }, &[&[1, 1]]).len(), 1);
    }

    #[test]
    fn pictures_are_resampled_in_vectors() {
        let op = Resize { factors: vec![1, 2, 2, 1], mode: ResizeMode::Linear };
        let (_, launch) = &launches(op, &[&[2, 3, 5, 8]])[0];
        let options = &launch.dispatches[0].shader.options;
        assert_eq!((&options["T"], &options["corners"]), (&"vec4<f32>".into(), &4.into()));
    }
}
