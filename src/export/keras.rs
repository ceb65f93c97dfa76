//! `.keras` archives and `.weights.h5` files, laid out as Keras 3 saves them.

use std::io::{Seek, Write};
use std::path::Path;

use serde_json::json;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::{ExportError, weights_h5};
use crate::layers::{InKeras, Model};
use crate::tensor::write_atomically;

/// The version of Keras whose files these are like.
const KERAS_VERSION: &str = "3.15.1";

/// Writes configuration and weights; returns what is not as in the model.
pub(super) fn write_archive(path: &Path, model: &Model) -> Result<Vec<String>, ExportError> {
    let InKeras { model, notes } = model.in_keras()?;
    let metadata = json!({
        "keras_version": KERAS_VERSION,
        // Keras's tools ask for a date; the same model gives the same bytes on any day.
        "date_saved": "1980-01-01@00:00:00",
        "written_by": concat!("wgconv ", env!("CARGO_PKG_VERSION")),
    });
    let metadata = metadata.to_string();
    let weights = weights_h5::bytes(&model).map_err(|what| file(path, what))?;
    let config = model.to_json();
    let members: [(&str, &[u8]); 3] =
        [("metadata.json", metadata.as_bytes()), ("config.json", config.as_bytes()), ("model.weights.h5", &weights)];
    write_atomically(path, |out| Ok(zip_into(out, &members)?)).map_err(|error| file(path, error))?;
    Ok(notes)
}

/// Writes weights alone; returns what is not as in the model.
pub(super) fn write_weights(path: &Path, model: &Model) -> Result<Vec<String>, ExportError> {
    let InKeras { model, mut notes } = model.in_keras()?;
    let bytes = weights_h5::bytes(&model).map_err(|what| file(path, what))?;
    write_atomically(path, |out| out.write_all(&bytes)).map_err(|error| file(path, error))?;
    notes.push("weights only; the model itself is not in the file".into());
    Ok(notes)
}

/// Members as they are, as Keras keeps them: weights hardly shrink.
fn zip_into(out: impl Write + Seek, members: &[(&str, &[u8])]) -> zip::result::ZipResult<()> {
    let mut zip = zip::ZipWriter::new(out);
    for (name, bytes) in members {
        let large = u32::try_from(bytes.len()).is_err();
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        zip.start_file(*name, options)?;
        zip.write_all(bytes)?;
    }
    zip.finish().map(drop)
}

fn file(path: &Path, what: impl std::fmt::Display) -> ExportError {
    ExportError::File { path: path.to_path_buf(), what: what.to_string() }
}
