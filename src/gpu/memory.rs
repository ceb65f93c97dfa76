//! Buffers and images of a plan, and the weights that plans share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::device::{Device, lock};
use crate::error::GpuError;
use crate::kernels::Form;
use crate::plan::{Constant, Image, padded, stored};
use crate::tensor::{Data, Precision, Tensor, TensorType};

/// Any buffer may also be a small operand that a kernel binds as uniform.
pub(super) const STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::UNIFORM)
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);

/// Weights on the device, by the identity of their elements and how they are stored: plans for several input sizes share
/// them.
#[derive(Debug, Default)]
pub struct Weights {
    buffers: Mutex<HashMap<(usize, Precision), (Tensor, wgpu::Buffer)>>,
    images: Mutex<HashMap<(usize, u32, Precision), wgpu::Texture>>,
}

impl Weights {
    /// Bytes of all weights on the device.
    pub fn bytes(&self) -> u64 {
        lock(&self.buffers).values().map(|(_, buffer)| buffer.size()).sum()
    }

    /// The buffer of a constant; uploaded on first use. The tensor is kept, so that its identity stays taken.
    pub(super) fn buffer(&self, device: &Device, constant: &Constant) -> Result<wgpu::Buffer, GpuError> {
        let Constant { tensor, precision } = constant;
        let mut buffers = lock(&self.buffers);
        if let Some((_, buffer)) = buffers.get(&(tensor.data_id(), *precision)) {
            return Ok(buffer.clone());
        }
        let buffer = device.buffer("constant", stored(&tensor.tensor_type(), *precision), STORAGE)?;
        device.upload_stored(&buffer, tensor, *precision)?;
        buffers.insert((tensor.data_id(), *precision), (tensor.clone(), buffer.clone()));
        Ok(buffer)
    }

    /// The image of a constant; filled from its buffer on first use.
    pub(super) fn image(&self, device: &Device, constant: &Constant, image: Image) -> Result<wgpu::Texture, GpuError> {
        let key = (constant.tensor.data_id(), image.texel, image.precision);
        if let Some(texture) = lock(&self.images).get(&key) {
            return Ok(texture.clone());
        }
        let buffer = self.buffer(device, constant)?;
        let texture = device.texture(image)?;
        let texels = constant.tensor.shape().elements().div_ceil(image.texel as usize) as u32;
        let mut encoder = device.shared.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        copy_to_image(&mut encoder, (&buffer, 0), &texture, image, texels);
        device.shared.queue.submit([encoder.finish()]);
        lock(&self.images).insert(key, texture.clone());
        Ok(texture)
    }
}

impl Device {
    pub(super) fn buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, GpuError> {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size: bytes, usage, mapped_at_creation: false };
        self.scoped(&format!("allocating {bytes} bytes for {label}"), || self.shared.device.create_buffer(&descriptor))
    }

    /// A buffer that shaders read and write, for a tensor of type `ty` (padded to whole vectors).
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] when the device has no room for it.
    pub fn tensor_buffer(&self, label: &str, ty: &TensorType) -> Result<wgpu::Buffer, GpuError> {
        self.buffer(label, padded(ty), STORAGE)
    }

    /// Writes a tensor into a buffer made for it, before the next run.
    pub(super) fn upload(&self, buffer: &wgpu::Buffer, tensor: &Tensor) -> Result<(), GpuError> {
        self.upload_stored(buffer, tensor, Precision::F32)
    }

    /// As [`Device::upload`], for a buffer whose elements are stored with a precision.
    fn upload_stored(&self, buffer: &wgpu::Buffer, tensor: &Tensor, precision: Precision) -> Result<(), GpuError> {
        let narrow;
        let bytes: &[u8] = match precision {
            Precision::F32 => elements(tensor)?,
            Precision::F16 => {
                narrow = precision.store(values(tensor)?);
                &narrow
            }
        };
        self.scoped("an upload", || self.shared.queue.write_buffer(buffer, 0, bytes))
    }

    pub(super) fn texture(&self, image: Image) -> Result<wgpu::Texture, GpuError> {
        let usage = wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST;
        let descriptor = image_descriptor(image, usage);
        self.scoped("allocating an image", || self.shared.device.create_texture(&descriptor))
    }
}

pub(super) fn image_descriptor(image: Image, usage: wgpu::TextureUsages) -> wgpu::TextureDescriptor<'static> {
    wgpu::TextureDescriptor {
        label: Some("operand image"),
        size: wgpu::Extent3d { width: Form::IMAGE_WIDTH, height: image.rows, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: match (image.texel, image.precision) {
            (4, Precision::F32) => wgpu::TextureFormat::Rgba32Float,
            (4, Precision::F16) => wgpu::TextureFormat::Rgba16Float,
            _ => wgpu::TextureFormat::R32Float,
        },
        usage,
        view_formats: &[],
    }
}

/// The elements of a tensor as the device wants them.
pub(super) fn elements(tensor: &Tensor) -> Result<&[u8], GpuError> {
    values(tensor).map(bytemuck::cast_slice)
}

fn values(tensor: &Tensor) -> Result<&[f32], GpuError> {
    match tensor.data() {
        Data::F32(values) => Ok(values),
        _ => {
            let what = format!("{} elements cannot be uploaded; convert with `Tensor::to_f32`", tensor.dtype());
            Err(GpuError::Binding { name: "tensor".into(), what })
        }
    }
}

/// Copies `texels` texels: the full rows at once, then what is left of the last one.
pub(super) fn copy_to_image(
    encoder: &mut wgpu::CommandEncoder,
    (buffer, start): (&wgpu::Buffer, u64),
    texture: &wgpu::Texture,
    image: Image,
    texels: u32,
) {
    let row_bytes = image.row_bytes() as u32;
    let (rows, rest) = (texels / Form::IMAGE_WIDTH, texels % Form::IMAGE_WIDTH);
    let mut copy = |first_row: u32, width: u32, height: u32| {
        let layout = wgpu::TexelCopyBufferLayout {
            offset: start + u64::from(first_row) * u64::from(row_bytes),
            bytes_per_row: Some(row_bytes),
            rows_per_image: None,
        };
        let target = wgpu::TexelCopyTextureInfo {
            texture,
            mip_level: 0,
            origin: wgpu::Origin3d { x: 0, y: first_row, z: 0 },
            aspect: wgpu::TextureAspect::All,
        };
        let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
        encoder.copy_buffer_to_texture(wgpu::TexelCopyBufferInfo { buffer, layout }, target, size);
    };
    if rows > 0 {
        copy(0, Form::IMAGE_WIDTH, rows);
    }
    if rest > 0 {
        copy(rows, rest, 1);
    }
}

/// A shared handle to weights on a device.
pub type SharedWeights = Arc<Weights>;
