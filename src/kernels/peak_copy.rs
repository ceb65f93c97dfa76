//! `peak_copy`: the bytes that a device reads and writes per second.

use serde_json::json;

use super::lane::image_fits;
use super::{Binding, DeviceTraits, Dispatch, Form, LINEAR_WORKGROUP, Operand, Probe, Refusal, Shader, params};
use crate::ops::Cost;
use crate::tensor::{Tensor, TensorType};

params! {
    /// Parameters of `peak_copy`: invocations in the grid.
    struct Params { grid: u32 }
}

/// Vectors that one invocation moves.
const EACH: u64 = 8;
const STEM: &str = "peak_copy";

/// The probe on about `bytes` bytes, read from a buffer or from an image.
///
/// # Errors
/// [`Refusal`] when the device has no binding, image or grid of this size.
pub fn peak_copy(bytes: u64, from_image: bool, traits: &DeviceTraits) -> Result<Probe, Refusal> {
    let group_bytes = 16 * EACH * u64::from(LINEAR_WORKGROUP);
    let groups = (bytes / group_bytes).max(1);
    let Some([x, y, z]) = traits.fold(groups).filter(|[x, y, _]| u64::from(x * y) * group_bytes <= 1 << 31) else {
        return Refusal::because(format!("{groups} workgroups are more than one dispatch has"));
    };
    let grid = x * y * z * LINEAR_WORKGROUP;
    let elements = 4 * (u64::from(grid) * EACH) as usize;
    let ty = TensorType::f32([elements]);
    if ty.bytes() as u64 > traits.max_binding_bytes || (from_image && !image_fits(elements, 4, traits)) {
        return Refusal::because(format!("{ty} is larger than a binding or an image of this device"));
    }
    let form = if from_image { Form::Image } else { Form::ReadVec4 };
    Ok(Probe {
        stem: STEM,
        dispatch: Dispatch {
            shader: Shader::new(STEM, Params::WGSL).with("images", json!(from_image)).with("each", EACH),
            bindings: vec![
                Binding::new("x", Operand::Input(0), form),
                Binding::new("y", Operand::Output(0), Form::WriteVec4),
            ],
            params: Params { grid }.words(),
            workgroups: [x, y, z],
        },
        constants: vec![Tensor::from_fn([elements], expected)],
        cost: Cost::new(0, std::slice::from_ref(&ty), std::slice::from_ref(&ty)),
        output: ty,
        expected,
    })
}

fn expected(index: usize) -> f32 {
    (index % 16_777_213) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::validate;

    #[test]
    fn both_forms_are_valid_shaders_over_an_exact_grid() {
        let traits = DeviceTraits::lavapipe();
        for from_image in [false, true] {
            let probe = peak_copy(64 << 20, from_image, &traits).unwrap();
            validate(probe.stem, &probe.dispatch, &traits);
            let invocations = probe.dispatch.workgroups.iter().product::<u32>() * LINEAR_WORKGROUP;
            assert_eq!(probe.output.bytes() as u64, u64::from(invocations) * EACH * 16);
            assert!(peak_copy(1 << 40, from_image, &traits).is_err());
        }
    }
}
