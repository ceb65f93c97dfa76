//! `.npy` files (NumPy format 1 to 3) through the `npyz` crate.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use npyz::{DType as NpyDType, Deserialize, NpyFile, Order, TypeChar, WriterBuilder};

use crate::error::TensorError;
use crate::tensor::{Data, Tensor};

/// Reads one array. `f4`, `i4`, `i8`, `u1` and `b1` keep their type; every other real number becomes `f32`.
///
/// # Errors
/// [`TensorError::File`] when the file cannot be opened or is no `.npy` file of numbers, naming the file.
pub fn read_npy(path: &Path) -> Result<Tensor, TensorError> {
    let wrong = |what: String| TensorError::File { path: path.to_path_buf(), what };
    let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
    parse(BufReader::new(file)).map_err(wrong)
}

fn parse(reader: impl Read) -> Result<Tensor, String> {
    let npy = NpyFile::new(reader).map_err(|e| format!("not an .npy file: {e}"))?;
    let shape: Vec<usize> = npy
        .shape()
        .iter()
        .map(|&size| usize::try_from(size).map_err(|_| format!("axis size {size} is too large")))
        .collect::<Result<_, _>>()?;
    if shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).is_none() {
        return Err(format!("shape {shape:?} has more elements than this machine can address"));
    }
    if npy.order() == Order::Fortran && shape.len() > 1 {
        return Err("the array is in Fortran order; save numpy.ascontiguousarray(array) instead".into());
    }
    let NpyDType::Plain(kind) = npy.dtype() else {
        return Err("structured arrays are not supported; save a plain array of numbers".into());
    };
    let data = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 4) => Data::F32(elements(npy)?),
        (TypeChar::Float, 8) => narrowed::<f64>(npy, |x| x as f32)?,
        (TypeChar::Int, 1) => narrowed::<i8>(npy, f32::from)?,
        (TypeChar::Int, 2) => narrowed::<i16>(npy, f32::from)?,
        (TypeChar::Int, 4) => Data::I32(elements(npy)?),
        (TypeChar::Int, 8) => Data::I64(elements(npy)?),
        (TypeChar::Uint, 1) => Data::U8(elements(npy)?),
        (TypeChar::Uint, 2) => narrowed::<u16>(npy, f32::from)?,
        (TypeChar::Uint, 4) => narrowed::<u32>(npy, |x| x as f32)?,
        (TypeChar::Bool, 1) => Data::Bool(elements(npy)?),
        _ => return Err(format!("element type {kind} is not supported; save the array as float32")),
    };
    Tensor::new(shape, data).map_err(|e| e.to_string())
}

fn elements<T: Deserialize>(npy: NpyFile<impl Read>) -> Result<Arc<Vec<T>>, String> {
    npy.into_vec::<T>().map(Arc::new).map_err(|e| format!("the data is cut short or damaged: {e}"))
}

fn narrowed<T: Deserialize>(npy: NpyFile<impl Read>, convert: fn(T) -> f32) -> Result<Data, String> {
    let values = npy.into_vec::<T>().map_err(|e| format!("the data is cut short or damaged: {e}"))?;
    Ok(Data::F32(Arc::new(values.into_iter().map(convert).collect())))
}

/// Writes one array in its own element type, C order.
///
/// # Errors
/// [`TensorError::File`] when the file cannot be written.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<(), TensorError> {
    let wrong = |e: std::io::Error| TensorError::File { path: path.to_path_buf(), what: e.to_string() };
    let mut out = BufWriter::new(File::create(path).map_err(wrong)?);
    let shape: Vec<u64> = tensor.shape().iter().map(|&size| size as u64).collect();
    match tensor.data() {
        Data::F32(v) => write_elements(&mut out, &shape, v),
        Data::I32(v) => write_elements(&mut out, &shape, v),
        Data::I64(v) => write_elements(&mut out, &shape, v),
        Data::U8(v) => write_elements(&mut out, &shape, v),
        Data::Bool(v) => write_elements(&mut out, &shape, v),
    }
    .map_err(wrong)?;
    out.flush().map_err(wrong)
}

fn write_elements<T: npyz::AutoSerialize + Copy>(out: impl Write, shape: &[u64], values: &[T]) -> std::io::Result<()> {
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(out).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let tensor = Tensor::from_fn([2, 3, 5], |i| i as f32 * 0.5 - 3.0);
        write_npy(&path, &tensor).unwrap();
        assert_eq!(read_npy(&path).unwrap(), tensor);
        let bytes = Tensor::new([3], Data::U8(Arc::new(vec![0, 7, 255]))).unwrap();
        write_npy(&path, &bytes).unwrap();
        assert_eq!(read_npy(&path).unwrap(), bytes);
    }

    #[test]
    fn wrong_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.npy");
        std::fs::write(&path, b"not numpy").unwrap();
        let message = read_npy(&path).unwrap_err().to_string();
        assert!(message.contains("b.npy"), "{message}");
        write_npy(&path, &Tensor::full([4], 1.0)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert!(read_npy(&path).is_err());
    }
}
