//! `slice_grad`: the gradient of a slice.

use super::layout::{axis_words, count};
use super::{Binding, Case, DeviceTraits, Dispatch, Kernel, Launch, Operand, Refusal, Shader, forms, linear, params};
use crate::ops::Op;

params! {
    /// Parameters of `slice_grad`: elements or vectors of the output, and for each axis its size, the range that was
    /// taken (start and step wrap) and how it runs through `dy`.
    struct Params {
        count: u32,
        sizes: [u32; 8],
        starts: [u32; 8],
        steps: [u32; 8],
        counts: [u32; 8],
        strides: [u32; 8],
    }
}

/// Takes every slice; in vectors where the innermost axis was taken whole and fills whole ones.
pub(super) const KERNEL: Kernel = Kernel { stem: "slice_grad", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::SliceGrad(op), [dy], [dx]) = (case.op, case.inputs, case.outputs) else {
        return Refusal::because("takes gradients of slices");
    };
    case.fits(traits)?;
    let (ranges, taken) = op.slice.resolve(&op.input).map_err(|error| Refusal(error.to_string()))?;
    let whole = op.input.rank() > 0 && ranges.last() == Some(&(0, 1)) && taken.last_axis() == op.input.last_axis();
    let part = if whole && op.input.last_axis().is_multiple_of(4) { 4 } else { 1 };
    let shrink = |sizes: &[usize]| -> Vec<usize> {
        let last = sizes.len().saturating_sub(1);
        sizes.iter().enumerate().map(|(axis, &size)| if axis == last { size / part } else { size }).collect()
    };
    let (sizes, counts) = (shrink(&op.input), shrink(&taken));
    let strides = crate::tensor::Shape::from(counts.clone()).strides();
    let (items, workgroups) = linear(dx.shape.elements() / part, traits)?;
    let signed = |pick: &dyn Fn(&(i64, i64)) -> i64| -> Result<[u32; 8], Refusal> {
        let mut words = [0; 8];
        for (word, range) in words.iter_mut().zip(&ranges) {
            *word = i32::try_from(pick(range)).map_err(|_| Refusal("a range is beyond its 32 bits".into()))? as u32;
        }
        Ok(words)
    };
    let params = Params {
        count: items,
        sizes: axis_words(sizes.iter().copied())?,
        starts: signed(&|range| range.0)?,
        steps: signed(&|range| range.1)?,
        counts: axis_words(counts.iter().copied())?,
        strides: {
            let mut words = [0; 8];
            for (word, &stride) in words.iter_mut().zip(&strides) {
                *word = count(stride)?;
            }
            words
        },
    };
    debug_assert_eq!(dy.shape, taken);
    let (read, write, element) = forms(part == 4);
    Ok(Dispatch {
        shader: Shader::new("slice_grad", Params::WGSL).with("T", element).with("rank", sizes.len()),
        bindings: vec![Binding::new("dy", Operand::Input(0), read), Binding::new("dx", Operand::Output(0), write)],
        params: params.words(),
        workgroups,
    }
    .into())
}
