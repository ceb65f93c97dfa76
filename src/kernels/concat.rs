//! `concat`: each input copied to its place in the output.

use super::copy::StridedCopy;
use super::layout::signed;
use super::{Case, DeviceTraits, Kernel, Launch, Refusal};
use crate::ops::Op;

/// Takes any number of inputs along any axis, with one dispatch for each.
pub(super) const KERNEL: Kernel = Kernel { stem: "concat", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Concat(op), [y]) = (case.op, case.outputs) else {
        return Refusal::because("takes concatenations");
    };
    case.fits(traits)?;
    let strides = signed(&y.shape.strides());
    let Some(step) = strides.get(op.axis) else {
        return Refusal::because(format!("axis {} does not exist in {y}", op.axis));
    };
    let mut start = 0;
    let mut dispatches = Vec::with_capacity(case.inputs.len());
    for (input, x) in case.inputs.iter().enumerate() {
        let source = (0, signed(&x.shape.strides()));
        let copy = StridedCopy { input, sizes: x.shape.to_vec(), source, target: (start, strides.clone()) };
        dispatches.push(copy.dispatch("concat", case, traits)?);
        start += x.shape.get(op.axis).map_or(0, |&size| size as i64) * step;
    }
    Ok(Launch { dispatches, scratch: Vec::new() })
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::Concat;

    #[test]
    fn an_odd_input_takes_its_successors_out_of_vectors() {
        let (_, launch) = &launches(Concat { axis: 1 }, &[&[3, 8], &[3, 4], &[3, 5], &[3, 3]])[0];
        let forms: Vec<_> = launch.dispatches.iter().map(|dispatch| &dispatch.shader.options["T"]).collect();
        assert_eq!(forms, ["vec4<f32>", "vec4<f32>", "f32", "f32"]);
        let (_, launch) = &launches(Concat { axis: 0 }, &[&[13], &[12]])[0];
        assert!(launch.dispatches.iter().all(|dispatch| dispatch.shader.options["T"] == "f32"));
    }
}
