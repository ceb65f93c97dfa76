//! The arguments that say what is trained or evaluated on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use super::inputs::{named, once};
use super::pictures::PictureArgs;
use crate::import::Preprocess;
use crate::layers::Model;
use crate::tensor::{Tensor, read_npy};
use crate::train::{Arrays, Augment, Batch, DataSource, ImageFolder, Loss, Metric};

/// Arrays, or a folder of pictures.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// Input samples, the batch axis first; the name may be left out when the model has one input.
    #[arg(long = "x", value_name = "[NAME=]FILE.npy", required_unless_present = "images")]
    x: Vec<String>,
    /// Targets: one row per sample, or one class number per sample for sparse losses.
    #[arg(long = "y", value_name = "[NAME=]FILE.npy", required_unless_present = "images")]
    y: Vec<String>,
    /// What each sample counts for, one number per sample.
    #[arg(long, value_name = "FILE.npy", conflicts_with = "images")]
    sample_weights: Option<PathBuf>,
    /// What each sample of a class counts for; all classes need a weight when one has.
    #[arg(long = "class-weight", value_name = "CLASS=X", conflicts_with = "images")]
    class_weights: Vec<String>,
    /// A folder with one folder of PNG or JPEG pictures per class, instead of arrays. Their bytes become 0 to 1 unless
    /// --preprocess or --scale say otherwise.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["x", "y"])]
    images: Option<PathBuf>,
    #[command(flatten)]
    pictures: PictureArgs,
}

impl SampleArgs {
    /// Opens the samples for a model from `file`, and says what becomes of pictures if they are some.
    pub(super) fn open(
        &self,
        file: &str,
        model: &Model,
        loss: Loss,
        augment: Augment,
    ) -> Result<(Box<dyn DataSource>, Option<Preprocess>), Failure> {
        if let Some(folder) = &self.images {
            let unit = Preprocess { scale: 1.0 / 255.0, ..Preprocess::default() };
            let preprocess = self.pictures.preprocess(file, unit)?;
            let pictures = ImageFolder::open(folder, model, !loss.is_sparse())?;
            let pictures = pictures.preprocessed(preprocess.clone())?.augmented(augment);
            return Ok((Box::new(pictures), Some(preprocess)));
        }
        let weights = self.sample_weights.as_deref().map(read_npy).transpose()?;
        let mut arrays =
            arrays(model, &self.x, &self.y, weights)?.scaled(self.pictures.scale_of_arrays()?).augmented(augment);
        if !self.class_weights.is_empty() {
            let parse = |text: &String| {
                let (class, weight) = text.split_once('=')?;
                Some((class.parse().ok()?, weight.parse().ok()?))
            };
            let wrong = |text: &String| format!("`{text}` must be CLASS=X, such as 3=0.5");
            let weights: Result<BTreeMap<usize, f32>, String> =
                self.class_weights.iter().map(|text| parse(text).ok_or_else(|| wrong(text))).collect();
            arrays = arrays.class_weights(&weights?)?;
        }
        Ok((Box::new(arrays), None))
    }

    /// Arrays of another set with the same factor.
    pub(super) fn open_other(&self, model: &Model, x: &[String], y: &[String]) -> Result<Box<dyn DataSource>, Failure> {
        Ok(Box::new(arrays(model, x, y, None)?.scaled(self.pictures.scale_of_arrays()?)))
    }
}

/// What predictions are measured by.
#[derive(Debug, Args)]
pub(super) struct MeasureArgs {
    /// The loss: mse, mae, huber, log_cosh, binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy,
    /// kl_divergence, hinge or squared_hinge.
    #[arg(long, value_name = "NAME")]
    loss: String,
    /// Outputs are logits rather than probabilities.
    #[arg(long)]
    from_logits: bool,
    /// What is measured beside the loss: accuracy, top_K_accuracy, mse, rmse, mae, precision, recall or auc.
    #[arg(long = "metric", value_name = "NAME")]
    metrics: Vec<String>,
}

impl MeasureArgs {
    /// The loss.
    pub(super) fn loss(&self) -> Result<Loss, Failure> {
        let loss = Loss::parse(&self.loss)?;
        Ok(if self.from_logits { loss.with_logits() } else { loss })
    }

    /// The metrics.
    pub(super) fn metrics(&self) -> Result<Vec<Metric>, Failure> {
        Ok(self.metrics.iter().map(|name| Metric::parse(name)).collect::<Result<_, _>>()?)
    }
}

fn arrays(model: &Model, x: &[String], y: &[String], sample_weights: Option<Tensor>) -> Result<Arrays, Failure> {
    let inputs: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
    let outputs: Vec<&str> = model.outputs().iter().map(|(name, _)| name.as_str()).collect();
    let batch = Batch {
        inputs: arrays_by_name("input", &inputs, x)?,
        targets: arrays_by_name("output", &outputs, y)?,
        sample_weights,
    };
    Ok(Arrays::named(batch)?)
}

/// Arrays by name, from `NAME=FILE` or, where there is one name, `FILE`.
pub(super) fn arrays_by_name(
    kind: &str,
    names: &[&str],
    files: &[String],
) -> Result<BTreeMap<String, Tensor>, Failure> {
    let mut tensors = BTreeMap::new();
    for argument in files {
        let (position, file) = named(kind, names, argument)?;
        let name = names[position];
        once(kind, &mut tensors, name, read_npy(Path::new(file))?)?;
    }
    Ok(tensors)
}
