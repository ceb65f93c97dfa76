//! `moments`: mean and variance of each channel, in two passes.

use super::layout::{count, signed};
use super::reduce::split;
use super::team::Team;
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params};
use crate::ops::Op;

params! {
    /// Parameters of `moments`: channels or vectors of them, the elements of each, and how both kinds of axes run through
    /// the input.
    struct Params {
        lines: u32,
        length: u32,
        divisor: f32,
        kept: [u32; 8],
        kept_strides: [u32; 8],
        reduced: [u32; 8],
        reduced_strides: [u32; 8],
    }
}

/// Takes every axis; in vectors where the channels lie innermost and fill whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "moments", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Moments(op), [x]) = (case.op, case.inputs) else {
        return Refusal::because("takes mean and variance of channels");
    };
    case.fits(traits)?;
    let axes: Vec<usize> = (0..x.shape.rank()).filter(|&axis| axis != op.axis).collect();
    let (mut kept, mut reduced) = split(&x.shape, &[signed(&x.shape.strides())], &axes);
    let length = reduced.positions();
    let spread = kept.innermost().1 == [1];
    let vectors = spread && reduced.aligned(0, false) && kept.vectorize(false).is_some();
    if vectors {
        reduced.divide(0);
    }
    let team = Team::new(length, traits);
    team.ends(length, 1, traits)?;
    let (lines, workgroups) = team.grid(kept.positions(), traits)?;
    let params = Params {
        lines,
        length: count(length)?,
        divisor: length as f32,
        kept: kept.size_words()?,
        kept_strides: kept.stride_words(0),
        reduced: reduced.size_words()?,
        reduced_strides: reduced.stride_words(0),
    };
    let (read, write, element) = match vectors {
        true => (Form::ReadVec4, Form::WriteVec4, "vec4<f32>"),
        false => (Form::Read, Form::Write, "f32"),
    };
    let pass = |centred: bool| {
        let shader = Shader::new("moments", Params::WGSL)
            .with("centred", centred)
            .with("T", element)
            .with("kept_rank", kept.rank())
            .with("reduced_rank", reduced.rank());
        let mut bindings = vec![Binding::new("x", Operand::Input(0), read)];
        if centred {
            bindings.push(Binding::new("mean", Operand::Output(0), read));
        }
        bindings.push(Binding::new("y", Operand::Output(usize::from(centred)), write));
        Dispatch { shader: team.options(shader, spread), bindings, params: params.words(), workgroups }
    };
    Ok(Launch { dispatches: vec![pass(false), pass(true)], scratch: Vec::new() })
}
