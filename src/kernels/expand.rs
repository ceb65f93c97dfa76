//! `expand`: repetition along axes of size 1.

use super::copy::StridedCopy;
use super::layout::signed;
use super::{Case, DeviceTraits, Kernel, Launch, Refusal};
use crate::ops::Op;

/// Takes every expansion.
pub(super) const KERNEL: Kernel = Kernel { stem: "expand", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Expand(_), [x], [y]) = (case.op, case.inputs, case.outputs) else {
        return Refusal::because("takes expansions");
    };
    case.fits(traits)?;
    let Some(strides) = x.shape.broadcast_strides(&y.shape) else {
        return Refusal::because(format!("{x} does not broadcast to {y}"));
    };
    let target = (0, signed(&y.shape.strides()));
    let copy = StridedCopy { input: 0, sizes: y.shape.to_vec(), source: (0, signed(&strides)), target };
    Ok(copy.dispatch("expand", case, traits)?.into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{Dim, Expand};

    #[test]
    fn repeated_and_dense_axes_both_work_in_vectors() {
        let expand = |dims: &[usize]| Expand { dims: dims.iter().map(|&size| Dim::Size(size)).collect() };
        for (op, x, form) in [
            (expand(&[3, 5, 8]), vec![8], "vec4<f32>"),
            (expand(&[3, 5, 8]), vec![3, 5, 1], "vec4<f32>"),
            (expand(&[3, 5, 7]), vec![5, 1], "f32"),
            (expand(&[13]), vec![], "vec4<f32>"),
            (expand(&[1, 1]), vec![], "f32"),
        ] {
            let (_, launch) = &launches(op, &[&x])[0];
            assert_eq!(launch.dispatches[0].shader.options["T"], form, "{x:?}");
        }
    }
}
