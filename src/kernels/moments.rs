//! `moments`: mean and variance of each channel, in two passes.

use super::lane::image_fits;
use super::layout::{count, signed};
use super::reduce::{launch, reduction, slices, split};
use super::team::Team;
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params,
};
use crate::ops::{Op, ReduceFn};
use crate::tensor::Shape;

params! {
    /// Parameters of `moments`: channels or vectors of them, in all slices and in one, the elements of each, and how both
    /// kinds of axes run through the input.
    struct Params {
        lines: u32,
        channels: u32,
        length: u32,
        divisor: f32,
        kept: [u32; 8],
        kept_strides: [u32; 8],
        reduced: [u32; 8],
        reduced_strides: [u32; 8],
    }
}

/// Takes every axis; in vectors where the channels lie innermost and fill whole ones.
///
/// The mean is a reduction as any other; then the squares of what lies around it are. Long columns are cut into slices.
pub(super) const KERNEL: Kernel = Kernel { stem: "moments", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Moments(op), [x]) = (case.op, case.inputs) else {
        return Refusal::because("takes mean and variance of channels");
    };
    case.fits(traits)?;
    let axes: Vec<usize> = (0..x.shape.rank()).filter(|&axis| axis != op.axis).collect();
    let Launch { mut dispatches, scratch } = launch(ReduceFn::Mean, &x.shape, &axes, Operand::Output(0), traits)?;
    let rows = op.length(x);
    match slices(&x.shape, &axes, traits) {
        None => dispatches.push(centred(&x.shape, &axes, Operand::Output(1), rows, traits)?),
        Some(slices) => {
            let columns = x.shape.last_axis();
            let cut = [slices, rows / slices, columns].into();
            dispatches.push(centred(&cut, &[1], Operand::Scratch(0), 1, traits)?);
            let operands = [Operand::Scratch(0), Operand::Output(1)];
            let all = [slices, columns].into();
            dispatches.push(reduction(ReduceFn::Mean, &all, &[0], operands, Some(rows), traits)?);
        }
    }
    Ok(Launch { dispatches, scratch })
}

/// The sum of squared distances from the mean over axes of input 0, of shape `x`, divided by `divisor`.
fn centred(
    x: &Shape,
    axes: &[usize],
    target: Operand,
    divisor: usize,
    traits: &DeviceTraits,
) -> Result<Dispatch, Refusal> {
    let (mut kept, mut reduced) = split(x, &[signed(&x.strides())], axes);
    let length = reduced.positions();
    let spread = kept.innermost().1 == [1];
    let vectors = spread && reduced.aligned(0, false) && kept.vectorize(false).is_some();
    if vectors {
        reduced.divide(0);
    }
    let sliced = target == Operand::Scratch(0);
    let channels = if sliced { kept.innermost().0 } else { kept.positions() };
    let lines = kept.positions();
    let team = if spread { Team::beside(length, lines, traits) } else { Team::new(length, traits) };
    team.ends(length, 1, traits)?;
    let (lines, workgroups) = team.grid(lines, traits)?;
    let params = Params {
        lines,
        channels: count(channels)?,
        length: count(length)?,
        divisor: divisor as f32,
        kept: kept.size_words()?,
        kept_strides: kept.stride_words(0),
        reduced: reduced.size_words()?,
        reduced_strides: reduced.stride_words(0),
    };
    let images = vectors && traits.class == DeviceClass::Cpu && image_fits(x.elements(), 4, traits);
    let (read, mean, write, element) = match vectors {
        true if images => (Form::Image, Form::ReadVec4, Form::WriteVec4, "vec4<f32>"),
        true => (Form::ReadVec4, Form::ReadVec4, Form::WriteVec4, "vec4<f32>"),
        false => (Form::Read, Form::Read, Form::Write, "f32"),
    };
    let shader = Shader::new("moments", Params::WGSL)
        .with("T", element)
        .with("images", images)
        .with("kept_rank", kept.rank())
        .with("reduced_rank", reduced.rank());
    let bindings = vec![
        Binding::new("x", Operand::Input(0), read),
        Binding::new("mean", Operand::Output(0), mean),
        Binding::new("y", target, write),
    ];
    Ok(Dispatch { shader: team.options(shader, spread), bindings, params: params.words(), workgroups })
}
