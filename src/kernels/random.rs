//! `random`: random numbers by position.

use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, linear, params};
use crate::ops::{Distribution, Op};

params! {
    /// Parameters of `random`: elements, the stream, and two numbers of the distribution (rate and factor, or mean and
    /// deviation).
    struct Params { count: u32, stream: u32, a: f32, b: f32 }
}

/// Takes every distribution.
pub(super) const KERNEL: Kernel = Kernel { stem: "random", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Random(op) = case.op else { return Refusal::because("takes random numbers") };
    case.fits(traits)?;
    let (count, workgroups) = linear(case.outputs[0].shape.elements(), traits)?;
    let (distribution, a, b) = match op.distribution {
        Distribution::Keep { rate } => ("keep", rate, 1.0 / (1.0 - rate)),
        Distribution::Normal { mean, deviation } => ("normal", mean, deviation),
    };
    Ok(Dispatch {
        shader: Shader::new("random", Params::WGSL).with("distribution", distribution),
        bindings: vec![
            Binding::new("key", Operand::Input(0), Form::Read),
            Binding::new("y", Operand::Output(0), Form::Write),
        ],
        params: Params { count, stream: op.stream, a, b }.words(),
        workgroups,
    }
    .into())
}
