//! `pad`: elements added around a tensor.

use super::layout::axis_words;
use super::{Binding, Case, DeviceTraits, Dispatch, Kernel, Launch, Operand, Refusal, Shader, forms, linear, params};
use crate::ops::{Op, PadMode};

params! {
    /// Parameters of `pad`: elements or vectors of the output, and for each axis its size in the input and the output and
    /// what is added in front.
    struct Params { count: u32, fill: f32, sizes: [u32; 8], padded: [u32; 8], before: [u32; 8] }
}

/// Takes every mode; in vectors where the innermost axis and what is added to it fill whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "pad", accepts };

/// An axis of the input with what is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    size: usize,
    before: usize,
    after: usize,
}

impl Axis {
    fn is_whole(self) -> bool {
        self.before == 0 && self.after == 0
    }

    fn scaled(self, factor: usize) -> Axis {
        Axis { size: self.size * factor, before: self.before * factor, after: self.after * factor }
    }
}

/// Neighbouring axes as one, where the inner one gets nothing added. Mirrors and edges are whole elements of the outer
/// axis, which only a constant does not need to know.
fn merged(axes: impl Iterator<Item = Axis>, constant: bool) -> Vec<Axis> {
    let mut merged: Vec<Axis> = Vec::new();
    for axis in axes {
        match merged.last_mut() {
            Some(outer) if axis.is_whole() && (constant || outer.is_whole()) => *outer = outer.scaled(axis.size),
            _ => merged.push(axis),
        }
    }
    merged
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Pad(op), [x], [y]) = (case.op, case.inputs, case.outputs) else {
        return Refusal::because("takes padding");
    };
    case.fits(traits)?;
    let (mode, fill) = match op.mode {
        PadMode::Constant(value) => ("constant", value),
        PadMode::Reflect => ("reflect", 0.0),
        PadMode::Edge => ("edge", 0.0),
    };
    let constant = mode == "constant";
    if !constant && x.shape.elements() == 0 {
        return Refusal::because(format!("{x} has no element to repeat"));
    }
    let axes = x.shape.iter().zip(&op.pads).map(|(&size, &(before, after))| Axis { size, before, after });
    let mut axes = merged(axes, constant);
    let mut vectors = false;
    if let Some(last) = axes.last_mut() {
        vectors =
            [last.size, last.before, last.after].iter().all(|part| part % 4 == 0) && (constant || last.is_whole());
        if vectors {
            *last = Axis { size: last.size / 4, before: last.before / 4, after: last.after / 4 };
        }
    }
    let elements = y.shape.elements();
    let (items, workgroups) = linear(if vectors { elements / 4 } else { elements }, traits)?;
    let words = |part: fn(&Axis) -> usize| axis_words(axes.iter().map(part));
    let params = Params {
        count: items,
        fill,
        sizes: words(|axis| axis.size)?,
        padded: words(|axis| axis.before + axis.size + axis.after)?,
        before: words(|axis| axis.before)?,
    };
    let (read, write, element) = forms(vectors);
    Ok(Dispatch {
        shader: Shader::new("pad", Params::WGSL).with("mode", mode).with("T", element).with("rank", axes.len()),
        bindings: vec![Binding::new("x", Operand::Input(0), read), Binding::new("y", Operand::Output(0), write)],
        params: params.words(),
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{Pad, PadMode};

    #[test]
    fn pictures_have_three_axes_and_vectors_of_channels() {
        for (mode, rank) in [(PadMode::Constant(0.0), 3), (PadMode::Reflect, 4), (PadMode::Edge, 4)] {
            for (channels, element) in [(12, "vec4<f32>"), (13, "f32")] {
                let pads = vec![(0, 0), (1, 1), (2, 2), (0, 0)];
                let (_, launch) = &launches(Pad { pads, mode }, &[&[2, 5, 7, channels]])[0];
                let options = &launch.dispatches[0].shader.options;
                assert_eq!(options["T"], element);
                assert_eq!(options["rank"], rank);
            }
        }
    }

    #[test]
    fn odd_padding_keeps_channels_out_of_vectors() {
        let (_, launch) = &launches(Pad { pads: vec![(0, 0), (1, 3)], mode: PadMode::Constant(1.0) }, &[&[5, 8]])[0];
        assert_eq!(launch.dispatches[0].shader.options["T"], "f32");
    }
}
