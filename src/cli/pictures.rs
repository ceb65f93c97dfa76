//! The arguments that say what becomes of a picture on its way into a model.

use std::path::Path;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Failure;
use crate::import::{ChannelOrder, Interpolation, Layout, Preprocess, ResizeTo};

/// Said of each option by itself: a heading of all would go on to the options that come after.
const HEADING: &str = "Pictures";

#[derive(Debug, Args)]
pub(super) struct PictureArgs {
    /// What becomes of a picture: a JSON file, or bytes (0 to 255), unit (0 to 1), tf (-1 to 1), imagenet or caffe; as a rule
    /// MODEL.preprocess.json beside the model, where there is one. The options below change single settings of it.
    #[arg(long, help_heading = HEADING, value_name = "NAME|FILE")]
    preprocess: Option<String>,
    /// The size to resize to, or that of the shorter side; as a rule the model's own.
    #[arg(long, help_heading = HEADING, value_name = "ROWS,COLUMNS|shortest=N", value_parser = resize)]
    resize: Option<ResizeTo>,
    /// Rows and columns to keep around the centre.
    #[arg(long, help_heading = HEADING, value_name = "ROWS,COLUMNS", value_parser = size)]
    crop: Option<(usize, usize)>,
    /// How pixels are computed when the size changes: bilinear (with antialiasing, as Pillow), bicubic or nearest.
    #[arg(long, help_heading = HEADING, value_name = "NAME", value_parser = word::<Interpolation>)]
    interpolation: Option<Interpolation>,
    /// Factor for the bytes 0 to 255 of pictures; samples that are given as arrays by --x are multiplied by it, too.
    #[arg(long, help_heading = HEADING, value_name = "X", allow_hyphen_values = true)]
    scale: Option<f32>,
    /// Subtracted after the factor: one number, or one for each channel.
    #[arg(long, help_heading = HEADING, value_name = "X[,Y,Z]", value_delimiter = ',', allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,
    /// What is divided by at last: one number, or one for each channel.
    #[arg(long, help_heading = HEADING, value_name = "X[,Y,Z]", value_delimiter = ',', allow_hyphen_values = true)]
    std: Option<Vec<f32>>,
    /// Red first; the rule.
    #[arg(long, help_heading = HEADING, conflicts_with = "bgr")]
    rgb: bool,
    /// Blue first.
    #[arg(long, help_heading = HEADING)]
    bgr: bool,
    /// The order of axes, nhwc or nchw, where the model's input shape does not tell.
    #[arg(long, help_heading = HEADING, value_name = "ORDER", value_parser = word::<Layout>)]
    layout: Option<Layout>,
}

impl PictureArgs {
    /// The settings for pictures into a model, `otherwise` where nothing says anything else.
    pub(super) fn preprocess(&self, model: &str, otherwise: Preprocess) -> Result<Preprocess, Failure> {
        let beside = Preprocess::path_beside(Path::new(model));
        let base = match &self.preprocess {
            Some(name) => match Preprocess::preset(name) {
                Some(preset) => preset,
                None if Path::new(name).exists() => Preprocess::read(Path::new(name))?,
                None => {
                    let known = Preprocess::PRESETS.join(", ");
                    return Err(format!("--preprocess {name}: neither a file nor one of {known}").into());
                }
            },
            None if !model.starts_with("zoo:") && beside.exists() => Preprocess::read(&beside)?,
            None => {
                if otherwise == Preprocess::default()
                    && self.scale.is_none()
                    && self.mean.is_none()
                    && self.std.is_none()
                {
                    log::warn!("pictures are given as bytes from 0 to 255; --preprocess and --scale change that");
                }
                otherwise
            }
        };
        let settings = Preprocess {
            resize: self.resize.or(base.resize),
            interpolation: self.interpolation.unwrap_or(base.interpolation),
            crop: self.crop.or(base.crop),
            order: match (self.rgb, self.bgr) {
                (true, _) => ChannelOrder::Rgb,
                (_, true) => ChannelOrder::Bgr,
                _ => base.order,
            },
            scale: self.scale.unwrap_or(base.scale),
            mean: self.mean.clone().unwrap_or(base.mean),
            std: self.std.clone().unwrap_or(base.std),
            layout: self.layout.or(base.layout),
        };
        settings.validate()?;
        Ok(settings)
    }

    /// The factor for arrays, which no other of these options is for.
    pub(super) fn scale_of_arrays(&self) -> Result<f32, Failure> {
        let given = [
            (self.preprocess.is_some(), "--preprocess"),
            (self.resize.is_some(), "--resize"),
            (self.crop.is_some(), "--crop"),
            (self.interpolation.is_some(), "--interpolation"),
            (self.mean.is_some(), "--mean"),
            (self.std.is_some(), "--std"),
            (self.rgb, "--rgb"),
            (self.bgr, "--bgr"),
            (self.layout.is_some(), "--layout"),
        ];
        match given.iter().find(|(given, _)| *given) {
            Some((_, option)) => Err(format!("{option} is for pictures, and none is given").into()),
            None => Ok(self.scale.unwrap_or(1.0)),
        }
    }
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let parsed = text
        .split_once(',')
        .and_then(|(rows, columns)| Some((rows.trim().parse().ok()?, columns.trim().parse().ok()?)));
    parsed.ok_or_else(|| "sizes are written as ROWS,COLUMNS, such as 224,224".into())
}

fn resize(text: &str) -> Result<ResizeTo, String> {
    match text.strip_prefix("shortest=") {
        Some(shortest) => {
            let shortest = shortest.parse().map_err(|_| "the shorter side is written as shortest=256".to_string())?;
            Ok(ResizeTo::Shortest { shortest })
        }
        None => size(text).map(|(rows, columns)| ResizeTo::Exact(rows, columns)),
    }
}

/// A word that JSON has for the same setting.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.into())).map_err(|e| e.to_string())
}
