//! `.safetensors` files: named tensors, through the `safetensors` crate.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::Metadata;
use safetensors::{Dtype, View};

use super::precision::{from_bf16, from_f16};
use super::write_atomically;
use crate::error::TensorError;
use crate::tensor::{Data, Tensor};

/// Reads all tensors with their names, and the texts kept beside them. `F32`, `I32`, `I64`, `U8` and `BOOL` keep their type;
/// every other real number becomes `f32`.
///
/// # Errors
/// [`TensorError::File`], naming the file, when it cannot be read, is no such file, or holds other elements.
#[allow(clippy::type_complexity)]
pub fn read_safetensors(path: &Path) -> Result<(BTreeMap<String, Tensor>, BTreeMap<String, String>), TensorError> {
    let wrong = |what: String| TensorError::File { path: path.to_path_buf(), what };
    let failed = |e: std::io::Error| wrong(e.to_string());
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let length = file.get_ref().metadata().map_err(failed)?.len();
    let header =
        read_header(&mut file, length).map_err(|e| wrong(format!("not a .safetensors file, or cut short: {e}")))?;
    // In the order of the file, one at a time: no byte is in memory for long but as an element.
    let mut infos: Vec<_> = header.tensors().into_iter().collect();
    infos.sort_by_key(|(_, info)| info.data_offsets);
    let mut tensors = BTreeMap::new();
    for (name, info) in infos {
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        file.read_exact(&mut bytes).map_err(failed)?;
        let data = elements(info.dtype, &bytes)
            .ok_or_else(|| wrong(format!("`{name}` has elements of type {:?}; save it as F32", info.dtype)))?;
        let tensor = Tensor::new(info.shape.clone(), data).map_err(|e| wrong(format!("`{name}`: {e}")))?;
        tensors.insert(name, tensor);
    }
    let texts = header.metadata().iter().flatten().map(|(key, text)| (key.clone(), text.clone())).collect();
    Ok((tensors, texts))
}

/// What comes before the elements, checked against the length of the file.
fn read_header(file: &mut impl Read, length: u64) -> Result<Metadata, String> {
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|e| e.to_string())?;
    let size = u64::from_le_bytes(size);
    let rest = length.checked_sub(8).and_then(|length| length.checked_sub(size));
    let rest = rest.ok_or_else(|| format!("a header of {size} bytes in {length}"))?;
    let mut header = vec![0; usize::try_from(size).map_err(|e| e.to_string())?];
    file.read_exact(&mut header).map_err(|e| e.to_string())?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|e| e.to_string())?;
    match header.data_len() as u64 == rest {
        true => Ok(header),
        false => Err(format!("{} bytes of elements are named and {rest} are there", header.data_len())),
    }
}

/// Writes tensors under their names, and one text (key and value) beside them: several would have no fixed order in the file,
/// and the same tensors give the same bytes. The file is there as a whole or not at all.
///
/// # Errors
/// [`TensorError::File`] when it cannot be written, or two tensors have one name.
pub fn write_safetensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    text: Option<(&str, &str)>,
) -> Result<(), TensorError> {
    let wrong = |what: String| TensorError::File { path: path.to_path_buf(), what };
    let mut names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(wrong(format!("two tensors are called `{}`", twice[0])));
    }
    let text = text.map(|(key, value)| [(key.to_string(), value.to_string())].into_iter().collect());
    let views = tensors.iter().map(|(name, tensor)| (name.as_str(), Viewed(tensor)));
    let bytes = safetensors::serialize(views, text).map_err(|e| wrong(e.to_string()))?;
    write_atomically(path, |out| out.write_all(&bytes)).map_err(|e| wrong(e.to_string()))
}

struct Viewed<'a>(&'a Tensor);

impl View for Viewed<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.data() {
            Data::F32(_) => Dtype::F32,
            Data::I32(_) => Dtype::I32,
            Data::I64(_) => Dtype::I64,
            Data::U8(_) => Dtype::U8,
            Data::Bool(_) => Dtype::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.0.data() {
            Data::F32(v) => little_endian(v),
            Data::I32(v) => little_endian(v),
            Data::I64(v) => little_endian(v),
            Data::U8(v) => Cow::Borrowed(v),
            Data::Bool(v) => v.iter().map(|&x| u8::from(x)).collect(),
        }
    }

    fn data_len(&self) -> usize {
        self.0.tensor_type().bytes()
    }
}

/// The bytes of numbers as files hold them.
pub(crate) fn little_endian<T: bytemuck::NoUninit>(values: &[T]) -> Cow<'_, [u8]> {
    let bytes: &[u8] = bytemuck::cast_slice(values);
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytes);
    }
    bytes.chunks_exact(size_of::<T>()).flat_map(|element| element.iter().rev().copied()).collect()
}

fn elements(dtype: Dtype, bytes: &[u8]) -> Option<Data> {
    fn each<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Arc<Vec<T>> {
        Arc::new(bytes.as_chunks::<N>().0.iter().map(|&bytes| element(bytes)).collect())
    }
    Some(match dtype {
        Dtype::F32 => Data::F32(each(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F32(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F16 => Data::F32(each(bytes, |b| from_f16(u16::from_le_bytes(b)))),
        Dtype::BF16 => Data::F32(each(bytes, |b| from_bf16(u16::from_le_bytes(b)))),
        Dtype::I8 => Data::F32(each(bytes, |b| f32::from(i8::from_le_bytes(b)))),
        Dtype::I16 => Data::F32(each(bytes, |b| f32::from(i16::from_le_bytes(b)))),
        Dtype::U16 => Data::F32(each(bytes, |b| f32::from(u16::from_le_bytes(b)))),
        Dtype::I32 => Data::I32(each(bytes, i32::from_le_bytes)),
        Dtype::I64 => Data::I64(each(bytes, i64::from_le_bytes)),
        Dtype::U8 => Data::U8(each(bytes, |[byte]: [u8; 1]| byte)),
        Dtype::BOOL => Data::Bool(each(bytes, |[byte]: [u8; 1]| byte != 0)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_and_text_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let tensors = [
            ("b".to_string(), Tensor::from_fn([2, 3, 5], |i| i as f32 * 0.5 - 3.0)),
            ("a".to_string(), Tensor::new([3], Data::I64(Arc::new(vec![-1, 0, i64::MAX]))).unwrap()),
            ("flags".to_string(), Tensor::new([2], Data::Bool(Arc::new(vec![true, false]))).unwrap()),
            ("none".to_string(), Tensor::full([0, 4], 1.0)),
            ("one".to_string(), Tensor::full(Vec::<usize>::new(), f32::NEG_INFINITY)),
        ];
        write_safetensors(&path, &tensors, Some(("step", "17"))).unwrap();
        let (read, texts) = read_safetensors(&path).unwrap();
        assert_eq!(read, BTreeMap::from(tensors.clone()));
        assert_eq!(texts, BTreeMap::from([("step".to_string(), "17".to_string())]));
        let bytes = std::fs::read(&path).unwrap();
        write_safetensors(&path, &tensors, Some(("step", "17"))).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        let twice = [tensors[0].clone(), tensors[0].clone()];
        assert!(write_safetensors(&path, &twice, None).unwrap_err().to_string().contains("two tensors are called `b`"));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        write_safetensors(&path, &[("a".to_string(), Tensor::full([4], 1.0))], None).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let message = read_safetensors(&path).unwrap_err().to_string();
            assert!(message.contains("w.safetensors"), "{message}");
        }
        // Any byte may be any other: what is read is a tensor or an error.
        for position in 0..whole.len() {
            for byte in [0, 1, b'"', b'9', b'-', b'}', 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[position] = byte;
                std::fs::write(&path, &damaged).unwrap();
                let _ = read_safetensors(&path);
            }
        }
        let half = String::from_utf8_lossy(&whole[8..]).replace("F32", "F8_E4M3").replace("[0,16]", "[0,4]");
        let header = half.split('}').next().unwrap().to_string() + "}}";
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes().chain([0; 4]));
        std::fs::write(&path, &bytes).unwrap();
        let message = read_safetensors(&path).unwrap_err().to_string();
        assert!(message.contains("`a`") && message.contains("F8_E4M3"), "{message}");
    }
}
