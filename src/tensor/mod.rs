//! Host tensors: element types, shapes, window arithmetic, comparison, `.npy` and `.safetensors` files.

mod atomic;
mod compare;
mod dtype;
mod npy;
mod precision;
mod safetensors;
mod shape;
mod window;

use std::sync::Arc;

pub use atomic::write_atomically;
pub use compare::{Accuracy, Comparison, compare, compare_within};
pub use dtype::DType;
pub use npy::{read_npy, write_npy};
pub use precision::{Precision, from_bf16, from_f16};
pub(crate) use safetensors::little_endian;
pub use safetensors::{read_safetensors, write_safetensors};
pub use shape::{Shape, open_shape};
pub use window::{AxisWindow, Padding, Window};

use crate::error::TensorError;

/// A shape with an element type: all that planning needs to know of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct TensorType {
    /// Axis sizes, outermost first.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl TensorType {
    /// An `f32` tensor type.
    pub fn f32(shape: impl Into<Shape>) -> TensorType {
        TensorType { shape: shape.into(), dtype: DType::F32 }
    }

    /// Bytes of a dense tensor of this type.
    pub fn bytes(&self) -> usize {
        self.shape.elements().saturating_mul(self.dtype.size())
    }
}

impl std::fmt::Display for TensorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// The elements of a tensor, row-major. Cloning shares them.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Single precision elements.
    F32(Arc<Vec<f32>>),
    /// 32-bit integers.
    I32(Arc<Vec<i32>>),
    /// 64-bit integers.
    I64(Arc<Vec<i64>>),
    /// Bytes.
    U8(Arc<Vec<u8>>),
    /// Truth values.
    Bool(Arc<Vec<bool>>),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::U8(v) => v.len(),
            Data::Bool(v) => v.len(),
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::I32(_) => DType::I32,
            Data::I64(_) => DType::I64,
            Data::U8(_) => DType::U8,
            Data::Bool(_) => DType::Bool,
        }
    }
}

/// A dense, row-major host tensor. Cloning is cheap: the elements are shared and never change.
///
/// Pictures and activations are `[batch, rows, columns, channels]`. Sessions take and give `f32`; [`Tensor::to_f32`] converts, and
/// [`read_npy`] reads what NumPy saved.
///
/// ```
/// use wgconv::tensor::Tensor;
///
/// # fn main() -> Result<(), wgconv::error::TensorError> {
/// let picture = Tensor::from_f32([1, 2, 2, 1], vec![0.0, 0.25, 0.5, 1.0])?;
/// assert_eq!(picture.shape().to_vec(), [1, 2, 2, 1]);
/// assert_eq!(picture.f32s()?[3], 1.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: Data,
}

impl Tensor {
    /// A tensor of `data` in `shape`.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the number of elements is not the product of the axis sizes.
    pub fn new(shape: impl Into<Shape>, data: Data) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        if shape.elements() != data.len() {
            return Err(TensorError::Length { expected: shape.elements(), shape, found: data.len() });
        }
        Ok(Tensor { shape, data })
    }

    /// An `f32` tensor.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the number of elements is not the product of the axis sizes.
    pub fn from_f32(shape: impl Into<Shape>, data: Vec<f32>) -> Result<Tensor, TensorError> {
        Tensor::new(shape, Data::F32(Arc::new(data)))
    }

    /// An `f32` tensor whose element at row-major position `i` is `element(i)`.
    pub fn from_fn(shape: impl Into<Shape>, element: impl FnMut(usize) -> f32) -> Tensor {
        let shape = shape.into();
        let data = (0..shape.elements()).map(element).collect();
        Tensor { shape, data: Data::F32(Arc::new(data)) }
    }

    /// An `f32` tensor of one repeated value.
    pub fn full(shape: impl Into<Shape>, value: f32) -> Tensor {
        Tensor::from_fn(shape, |_| value)
    }

    /// Axis sizes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Shape and element type.
    pub fn tensor_type(&self) -> TensorType {
        TensorType { shape: self.shape.clone(), dtype: self.dtype() }
    }

    /// The elements with their type.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements of an `f32` tensor.
    ///
    /// # Errors
    /// [`TensorError::DType`] for any other element type; [`Tensor::to_f32`] converts.
    pub fn f32s(&self) -> Result<&[f32], TensorError> {
        match &self.data {
            Data::F32(values) => Ok(values),
            other => Err(TensorError::DType { expected: DType::F32, found: other.dtype() }),
        }
    }

    /// The same values as `f32`: shared when they are `f32` already, otherwise rounded to nearest.
    pub fn to_f32(&self) -> Tensor {
        let values: Vec<f32> = match &self.data {
            Data::F32(_) => return self.clone(),
            Data::I32(v) => v.iter().map(|&x| x as f32).collect(),
            Data::I64(v) => v.iter().map(|&x| x as f32).collect(),
            Data::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Data::Bool(v) => v.iter().map(|&x| f32::from(u8::from(x))).collect(),
        };
        Tensor { shape: self.shape.clone(), data: Data::F32(Arc::new(values)) }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`TensorError::Length`] when the element counts differ.
    pub fn reshaped(&self, shape: impl Into<Shape>) -> Result<Tensor, TensorError> {
        Tensor::new(shape, self.data.clone())
    }

    /// Identity of the shared elements: equal for clones and reshapes of one tensor.
    pub fn data_id(&self) -> usize {
        match &self.data {
            Data::F32(v) => Arc::as_ptr(v) as usize,
            Data::I32(v) => Arc::as_ptr(v) as usize,
            Data::I64(v) => Arc::as_ptr(v) as usize,
            Data::U8(v) => Arc::as_ptr(v) as usize,
            Data::Bool(v) => Arc::as_ptr(v) as usize,
        }
    }
}
