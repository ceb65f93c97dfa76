//! Tensors that a file holds, each run of bytes read once however many tensors and operators share it.

use std::collections::HashMap;

use super::lower::Value;
use super::schema::{self, Model};
use crate::import::bounds::{Room, elements};
use crate::import::refusal::{Wrong, invalid, unsupported};
use crate::tensor::{Data, Tensor, from_f16};

/// The constants of a file, read as they are asked for.
pub(super) struct Constants<'a> {
    file: &'a [u8],
    buffers: Vec<schema::Buffer<'a>>,
    room: &'a Room,
    /// By the tensor's number.
    tensors: HashMap<i32, Value>,
    /// By position and length of the bytes, and the code of their type.
    bytes: HashMap<(usize, usize, i8), Value>,
}

impl<'a> Constants<'a> {
    pub fn new(file: &'a [u8], model: &Model<'a>, room: &'a Room) -> Constants<'a> {
        let buffers = model.buffers().into_iter().flatten().collect();
        Constants { file, buffers, room, tensors: HashMap::new(), bytes: HashMap::new() }
    }

    /// A tensor by its number; `None` for one that is computed.
    pub fn read(&mut self, index: i32, tensor: &schema::Tensor<'_>) -> Result<Option<Value>, Wrong> {
        if let Some(known) = self.tensors.get(&index) {
            return Ok(Some(known.clone()));
        }
        let value = self.decoded(tensor)?;
        if let Some(value) = &value {
            self.tensors.insert(index, value.clone());
        }
        Ok(value)
    }

    /// The bytes of a buffer; none if the tensor is computed.
    fn bytes_of(&self, tensor: &schema::Tensor<'_>) -> Result<&'a [u8], Wrong> {
        let buffer = match tensor.buffer().unwrap_or(0) as usize {
            0 => None,
            at => self.buffers.get(at),
        };
        let Some(buffer) = buffer else { return Ok(&[]) };
        match (buffer.offset().unwrap_or(0), buffer.size().unwrap_or(0)) {
            (0 | 1, _) | (_, 0) => Ok(buffer.data().map(|data| data.bytes()).unwrap_or_default()),
            // Large models keep their buffers behind the tables.
            (offset, size) => {
                let end = offset.checked_add(size).and_then(|end| usize::try_from(end).ok());
                let range = usize::try_from(offset).ok().zip(end).map(|(offset, end)| offset..end);
                let bytes = range.and_then(|range| self.file.get(range));
                bytes.ok_or_else(|| Wrong::Invalid("its buffer lies outside of the file".into()))
            }
        }
    }

    fn decoded(&mut self, tensor: &schema::Tensor<'_>) -> Result<Option<Value>, Wrong> {
        let bytes = self.bytes_of(tensor)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let sizes = tensor.shape().into_iter().flatten().map(usize::try_from).collect::<Result<Vec<usize>, _>>();
        let shape = sizes.map_err(|_| Wrong::Invalid("a constant with an open axis".into()))?;
        let (name, element) = (tensor.name().unwrap_or_default(), tensor.element().unwrap_or(0));
        let size = match element {
            0 | 2 => 4,
            1 => 2,
            4 => 8,
            other => return unsupported(format!("constants of {} (`{name}`)", schema::element_name(other))),
        };
        if elements(&shape)? * size != bytes.len() {
            return invalid(format!("`{name}` has {} bytes for the shape {shape:?}", bytes.len()));
        }
        let key = (bytes.as_ptr() as usize, bytes.len(), element);
        let flat = match self.bytes.get(&key) {
            Some(known) => known.clone(),
            None => {
                self.room.spend(&shape, if element > 1 { 8 } else { 4 })?;
                let numbers = numbers(element, bytes)?;
                self.bytes.insert(key, numbers.clone());
                numbers
            }
        };
        Ok(Some(match flat {
            Value::Floats(flat) => Value::Floats(flat.reshaped(shape).map_err(|e| Wrong::Invalid(e.to_string()))?),
            other => other,
        }))
    }
}

/// The numbers that bytes are as a type.
fn numbers(element: i8, bytes: &[u8]) -> Result<Value, Wrong> {
    let floats = |values: Vec<f32>| {
        let tensor = Tensor::new([values.len()], Data::F32(values.into()));
        Ok(Value::Floats(tensor.map_err(|e| Wrong::Invalid(e.to_string()))?))
    };
    match element {
        0 => floats(bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()),
        1 => floats(bytes.as_chunks().0.iter().map(|&half| from_f16(u16::from_le_bytes(half))).collect()),
        2 => Ok(Value::Ints(bytes.as_chunks().0.iter().map(|&word| i64::from(i32::from_le_bytes(word))).collect())),
        _ => Ok(Value::Ints(bytes.as_chunks().0.iter().map(|&long| i64::from_le_bytes(long)).collect())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::read_tflite;
    use super::*;

    #[test]
    fn bytes_are_read_once_however_often_they_are_asked_for() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tflite/mobile.tflite");
        let model = read_tflite(&path).unwrap();
        let (tables, graph) = model.tables().unwrap();
        let room = Room::beside(0);
        let mut constants = Constants::new(&model.bytes, &tables, &room);
        let mut read = 0;
        for (index, tensor) in graph.tensors().into_iter().flatten().enumerate() {
            // Another number for the same bytes, as files have it whose tensors share a buffer.
            let mut data = |index: usize| match constants.read(index as i32, &tensor) {
                Ok(Some(Value::Floats(floats))) => Some(floats.data_id()),
                Ok(Some(Value::Ints(ints))) => Some(ints.as_ptr() as usize),
                _ => None,
            };
            if let Some(first) = data(index) {
                assert_eq!([data(index), data(index + 100_000)], [Some(first); 2]);
                read += 1;
            }
        }
        assert!(read > 5, "{read} constants");
    }
}
