//! Tensors of every ONNX element type on the host, and how they are read from a file.

use std::path::{Component, Path};

use super::proto::TensorProto;
use crate::tensor::{Tensor, from_bf16, from_f16};

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

    fn size(self) -> usize {
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

/// The elements of a [`HostTensor`].
#[derive(Debug, Clone, PartialEq)]
pub enum HostData {
    /// `float` and what widens to it without loss.
    Floats(Tensor),
    /// `double`.
    Doubles(Vec<f64>),
    /// Integers and booleans.
    Ints(Vec<i64>),
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

/// Number of elements, unless it is absurd.
pub fn elements(shape: &[usize]) -> Result<usize, String> {
    shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .filter(|&count| count <= 1 << 28)
        .ok_or_else(|| format!("a tensor of the shape {shape:?} is too large"))
}

impl HostTensor {
    /// Integers of a type, wrapped to it.
    pub fn ints(shape: Vec<usize>, elem: Elem, values: Vec<i64>) -> HostTensor {
        HostTensor { shape, elem, data: HostData::Ints(values.into_iter().map(|v| elem.wrap(v)).collect()) }
    }

    /// A vector of `int64`.
    pub fn vector(values: Vec<i64>) -> HostTensor {
        HostTensor::ints(vec![values.len()], Elem::I64, values)
    }

    /// Numbers in double precision, stored as a type.
    pub fn from_f64(shape: Vec<usize>, elem: Elem, values: Vec<f64>) -> Result<HostTensor, String> {
        let data = match elem {
            Elem::F64 => HostData::Doubles(values),
            elem if elem.is_float() => {
                let floats = values.into_iter().map(|v| v as f32).collect();
                HostData::Floats(Tensor::from_f32(shape.clone(), floats).map_err(|e| e.to_string())?)
            }
            Elem::Bool => HostData::Ints(values.into_iter().map(|v| i64::from(v != 0.0)).collect()),
            elem => HostData::Ints(values.into_iter().map(|v| elem.wrap(v as i64)).collect()),
        };
        Ok(HostTensor { shape, elem, data })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Every element in double precision.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            HostData::Floats(tensor) => tensor.f32s().unwrap_or_default().iter().map(|&v| f64::from(v)).collect(),
            HostData::Doubles(values) => values.clone(),
            HostData::Ints(values) => values.iter().map(|&v| v as f64).collect(),
        }
    }

    /// Every element as an integer.
    ///
    /// # Errors
    /// When it is not of an integer type.
    pub fn to_i64(&self) -> Result<Vec<i64>, String> {
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

    /// The elements at these positions, under another shape.
    ///
    /// # Errors
    /// When a position does not exist.
    pub fn take(&self, shape: Vec<usize>, positions: &[usize]) -> Result<HostTensor, String> {
        fn pick<T: Copy>(values: &[T], positions: &[usize]) -> Option<Vec<T>> {
            positions.iter().map(|&position| values.get(position).copied()).collect()
        }
        let outside = || "an index lies outside of its tensor".to_string();
        let data = match &self.data {
            HostData::Floats(tensor) => {
                let values = pick(tensor.f32s().unwrap_or_default(), positions).ok_or_else(outside)?;
                HostData::Floats(Tensor::from_f32(shape.clone(), values).map_err(|e| e.to_string())?)
            }
            HostData::Doubles(values) => HostData::Doubles(pick(values, positions).ok_or_else(outside)?),
            HostData::Ints(values) => HostData::Ints(pick(values, positions).ok_or_else(outside)?),
        };
        Ok(HostTensor { shape, elem: self.elem, data })
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
            HostData::Ints(values) if !elem.is_float() => {
                Ok(HostTensor::ints(self.shape.clone(), elem, values.clone()))
            }
            HostData::Floats(_) if elem == Elem::F32 => Ok(HostTensor { elem, ..self.clone() }),
            _ => HostTensor::from_f64(self.shape.clone(), elem, self.to_f64()),
        }
    }
}

/// Reads a tensor message. Data outside of the file must lie in `folder`.
///
/// # Errors
/// What does not fit: shape, element type, length, location.
pub fn read_tensor(proto: &TensorProto, folder: &Path) -> Result<HostTensor, String> {
    let wrong = |what: String| format!("tensor `{}`: {what}", proto.name);
    let elem = Elem::from_code(i64::from(proto.data_type)).map_err(wrong)?;
    let shape: Vec<usize> = proto
        .dims
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| wrong(format!("an axis of {size} elements"))))
        .collect::<Result<_, _>>()?;
    let count = elements(&shape).map_err(wrong)?;
    let external;
    let raw: &[u8] = if proto.data_location == 1 {
        external = read_external(proto, folder).map_err(wrong)?;
        &external
    } else {
        &proto.raw_data
    };
    let data =
        if raw.is_empty() { typed(proto, elem) } else { from_bytes(raw, elem, count * elem.size()).map_err(wrong)? };
    let (found, data) = match data {
        Read::F32(values) if values.len() == count => {
            let tensor = Tensor::from_f32(shape.clone(), values).map_err(|e| wrong(e.to_string()))?;
            return Ok(HostTensor { shape, elem, data: HostData::Floats(tensor) });
        }
        Read::F32(values) => (values.len(), HostData::Ints(Vec::new())),
        Read::F64(values) => (values.len(), HostData::Doubles(values)),
        Read::Int(values) => (values.len(), HostData::Ints(values)),
    };
    if found != count {
        return Err(wrong(format!("{found} elements where {shape:?} holds {count}")));
    }
    Ok(HostTensor { shape, elem, data })
}

enum Read {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Int(Vec<i64>),
}

fn from_bytes(raw: &[u8], elem: Elem, expected: usize) -> Result<Read, String> {
    fn each<const N: usize, T>(raw: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|&bytes| convert(bytes)).collect()
    }
    if raw.len() != expected {
        return Err(format!("{} bytes of elements where {expected} are needed", raw.len()));
    }
    Ok(match elem {
        Elem::F32 => Read::F32(each(raw, f32::from_le_bytes)),
        Elem::F16 => Read::F32(each(raw, |bytes| from_f16(u16::from_le_bytes(bytes)))),
        Elem::Bf16 => Read::F32(each(raw, |bytes| from_bf16(u16::from_le_bytes(bytes)))),
        Elem::F64 => Read::F64(each(raw, f64::from_le_bytes)),
        Elem::I8 => Read::Int(each(raw, |bytes| i64::from(i8::from_le_bytes(bytes)))),
        Elem::U8 => Read::Int(each(raw, |[byte]| i64::from(byte))),
        Elem::Bool => Read::Int(each(raw, |[byte]| i64::from(byte != 0))),
        Elem::I16 => Read::Int(each(raw, |bytes| i64::from(i16::from_le_bytes(bytes)))),
        Elem::U16 => Read::Int(each(raw, |bytes| i64::from(u16::from_le_bytes(bytes)))),
        Elem::I32 => Read::Int(each(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))),
        Elem::U32 => Read::Int(each(raw, |bytes| i64::from(u32::from_le_bytes(bytes)))),
        Elem::I64 => Read::Int(each(raw, i64::from_le_bytes)),
        Elem::U64 => Read::Int(each(raw, |bytes| u64::from_le_bytes(bytes) as i64)),
    })
}

/// The typed field that holds a type's elements.
fn typed(proto: &TensorProto, elem: Elem) -> Read {
    let half = |convert: fn(u16) -> f32| Read::F32(proto.int32_data.iter().map(|&v| convert(v as u16)).collect());
    match elem {
        Elem::F32 => Read::F32(proto.float_data.clone()),
        Elem::F64 => Read::F64(proto.double_data.clone()),
        Elem::F16 => half(from_f16),
        Elem::Bf16 => half(from_bf16),
        Elem::I64 => Read::Int(proto.int64_data.clone()),
        Elem::U32 | Elem::U64 => Read::Int(proto.uint64_data.iter().map(|&v| v as i64).collect()),
        elem => Read::Int(proto.int32_data.iter().map(|&v| elem.wrap(i64::from(v))).collect()),
    }
}

fn read_external(proto: &TensorProto, folder: &Path) -> Result<Vec<u8>, String> {
    use std::io::{Read as _, Seek, SeekFrom};
    let entry = |key: &str| proto.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let number = |key: &str| {
        entry(key)
            .map(|text| text.parse::<u64>().map_err(|_| format!("external data with the {key} `{text}`")))
            .transpose()
    };
    let location = Path::new(entry("location").ok_or("external data without a location")?);
    if location.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(format!("external data at `{}`; it must lie in the model's folder", location.display()));
    }
    let path = folder.join(location);
    let failed = |e: std::io::Error| format!("external data at `{}`: {e}", path.display());
    let mut file = std::fs::File::open(&path).map_err(failed)?;
    file.seek(SeekFrom::Start(number("offset")?.unwrap_or(0))).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(number("length")?.unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
