//! Buffers of a plan, and the images that share their memory on processors, where a copy costs as much as a kernel.

use std::collections::{BTreeMap, HashMap};

use super::device::Device;
use super::memory::STORAGE;
use super::vulkan::HostMemory;
use crate::error::GpuError;
use crate::kernels::{DeviceClass, Form};
use crate::plan::{Action, BufferRef, Image, Plan, Port, padded};
use crate::tensor::Precision;

/// Images that share their memory with a buffer, by buffer, first byte, elements of a texel and how they are stored.
pub(super) type Twins = HashMap<(wgpu::Buffer, u64, u32, Precision), wgpu::Texture>;

/// An image in the memory of a buffer, from the byte `offset` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub offset: u64,
    pub image: Image,
}

/// What a plan copies into images: sources and images.
fn image_copies(plan: &Plan) -> impl Iterator<Item = (BufferRef, usize)> {
    plan.steps.iter().flat_map(|step| &step.actions).filter_map(|action| match action {
        Action::CopyToImage { source, image, .. } => Some((*source, *image)),
        _ => None,
    })
}

/// The image in the memory of a range that can stand for an image of the plan: nothing needs to be copied then.
///
/// The plan keeps a slot as it is while a step reads an image of it, and inputs and outputs to the end of the run.
pub(super) fn twin<'a>(twins: &'a Twins, range: &wgpu::BufferSlice<'_>, image: &Image) -> Option<&'a wgpu::Texture> {
    twins.get(&(range.buffer().clone(), range.offset(), image.texel, image.precision))
}

/// The images that kernels read through of what lies in a buffer: `within` has the first byte and the bytes of what does.
fn windows(plan: &Plan, within: impl Fn(BufferRef) -> Option<(u64, u64)>) -> Vec<Window> {
    let mut needed = BTreeMap::new();
    for (source, image) in image_copies(plan) {
        if let (Some((offset, bytes)), Some(image)) = (within(source), plan.images.get(image)) {
            let most = needed.entry((offset, image.texel, image.precision)).or_insert(bytes);
            *most = bytes.max(*most);
        }
    }
    let window = |((offset, texel, precision), bytes): ((u64, u32, Precision), u64)| {
        let rows = Form::image_rows((bytes / precision.size()) as usize, texel) as u32;
        Window { offset, image: Image { texel, precision, rows, constant: None } }
    };
    needed.into_iter().map(window).collect()
}

/// The images that kernels read an input or output through, whose buffer it has alone.
fn port_windows(plan: &Plan, port: &Port, own: BufferRef) -> Vec<Window> {
    windows(plan, |source| (source == own).then_some((0, padded(&port.ty))))
}

impl Device {
    /// The buffers of a plan for its inputs, its outputs and intermediate values, with images of those that kernels read through
    /// images, as far as this device has memory that is both.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] when the device has no room for them.
    pub(super) fn plan_buffers(&self, plan: &Plan) -> Result<([Vec<wgpu::Buffer>; 3], Twins), GpuError> {
        let mut twins = Twins::new();
        let mut make = |label: &str, bytes: u64, windows: &[Window]| {
            let shared = (!windows.is_empty()).then(|| self.shared_memory(label, bytes, windows, &mut twins));
            shared.flatten().map_or_else(|| self.buffer(label, bytes, STORAGE), |(buffer, _)| Ok(buffer))
        };
        let mut ports = |ports: &[Port], of: fn(usize) -> BufferRef| {
            let buffer =
                |(i, port): (usize, &Port)| make(&port.name, padded(&port.ty), &port_windows(plan, port, of(i)));
            ports.iter().enumerate().map(buffer).collect::<Result<Vec<_>, GpuError>>()
        };
        let (inputs, outputs) = (ports(&plan.inputs, BufferRef::Input)?, ports(&plan.outputs, BufferRef::Output)?);
        let slots = plan.buffers.iter().enumerate().map(|(buffer, &bytes)| {
            let windows = windows(plan, |source| match source {
                BufferRef::Slot(slot) => {
                    plan.slots.get(slot).filter(|slot| slot.buffer == buffer).map(|slot| (slot.offset, slot.bytes))
                }
                _ => None,
            });
            make("intermediate values", bytes, &windows)
        });
        let slots = slots.collect::<Result<Vec<_>, GpuError>>()?;
        Ok(([inputs, outputs, slots], twins))
    }

    /// More buffers for the inputs and the outputs of a plan, in memory that the host reaches; their images go to `twins`. `None`
    /// where there is no such memory.
    pub(super) fn host_ports(&self, plan: &Plan, twins: &mut Twins) -> Option<[Vec<(wgpu::Buffer, HostMemory)>; 2]> {
        let mut ports = |ports: &[Port], of: fn(usize) -> BufferRef| {
            let buffer = |(i, port): (usize, &Port)| {
                let windows = port_windows(plan, port, of(i));
                let (buffer, memory) = self.shared_memory(&port.name, padded(&port.ty), &windows, twins)?;
                Some((buffer, memory?))
            };
            ports.iter().enumerate().map(buffer).collect::<Option<Vec<_>>>()
        };
        Some([ports(&plan.inputs, BufferRef::Input)?, ports(&plan.outputs, BufferRef::Output)?])
    }

    /// A buffer of at least `bytes`, filled with zeros, with images in its memory, which go to `twins`. `None` on devices other
    /// than processors, and where the driver lays images out in another way than buffers.
    fn shared_memory(
        &self,
        label: &str,
        bytes: u64,
        windows: &[Window],
        twins: &mut Twins,
    ) -> Option<(wgpu::Buffer, Option<HostMemory>)> {
        let traits = &self.shared.traits;
        let fits = windows.iter().all(|window| window.image.rows <= traits.max_texture_side);
        if traits.class != DeviceClass::Cpu || !fits {
            return None;
        }
        // Images are whole rows.
        let end = |window: &Window| window.offset + window.image.bytes();
        let bytes = windows.iter().map(end).fold(bytes, u64::max);
        self.scoped("sharing memory", || {
            let (buffer, images, memory) = super::vulkan::wrap(&self.shared.device, label, bytes, windows)?;
            let mut encoder = self.shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            // What an image holds is defined from the time on when it has its layout.
            let state = wgpu::wgt::TextureUses::STORAGE_READ_ONLY;
            let transition = |texture| wgpu::wgt::TextureTransition { texture, selector: None, state };
            encoder.transition_resources(std::iter::empty(), images.iter().map(transition));
            encoder.clear_buffer(&buffer, 0, None);
            self.shared.queue.submit([encoder.finish()]);
            for (Window { offset, image }, texture) in windows.iter().zip(images) {
                twins.insert((buffer.clone(), *offset, image.texel, image.precision), texture);
            }
            Some((buffer, memory))
        })
        .ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::ShaderChecks;
    use crate::gpu::check::executable;
    use crate::gpu::executable::{Bound, BoundAction};
    use crate::ops::Conv;
    use crate::tensor::{Tensor, TensorType, Window as Taps};

    #[test]
    fn nothing_of_the_plans_own_is_copied_into_images_on_lavapipe() {
        let Ok(device) = pollster::block_on(Device::request("llvmpipe", ShaderChecks::Off)) else {
            return eprintln!("skipped: there is no llvmpipe");
        };
        let executable = executable(&device, |graph| {
            let mut last = graph.input("x", TensorType::f32([1, 31, 43, 8]));
            for (name, weight) in [("a", 0.5), ("b", 0.25), ("c", -1.0)] {
                let w = graph.constant(name, Tensor::full([1, 1, 8, 8], weight));
                last = graph.node(name, Conv::new(Taps::unit(2), 1), &[last, w]).unwrap();
            }
            graph.output("y", last);
        });
        assert_eq!(image_copies(executable.plan()).count(), 3);
        let copies = |bound: &Bound| {
            let copy = |action: &&BoundAction| matches!(action, BoundAction::CopyToImage { .. });
            bound.steps.iter().flatten().filter(copy).count()
        };
        assert_eq!(copies(&executable.own), 0);
        for x in [1.0, 3.0] {
            let outputs = executable.run(&[Tensor::full([1, 31, 43, 8], x)]).unwrap();
            assert_eq!(outputs, [Tensor::full([1, 31, 43, 8], -64.0 * x)]);
        }
        // The caller's buffers are no images.
        let ty = TensorType::f32([1, 31, 43, 8]);
        let [x, y] = ["x", "y"].map(|name| device.tensor_buffer(name, &ty).unwrap());
        device.upload(&x, &Tensor::full([1, 31, 43, 8], 2.0)).unwrap();
        let bound = executable.bind(vec![x], vec![y]).unwrap();
        assert_eq!(copies(&bound), 1);
        let outputs = executable.start(&bound, &[0]).unwrap().wait().unwrap();
        assert_eq!(outputs, [Tensor::full([1, 31, 43, 8], -128.0)]);
    }
}
