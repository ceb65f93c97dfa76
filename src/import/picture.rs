//! PNG and JPEG pictures as input tensors.

use std::path::Path;

use image::imageops::FilterType;

use super::ImportError;
use crate::tensor::Tensor;

/// What becomes of a picture on its way into a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PictureOptions {
    /// Rows and columns to resize to (bilinear); `None` keeps the picture's own.
    pub size: Option<(usize, usize)>,
    /// Channels: 1 (grey), 3 (RGB) or 4 (RGBA).
    pub channels: usize,
    /// Factor for the bytes 0 to 255.
    pub scale: f32,
    /// Added after the factor.
    pub offset: f32,
}

/// Reads a picture as `[1, rows, columns, channels]`: `byte * scale + offset`, bytes as in Keras's `load_img`.
///
/// # Errors
/// [`ImportError::Unsupported`] when the file is no PNG or JPEG, is damaged, or the channels are none of 1, 3 and 4.
pub fn read_picture(path: &Path, options: PictureOptions) -> Result<Tensor, ImportError> {
    let wrong = |what: String| ImportError::Unsupported { path: path.to_path_buf(), what };
    let picture = image::ImageReader::open(path)
        .map_err(|e| wrong(e.to_string()))?
        .with_guessed_format()
        .map_err(|e| wrong(e.to_string()))?
        .decode()
        .map_err(|e| wrong(format!("not a PNG or JPEG picture that can be read: {e}")))?;
    let picture = match options.size {
        Some((rows, columns)) if (picture.height() as usize, picture.width() as usize) != (rows, columns) => {
            picture.resize_exact(columns as u32, rows as u32, FilterType::Triangle)
        }
        _ => picture,
    };
    let (rows, columns) = (picture.height() as usize, picture.width() as usize);
    let bytes = match options.channels {
        1 => picture.into_luma8().into_raw(),
        3 => picture.into_rgb8().into_raw(),
        4 => picture.into_rgba8().into_raw(),
        other => {
            return Err(wrong(format!(
                "a picture has 1, 3 or 4 channels, and the input takes {other}; give an .npy file"
            )));
        }
    };
    let data = bytes.into_iter().map(|byte| f32::from(byte) * options.scale + options.offset).collect();
    Tensor::from_f32([1, rows, columns, options.channels], data).map_err(|e| wrong(e.to_string()))
}
