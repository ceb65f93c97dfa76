//! Pictures in folders, one folder per class.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Augment, Batch, DataSource};
use crate::error::TrainError;
use crate::import::{Layout, PictureError, PictureInput, Preprocess, picture_files};
use crate::layers::Model;
use crate::tensor::Tensor;

/// Pictures in folders, one folder per class; classes are numbered in the order of their folders' names.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    files: Vec<(PathBuf, usize)>,
    classes: Vec<String>,
    preprocess: Preprocess,
    shape: Vec<Option<usize>>,
    picture: PictureInput,
    input: String,
    output: String,
    one_hot: bool,
    augment: Augment,
}

impl ImageFolder {
    /// The pictures (PNG and JPEG) below `folder` for a model with one input of a known size and one output. Targets are
    /// numbers of classes, or one-hot with `one_hot`. Bytes become numbers from 0 to 1 ([`ImageFolder::preprocessed`] changes
    /// that).
    ///
    /// # Errors
    /// [`TrainError::Data`] when there are fewer than two classes or a class without pictures, or the model takes no
    /// pictures.
    pub fn open(folder: &Path, model: &Model, one_hot: bool) -> Result<ImageFolder, TrainError> {
        let wrong = |what: String| TrainError::Data { what };
        let ([input], [(output, _)]) = (model.inputs(), model.outputs()) else {
            return Err(wrong("a folder of pictures needs a model with one input and one output".into()));
        };
        if input.shape.contains(&None) {
            let what = format!("input `{}` takes {:?}, which is no picture of a known size", input.name, input.shape);
            return Err(wrong(what));
        }
        let mut classes = Vec::new();
        let mut files = Vec::new();
        for path in sorted(folder)?.into_iter().filter(|path| path.is_dir()) {
            let pictures = picture_files(&path).map_err(data)?;
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
        let preprocess = Preprocess { scale: 1.0 / 255.0, ..Preprocess::default() };
        let picture = PictureInput::of(&input.shape, None, Layout::Nhwc).map_err(data)?;
        let (shape, input, output) = (input.shape.clone(), input.name.clone(), output.clone());
        let augment = Augment::default();
        Ok(ImageFolder { files, classes, preprocess, shape, picture, input, output, one_hot, augment })
    }

    /// Names of the classes, in the order of their numbers.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Other settings for what becomes of a picture.
    ///
    /// # Errors
    /// [`TrainError::Data`] when they make no sense, or their order of axes does not suit the model.
    pub fn preprocessed(self, preprocess: Preprocess) -> Result<ImageFolder, TrainError> {
        preprocess.validate().map_err(data)?;
        let picture = PictureInput::of(&self.shape, preprocess.layout, Layout::Nhwc).map_err(data)?;
        Ok(ImageFolder { preprocess, picture, ..self })
    }

    /// What becomes of a picture.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
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

fn data(error: PictureError) -> TrainError {
    TrainError::Data { what: error.to_string() }
}

impl ImageFolder {
    fn read(&self, positions: &[usize], epoch: u64, augment: &Augment) -> Result<Batch, TrainError> {
        let wrong = |what: String| TrainError::Data { what };
        if self.picture.layout == Layout::Nchw && *augment != augment.none() {
            return Err(wrong("pictures with their channels first are not augmented".into()));
        }
        let find = |&position| self.files.get(position).ok_or_else(|| wrong(format!("there is no picture {position}")));
        let files = positions.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let classes: Vec<usize> = files.iter().map(|(_, class)| *class).collect();
        let paths = files.iter().map(|(path, _)| path.as_path());
        let x = self.preprocess.open_batch(paths, self.picture).map_err(data)?;
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
