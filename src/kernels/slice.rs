//! `slice`: part of a tensor, per axis from, to and step.

use super::copy::StridedCopy;
use super::layout::signed;
use super::{Case, DeviceTraits, Kernel, Launch, Refusal};
use crate::ops::Op;

/// Takes every slice; in vectors where the innermost axis that remains after merging is taken whole or in whole vectors.
pub(super) const KERNEL: Kernel = Kernel { stem: "slice", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Slice(op), [x], [y]) = (case.op, case.inputs, case.outputs) else {
        return Refusal::because("takes slices");
    };
    case.fits(traits)?;
    let (ranges, _) = op.resolve(&x.shape).map_err(|error| Refusal(error.to_string()))?;
    let own = signed(&x.shape.strides());
    let start = ranges.iter().zip(&own).map(|((start, _), stride)| start * stride).sum();
    let strides = ranges.iter().zip(&own).map(|((_, step), stride)| step * stride).collect();
    let target = (0, signed(&y.shape.strides()));
    let copy = StridedCopy { input: 0, sizes: y.shape.to_vec(), source: (start, strides), target };
    Ok(copy.dispatch("slice", case, traits)?.into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{Slice, SliceAxis};

    /// The element type and the number of invocations that work.
    fn variant(slice: Slice, x: &[usize]) -> (String, u32) {
        let (_, launch) = &launches(slice, &[x])[0];
        let dispatch = &launch.dispatches[0];
        (dispatch.shader.options["T"].as_str().unwrap().into(), dispatch.params[0])
    }

    #[test]
    fn whole_vectors_are_copied_as_such() {
        assert_eq!(variant(Slice::range(1, 2, Some(5)), &[3, 7, 8]), ("vec4<f32>".into(), 3 * 3 * 2));
        assert_eq!(variant(Slice::range(2, 4, Some(8)), &[3, 7, 12]), ("vec4<f32>".into(), 3 * 7));
        assert_eq!(variant(Slice::range(2, 3, Some(7)), &[3, 7, 12]), ("f32".into(), 3 * 7 * 4));
        assert_eq!(variant(Slice::range(0, 1, None), &[3, 13]), ("f32".into(), 26));
        assert_eq!(variant(Slice::range(0, 4, None), &[5, 13]), ("vec4<f32>".into(), 4));
    }

    #[test]
    fn backward_steps_start_at_the_end() {
        let slice = Slice { axes: vec![SliceAxis { axis: 0, start: -1, end: None, step: -2 }] };
        let (_, launch) = &launches(slice, &[&[5]])[0];
        assert_eq!(launch.dispatches[0].params[..3], [3, 4, 0]);
        assert_eq!(launch.dispatches[0].params[11], -2i32 as u32);
    }
}
