//! What tests ask of every launch: shaders that validate, and bindings and parameter blocks that match them.
#![cfg(test)]

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ScalarKind, TypeInner};

use super::{Case, DeviceClass, DeviceTraits, Dispatch, Form, Launch, candidates};
use crate::ops::Op;
use crate::tensor::TensorType;

/// The launches of every kernel that takes an op on inputs of these shapes, after validating them, with their stems.
pub(super) fn launches(op: impl Into<Op>, inputs: &[&[usize]]) -> Vec<(&'static str, Launch)> {
    launches_on(&DeviceTraits::portable(DeviceClass::Discrete), op, inputs)
}

/// As [`launches`], on a device of the caller's choice.
pub(super) fn launches_on(
    traits: &DeviceTraits,
    op: impl Into<Op>,
    inputs: &[&[usize]],
) -> Vec<(&'static str, Launch)> {
    let op = op.into();
    let inputs: Vec<TensorType> = inputs.iter().map(|shape| TensorType::f32(shape.to_vec())).collect();
    let outputs = op.spec().infer(&inputs).unwrap_or_else(|e| panic!("{op}: {e}"));
    let case = Case { op: &op, inputs: &inputs, outputs: &outputs };
    let accepted: Vec<_> = candidates(&op)
        .iter()
        .filter_map(|kernel| (kernel.accepts)(&case, traits).ok().map(|launch| (kernel.stem, launch)))
        .collect();
    for (stem, launch) in &accepted {
        assert!(!launch.dispatches.is_empty(), "{stem} does nothing");
        launch.dispatches.iter().for_each(|dispatch| validate(stem, dispatch, traits));
    }
    accepted
}

/// Why each kernel does not take an op on inputs of these shapes, with the kernels' stems.
pub(super) fn refusals(op: impl Into<Op>, inputs: &[&[usize]]) -> Vec<(&'static str, String)> {
    let op = op.into();
    let inputs: Vec<TensorType> = inputs.iter().map(|shape| TensorType::f32(shape.to_vec())).collect();
    let outputs = op.spec().infer(&inputs).unwrap_or_else(|e| panic!("{op}: {e}"));
    let case = Case { op: &op, inputs: &inputs, outputs: &outputs };
    let traits = DeviceTraits::portable(DeviceClass::Discrete);
    let refused = candidates(&op).iter().map(|kernel| (kernel.stem, (kernel.accepts)(&case, &traits).err()));
    refused.filter_map(|(stem, why)| Some((stem, why?.0))).collect()
}

/// Panics with the shader's text when it does not validate, or does not match what the dispatch says of it.
pub(super) fn validate(stem: &str, dispatch: &Dispatch, traits: &DeviceTraits) {
    let text = dispatch.source().unwrap_or_else(|e| panic!("{stem}: {e}"));
    let module =
        naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{stem}: {}\n{text}", e.emit_to_string(&text)));
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    if let Err(error) = validator.validate(&module) {
        panic!("{stem}: {}\n{text}", error.emit_to_string(&text));
    }
    let mut seen = 0;
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        seen += 1;
        let inner = &module.types[variable.ty].inner;
        if binding.binding == 0 {
            let TypeInner::Struct { members, span } = inner else { panic!("{stem}: binding 0 is no struct\n{text}") };
            assert_eq!(*span as usize, dispatch.params.len() * 4, "{stem}: bytes of the parameter block\n{text}");
            assert_eq!(members.len(), dispatch.params.len(), "{stem}: fields of the parameter block\n{text}");
            continue;
        }
        let bound = dispatch.bindings.get(binding.binding as usize - 1);
        let bound = bound.unwrap_or_else(|| panic!("{stem}: binding {} is not bound", binding.binding));
        assert_eq!(variable.name.as_deref(), Some(bound.name), "{stem}: binding {}", binding.binding);
        let expected = match bound.form {
            Form::Read | Form::ReadVec4 => Some(AddressSpace::Storage { access: naga::StorageAccess::LOAD }),
            Form::Write | Form::WriteVec4 => {
                Some(AddressSpace::Storage { access: naga::StorageAccess::LOAD | naga::StorageAccess::STORE })
            }
            Form::Uniform { .. } => Some(AddressSpace::Uniform),
            Form::Image | Form::ImageScalar => None,
        };
        assert!(expected.is_none_or(|space| space == variable.space), "{stem}: {} is {:?}", bound.name, variable.space);
        if let TypeInner::Array { base, .. } = inner {
            let vector = matches!(module.types[*base].inner, TypeInner::Vector { scalar, .. } if scalar.kind == ScalarKind::Float);
            let vec4 = matches!(bound.form, Form::ReadVec4 | Form::WriteVec4 | Form::Uniform { .. });
            assert_eq!(vector, vec4, "{stem}: elements of {}", bound.name);
        }
    }
    assert_eq!(seen, dispatch.bindings.len() + 1, "{stem}: bindings");
    let [entry] = &module.entry_points[..] else { panic!("{stem}: one entry point\n{text}") };
    assert_eq!(entry.name, "main", "{stem}");
    let invocations = entry.workgroup_size.iter().product::<u32>();
    assert!(invocations <= traits.max_invocations, "{stem}: {invocations} invocations");
    assert!(dispatch.workgroups.iter().all(|&count| count <= traits.max_workgroups), "{stem}: grid");
}
