//! What kernels may know of a device: plain numbers, no handle to it.

use serde::Serialize;

use super::Refusal;
use crate::tensor::TensorType;

/// The kind of processor behind an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceClass {
    /// A graphics card with memory of its own.
    Discrete,
    /// A GPU that shares memory with the processor.
    Integrated,
    /// A GPU seen through a virtual machine.
    Virtual,
    /// A processor that runs shaders (lavapipe, SwiftShader, WARP).
    Cpu,
    /// The driver does not say.
    Other,
}

/// Limits and abilities of a device, as far as selection depends on them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct DeviceTraits {
    /// The kind of processor.
    pub class: DeviceClass,
    /// Smallest and largest subgroup, when subgroup operations are available.
    pub subgroups: Option<(u32, u32)>,
    /// Whether shaders may use `f16` (wgpu's `SHADER_F16`).
    pub half: bool,
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Largest uniform binding in bytes.
    pub max_uniform_bytes: u64,
    /// Storage buffers that one shader may bind.
    pub max_storage_buffers: u32,
    /// Workgroups per axis of a dispatch.
    pub max_workgroups: u32,
    /// Invocations in one workgroup.
    pub max_invocations: u32,
    /// Bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
    /// Side of the largest 2D texture.
    pub max_texture_side: u32,
}

impl DeviceTraits {
    /// A device with the limits that WebGPU guarantees everywhere, for planning without an adapter.
    pub fn portable(class: DeviceClass) -> DeviceTraits {
        DeviceTraits {
            class,
            subgroups: None,
            half: false,
            max_binding_bytes: 128 << 20,
            max_buffer_bytes: 256 << 20,
            max_uniform_bytes: 64 << 10,
            max_storage_buffers: 8,
            max_workgroups: 65_535,
            max_invocations: 256,
            max_workgroup_bytes: 16 << 10,
            max_texture_side: 8192,
        }
    }

    /// Traits of lavapipe (Mesa's Vulkan on the processor) with 256-bit vectors, for planning without an adapter.
    pub fn lavapipe() -> DeviceTraits {
        DeviceTraits { subgroups: Some((8, 8)), half: true, ..DeviceTraits::portable(DeviceClass::Cpu) }
    }

    /// The fixed subgroup size of a processor that runs shaders, on which the lane family is built.
    pub fn lanes(&self) -> Option<u32> {
        match self.subgroups {
            Some((smallest, largest)) if self.class == DeviceClass::Cpu && smallest == largest => Some(smallest),
            _ => None,
        }
    }

    /// Checks that shaders can bind a tensor and count its elements in `u32`, with room for rounding up.
    pub(super) fn binds(&self, ty: &TensorType) -> Result<(), Refusal> {
        const MOST_ELEMENTS: usize = 1 << 31;
        let (bytes, limit) = (ty.bytes() as u64, self.max_binding_bytes);
        if bytes > limit {
            return Refusal::because(format!("{ty} has {bytes} bytes, and this device binds {limit} at most"));
        }
        let elements = ty.shape.elements();
        if elements > MOST_ELEMENTS {
            return Refusal::because(format!("{ty} has {elements} elements, more than the {MOST_ELEMENTS} it counts"));
        }
        Ok(())
    }

    /// A grid of at least `groups` workgroups, folded near-square over x and y where one axis is too short.
    ///
    /// Shaders recover the linear index as `workgroup_id.y * num_workgroups.x + workgroup_id.x` and skip the surplus.
    pub fn fold(&self, groups: u64) -> Option<[u32; 3]> {
        let limit = u64::from(self.max_workgroups);
        if groups <= limit {
            return Some([groups.max(1) as u32, 1, 1]);
        }
        let x = groups.isqrt() + 1;
        let y = groups.div_ceil(x);
        (x <= limit && y <= limit).then_some([x as u32, y as u32, 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_grids_fold_near_square() {
        let traits = DeviceTraits::portable(DeviceClass::Discrete);
        assert_eq!(traits.fold(65_535), Some([65_535, 1, 1]));
        let [x, y, z] = traits.fold(1_000_003).unwrap();
        assert!(u64::from(x) * u64::from(y) >= 1_000_003 && x.abs_diff(y) <= 2 && z == 1);
        assert!(traits.fold(u64::from(u32::MAX) * 2).is_none());
    }
}
