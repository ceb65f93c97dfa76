//! `binary`: a function of two elements with broadcasting.

use serde_json::json;

use super::lane::read_form;
use super::layout::{Axes, signed};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, linear, params};
use crate::ops::Op;
use crate::tensor::TensorType;

params! {
    /// Parameters of `binary`: elements or vectors of the output, and how its axes run through the operands.
    struct Params { count: u32, sizes: [u32; 8], a_strides: [u32; 8], b_strides: [u32; 8] }
}

/// Takes every function and every pair of shapes that broadcast.
///
/// Works in vectors where both operands are dense or constant along the innermost axis that remains after merging: equal
/// shapes, a scalar, or one value per channel for channels that fill whole vectors. Processors then read through images.
pub(super) const KERNEL: Kernel = Kernel { stem: "binary", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::Binary(op), [a, b], [y]) = (case.op, case.inputs, case.outputs) else {
        return Refusal::because("takes functions of two elements");
    };
    case.fits(traits)?;
    let strides = |operand: &TensorType| match operand.shape.broadcast_strides(&y.shape) {
        Some(strides) => Ok(signed(&strides)),
        None => Refusal::because(format!("{operand} does not broadcast to {y}")),
    };
    let mut axes = Axes::merged(&y.shape, &[strides(a)?, strides(b)?]);
    let vectors = axes.vectorize(true);
    let form = |operand: usize, ty: &TensorType| match vectors.as_ref().and_then(|dense| dense.get(operand)) {
        Some(true) => read_form(Form::ReadVec4, ty.shape.elements(), traits),
        Some(false) => read_form(Form::Read, ty.shape.elements(), traits),
        None => Form::Read,
    };
    let forms = [form(0, a), form(1, b)];
    let (count, workgroups) = linear(axes.positions(), traits)?;
    let params =
        Params { count, sizes: axes.size_words()?, a_strides: axes.stride_words(0), b_strides: axes.stride_words(1) };
    Ok(Dispatch {
        shader: Shader::new("binary", Params::WGSL)
            .with("function", json!(op.function))
            .with("T", if vectors.is_some() { "vec4<f32>" } else { "f32" })
            .with("forms", json!(forms))
            .with("rank", axes.rank()),
        bindings: vec![
            Binding::new("a", Operand::Input(0), forms[0]),
            Binding::new("b", Operand::Input(1), forms[1]),
            Binding::new("y", Operand::Output(0), Form::write(vectors.is_some())),
        ],
        params: params.words(),
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::check::launches;
    use crate::ops::{Binary, BinaryFn};

    const FUNCTIONS: [BinaryFn; 13] = [
        BinaryFn::Add,
        BinaryFn::Sub,
        BinaryFn::Mul,
        BinaryFn::Div,
        BinaryFn::Max,
        BinaryFn::Min,
        BinaryFn::Prelu,
        BinaryFn::Pow,
        BinaryFn::Equal,
        BinaryFn::Less,
        BinaryFn::LessEqual,
        BinaryFn::Greater,
        BinaryFn::GreaterEqual,
    ];

    /// The element type and the rank that a pair of shapes is computed with.
    fn variant(a: &[usize], b: &[usize]) -> (String, u64) {
        let (_, launch) = &launches(Binary { function: BinaryFn::Add }, &[a, b])[0];
        let options = &launch.dispatches[0].shader.options;
        (options["T"].as_str().unwrap().into(), options["rank"].as_u64().unwrap())
    }

    #[test]
    fn every_function_is_valid_in_both_forms() {
        for function in FUNCTIONS {
            assert_eq!(launches(Binary { function }, &[&[3, 5], &[3, 5]]).len(), 1);
            assert_eq!(launches(Binary { function }, &[&[3, 5], &[5]]).len(), 1);
        }
    }

    #[test]
    fn tensors_beyond_a_binding_are_refused_with_both_sizes() {
        let op = Op::from(Binary { function: BinaryFn::Add });
        let types = [TensorType::f32([3, 5]), TensorType::f32([3, 5])];
        let case = Case { op: &op, inputs: &types, outputs: &types[..1] };
        let traits = DeviceTraits { max_binding_bytes: 48, ..DeviceTraits::lavapipe() };
        let refusal = (KERNEL.accepts)(&case, &traits).unwrap_err();
        assert!(refusal.0.contains("60 bytes") && refusal.0.contains("48"), "{refusal}");
    }

    #[test]
    fn common_shapes_work_in_vectors() {
        assert_eq!(variant(&[3, 5, 7], &[3, 5, 7]), ("vec4<f32>".into(), 1));
        assert_eq!(variant(&[3, 5, 7], &[]), ("vec4<f32>".into(), 1));
        assert_eq!(variant(&[2, 5, 7, 12], &[12]), ("vec4<f32>".into(), 2));
        assert_eq!(variant(&[2, 12, 4, 5], &[12, 1, 1]), ("vec4<f32>".into(), 3));
        assert_eq!(variant(&[2, 5, 7, 13], &[13]), ("f32".into(), 2));
        assert_eq!(variant(&[2, 1, 3, 1, 5], &[1, 4, 1, 6, 1]), ("f32".into(), 5));
    }
}
