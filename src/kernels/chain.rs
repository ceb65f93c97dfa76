//! `chain`: functions of each element, one after the other, in vectors where further inputs allow it.

use serde_json::json;

use super::lane::read_form;
use super::layout::count;
use super::shader::function_options;
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, forms, linear, params,
};
use crate::ops::{ChainOperand, ChainStep, Op};

params! {
    /// Parameters of `chain`: elements or vectors of the output and of its last axis.
    struct Params { count: u32, channels: u32 }
}

/// Takes every chain whose inputs one shader can bind. Processors read vectors through images.
pub(super) const KERNEL: Kernel = Kernel { stem: "chain", accepts };

/// Names of the further inputs.
const NAMES: [&str; 8] =
    ["operand_a", "operand_b", "operand_c", "operand_d", "operand_e", "operand_f", "operand_g", "operand_h"];

/// Further inputs that a chain can have on a device, beside its input and output.
pub fn most_operands(traits: &DeviceTraits) -> usize {
    NAMES.len().min((traits.max_storage_buffers as usize).saturating_sub(2))
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Chain(op) = case.op else { return Refusal::because("takes chains of functions") };
    case.fits(traits)?;
    let operands = op.operands(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    let most = most_operands(traits);
    if operands.len() > most {
        return Refusal::because(format!("takes {most} further inputs at most, and here are {}", operands.len()));
    }
    let shape = &case.inputs[0].shape;
    let vectors = shape.last_axis().is_multiple_of(4) || !operands.contains(&ChainOperand::Channel);
    let (read, write, element) = forms(vectors);
    let part = if vectors { 4 } else { 1 };
    let (items, workgroups) = linear(shape.elements().div_ceil(part), traits)?;
    let form = |input: usize| match vectors {
        true => read_form(read, case.inputs[input].shape.elements(), traits),
        false => read,
    };
    let mut bindings = vec![Binding::new("x", Operand::Input(0), form(0))];
    let mut further = Vec::new();
    for ((operand, name), input) in operands.iter().zip(NAMES).zip(1..) {
        let form = if *operand == ChainOperand::One { Form::Read } else { form(input) };
        bindings.push(Binding::new(name, Operand::Input(input), form));
        further.push(json!({ "name": name, "meets": operand, "form": form }));
    }
    let steps = op.steps.iter().map(|step| match *step {
        ChainStep::Unary(function) => json!({ "function": function_options(function), "operand": null }),
        ChainStep::Binary { function, reversed, operand } => {
            json!({ "function": function, "reversed": reversed, "operand": operand })
        }
    });
    let steps: Vec<_> = steps.collect();
    bindings.push(Binding::new("y", Operand::Output(0), write));
    let params = Params { count: items, channels: count((shape.last_axis() / part).max(1))? };
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("T", element)
        .with("form", json!(form(0)))
        .with("operands", json!(further))
        .with("steps", json!(steps));
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::{launches, refusals};
    use crate::ops::{BinaryFn, Chain, UnaryFn};

    fn chain(binary: usize) -> Chain {
        let add = |i: usize| ChainStep::Binary { function: BinaryFn::Add, reversed: i % 2 == 1, operand: i };
        let steps = (0..binary).map(add).chain([ChainStep::Unary(UnaryFn::Silu)]).collect();
        Chain { steps }
    }

    #[test]
    fn only_channels_that_do_not_fill_vectors_go_one_by_one() {
        let element = |x: &[usize], b: &[usize]| {
            launches(chain(1), &[x, b])[0].1.dispatches[0].shader.options["T"].as_str().unwrap().to_string()
        };
        assert_eq!(element(&[3, 5], &[3, 5]), "vec4<f32>");
        assert_eq!(element(&[3, 5], &[]), "vec4<f32>");
        assert_eq!(element(&[3, 8], &[8]), "vec4<f32>");
        assert_eq!(element(&[3, 5], &[5]), "f32");
    }

    #[test]
    fn more_inputs_than_a_shader_binds_are_refused() {
        let x: &[usize] = &[3, 4];
        assert_eq!(launches(chain(6), &[x; 7]).len(), 1);
        assert!(refusals(chain(7), &[x; 8])[0].1.contains("6 further inputs"));
    }
}
