//! Memory that is a buffer and images at once and that the host reaches, in Vulkan's own words: wgpu has no call for it.
//!
//! A linear image whose rows are whole rows of a buffer lies in memory as the buffer does. This is for processors alone: their
//! drivers end one dispatch before they begin the next, while wgpu, which does not know that both are the same memory, sets
//! no barrier between a dispatch that writes the buffer and one that reads the image.

use super::shared::Window;

/// A buffer, the images in its memory, and that memory where the host reaches it.
pub(super) type Wrapped = (wgpu::Buffer, Vec<wgpu::Texture>, Option<HostMemory>);

#[cfg(not(target_os = "linux"))]
pub(super) fn wrap(_: &wgpu::Device, _: &str, _: u64, _: &[Window]) -> Option<Wrapped> {
    None
}

/// Memory that the host reaches, which is nowhere known to be a buffer's.
#[cfg(not(target_os = "linux"))]
pub(super) enum HostMemory {}

#[cfg(not(target_os = "linux"))]
impl HostMemory {
    pub(super) unsafe fn bytes(&mut self) -> &mut [u8] {
        match *self {}
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::{HostMemory, wrap};

#[cfg(target_os = "linux")]
mod linux {
    use std::ptr::NonNull;
    use std::sync::Arc;

    use ash::vk;
    use wgpu::hal;

    use super::super::memory::{STORAGE, image_descriptor};
    use super::{Window, Wrapped};
    use crate::kernels::Form;
    use crate::tensor::Precision;

    /// The Vulkan objects of one piece of memory. They end together, after the last of what wgpu made of them.
    struct Objects {
        device: ash::Device,
        buffer: vk::Buffer,
        images: Vec<vk::Image>,
        memory: vk::DeviceMemory,
        /// Where the host finds the memory.
        mapped: Option<NonNull<u8>>,
    }

    // SAFETY: handles may be used from every thread, and who reads or writes where `mapped` points sees to that itself.
    unsafe impl Send for Objects {}
    // SAFETY: as above.
    unsafe impl Sync for Objects {}

    /// The memory of a buffer as the host sees it.
    pub(in super::super) struct HostMemory {
        start: NonNull<u8>,
        bytes: usize,
        /// They keep the memory, and end before the device does.
        _objects: Arc<Objects>,
        _device: wgpu::Device,
    }

    // SAFETY: it is memory like any other, which nobody else writes while somebody holds it exclusively.
    unsafe impl Send for HostMemory {}
    // SAFETY: as above.
    unsafe impl Sync for HostMemory {}

    impl HostMemory {
        /// The bytes of the buffer.
        ///
        /// # Safety
        /// No work that uses the buffer may be under way on the device or be submitted while the slice lives.
        pub(in super::super) unsafe fn bytes(&mut self) -> &mut [u8] {
            // SAFETY: the memory is mapped as long as the objects live, initialised, and nobody else's, as the caller promises.
            unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
        }
    }

    impl Drop for Objects {
        fn drop(&mut self) {
            // SAFETY: nothing else destroys these handles, wgpu has let go of them, and null handles are ignored.
            unsafe {
                self.images.iter().for_each(|&image| self.device.destroy_image(image, None));
                self.device.destroy_buffer(self.buffer, None);
                self.device.free_memory(self.memory, None);
            }
        }
    }

    /// A buffer of `bytes` and the images in it; `None` where another driver than Vulkan's runs, or it refuses.
    pub(in super::super) fn wrap(
        device: &wgpu::Device,
        label: &str,
        bytes: u64,
        windows: &[Window],
    ) -> Option<Wrapped> {
        // SAFETY: the handles are made for exactly the descriptions that wgpu gets with them, and live as long as what wgpu makes
        // of them, by whose callbacks `objects` is dropped; that in turn keeps the device.
        unsafe {
            let hal = device.as_hal::<hal::api::Vulkan>()?;
            let objects = Arc::new(create(&hal, bytes, windows)?);
            let keep = || -> hal::DropCallback {
                let objects = objects.clone();
                Box::new(move || drop(objects))
            };
            let usage = wgpu::TextureUsages::STORAGE_BINDING;
            let images = windows.iter().zip(&objects.images).map(|(window, &handle)| {
                let description = image_descriptor(window.image, usage);
                let inner = hal::TextureDescriptor {
                    label: description.label,
                    size: description.size,
                    mip_level_count: description.mip_level_count,
                    sample_count: description.sample_count,
                    dimension: description.dimension,
                    format: description.format,
                    usage: wgpu::wgt::TextureUses::STORAGE_READ_ONLY,
                    memory_flags: hal::MemoryFlags::empty(),
                    view_formats: Vec::new(),
                };
                let texture = hal.texture_from_raw(handle, &inner, Some(keep()), hal::vulkan::TextureMemory::External);
                let state = wgpu::wgt::TextureUses::UNINITIALIZED;
                device.create_texture_from_hal::<hal::api::Vulkan>(texture, &description, state)
            });
            let images = images.collect();
            let description =
                wgpu::BufferDescriptor { label: Some(label), size: bytes, usage: STORAGE, mapped_at_creation: false };
            let buffer = hal::vulkan::Buffer::from_raw_externally_owned(objects.buffer, keep());
            let memory = objects.mapped.map(|start| HostMemory {
                start,
                bytes: bytes as usize,
                _objects: objects.clone(),
                _device: device.clone(),
            });
            Some((device.create_buffer_from_hal::<hal::api::Vulkan>(buffer, &description), images, memory))
        }
    }

    /// # Safety
    /// The device must outlive what is returned.
    unsafe fn create(hal: &hal::vulkan::Device, bytes: u64, windows: &[Window]) -> Option<Objects> {
        let raw = hal.raw_device();
        let (buffer, memory) = (vk::Buffer::null(), vk::DeviceMemory::null());
        let mut objects = Objects { device: raw.clone(), buffer, images: Vec::new(), memory, mapped: None };
        // SAFETY: every handle is made by this device and used as it was made.
        unsafe {
            let usage = vk::BufferUsageFlags::STORAGE_BUFFER
                | vk::BufferUsageFlags::UNIFORM_BUFFER
                | vk::BufferUsageFlags::TRANSFER_SRC
                | vk::BufferUsageFlags::TRANSFER_DST;
            objects.buffer = raw.create_buffer(&vk::BufferCreateInfo::default().size(bytes).usage(usage), None).ok()?;
            let needs = raw.get_buffer_memory_requirements(objects.buffer);
            let (mut size, mut types) = (needs.size, needs.memory_type_bits);
            for window in windows {
                let image = create_image(hal, window)?;
                objects.images.push(image);
                let layout = raw.get_image_subresource_layout(
                    image,
                    vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR),
                );
                let needs = raw.get_image_memory_requirements(image);
                if layout.offset != 0
                    || layout.row_pitch != window.image.row_bytes()
                    || !window.offset.is_multiple_of(needs.alignment)
                {
                    return None;
                }
                size = size.max(window.offset + needs.size);
                types &= needs.memory_type_bits;
            }
            if types == 0 {
                return None;
            }
            let kind = types.trailing_zeros();
            let request = vk::MemoryAllocateInfo::default().allocation_size(size).memory_type_index(kind);
            objects.memory = raw.allocate_memory(&request, None).ok()?;
            raw.bind_buffer_memory(objects.buffer, objects.memory, 0).ok()?;
            for (&image, window) in objects.images.iter().zip(windows) {
                raw.bind_image_memory(image, objects.memory, window.offset).ok()?;
            }
            let instance = hal.shared_instance().raw_instance();
            let known = instance.get_physical_device_memory_properties(hal.raw_physical_device());
            let reached = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
            if known.memory_types.get(kind as usize).is_some_and(|kind| kind.property_flags.contains(reached)) {
                let start = raw.map_memory(objects.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()).ok()?;
                objects.mapped = NonNull::new(start.cast());
            }
        }
        Some(objects)
    }

    /// # Safety
    /// As for [`create`].
    unsafe fn create_image(hal: &hal::vulkan::Device, window: &Window) -> Option<vk::Image> {
        let format = match (window.image.texel, window.image.precision) {
            (4, Precision::F32) => vk::Format::R32G32B32A32_SFLOAT,
            (4, Precision::F16) => vk::Format::R16G16B16A16_SFLOAT,
            _ => vk::Format::R32_SFLOAT,
        };
        let (shape, tiling) = (vk::ImageType::TYPE_2D, vk::ImageTiling::LINEAR);
        let (usage, flags) = (vk::ImageUsageFlags::STORAGE, vk::ImageCreateFlags::empty());
        let description = vk::ImageCreateInfo::default()
            .image_type(shape)
            .format(format)
            .extent(vk::Extent3D { width: Form::IMAGE_WIDTH, height: window.image.rows, depth: 1 })
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(tiling)
            .usage(usage)
            .flags(flags);
        // SAFETY: the physical device is that of the device, and the image is created only as the driver says it can be.
        unsafe {
            let instance = hal.shared_instance().raw_instance();
            let physical = hal.raw_physical_device();
            let limits = instance
                .get_physical_device_image_format_properties(physical, format, shape, tiling, usage, flags)
                .ok()?;
            if limits.max_extent.width < Form::IMAGE_WIDTH || limits.max_extent.height < window.image.rows {
                return None;
            }
            hal.raw_device().create_image(&description, None).ok()
        }
    }
}
