//! Tensors of every ONNX element type on the host.

use std::sync::Arc;

pub(super) use crate::import::bounds::elements;
use crate::tensor::{Data, Shape, Tensor};

/// An ONNX element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elem {
    /// `float`.
    F32,
    /// `double`.
    F64,
    /// `float16`.
    F16,
    /// `bfloat16`.
    Bf16,
    /// `int8`.
    I8,
    /// `int16`.
    I16,
    /// `int32`.
    I32,
    /// `int64`.
    I64,
    /// `uint8`.
    U8,
    /// `uint16`.
    U16,
    /// `uint32`.
    U32,
    /// `uint64`.
    U64,
    /// `bool`.
    Bool,
}

impl Elem {
    /// The type behind a number of `TensorProto.DataType`.
    ///
    /// # Errors
    /// The type's number and what is supported.
    pub fn from_code(code: i64) -> Result<Elem, String> {
        Ok(match code {
            1 => Elem::F32,
            2 => Elem::U8,
            3 => Elem::I8,
            4 => Elem::U16,
            5 => Elem::I16,
            6 => Elem::I32,
            7 => Elem::I64,
            9 => Elem::Bool,
            10 => Elem::F16,
            11 => Elem::F64,
            12 => Elem::U32,
            13 => Elem::U64,
            16 => Elem::Bf16,
            _ => return Err(format!("element type {code} of TensorProto.DataType (numbers and bool are read)")),
        })
    }

    /// Whether it is one of the floating-point types.
    pub fn is_float(self) -> bool {
        matches!(self, Elem::F32 | Elem::F64 | Elem::F16 | Elem::Bf16)
    }

    /// Whether every value of another integer type is one of this type.
    pub fn holds(self, other: Elem) -> bool {
        // Bits for magnitudes, and whether there is a sign.
        let range = |elem: Elem| match elem {
            Elem::Bool => Some((1, false)),
            Elem::U8 => Some((8, false)),
            Elem::I8 => Some((7, true)),
            Elem::U16 => Some((16, false)),
            Elem::I16 => Some((15, true)),
            Elem::U32 => Some((32, false)),
            Elem::I32 => Some((31, true)),
            Elem::U64 => Some((64, false)),
            Elem::I64 => Some((63, true)),
            // Integers that are exact in f32 are so in every float that is computed.
            Elem::F32 | Elem::F64 => Some((64, true)),
            Elem::F16 | Elem::Bf16 => None,
        };
        match (range(self), range(other)) {
            (Some((bits, signed)), Some((other_bits, other_signed))) => bits >= other_bits && (signed || !other_signed),
            _ => false,
        }
    }

    /// Whether it is an integer type of more than eight bits.
    pub fn is_wide_integer(self) -> bool {
        !self.is_float() && self.size() > 1
    }

    pub(super) fn size(self) -> usize {
        match self {
            Elem::I8 | Elem::U8 | Elem::Bool => 1,
            Elem::F16 | Elem::Bf16 | Elem::I16 | Elem::U16 => 2,
            Elem::F32 | Elem::I32 | Elem::U32 => 4,
            Elem::F64 | Elem::I64 | Elem::U64 => 8,
        }
    }

    /// An integer as this type stores it, wrapping.
    pub fn wrap(self, value: i64) -> i64 {
        match self {
            Elem::I8 => i64::from(value as i8),
            Elem::U8 => i64::from(value as u8),
            Elem::I16 => i64::from(value as i16),
            Elem::U16 => i64::from(value as u16),
            Elem::I32 => i64::from(value as i32),
            Elem::U32 => i64::from(value as u32),
            Elem::Bool => i64::from(value != 0),
            _ => value,
        }
    }
}

/// The elements of a [`HostTensor`]. Cloning shares them.
#[derive(Debug, Clone, PartialEq)]
pub enum HostData {
    /// `float` and what widens to it without loss.
    Floats(Tensor),
    /// `double`.
    Doubles(Arc<Vec<f64>>),
    /// Integers and booleans.
    Ints(Arc<Vec<i64>>),
}

/// Offsets of a broadcast operand's elements, in the output's order.
pub(super) fn broadcast_positions(from: &[usize], to: &[usize]) -> Result<impl Iterator<Item = usize> + use<>, String> {
    let (from, to) = (Shape::from(from), Shape::from(to));
    elements(&to)?;
    let strides = from.broadcast_strides(&to).ok_or_else(|| format!("{from} does not broadcast to {to}"))?;
    Ok(to.offsets(&strides))
}

/// A tensor whose elements are known when the graph is built.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// The element type that the file gives it.
    pub elem: Elem,
    /// The elements.
    pub data: HostData,
}

impl HostTensor {
    /// Integers of a type, wrapped to it.
    pub fn ints(shape: Vec<usize>, elem: Elem, values: Vec<i64>) -> HostTensor {
        HostTensor { shape, elem, data: HostData::Ints(Arc::new(values.into_iter().map(|v| elem.wrap(v)).collect())) }
    }

    /// A vector of `int64`.
    pub fn vector(values: Vec<i64>) -> HostTensor {
        HostTensor::ints(vec![values.len()], Elem::I64, values)
    }

    /// Numbers in double precision, stored as a type.
    pub fn from_f64(shape: Vec<usize>, elem: Elem, values: Vec<f64>) -> Result<HostTensor, String> {
        let data = match elem {
            Elem::F64 => HostData::Doubles(Arc::new(values)),
            elem if elem.is_float() => {
                let floats = values.into_iter().map(|v| v as f32).collect();
                HostData::Floats(Tensor::from_f32(shape.clone(), floats).map_err(|e| e.to_string())?)
            }
            Elem::Bool => HostData::Ints(Arc::new(values.into_iter().map(|v| i64::from(v != 0.0)).collect())),
            elem => HostData::Ints(Arc::new(values.into_iter().map(|v| elem.wrap(v as i64)).collect())),
        };
        Ok(HostTensor { shape, elem, data })
    }

    /// Numbers that a graph has computed in single precision, stored as a type. Floating-point numbers are shared.
    ///
    /// # Errors
    /// When they are no `f32`.
    pub fn computed(tensor: &Tensor, elem: Elem) -> Result<HostTensor, String> {
        let shape = tensor.shape().to_vec();
        let floats = tensor.f32s().map_err(|e| e.to_string())?;
        match elem {
            Elem::F32 | Elem::F16 | Elem::Bf16 => {
                Ok(HostTensor { shape, elem, data: HostData::Floats(tensor.clone()) })
            }
            _ => HostTensor::from_f64(shape, elem, floats.iter().map(|&x| f64::from(x)).collect()),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes that an element takes here.
    pub(super) fn width(&self) -> usize {
        if matches!(self.data, HostData::Floats(_)) { 4 } else { 8 }
    }

    /// The first element, if there is one.
    pub fn first(&self) -> Option<f64> {
        match &self.data {
            HostData::Floats(tensor) => tensor.f32s().ok()?.first().map(|&v| f64::from(v)),
            HostData::Doubles(values) => values.first().copied(),
            HostData::Ints(values) => values.first().map(|&v| v as f64),
        }
    }

    /// Every element in double precision.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            HostData::Floats(tensor) => tensor.f32s().unwrap_or_default().iter().map(|&v| f64::from(v)).collect(),
            HostData::Doubles(values) => values.to_vec(),
            HostData::Ints(values) => values.iter().map(|&v| v as f64).collect(),
        }
    }

    /// Every element as an integer; they are shared.
    ///
    /// # Errors
    /// When it is not of an integer type.
    pub fn to_i64(&self) -> Result<Arc<Vec<i64>>, String> {
        match &self.data {
            HostData::Ints(values) => Ok(values.clone()),
            _ => Err(format!("integers are needed where a {:?} tensor was given", self.elem)),
        }
    }

    /// The tensor as `f32`.
    ///
    /// # Errors
    /// When an integer is too large to be held exactly.
    pub fn to_tensor(&self) -> Result<Tensor, String> {
        let values = match &self.data {
            HostData::Floats(tensor) => return Ok(tensor.clone()),
            HostData::Doubles(values) => values.iter().map(|&v| v as f32).collect(),
            HostData::Ints(values) => match values.iter().find(|v| v.unsigned_abs() > 1 << 24) {
                Some(large) => return Err(format!("the integer {large} does not fit into f32 exactly")),
                None => values.iter().map(|&v| v as f32).collect(),
            },
        };
        Tensor::from_f32(self.shape.clone(), values).map_err(|e| e.to_string())
    }

    /// The tensor as files of weights hold it: floating-point numbers as `f32`, all others as `i64`.
    ///
    /// # Errors
    /// When shape and elements disagree.
    pub fn to_stored(&self) -> Result<Tensor, String> {
        match &self.data {
            HostData::Ints(values) => {
                Tensor::new(self.shape.clone(), Data::I64(values.clone())).map_err(|e| e.to_string())
            }
            _ => self.to_tensor(),
        }
    }

    /// The elements at these positions, under another shape.
    ///
    /// # Errors
    /// When a position does not exist, or there are not as many as the shape has elements.
    pub fn take(&self, shape: Vec<usize>, positions: impl IntoIterator<Item = usize>) -> Result<HostTensor, String> {
        fn pick<T: Copy>(
            values: &[T],
            count: usize,
            positions: impl IntoIterator<Item = usize>,
        ) -> Result<Vec<T>, String> {
            let mut picked = Vec::with_capacity(count);
            for position in positions {
                picked.push(*values.get(position).ok_or("an index lies outside of its tensor")?);
            }
            match picked.len() == count {
                true => Ok(picked),
                false => Err(format!("{} elements are taken for {count}", picked.len())),
            }
        }
        let count = elements(&shape)?;
        let data = match &self.data {
            HostData::Floats(tensor) => {
                let values = pick(tensor.f32s().unwrap_or_default(), count, positions)?;
                HostData::Floats(Tensor::from_f32(shape.clone(), values).map_err(|e| e.to_string())?)
            }
            HostData::Doubles(values) => HostData::Doubles(Arc::new(pick(values, count, positions)?)),
            HostData::Ints(values) => HostData::Ints(Arc::new(pick(values, count, positions)?)),
        };
        Ok(HostTensor { shape, elem: self.elem, data })
    }

    /// The elements broadcast to a shape.
    ///
    /// # Errors
    /// When they do not broadcast to it.
    pub fn spread(&self, shape: &[usize]) -> Result<HostTensor, String> {
        match self.shape == shape {
            true => Ok(self.clone()),
            false => self.take(shape.to_vec(), broadcast_positions(&self.shape, shape)?),
        }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshaped(&self, shape: Vec<usize>) -> Result<HostTensor, String> {
        if elements(&shape)? != self.len() {
            return Err(format!("{:?} cannot become {shape:?}", self.shape));
        }
        let data = match &self.data {
            HostData::Floats(tensor) => HostData::Floats(tensor.reshaped(shape.clone()).map_err(|e| e.to_string())?),
            other => other.clone(),
        };
        Ok(HostTensor { shape, elem: self.elem, data })
    }

    /// The elements as another type: floats to integers towards zero, anything to bool as `!= 0`.
    ///
    /// # Errors
    /// When the tensor is too large.
    pub fn cast(&self, elem: Elem) -> Result<HostTensor, String> {
        match &self.data {
            HostData::Ints(values) if !elem.is_float() => Ok(match elem.holds(self.elem) {
                true => HostTensor { elem, ..self.clone() },
                false => HostTensor::ints(self.shape.clone(), elem, values.to_vec()),
            }),
            HostData::Floats(_) if elem == Elem::F32 => Ok(HostTensor { elem, ..self.clone() }),
            _ => HostTensor::from_f64(self.shape.clone(), elem, self.to_f64()),
        }
    }
}
