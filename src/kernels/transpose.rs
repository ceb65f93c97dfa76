//! `transpose`: permutation of axes, element by element along the output.

use super::copy::StridedCopy;
use super::layout::{Axes, signed};
use super::{Case, DeviceTraits, Kernel, Launch, Refusal};
use crate::ops::Op;

/// Takes every permutation; in vectors where the innermost axis stays where it is and fills whole vectors.
pub(super) const KERNEL: Kernel = Kernel { stem: "transpose", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    case.fits(traits)?;
    let (strides, [y]) = (source_strides(case)?, case.outputs) else {
        return Refusal::because("has one output");
    };
    let target = (0, signed(&y.shape.strides()));
    let copy = StridedCopy { input: 0, sizes: y.shape.to_vec(), source: (0, strides), target };
    Ok(copy.dispatch("transpose", case, traits)?.into())
}

/// For each axis of the output, the elements of the input to step over.
fn source_strides(case: &Case<'_>) -> Result<Vec<i64>, Refusal> {
    let (Op::Transpose(op), [x]) = (case.op, case.inputs) else {
        return Refusal::because("takes permutations of axes");
    };
    let own = signed(&x.shape.strides());
    let strides = op.perm.iter().map(|&axis| own.get(axis).copied());
    strides.collect::<Option<_>>().ok_or_else(|| Refusal(format!("{:?} is no permutation of the axes of {x}", op.perm)))
}

/// Matrices that a permutation turns over, as they lie in the input.
pub(super) struct Matrices {
    pub rows: usize,
    pub columns: usize,
    /// Elements from one row to the next.
    pub row_stride: i64,
    /// The axes around them.
    pub batch: Axes,
}

impl Matrices {
    /// Those of a permutation that swaps the innermost axes of the input after merging.
    pub(super) fn of(case: &Case<'_>) -> Result<Matrices, Refusal> {
        let (strides, [y]) = (source_strides(case)?, case.outputs) else {
            return Refusal::because("has one output");
        };
        let axes = Axes::merged(&y.shape, &[strides, signed(&y.shape.strides())]);
        match (axes.sizes(), axes.strides(0)) {
            (&[ref outer @ .., columns, rows], &[ref outer_strides @ .., 1, row_stride]) => {
                let batch = Axes::merged(outer, &[outer_strides.to_vec()]);
                Ok(Matrices { rows, columns, row_stride, batch })
            }
            _ => Refusal::because("swaps the innermost axes, and here they do not swap"),
        }
    }
}
