//! `moments`: mean and variance of each channel, in two passes.

use super::layout::count;
use super::reduce::{Columns, launch, reduction, slices};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, forms, params};
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
    let Columns { kept, reduced, length, spread, vectors, images, team, lines, workgroups } =
        Columns::of(x, axes, traits)?;
    let sliced = target == Operand::Scratch(0);
    let channels = if sliced { kept.innermost().0 } else { kept.positions() };
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
    let (mean, write, element) = forms(vectors);
    let read = if images { Form::Image } else { mean };
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
