//! Known architectures with seeded weights: those of `keras.applications`, layer names included, and the question's model.

mod blocks;
mod efficientnet;
mod mobilenet;
mod mobilenet_v3;
mod options;
mod question;
mod resnet;
mod xception;

use options::Options;

use crate::error::ZooError;
use crate::layers::Model;

/// An architecture of the zoo.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// The options that it has, separated by commas.
    pub options: &'static str,
    build: fn(&Options<'_>) -> Result<Model, ZooError>,
}

/// Every architecture.
pub const ENTRIES: &[Entry] = &[
    Entry { name: "mobilenet_v1", about: "MobileNet", options: "alpha, size, classes, seed", build: mobilenet::v1 },
    Entry { name: "mobilenet_v2", about: "MobileNetV2", options: "alpha, size, classes, seed", build: mobilenet::v2 },
    Entry {
        name: "mobilenet_v3_small",
        about: "MobileNetV3Small",
        options: "alpha, size, classes, minimalistic, seed",
        build: mobilenet_v3::small,
    },
    Entry {
        name: "mobilenet_v3_large",
        about: "MobileNetV3Large",
        options: "alpha, size, classes, minimalistic, seed",
        build: mobilenet_v3::large,
    },
    Entry { name: "efficientnet_b0", about: "EfficientNetB0", options: "size, classes, seed", build: efficientnet::b0 },
    Entry { name: "xception", about: "Xception", options: "size, classes, seed", build: xception::build },
    Entry { name: "resnet18", about: "ResNet-18", options: "size, classes, seed", build: resnet::resnet18 },
    Entry {
        name: "separable_question",
        about: "16 channels, then one of eight ways to filter them",
        options: "variant, seed",
        build: question::build,
    },
];

/// Builds an architecture: its name, and options as in `mobilenet_v1?alpha=0.25&size=96&classes=10&seed=1`.
///
/// # Errors
/// [`ZooError`], listing what exists, for a name, option or value that does not.
pub fn build(text: &str) -> Result<Model, ZooError> {
    let (name, query) = text.split_once('?').unwrap_or((text, ""));
    let entry = ENTRIES.iter().find(|entry| entry.name == name).ok_or_else(|| ZooError::Unknown {
        name: name.into(),
        known: ENTRIES.iter().map(|entry| entry.name.to_string()).collect(),
    })?;
    let options = Options::parse(name, entry.options, query)?;
    let model = (entry.build)(&options)?;
    let seed = options.whole("seed", 0)?;
    options.finish()?;
    model.initialize(seed as u64);
    Ok(model)
}
