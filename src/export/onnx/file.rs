//! ONNX messages as files, weights inside or in a file of their own.

use std::io::Write;
use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;

use crate::export::ExportError;
use crate::import::onnx::proto::{ModelProto, StringStringEntryProto};
use crate::tensor::write_atomically;

/// Protocol buffers end at 2 GiB; names and nodes get the rest.
const MOST_INSIDE: usize = (1 << 31) - (1 << 24);

/// Smaller tensors stay in the model.
const LEAST_OUTSIDE: usize = 1024;

/// Where tensors begin in the file of weights, so that they can be mapped.
const ALIGNMENT: usize = 64;

/// Writes a model. The file of weights, if there is one, is complete before the model that names it.
pub(super) fn write(path: &Path, mut model: ModelProto, external: bool) -> Result<(), ExportError> {
    let wrong = |path: &Path, why: std::io::Error| ExportError::File { path: path.into(), what: why.to_string() };
    if external || model.encoded_len() > MOST_INSIDE {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".data");
        let data = path.with_file_name(&name);
        let location = name.to_string_lossy().into_owned();
        let parts = take_data(&mut model, &location);
        let written = write_atomically(&data, |out| {
            for (padding, bytes) in &parts {
                out.write_all(&[0; ALIGNMENT][..*padding])?;
                out.write_all(bytes)?;
            }
            Ok(())
        });
        written.map_err(|why| wrong(&data, why))?;
    }
    let bytes = model.encode_to_vec();
    write_atomically(path, |out| out.write_all(&bytes)).map_err(|why| wrong(path, why))
}

/// Takes the elements of large tensors out of a model: zeros to write before, and the bytes.
fn take_data(model: &mut ModelProto, location: &str) -> Vec<(usize, Bytes)> {
    let mut parts = Vec::new();
    let mut end = 0usize;
    let initializers = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    for tensor in initializers.filter(|tensor| tensor.raw_data.len() >= LEAST_OUTSIDE) {
        let bytes = std::mem::take(&mut tensor.raw_data);
        let offset = end.next_multiple_of(ALIGNMENT);
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
        tensor.data_location = 1;
        tensor.external_data = vec![
            entry("location", location.into()),
            entry("offset", offset.to_string()),
            entry("length", bytes.len().to_string()),
        ];
        parts.push((offset - end, bytes.clone()));
        end = offset + bytes.len();
    }
    parts
}
