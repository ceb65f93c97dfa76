//! `normalize`: layer and group normalisation.

use super::layout::{Axes, count, form, signed};
use super::reduce::split;
use super::team::Team;
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params};
use crate::ops::Op;

params! {
    /// Parameters of `normalize`: groups, elements or vectors of each, its elements as a divisor, and how the axes between
    /// groups and within them run through the three operands.
    struct Params {
        lines: u32,
        length: u32,
        elements: f32,
        epsilon: f32,
        kept: [u32; 8],
        kept_x: [u32; 8],
        kept_gamma: [u32; 8],
        kept_beta: [u32; 8],
        reduced: [u32; 8],
        reduced_x: [u32; 8],
        reduced_gamma: [u32; 8],
        reduced_beta: [u32; 8],
    }
}

/// Takes every normalisation; in vectors where the innermost axis is normalised over and fills whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "normalize", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Normalize(op), [x, gamma, beta]) = (case.op, case.inputs) else {
        return Refusal::because("takes normalisation over axes");
    };
    case.fits(traits)?;
    let mut strides = vec![signed(&x.shape.strides())];
    for operand in [gamma, beta] {
        match operand.shape.broadcast_strides(&x.shape) {
            Some(own) => strides.push(signed(&own)),
            None => return Refusal::because(format!("{operand} does not broadcast to {x}")),
        }
    }
    let (mut kept, mut reduced) = split(&x.shape, &strides, &op.axes);
    let elements = reduced.positions();
    let dense = vectorize(&mut kept, &mut reduced);
    let team = Team::new(reduced.positions(), traits);
    team.ends(reduced.positions(), 3, traits)?;
    let (lines, workgroups) = team.grid(kept.positions(), traits)?;
    let params = Params {
        lines,
        length: count(reduced.positions())?,
        elements: elements as f32,
        epsilon: op.epsilon,
        kept: kept.size_words()?,
        kept_x: kept.stride_words(0),
        kept_gamma: kept.stride_words(1),
        kept_beta: kept.stride_words(2),
        reduced: reduced.size_words()?,
        reduced_x: reduced.stride_words(0),
        reduced_gamma: reduced.stride_words(1),
        reduced_beta: reduced.stride_words(2),
    };
    let read = |operand: usize| form(dense.as_ref(), operand);
    let shader = Shader::new("normalize", Params::WGSL)
        .with("T", if dense.is_some() { "vec4<f32>" } else { "f32" })
        .with("kept_rank", kept.rank())
        .with("reduced_rank", reduced.rank());
    let spread = kept.innermost().1.first() == Some(&1);
    Ok(Dispatch {
        shader: team.options(shader, spread),
        bindings: vec![
            Binding::new("x", Operand::Input(0), read(0)),
            Binding::new("gamma", Operand::Input(1), read(1)),
            Binding::new("beta", Operand::Input(2), read(2)),
            Binding::new("y", Operand::Output(0), Form::write(dense.is_some())),
        ],
        params: params.words(),
        workgroups,
    }
    .into())
}

/// Counts the innermost normalised axis in vectors, and with it the strides between groups, where all of them allow it.
fn vectorize(kept: &mut Axes, reduced: &mut Axes) -> Option<Vec<bool>> {
    let (_, innermost) = reduced.innermost();
    let whole = |(operand, &stride): (usize, &i64)| stride != 1 || kept.aligned(operand, false);
    if innermost.first() != Some(&1) || !innermost.iter().enumerate().all(whole) {
        return None;
    }
    let dense = reduced.vectorize(false)?;
    dense.iter().enumerate().filter(|(_, dense)| **dense).for_each(|(operand, _)| kept.divide(operand));
    Some(dense)
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::Normalize;

    /// The element type, and whether gamma is read in vectors.
    fn variant(axes: &[usize], x: &[usize], gamma: &[usize]) -> (String, bool) {
        let op = Normalize { axes: axes.to_vec(), epsilon: 1e-3 };
        let (_, launch) = &launches(op, &[x, gamma, gamma])[0];
        let dispatch = &launch.dispatches[0];
        let form = dispatch.bindings[1].form;
        (dispatch.shader.options["T"].as_str().unwrap().into(), form == crate::kernels::Form::ReadVec4)
    }

    #[test]
    fn layers_and_groups_work_in_vectors_of_channels() {
        assert_eq!(variant(&[3], &[2, 5, 7, 64], &[64]), ("vec4<f32>".into(), true));
        assert_eq!(variant(&[3], &[2, 5, 7, 64], &[]), ("vec4<f32>".into(), false));
        assert_eq!(variant(&[1, 2, 4], &[2, 5, 7, 3, 8], &[3, 8]), ("vec4<f32>".into(), true));
        assert_eq!(variant(&[3], &[2, 5, 7, 13], &[13]), ("f32".into(), false));
        assert_eq!(variant(&[1, 2], &[2, 15, 24, 12], &[12]), ("f32".into(), false));
        assert_eq!(variant(&[1], &[3, 40_000], &[40_000]), ("vec4<f32>".into(), true));
    }
}
