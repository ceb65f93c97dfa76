//! `peak_multiply`: the multiply-adds that a device computes per second.

use super::{Binding, DeviceTraits, Dispatch, Form, LINEAR_WORKGROUP, Operand, Probe, Refusal, Shader, params};
use crate::ops::Cost;
use crate::tensor::TensorType;

params! {
    /// Parameters of `peak_multiply`.
    struct Params { rounds: u32, factor: f32, addend: f32 }
}

/// Sums that do not wait for each other: enough to hide the latency of a multiply-add, few enough for 16 registers.
const CHAINS: usize = 12;
/// Multiply-adds of a chain in one round, so that the loop itself costs little.
const UNROLL: usize = 16;
const ROUNDS: usize = 256;
const STEM: &str = "peak_multiply";

/// The probe in `workgroups` workgroups.
///
/// # Errors
/// [`Refusal`] when the device dispatches fewer at once.
pub fn peak_multiply(workgroups: u64, traits: &DeviceTraits) -> Result<Probe, Refusal> {
    let Some([x, y, z]) = traits.fold(workgroups) else {
        return Refusal::because(format!("{workgroups} workgroups are more than one dispatch has"));
    };
    let invocations = (x * y * z * LINEAR_WORKGROUP) as usize;
    let output = TensorType::f32([invocations]);
    let params = Params { rounds: ROUNDS as u32, factor: 1.0, addend: 1.0 };
    Ok(Probe {
        stem: STEM,
        dispatch: Dispatch {
            shader: Shader::new(STEM, Params::WGSL).with("chains", CHAINS).with("unroll", UNROLL),
            bindings: vec![Binding::new("y", Operand::Output(0), Form::Write)],
            params: params.words(),
            workgroups: [x, y, z],
        },
        constants: Vec::new(),
        cost: Cost::new(invocations * CHAINS * UNROLL * ROUNDS, &[], std::slice::from_ref(&output)),
        output,
        expected,
    })
}

fn expected(index: usize) -> f32 {
    let starts = CHAINS * (index % LINEAR_WORKGROUP as usize) + CHAINS * (CHAINS - 1) / 2;
    (starts + CHAINS * UNROLL * ROUNDS) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::validate;

    #[test]
    fn the_probe_is_a_valid_shader_and_counts_what_it_computes() {
        let traits = DeviceTraits::lavapipe();
        let probe = peak_multiply(100_000, &traits).unwrap();
        validate(probe.stem, &probe.dispatch, &traits);
        assert!(probe.output.shape.elements() >= 6_400_000);
        assert_eq!(probe.cost.macs, probe.output.shape.elements() as u64 * 49_152);
        // Every sum on the way must be a whole number that f32 holds.
        assert!((0..64).all(|index| expected(index) < 16_777_216.0 && expected(index).fract() == 0.0));
        assert!(peak_multiply(1 << 40, &traits).is_err());
    }
}
