//! The plan of a probe: one dispatch that belongs to no graph.

use super::{Action, BufferRef, Constant, Image, Placement, Plan, Port, Resource, Step};
use crate::kernels::{Form, Operand, Probe};
use crate::tensor::{Accuracy, Precision};

impl Plan {
    /// The plan that runs a probe once. Its constants lie on the device, as images where it reads them so.
    pub fn of_probe(probe: Probe) -> Plan {
        let Probe { stem, dispatch, constants, output, cost, .. } = probe;
        let precision = Precision::F32;
        let mut images = Vec::new();
        let resources = dispatch.bindings.iter().map(|binding| match (binding.operand, binding.form.texel()) {
            (Operand::Input(constant), Some(texel)) => {
                let elements = constants.get(constant).map_or(0, |tensor| tensor.shape().elements());
                let rows = Form::image_rows(elements, texel) as u32;
                images.push(Image { texel, precision, rows, constant: Some(constant) });
                Resource::Image(images.len() - 1)
            }
            (Operand::Input(constant), None) => Resource::Buffer(BufferRef::Constant(constant)),
            (Operand::Output(index) | Operand::Scratch(index), _) => Resource::Buffer(BufferRef::Output(index)),
        });
        let resources = resources.collect();
        let placement = Placement { buffer: BufferRef::Output(0), ty: output.clone(), precision };
        let step = Step {
            node: None,
            name: stem.into(),
            op: "Probe",
            kernel: stem,
            refusals: Vec::new(),
            actions: vec![Action::Dispatch { dispatch, resources }],
            inputs: Vec::new(),
            outputs: vec![placement],
            cost,
            accuracy: Accuracy::Exact,
        };
        Plan {
            inputs: Vec::new(),
            outputs: vec![Port { name: "y".into(), ty: output }],
            constants: constants.into_iter().map(|tensor| Constant { tensor, precision }).collect(),
            slots: Vec::new(),
            buffers: Vec::new(),
            images,
            steps: vec![step],
            live_bytes: 0,
        }
    }
}
