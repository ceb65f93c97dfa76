//! A plan as text: ports, steps with their kernels and buffers, and what it takes of memory.

use std::fmt;

use super::{Action, BufferRef, Placement, Plan, Resource, Slot};
use crate::tensor::Precision;

impl fmt::Display for BufferRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BufferRef::Input(i) => write!(f, "input{i}"),
            BufferRef::Output(i) => write!(f, "output{i}"),
            BufferRef::Constant(i) => write!(f, "const{i}"),
            BufferRef::Slot(i) => write!(f, "slot{i}"),
        }
    }
}

/// What is written behind a buffer: nothing where its elements are `f32`.
fn as_half(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "",
        Precision::F16 => ":f16",
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.buffer, as_half(self.precision))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, port) in self.inputs.iter().enumerate() {
            writeln!(f, "input{i} `{}` {}", port.name, port.ty)?;
        }
        for step in &self.steps {
            let outputs: Vec<String> =
                step.outputs.iter().map(|placement| format!("{placement} {}", placement.ty.shape)).collect();
            writeln!(f, "{} = {} `{}` by {}", outputs.join(", "), step.op, step.name, step.kernel)?;
            for action in &step.actions {
                match action {
                    Action::CopyToImage { source, image, texels } => {
                        writeln!(f, "    image{image} <- {source} ({texels} texels)")?;
                    }
                    Action::Copy { source, target, bytes } => {
                        let from = |start: u64| if start == 0 { String::new() } else { format!(" from {start}") };
                        let ((source, start), (target, place)) = (source, target);
                        writeln!(f, "    {target}{} <- {source}{} ({bytes} bytes)", from(*place), from(*start))?;
                    }
                    Action::Dispatch { dispatch, resources } => {
                        let [x, y, z] = dispatch.workgroups;
                        let bound: Vec<String> = dispatch
                            .bindings
                            .iter()
                            .zip(resources)
                            .map(|(binding, resource)| {
                                let bound = match resource {
                                    Resource::Buffer(buffer) => format!("{}={buffer}", binding.name),
                                    Resource::Image(image) => format!("{}=image{image}", binding.name),
                                };
                                bound + as_half(binding.precision)
                            })
                            .collect();
                        writeln!(f, "    {} {x}x{y}x{z} {}", dispatch.shader.stem, bound.join(" "))?;
                    }
                }
            }
        }
        for (i, Slot { buffer, offset, bytes }) in self.slots.iter().enumerate() {
            writeln!(f, "slot{i} in buffer{buffer} from {offset}: {bytes} bytes")?;
        }
        for (i, port) in self.outputs.iter().enumerate() {
            writeln!(f, "output{i} `{}` {}", port.name, port.ty)?;
        }
        writeln!(
            f,
            "{} steps, {} dispatches of {} pipelines; {} buffers of {} bytes (live at once: {}), constants {}, images {}; peak {} bytes",
            self.steps.len(),
            self.dispatches(),
            self.pipelines(),
            self.buffers.len(),
            self.buffer_bytes(),
            self.live_bytes,
            self.constant_bytes(),
            self.image_bytes(),
            self.peak_bytes()
        )
    }
}
