//! One file per shader stem: which cases a kernel accepts, and how it is dispatched.
//!
//! Everything here is plain data and pure functions: a launch can be built and checked on a machine without an adapter.

mod batch_norm;
mod binary;
mod chain;
mod check;
mod concat;
mod conv_direct;
mod conv_few;
mod conv_gemm;
mod conv_generic;
mod conv_grad_filter;
mod conv_grad_filter_gemm;
mod conv_grad_filter_lane;
mod conv_lane;
mod conv_transpose;
mod conv_transpose_gemm;
mod conv_transpose_lane;
mod conv_winograd;
mod conv_winograd_lane;
mod copy;
mod dense_lane;
mod dense_rows;
mod depthwise;
mod depthwise_grad_filter;
mod depthwise_lane;
mod depthwise_transpose;
mod epilogue;
mod expand;
mod gather;
mod gemm;
mod inverted_residual;
mod lane;
mod layout;
mod matmul;
mod matmul_tile;
mod moments;
mod narrow;
mod normalize;
mod pad;
mod pad_grad;
mod peak_copy;
mod peak_multiply;
mod phases;
mod pointwise;
mod pointwise_lane;
mod pool;
mod pool_grad;
mod pool_grad_cells;
mod probe;
mod random;
mod reduce;
mod registry;
mod resize;
mod resize_grad;
mod select;
mod separable;
mod shader;
mod shared_depthwise;
mod shared_depthwise_lane;
mod slice;
mod slice_grad;
mod softmax;
mod split_sum;
mod squeeze_excite;
mod strips;
mod team;
mod traits;
mod transpose;
mod transpose_block;
mod transpose_tile;
mod unary;
mod unary_grad;
mod update;
mod window;

pub use chain::most_operands as chain_operands;
pub use conv_winograd::pays as winograd_pays;
pub use inverted_residual::pays as inverted_residual_pays;
pub use peak_copy::peak_copy;
pub use peak_multiply::peak_multiply;
pub use probe::Probe;
pub use registry::{candidates, preferred, shaders_fingerprint};
pub use separable::pays as separable_pays;
pub use shader::Shader;
pub use squeeze_excite::pays as squeeze_excite_pays;
pub use traits::{DeviceClass, DeviceTraits};

use crate::ops::Op;
use crate::tensor::{Precision, TensorType};

/// One op with the types it works on: what a kernel decides over.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The op.
    pub op: &'a Op,
    /// Types of its inputs.
    pub inputs: &'a [TensorType],
    /// Types of its outputs.
    pub outputs: &'a [TensorType],
}

impl Case<'_> {
    /// Checks that shaders can bind every tensor and count its elements in `u32`, with room for rounding up.
    fn fits(&self, traits: &DeviceTraits) -> Result<(), Refusal> {
        self.inputs.iter().chain(self.outputs).try_for_each(|ty| traits.binds(ty))
    }
}

/// Why a kernel does not take a case.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Refusal(pub String);

impl Refusal {
    /// A refusal with its reason.
    pub fn because<T>(reason: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal(reason.into()))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A kernel: its stem names the shader file, the pipeline and the profiler's row.
#[derive(Debug)]
pub struct Kernel {
    /// `shaders/<stem>.wgsl`.
    pub stem: &'static str,
    /// The launch for a case on a device, or why there is none.
    pub accepts: fn(&Case<'_>, &DeviceTraits) -> Result<Launch, Refusal>,
}

/// Everything that is dispatched for one node, in order, and the scratch buffers between the dispatches.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Launch {
    /// The dispatches, one after the other.
    pub dispatches: Vec<Dispatch>,
    /// Bytes of each scratch buffer.
    pub scratch: Vec<u64>,
}

impl From<Dispatch> for Launch {
    fn from(dispatch: Dispatch) -> Launch {
        Launch { dispatches: vec![dispatch], scratch: Vec::new() }
    }
}

/// One dispatch of one shader.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Dispatch {
    /// The shader with its template options.
    pub shader: Shader,
    /// What is bound, in binding order from 1 on; binding 0 is the parameter block.
    pub bindings: Vec<Binding>,
    /// The parameter block: `u32` and `f32` words of the shader's `Params`.
    #[serde(skip)]
    pub params: Vec<u32>,
    /// Workgroups per axis.
    pub workgroups: [u32; 3],
}

/// A tensor of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// Input of the op.
    Input(usize),
    /// Output of the op.
    Output(usize),
    /// Scratch buffer of the launch.
    Scratch(usize),
}

/// How a tensor is seen by the shader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `var<storage, read> array<f32>`.
    Read,
    /// `var<storage, read> array<vec4<f32>>`; buffers are always padded to whole vectors.
    ReadVec4,
    /// `var<storage, read_write> array<f32>`.
    Write,
    /// `var<storage, read_write> array<vec4<f32>>`.
    WriteVec4,
    /// `var<uniform> array<vec4<f32>, N>`, for small constants that every invocation reads.
    Uniform {
        /// Number of vectors: the element count divided by 4, rounded up.
        vectors: u32,
    },
    /// `texture_storage_2d<rgba32float, read>` (or `rgba16float`), row-major texels of four elements, 1024 to a row.
    Image,
    /// `texture_storage_2d<r32float, read>`, row-major texels of one element, 1024 to a row.
    ImageScalar,
}

impl Form {
    /// Texels in one row of an image form.
    pub const IMAGE_WIDTH: u32 = 1024;

    /// Rows of an image for so many elements, `texel` of them in one texel. It is never a power of two: llvmpipe translates a
    /// shader once for images whose sides are powers of two, and once more for others.
    pub fn image_rows(elements: usize, texel: u32) -> usize {
        let rows = elements.div_ceil(texel as usize * Form::IMAGE_WIDTH as usize);
        (rows + usize::from(rows.is_power_of_two())).max(3)
    }

    /// A buffer read in vectors or element by element.
    pub fn read(vectors: bool) -> Form {
        if vectors { Form::ReadVec4 } else { Form::Read }
    }

    /// A buffer written in vectors or element by element.
    pub fn write(vectors: bool) -> Form {
        if vectors { Form::WriteVec4 } else { Form::Write }
    }

    /// Whether the shader writes through it.
    pub fn is_write(self) -> bool {
        matches!(self, Form::Write | Form::WriteVec4)
    }

    /// Elements of one texel of an image form; `None` for buffers.
    pub fn texel(self) -> Option<u32> {
        match self {
            Form::Image => Some(4),
            Form::ImageScalar => Some(1),
            _ => None,
        }
    }

    /// Whether the shader can see a tensor in this form that is stored with a precision.
    ///
    /// Vectors of `f16` lie closer together than uniform buffers allow, and WebGPU has no storage images of one `f16`.
    pub fn takes(self, precision: Precision) -> bool {
        precision == Precision::F32 || !matches!(self, Form::Uniform { .. } | Form::ImageScalar)
    }

    /// The WGSL declaration under `@group(0) @binding(n)`, buffers in `f32`.
    fn declaration(self, name: &str, precision: Precision) -> String {
        let texel = if precision == Precision::F16 { "rgba16float" } else { "rgba32float" };
        match self {
            Form::Read => format!("var<storage, read> {name}: array<f32>;"),
            Form::ReadVec4 => format!("var<storage, read> {name}: array<vec4<f32>>;"),
            Form::Write => format!("var<storage, read_write> {name}: array<f32>;"),
            Form::WriteVec4 => format!("var<storage, read_write> {name}: array<vec4<f32>>;"),
            Form::Uniform { vectors } => format!("var<uniform> {name}: array<vec4<f32>, {vectors}>;"),
            Form::Image => format!("var {name}: texture_storage_2d<{texel}, read>;"),
            Form::ImageScalar => format!("var {name}: texture_storage_2d<r32float, read>;"),
        }
    }
}

/// A tensor bound to a shader.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Binding {
    /// Its name in the shader.
    pub name: &'static str,
    /// Which tensor of the node.
    pub operand: Operand,
    /// How the shader sees it.
    pub form: Form,
    /// How it is stored. The plan decides it.
    pub precision: Precision,
    /// Whether it is read from a buffer that the same dispatch writes another range of: wgpu then wants it bound as writable.
    /// The plan decides it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

impl Binding {
    /// Binds `operand` under `name`, stored as `f32`.
    pub fn new(name: &'static str, operand: Operand, form: Form) -> Binding {
        Binding { name, operand, form, precision: Precision::F32, shared: false }
    }

    /// The WGSL declaration under `@group(0) @binding(n)`, buffers in `f32`.
    fn declaration(&self) -> String {
        let declaration = self.form.declaration(self.name, self.precision);
        match self.shared {
            true => declaration.replacen("var<storage, read>", "var<storage, read_write>", 1),
            false => declaration,
        }
    }
}

/// Declares a shader's parameter block once: the Rust struct, its words, and the WGSL `struct Params`.
///
/// Fields are `u32` or `f32`, so that both sides have the same layout whatever the address space. A field `strides` of
/// type `[u32; 8]` becomes the fields `strides0` to `strides7`, one of type `Windows` those of three windows.
macro_rules! params {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $ty:tt),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name {
            $(pub $field: $ty,)*
        }

        impl $name {
            /// The WGSL declaration.
            pub(super) const WGSL: &'static str =
                concat!("struct Params {\n", $($crate::kernels::params!(@wgsl $field, $ty),)* "}");

            /// The block as words.
            pub(super) fn words(&self) -> Vec<u32> {
                [$($crate::kernels::params!(@words self.$field, $ty),)*].concat()
            }
        }
    };
    (@wgsl $field:ident, [u32; 8]) => {
        concat!(
            "    ", stringify!($field), "0: u32,\n", "    ", stringify!($field), "1: u32,\n",
            "    ", stringify!($field), "2: u32,\n", "    ", stringify!($field), "3: u32,\n",
            "    ", stringify!($field), "4: u32,\n", "    ", stringify!($field), "5: u32,\n",
            "    ", stringify!($field), "6: u32,\n", "    ", stringify!($field), "7: u32,\n",
        )
    };
    (@wgsl $field:ident, Windows) => {
        concat!(
            "    depth_input: u32,\n",
            "    depth_output: u32,\n",
            "    depth_size: u32,\n",
            "    depth_stride: u32,\n",
            "    depth_dilation: u32,\n",
            "    depth_before: u32,\n",
            "    height_input: u32,\n",
            "    height_output: u32,\n",
            "    height_size: u32,\n",
            "    height_stride: u32,\n",
            "    height_dilation: u32,\n",
            "    height_before: u32,\n",
            "    width_input: u32,\n",
            "    width_output: u32,\n",
            "    width_size: u32,\n",
            "    width_stride: u32,\n",
            "    width_dilation: u32,\n",
            "    width_before: u32,\n",
        )
    };
    (@wgsl $field:ident, $ty:ident) => { concat!("    ", stringify!($field), ": ", stringify!($ty), ",\n") };
    (@words $value:expr, u32) => { vec![$value] };
    (@words $value:expr, f32) => { vec![$value.to_bits()] };
    (@words $value:expr, Windows) => { $value.concat() };
    (@words $value:expr, [u32; 8]) => { $value.to_vec() };
}
use params;

/// How a kernel that works in vectors or element by element reads and writes, and what its templates call `T`.
fn forms(vectors: bool) -> (Form, Form, &'static str) {
    (Form::read(vectors), Form::write(vectors), if vectors { "vec4<f32>" } else { "f32" })
}

/// Invocations in the workgroups of kernels that give each invocation one piece of linear work (`lib/index.wgsl`).
///
/// Every template knows it by this name.
const LINEAR_WORKGROUP: u32 = 64;

/// Rounds of loops, inner and outer ones together, after which llvmpipe ends an invocation's loops without a word.
const MOST_ROUNDS: usize = 65_535;
/// Rounds beyond which kernels unroll their loops, so as to stay below that.
const LONG_LOOP: usize = MOST_ROUNDS / 4;

/// Checks that an invocation's loops come to their end on this device.
fn ends(rounds: usize, traits: &DeviceTraits) -> Result<(), Refusal> {
    match traits.class {
        DeviceClass::Cpu if rounds > MOST_ROUNDS => Refusal::because(format!(
            "loops {rounds} times in one invocation, and drivers that run on a processor stop at {MOST_ROUNDS}"
        )),
        _ => Ok(()),
    }
}

/// A grid of workgroups along three axes, each of which counts so many of `what`.
fn workgroups(grid: [usize; 3], what: &str, traits: &DeviceTraits) -> Result<[u32; 3], Refusal> {
    if grid.iter().any(|&groups| groups > traits.max_workgroups as usize) {
        return Refusal::because(format!("a grid of {grid:?} {what} is more than one dispatch can count"));
    }
    Ok(grid.map(|groups| groups as u32))
}

/// The count and the grid for `items` pieces of linear work, one per invocation.
fn linear(items: usize, traits: &DeviceTraits) -> Result<(u32, [u32; 3]), Refusal> {
    let groups = (items as u64).div_ceil(u64::from(LINEAR_WORKGROUP));
    match (u32::try_from(items), traits.fold(groups)) {
        (Ok(count), Some(workgroups)) => Ok((count, workgroups)),
        _ => Refusal::because(format!("{items} pieces of work are more than one dispatch can count")),
    }
}
