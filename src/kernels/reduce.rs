//! `reduce`: sum, mean, largest and smallest over axes.

use serde_json::json;

use super::lane::image_fits;
use super::layout::{Axes, count, signed};
use super::team::{Team, busy};
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, forms, params,
};
use crate::ops::{Op, ReduceFn};
use crate::tensor::{Shape, TensorType};

params! {
    /// Parameters of `reduce`: elements or vectors of the output, the elements that fall together into each, and how both
    /// kinds of axes run through the input.
    struct Params {
        lines: u32,
        length: u32,
        start: f32,
        divisor: f32,
        kept: [u32; 8],
        kept_strides: [u32; 8],
        reduced: [u32; 8],
        reduced_strides: [u32; 8],
    }
}

/// Takes every reduction.
///
/// Over spatial axes (global pooling) neighbouring invocations read neighbouring channels, in vectors where the channels
/// fill whole ones, which processors read through images; over the innermost axis the lanes of a team read neighbouring elements.
pub(super) const KERNEL: Kernel = Kernel { stem: "reduce", accepts };

/// Rows that are worth an invocation of their own.
const FEWEST_ROWS: usize = 16;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Reduce(op), [x]) = (case.op, case.inputs) else { return Refusal::because("takes reductions over axes") };
    case.fits(traits)?;
    launch(op.function, &x.shape, &op.axes, Operand::Output(0), traits)
}

/// The reduction of input 0, of shape `x`. Long columns are cut into slices, whose results are joined by a second dispatch.
pub(super) fn launch(
    function: ReduceFn,
    x: &Shape,
    axes: &[usize],
    target: Operand,
    traits: &DeviceTraits,
) -> Result<Launch, Refusal> {
    let source = Operand::Input(0);
    let Some(slices) = slices(x, axes, traits) else {
        return Ok(reduction(function, x, axes, [source, target], None, traits)?.into());
    };
    let columns = x.last_axis();
    let rows = x.elements() / columns;
    // The division of a mean is the last thing to happen.
    let joined = if function == ReduceFn::Mean { ReduceFn::Sum } else { function };
    let cut = [slices, rows / slices, columns].into();
    let first = reduction(joined, &cut, &[1], [source, Operand::Scratch(0)], None, traits)?;
    let all = [slices, columns].into();
    let last = reduction(function, &all, &[0], [Operand::Scratch(0), target], Some(rows), traits)?;
    Ok(Launch { dispatches: vec![first, last], scratch: vec![(slices * columns * 4) as u64] })
}

/// How many slices the rows of a matrix are cut into when its columns are reduced, if that is worth it.
///
/// A divisor of the rows, so that all slices are alike.
pub(super) fn slices(x: &Shape, axes: &[usize], traits: &DeviceTraits) -> Option<usize> {
    let columns = x.last_axis();
    let rows = x.elements().checked_div(columns)?;
    if columns == 1 || !(0..x.rank().checked_sub(1)?).eq(axes.iter().copied()) {
        return None;
    }
    let most = busy(traits).div_ceil(columns.div_ceil(4)).min(rows / FEWEST_ROWS);
    (2..=most).rev().find(|&slices| rows.is_multiple_of(slices))
}

/// A sum that is cut into slices: each is computed by itself, and a second dispatch adds them up in their order.
pub(super) struct Slices {
    count: usize,
    /// Elements of one slice, which are those of the output.
    elements: usize,
    bytes: u64,
}

impl Slices {
    /// So many slices of an output; one slice is the output itself.
    pub(super) fn of(count: usize, output: &TensorType, traits: &DeviceTraits) -> Result<Slices, Refusal> {
        let bytes = (count as u64).saturating_mul(output.bytes() as u64);
        if count > 1 && bytes > traits.max_binding_bytes {
            return Refusal::because(format!("{count} slices of {output} are more than this device binds"));
        }
        Ok(Slices { count, elements: output.shape.elements(), bytes })
    }

    /// Where the slices are written, `[slices, elements]`.
    pub(super) fn target(&self) -> Operand {
        if self.count > 1 { Operand::Scratch(0) } else { Operand::Output(0) }
    }

    /// The dispatch that computes the slices, and the one that adds them up where there are several.
    pub(super) fn launch(self, first: Dispatch, traits: &DeviceTraits) -> Result<Launch, Refusal> {
        let all = [self.count, self.elements].into();
        let operands = [self.target(), Operand::Output(0)];
        self.launch_with(first, || reduction(ReduceFn::Sum, &all, &[0], operands, None, traits))
    }

    /// As [`Slices::launch`], with another dispatch that adds them up.
    pub(super) fn launch_with(
        self,
        first: Dispatch,
        sum: impl FnOnce() -> Result<Dispatch, Refusal>,
    ) -> Result<Launch, Refusal> {
        match self.count {
            1 => Ok(first.into()),
            _ => Ok(Launch { dispatches: vec![first, sum()?], scratch: vec![self.bytes] }),
        }
    }
}

/// How the axes of an operand are reduced: what stays and what falls together, and the teams that do it.
pub(super) struct Columns {
    /// What stays, in vectors where `vectors` says so.
    pub(super) kept: Axes,
    /// What falls together.
    pub(super) reduced: Axes,
    /// Elements that fall together.
    pub(super) length: usize,
    /// Neighbouring teams read neighbouring elements.
    pub(super) spread: bool,
    /// Elements are read and written in vectors.
    pub(super) vectors: bool,
    /// The operand is read through an image.
    pub(super) images: bool,
    /// Who reduces one line.
    pub(super) team: Team,
    /// Lines to reduce.
    pub(super) lines: u32,
    /// The grid.
    pub(super) workgroups: [u32; 3],
}

impl Columns {
    /// For an operand of shape `x`.
    pub(super) fn of(x: &Shape, axes: &[usize], traits: &DeviceTraits) -> Result<Columns, Refusal> {
        let (mut kept, mut reduced) = split(x, &[signed(&x.strides())], axes);
        let length = reduced.positions();
        let spread = kept.innermost().1 == [1];
        let vectors = spread && reduced.aligned(0, false) && kept.vectorize(false).is_some();
        if vectors {
            reduced.divide(0);
        }
        let lines = kept.positions();
        let team = if spread { Team::beside(length, lines, traits) } else { Team::new(length, traits) };
        team.ends(length, 1, traits)?;
        let (lines, workgroups) = team.grid(lines, traits)?;
        let images = vectors && traits.class == DeviceClass::Cpu && image_fits(x.elements(), 4, traits);
        Ok(Columns { kept, reduced, length, spread, vectors, images, team, lines, workgroups })
    }
}

/// The reduction of an operand of shape `x` into another one; a mean is divided by `divisor`, as a rule the reduced elements.
pub(super) fn reduction(
    function: ReduceFn,
    x: &Shape,
    axes: &[usize],
    [source, target]: [Operand; 2],
    divisor: Option<usize>,
    traits: &DeviceTraits,
) -> Result<Dispatch, Refusal> {
    let Columns { kept, reduced, length, spread, vectors, images, team, lines, workgroups } =
        Columns::of(x, axes, traits)?;
    let params = Params {
        lines,
        length: count(length)?,
        start: match function {
            ReduceFn::Sum | ReduceFn::Mean => 0.0,
            ReduceFn::Max => f32::NEG_INFINITY,
            ReduceFn::Min => f32::INFINITY,
        },
        divisor: divisor.unwrap_or(length) as f32,
        kept: kept.size_words()?,
        kept_strides: kept.stride_words(0),
        reduced: reduced.size_words()?,
        reduced_strides: reduced.stride_words(0),
    };
    let (read, write, element) = forms(vectors);
    let read = if images { Form::Image } else { read };
    let shader = Shader::new("reduce", Params::WGSL)
        .with("function", json!(function))
        .with("T", element)
        .with("images", images)
        .with("kept_rank", kept.rank())
        .with("reduced_rank", reduced.rank());
    Ok(Dispatch {
        shader: team.options(shader, spread),
        bindings: vec![Binding::new("x", source, read), Binding::new("y", target, write)],
        params: params.words(),
        workgroups,
    })
}

/// The axes that stay and those that are reduced, each with the strides of all operands.
pub(super) fn split(sizes: &[usize], strides: &[Vec<i64>], axes: &[usize]) -> (Axes, Axes) {
    let take = |reduced: bool| {
        let wanted = |axis: &usize| axes.contains(axis) == reduced;
        let pick = |values: &[i64]| -> Vec<i64> {
            values.iter().enumerate().filter(|(axis, _)| wanted(axis)).map(|(_, &stride)| stride).collect()
        };
        let sizes: Vec<usize> =
            sizes.iter().enumerate().filter(|(axis, _)| wanted(axis)).map(|(_, &size)| size).collect();
        let strides: Vec<Vec<i64>> = strides.iter().map(|operand| pick(operand)).collect();
        Axes::merged(&sizes, &strides)
    };
    (take(false), take(true))
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{Reduce, ReduceFn};

    #[test]
    fn every_function_is_valid_with_every_team() {
        for function in [ReduceFn::Sum, ReduceFn::Mean, ReduceFn::Max, ReduceFn::Min] {
            for length in [1, 13, 40, 200, 1000, 3000] {
                for (shape, axis) in [([3, length], 1), ([length, 3], 0), ([length, 8], 0)] {
                    let op = Reduce { function, axes: vec![axis], keepdims: false };
                    assert_eq!(launches(op, &[&shape]).len(), 1);
                }
            }
        }
    }

    #[test]
    fn global_pooling_reads_vectors_of_channels() {
        let variant = |axes: &[usize], shape: &[usize]| {
            let op = Reduce { function: ReduceFn::Mean, axes: axes.to_vec(), keepdims: true };
            let (_, launch) = &launches(op, &[shape])[0];
            let options = &launch.dispatches[0].shader.options;
            (options["T"].as_str().unwrap().to_string(), options["spread"].as_bool().unwrap())
        };
        assert_eq!(variant(&[1, 2], &[2, 5, 7, 12]), ("vec4<f32>".into(), true));
        assert_eq!(variant(&[1, 2], &[2, 5, 7, 13]), ("f32".into(), true));
        assert_eq!(variant(&[2, 3], &[2, 12, 5, 7]), ("f32".into(), false));
        assert_eq!(variant(&[0, 1, 2, 3], &[2, 12, 5, 7]), ("f32".into(), false));
    }
}
