//! Reads the numeric datasets of an HDF5 file and converts them to `f32`.

use hdf5_pure::{AttrValue, Datatype, DatatypeByteOrder, FloatingPointLayout};

use super::h5::{Budget, H5Error, damaged, spend};
use crate::tensor::{from_bf16, from_f16};

/// A numeric dataset, row-major, converted to `f32`.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Lengths of the axes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f32>,
    /// The element type in the file, in NumPy's spelling.
    pub dtype: String,
}

/// A dataset of an HDF5 file, not read yet.
pub struct Dataset {
    inner: hdf5_pure::Dataset,
    path: String,
    budget: Budget,
}

/// The most that deflate shrinks its input by.
const MAX_COMPRESSION: u64 = 1032;

/// The element types that weights are stored as.
#[derive(Clone, Copy)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
    Int { signed: bool, bytes: usize },
}

impl Dataset {
    pub(super) fn new(inner: hdf5_pure::Dataset, path: String, budget: Budget) -> Self {
        Dataset { inner, path, budget }
    }

    /// The path of this dataset inside the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads and converts every element.
    pub fn read(&self) -> Result<Array, H5Error> {
        let shape = self.inner.shape().map_err(|error| self.damaged("the shape", error))?;
        let datatype = self.inner.datatype().map_err(|error| self.damaged("the element type", error))?;
        let (element, order) = self.element(&datatype)?;
        let (shape, count) = self.reserve(&shape, element.size())?;
        let raw = self.inner.read_raw().map_err(|error| self.damaged("the values", error))?;
        if raw.len() != count.saturating_mul(element.size()) {
            let reason = format!("{} bytes are stored for {count} values of {}", raw.len(), element.name());
            return Err(self.damaged("the values", reason));
        }
        let data = raw
            .chunks_exact(element.size())
            .map(|bytes| self.convert(element, order, bytes))
            .collect::<Result<_, _>>()?;
        Ok(Array { shape, data, dtype: element.name() })
    }

    /// Checks that the file can hold as many elements as it declares, before any memory is asked
    /// for.
    fn reserve(&self, shape: &[u64], size: usize) -> Result<(Vec<usize>, usize), H5Error> {
        let invented = || self.damaged("the shape", format!("{shape:?} is too large"));
        let count = shape.iter().try_fold(1u64, |product, &length| product.checked_mul(length)).ok_or_else(invented)?;
        let bytes = count.checked_mul(size as u64).ok_or_else(invented)?;
        let stored = if self.inner.filters().is_empty() { bytes } else { bytes.div_ceil(MAX_COMPRESSION) };
        spend(&self.budget, stored, &self.path)?;
        let shape =
            shape.iter().map(|&length| usize::try_from(length)).collect::<Result<_, _>>().map_err(|_| invented())?;
        let count = usize::try_from(count).map_err(|_| invented())?;
        Ok((shape, count))
    }

    fn element(&self, datatype: &Datatype) -> Result<(Element, DatatypeByteOrder), H5Error> {
        let found = match datatype {
            Datatype::FloatingPoint { size, byte_order, layout } => {
                Element::float(*size, layout).map(|element| (element, *byte_order))
            }
            Datatype::FixedPoint { size, byte_order, layout } => {
                match (*size, layout.bit_offset, u32::from(layout.bit_precision)) {
                    (size @ (1 | 2 | 4 | 8), 0, bits) if bits == size * 8 => {
                        Some((Element::Int { signed: layout.signed, bytes: size as usize }, *byte_order))
                    }
                    _ => None,
                }
            }
            // Keras 3 writes bfloat16 as opaque pairs of bytes and says so in an attribute.
            Datatype::Opaque { size: 2, .. } if self.is_marked_bfloat16()? => {
                Some((Element::Bf16, DatatypeByteOrder::LittleEndian))
            }
            _ => None,
        };
        match found {
            Some((element, order @ (DatatypeByteOrder::LittleEndian | DatatypeByteOrder::BigEndian))) => {
                Ok((element, order))
            }
            _ => Err(H5Error::Dtype { object: self.path.clone(), dtype: describe(datatype) }),
        }
    }

    fn is_marked_bfloat16(&self) -> Result<bool, H5Error> {
        let attributes = self.inner.attrs().map_err(|error| self.damaged("the attributes", error))?;
        Ok(attributes.get("dtype").and_then(AttrValue::as_str) == Some("bfloat16"))
    }

    fn convert(&self, element: Element, order: DatatypeByteOrder, bytes: &[u8]) -> Result<f32, H5Error> {
        let bits = word(bytes, order);
        let (value, text) = match element {
            Element::F16 => (Some(from_f16(bits as u16)), String::new()),
            Element::Bf16 => (Some(from_bf16(bits as u16)), String::new()),
            Element::F32 => (Some(f32::from_bits(bits as u32)), String::new()),
            Element::F64 => {
                let wide = f64::from_bits(bits);
                let narrow = wide as f32;
                let overflows = wide.is_finite() && narrow.is_infinite();
                ((!overflows).then_some(narrow), wide.to_string())
            }
            Element::Int { signed, bytes } => {
                let unused = 64 - 8 * bytes as u32;
                let whole = if signed { i128::from(((bits << unused) as i64) >> unused) } else { i128::from(bits) };
                let narrow = whole as f32;
                ((narrow as i128 == whole).then_some(narrow), whole.to_string())
            }
        };
        value.ok_or_else(|| H5Error::Value { object: self.path.clone(), dtype: element.name(), value: text })
    }

    fn damaged(&self, what: &'static str, reason: impl std::fmt::Display) -> H5Error {
        damaged(what, &self.path, reason)
    }
}

impl Element {
    fn float(size: u32, layout: &FloatingPointLayout) -> Option<Self> {
        let fields = (size, layout.exponent_size, layout.mantissa_size);
        let (element, exponent_location, bias) = match fields {
            (2, 5, 10) => (Element::F16, 10, 15),
            (2, 8, 7) => (Element::Bf16, 7, 127),
            (4, 8, 23) => (Element::F32, 23, 127),
            (8, 11, 52) => (Element::F64, 52, 1023),
            _ => return None,
        };
        let standard = layout.bit_offset == 0
            && u32::from(layout.bit_precision) == size * 8
            && layout.mantissa_location == 0
            && layout.exponent_location == exponent_location
            && layout.exponent_bias == bias;
        standard.then_some(element)
    }

    fn size(self) -> usize {
        match self {
            Element::F16 | Element::Bf16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
            Element::Int { bytes, .. } => bytes,
        }
    }

    fn name(self) -> String {
        match self {
            Element::F16 => "float16".to_owned(),
            Element::Bf16 => "bfloat16".to_owned(),
            Element::F32 => "float32".to_owned(),
            Element::F64 => "float64".to_owned(),
            Element::Int { signed, bytes } => {
                format!("{}int{}", if signed { "" } else { "u" }, 8 * bytes)
            }
        }
    }
}

/// Up to eight bytes as one unsigned number.
fn word(bytes: &[u8], order: DatatypeByteOrder) -> u64 {
    let push = |word: u64, &byte: &u8| (word << 8) | u64::from(byte);
    match order {
        DatatypeByteOrder::BigEndian => bytes.iter().fold(0, push),
        _ => bytes.iter().rev().fold(0, push),
    }
}

fn describe(datatype: &Datatype) -> String {
    match datatype {
        Datatype::FixedPoint { size, .. } => format!("unusual {}-bit integers", size * 8),
        Datatype::FloatingPoint { size, .. } => format!("unusual {}-bit floats", size * 8),
        Datatype::String { .. } | Datatype::VariableLength { .. } => "text".to_owned(),
        Datatype::Enumeration { .. } => "booleans or an enumeration".to_owned(),
        Datatype::Compound { .. } => "records".to_owned(),
        Datatype::Opaque { size, .. } => format!("opaque values of {size} bytes"),
        _ => "values of an unusual type".to_owned(),
    }
}
