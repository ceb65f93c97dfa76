//! What becomes of a picture on its way into a tensor, as settings: made in code, named, or stored as JSON beside a model.

use std::fmt;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A picture cannot become an input tensor.
#[derive(Debug, Error)]
pub enum PictureError {
    /// The file is no picture that can be read.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The picture and what a model takes do not go together.
    #[error("the picture {what}")]
    Fit {
        /// What does not fit, and the way out.
        what: String,
    },
    /// A setting that makes no sense.
    #[error("preprocessing: {what}")]
    Setting {
        /// Which, and what it should be.
        what: String,
    },
}

/// The size a picture is brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ResizeTo {
    /// Rows and columns, whatever the picture's own proportions; `[256, 256]` in JSON.
    Exact(usize, usize),
    /// The shorter side; the longer one follows, rounded down as in torchvision. `{"shortest": 256}` in JSON.
    Shortest {
        /// Pixels of the shorter side.
        shortest: usize,
    },
}

/// How pixels are computed when the size changes. All but `Nearest` average over more pixels where a picture gets smaller, as
/// Pillow does and torchvision with `antialias=True`; results differ from Pillow's by 1 of 255 at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Linear interpolation (`image::imageops::FilterType::Triangle`).
    #[default]
    Bilinear,
    /// Cubic interpolation with a = -0.5 (`CatmullRom`).
    Bicubic,
    /// The nearest pixel.
    Nearest,
}

/// The order of colour channels in the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV and Caffe have it.
    Bgr,
}

/// The order of axes in the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[batch, rows, columns, channels]`.
    Nhwc,
    /// `[batch, channels, rows, columns]`.
    Nchw,
}

/// What becomes of a picture, in this order: resized, cropped, `(byte * scale - mean) / std`, axes put in order. The default
/// changes nothing but the size, where a model asks for one: numbers are bytes from 0 to 255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preprocess {
    /// The size to resize to. Without this and `crop`, the size the model takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<ResizeTo>,
    /// How pixels are computed when the size changes.
    pub interpolation: Interpolation,
    /// Rows and columns to keep around the centre.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<(usize, usize)>,
    /// The order of colour channels.
    pub order: ChannelOrder,
    /// Factor for the bytes 0 to 255.
    pub scale: f32,
    /// Subtracted after the factor: nothing, one number, or one for each channel in the tensor's order.
    pub mean: Vec<f32>,
    /// What is divided by at last: nothing, one number, or one for each channel in the tensor's order.
    pub std: Vec<f32>,
    /// The order of axes; without it, what the model's input shape tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

impl Default for Preprocess {
    fn default() -> Preprocess {
        Preprocess {
            resize: None,
            interpolation: Interpolation::default(),
            crop: None,
            order: ChannelOrder::default(),
            scale: 1.0,
            mean: Vec::new(),
            std: Vec::new(),
            layout: None,
        }
    }
}

impl Preprocess {
    /// The names that [`Preprocess::preset`] knows.
    pub const PRESETS: [&str; 5] = ["bytes", "unit", "tf", "imagenet", "caffe"];

    /// Settings by name, for numbers alone: `bytes` (0 to 255), `unit` (0 to 1), `tf` (-1 to 1, as Keras's MobileNets),
    /// `imagenet` (0 to 1 less ImageNet's mean over its deviation, as torchvision's models), `caffe` (BGR bytes less
    /// ImageNet's mean, as Keras's ResNet50 and VGG).
    pub fn preset(name: &str) -> Option<Preprocess> {
        let unit = Preprocess { scale: 1.0 / 255.0, ..Preprocess::default() };
        match name {
            "bytes" => Some(Preprocess::default()),
            "unit" => Some(unit),
            "tf" => Some(Preprocess { scale: 1.0 / 127.5, mean: vec![1.0], ..unit }),
            "imagenet" => Some(Preprocess { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225], ..unit }),
            "caffe" => Some(Preprocess {
                order: ChannelOrder::Bgr,
                mean: vec![103.939, 116.779, 123.68],
                ..Preprocess::default()
            }),
            _ => None,
        }
    }

    /// Where settings for a model file lie: `digits.preprocess.json` beside `digits.keras`.
    pub fn path_beside(model: &Path) -> PathBuf {
        model.with_extension("preprocess.json")
    }

    /// Reads settings from a JSON file; what it leaves out stays at its default.
    ///
    /// # Errors
    /// [`PictureError::File`] when it cannot be read, has a key that is none, or a setting that makes no sense.
    pub fn read(path: &Path) -> Result<Preprocess, PictureError> {
        let wrong = |what: String| PictureError::File { path: path.to_path_buf(), what };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let settings: Preprocess = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        settings.validate().map_err(|e| wrong(e.to_string()))?;
        Ok(settings)
    }

    /// Writes settings as a JSON file.
    ///
    /// # Errors
    /// [`PictureError::File`] when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), PictureError> {
        let wrong = |what: String| PictureError::File { path: path.to_path_buf(), what };
        let text = serde_json::to_string_pretty(self).map_err(|e| wrong(e.to_string()))?;
        std::fs::write(path, text + "\n").map_err(|e| wrong(e.to_string()))
    }

    /// Whether all settings make sense.
    ///
    /// # Errors
    /// [`PictureError::Setting`] with the first that does not.
    pub fn validate(&self) -> Result<(), PictureError> {
        let wrong = |what: &str| Err(PictureError::Setting { what: what.into() });
        if !self.scale.is_finite() || !self.mean.iter().all(|mean| mean.is_finite()) {
            return wrong("scale and mean must be finite numbers");
        }
        if !self.std.iter().all(|std| std.is_normal()) {
            return wrong("std is divided by and must not be 0");
        }
        let resized = match self.resize {
            Some(ResizeTo::Exact(rows, columns)) => checked_size(rows, columns),
            Some(ResizeTo::Shortest { shortest }) => checked_size(shortest, shortest),
            None => Ok((1, 1)),
        };
        resized.and(self.crop.map_or(Ok((1, 1)), |(rows, columns)| checked_size(rows, columns)))?;
        Ok(())
    }

    /// The numbers for a channel: what is subtracted from `byte * scale`, and what is divided by then.
    pub(super) fn numbers(&self, channel: usize, channels: usize) -> Result<(f32, f32), PictureError> {
        let of = |values: &[f32], what: &str, otherwise: f32| match values {
            [] => Ok(otherwise),
            [value] => Ok(*value),
            values if values.len() == channels => Ok(values[channel]),
            values => Err(PictureError::Setting {
                what: format!("{what} has {} numbers, and the input has {channels} channels", values.len()),
            }),
        };
        Ok((of(&self.mean, "mean", 0.0)?, of(&self.std, "std", 1.0)?))
    }
}

/// Rows and columns that a picture can have.
pub(super) fn checked_size(rows: usize, columns: usize) -> Result<(u32, u32), PictureError> {
    // Resizing keeps 16 bytes for a pixel: at most 1 GiB.
    let fits = (1..=1 << 26).contains(&rows.saturating_mul(columns));
    match (u32::try_from(rows), u32::try_from(columns)) {
        (Ok(rows), Ok(columns)) if fits => Ok((rows, columns)),
        _ => Err(PictureError::Setting {
            what: format!("{rows}x{columns} is no size of a picture (at most 2^26 pixels)"),
        }),
    }
}

impl Interpolation {
    pub(super) fn kernel(self) -> FilterType {
        match self {
            Interpolation::Bilinear => FilterType::Triangle,
            Interpolation::Bicubic => FilterType::CatmullRom,
            Interpolation::Nearest => FilterType::Nearest,
        }
    }
}

impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resize {
            Some(ResizeTo::Exact(rows, columns)) => write!(f, "resized to {rows}x{columns}, ")?,
            Some(ResizeTo::Shortest { shortest }) => write!(f, "shorter side resized to {shortest}, ")?,
            None => {}
        }
        if let Some((rows, columns)) = self.crop {
            write!(f, "cropped to {rows}x{columns}, ")?;
        }
        if self.order == ChannelOrder::Bgr {
            write!(f, "BGR, ")?;
        }
        let list = |values: &[f32]| match values {
            [value] => value.to_string(),
            values => format!("{values:?}"),
        };
        match (self.mean.is_empty(), self.scale == 1.0) {
            (true, true) => write!(f, "bytes")?,
            (true, false) => write!(f, "bytes * {}", self.scale)?,
            (false, true) => write!(f, "(bytes - {})", list(&self.mean))?,
            (false, false) => write!(f, "(bytes * {} - {})", self.scale, list(&self.mean))?,
        }
        if self.std.is_empty() { Ok(()) } else { write!(f, " / {}", list(&self.std)) }
    }
}
