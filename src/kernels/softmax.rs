//! `softmax`: softmax, its logarithm and sparsemax along an axis.

use serde_json::json;

use super::layout::count;
use super::team::{PASSES_ALONE, Team};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params};
use crate::ops::{Op, SoftmaxKind};

params! {
    /// Parameters of `softmax`: lines, elements of each, and how far apart these lie; `lowest` is negative infinity, which
    /// WGSL cannot spell.
    struct Params { lines: u32, size: u32, inner: u32, lowest: f32 }
}

/// Takes every kind along any axis. Lines of the innermost axis are read by the lanes of a team side by side, those of an
/// outer axis by neighbouring teams. Sparsemax gives each line a workgroup of its own, as its rounds depend on the line.
pub(super) const KERNEL: Kernel = Kernel { stem: "softmax", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Softmax(op), [x]) = (case.op, case.inputs) else { return Refusal::because("takes softmax and its kin") };
    case.fits(traits)?;
    let (Some(&size), Some(inner)) = (x.shape.get(op.axis), x.shape.get(op.axis + 1..)) else {
        return Refusal::because(format!("axis {} does not exist in {x}", op.axis));
    };
    let inner: usize = inner.iter().product();
    let elements = x.shape.elements();
    let (team, passes) = match op.kind {
        SoftmaxKind::Sparsemax => (Team::alone(size, traits), PASSES_ALONE),
        SoftmaxKind::Softmax | SoftmaxKind::LogSoftmax => (Team::new(size, traits), 3),
    };
    team.ends(size, passes, traits)?;
    let (lines, workgroups) = team.grid(elements / size.max(1), traits)?;
    let params = Params { lines, size: count(size)?, inner: count(inner.max(1))?, lowest: f32::NEG_INFINITY };
    // Sparsemax sums elements and counts them at once.
    let joined = if op.kind == SoftmaxKind::Sparsemax { "vec2<f32>" } else { "f32" };
    let shader = Shader::new("softmax", Params::WGSL).with("kind", json!(op.kind)).with("T", joined);
    Ok(Dispatch {
        shader: team.options(shader, inner > 1),
        bindings: vec![
            Binding::new("x", Operand::Input(0), Form::Read),
            Binding::new("y", Operand::Output(0), Form::Write),
        ],
        params: params.words(),
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{Softmax, SoftmaxKind};

    #[test]
    fn every_kind_is_valid_with_every_team() {
        for kind in [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax, SoftmaxKind::Sparsemax] {
            for size in [1, 13, 40, 200, 1000, 3000] {
                assert_eq!(launches(Softmax { kind, axis: 1 }, &[&[3, size]]).len(), 1);
                assert_eq!(launches(Softmax { kind, axis: 0 }, &[&[size, 3]]).len(), 1);
            }
        }
    }
}
