//! Pictures in folders, one folder per class.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Augment, Batch, DataSource};
use crate::error::TrainError;
use crate::import::{PictureOptions, read_picture};
use crate::layers::Model;
use crate::tensor::Tensor;

/// Pictures in folders, one folder per class; classes are numbered in the order of their folders' names.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    files: Vec<(PathBuf, usize)>,
    classes: Vec<String>,
    options: PictureOptions,
    input: String,
    output: String,
    one_hot: bool,
    augment: Augment,
}

impl ImageFolder {
    /// The pictures (PNG and JPEG) below `folder` for a model with one input of a known size and one output. Targets are
    /// numbers of classes, or one-hot with `one_hot`. Bytes become numbers from 0 to 1.
    ///
    /// # Errors
    /// [`TrainError::Data`] when there are fewer than two classes or a class without pictures, or the model takes no
    /// pictures.
    pub fn open(folder: &Path, model: &Model, one_hot: bool) -> Result<ImageFolder, TrainError> {
        let wrong = |what: String| TrainError::Data { what };
        let ([input], [(output, _)]) = (model.inputs(), model.outputs()) else {
            return Err(wrong("a folder of pictures needs a model with one input and one output".into()));
        };
        let &[Some(rows), Some(columns), Some(channels)] = &input.shape[..] else {
            return Err(wrong(format!(
                "input `{}` takes {:?}, which is no picture of a known size",
                input.name, input.shape
            )));
        };
        let mut classes = Vec::new();
        let mut files = Vec::new();
        for path in sorted(folder)?.into_iter().filter(|path| path.is_dir()) {
            let pictures: Vec<PathBuf> = sorted(&path)?.into_iter().filter(|path| is_picture(path)).collect();
            if pictures.is_empty() {
                return Err(wrong(format!("{}: a class without PNG or JPEG pictures", path.display())));
            }
            files.extend(pictures.into_iter().map(|picture| (picture, classes.len())));
            classes.push(path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
        }
        if classes.len() < 2 {
            let found = classes.len();
            return Err(wrong(format!(
                "{}: {found} folders of pictures, and a class needs one each",
                folder.display()
            )));
        }
        let options = PictureOptions { size: Some((rows, columns)), channels, scale: 1.0 / 255.0, offset: 0.0 };
        let (input, output) = (input.name.clone(), output.clone());
        Ok(ImageFolder { files, classes, options, input, output, one_hot, augment: Augment::default() })
    }

    /// Names of the classes, in the order of their numbers.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Other numbers for the bytes: `byte * scale + offset`.
    #[must_use]
    pub fn scaled(self, scale: f32, offset: f32) -> ImageFolder {
        ImageFolder { options: PictureOptions { scale, offset, ..self.options }, ..self }
    }

    /// Changes pictures from epoch to epoch.
    #[must_use]
    pub fn augmented(self, augment: Augment) -> ImageFolder {
        ImageFolder { augment, ..self }
    }
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let wrong = |e: std::io::Error| TrainError::Data { what: format!("{}: {e}", folder.display()) };
    let mut paths = std::fs::read_dir(folder)
        .map_err(wrong)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ["png", "jpg", "jpeg"].contains(&ending.as_str()))
}

impl ImageFolder {
    fn read(&self, positions: &[usize], epoch: u64, augment: &Augment) -> Result<Batch, TrainError> {
        let wrong = |what: String| TrainError::Data { what };
        let (mut values, mut classes) = (Vec::new(), Vec::with_capacity(positions.len()));
        let mut shape = Vec::new();
        for &position in positions {
            let (path, class) =
                self.files.get(position).ok_or_else(|| wrong(format!("there is no picture {position}")))?;
            let picture = read_picture(path, self.options).map_err(|e| wrong(e.to_string()))?;
            values.extend_from_slice(picture.f32s().map_err(|e| wrong(e.to_string()))?);
            shape = picture.shape().to_vec();
            classes.push(*class);
        }
        if let Some(batch) = shape.first_mut() {
            *batch = positions.len();
        }
        let x = Tensor::from_f32(shape, values).map_err(|e| wrong(e.to_string()))?;
        let count = self.classes.len();
        let y = match self.one_hot {
            true => Tensor::from_fn([positions.len(), count], |i| f32::from(u8::from(classes[i / count] == i % count))),
            false => Tensor::from_fn([positions.len()], |i| classes[i] as f32),
        };
        Ok(Batch {
            inputs: BTreeMap::from([(self.input.clone(), augment.apply(&x, positions, epoch))]),
            targets: BTreeMap::from([(self.output.clone(), y)]),
            sample_weights: None,
        })
    }
}

impl DataSource for ImageFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn batch(&self, positions: &[usize], epoch: u64) -> Result<Batch, TrainError> {
        self.read(positions, epoch, &self.augment)
    }

    fn plain_batch(&self, positions: &[usize]) -> Result<Batch, TrainError> {
        self.read(positions, 0, &self.augment.plain())
    }
}
