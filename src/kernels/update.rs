//! `update`: an optimizer's step on one weight, four elements at a time.

use serde_json::json;

use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, linear, params};
use crate::ops::{Op, UpdateRule};

params! {
    /// Parameters of `update`.
    struct Params { vectors: u32 }
}

/// Takes every optimizer.
pub(super) const KERNEL: Kernel = Kernel { stem: "update", accepts };

/// Names of the slots in the shader.
const SLOTS: [[&str; 2]; 3] = [["slot_0", "new_slot_0"], ["slot_1", "new_slot_1"], ["slot_2", "new_slot_2"]];

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Update(op) = case.op else { return Refusal::because("takes optimizer steps") };
    case.fits(traits)?;
    let (vectors, workgroups) = linear(case.outputs[0].shape.elements().div_ceil(4), traits)?;
    let slots = op.rule.slots().len();
    let mut bindings = vec![
        Binding::new("w", Operand::Input(0), Form::ReadVec4),
        Binding::new("g", Operand::Input(1), Form::ReadVec4),
        Binding::new("rates", Operand::Input(slots + 2), Form::Uniform { vectors: 2 }),
        Binding::new("new_w", Operand::Output(0), Form::WriteVec4),
    ];
    for (slot, [old, new]) in SLOTS.into_iter().enumerate().take(slots) {
        bindings.push(Binding::new(old, Operand::Input(slot + 2), Form::ReadVec4));
        bindings.push(Binding::new(new, Operand::Output(slot + 1), Form::WriteVec4));
    }
    let number = |value: f32| json!(format!("f32({value:?})"));
    let mut shader = Shader::new("update", Params::WGSL);
    shader = match op.rule {
        UpdateRule::Sgd { momentum, nesterov } => {
            let rule = if slots == 0 { "sgd" } else { "momentum" };
            shader.with("rule", rule).with("momentum", number(momentum)).with("nesterov", nesterov)
        }
        UpdateRule::Adam { beta_1, beta_2, epsilon, amsgrad } => shader
            .with("rule", "adam")
            .with("beta_1", number(beta_1))
            .with("beta_2", number(beta_2))
            .with("epsilon", number(epsilon))
            .with("amsgrad", amsgrad),
        UpdateRule::Adamax { beta_1, beta_2, epsilon } => shader
            .with("rule", "adamax")
            .with("beta_1", number(beta_1))
            .with("beta_2", number(beta_2))
            .with("epsilon", number(epsilon)),
        UpdateRule::Nadam { beta_1, beta_2, epsilon } => shader
            .with("rule", "nadam")
            .with("beta_1", number(beta_1))
            .with("beta_2", number(beta_2))
            .with("epsilon", number(epsilon)),
        UpdateRule::RmsProp { rho, momentum, epsilon, centered } => shader
            .with("rule", "rmsprop")
            .with("rho", number(rho))
            .with("momentum", number(momentum))
            .with("accumulates", momentum > 0.0)
            .with("epsilon", number(epsilon))
            .with("average", if centered { json!(SLOTS[slots - 1]) } else { json!(null) }),
        UpdateRule::Adagrad { epsilon } => shader.with("rule", "adagrad").with("epsilon", number(epsilon)),
        UpdateRule::Lion { beta_1, beta_2 } => {
            shader.with("rule", "lion").with("beta_1", number(beta_1)).with("beta_2", number(beta_2))
        }
    };
    Ok(Dispatch { shader, bindings, params: Params { vectors }.words(), workgroups }.into())
}
