//! Reads every Keras file among the shared models and matches it with its config.

mod shared_data;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared_data::models;
use wgconv::import::keras::archive::{self, Format};
use wgconv::import::keras::assign;

fn keras_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            keras_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "keras" || e == "h5") {
            found.push(path);
        }
    }
}

fn config_of(path: &Path, file: &archive::KerasFile) -> serde_json::Value {
    file.config.clone().unwrap_or_else(|| {
        let model = path.to_str().unwrap().replace(".weights.h5", ".keras");
        archive::read(model.as_ref()).unwrap().config.unwrap()
    })
}

/// Every weight by layer, as its shape and the sum of its bits, which no rounding hides.
fn weights_of(path: &Path) -> BTreeMap<String, Vec<(Vec<usize>, u64)>> {
    let file = archive::read(path).unwrap_or_else(|error| panic!("{error}"));
    let config = config_of(path, &file);
    let assigned = assign::match_layers(&config, &file).unwrap_or_else(|error| panic!("{error}"));
    let bits = |data: &[f32]| data.iter().map(|v| u64::from(v.to_bits())).sum();
    assigned
        .into_iter()
        .filter(|(_, weights)| !weights.is_empty())
        .map(|(path, weights)| {
            let weights = weights.iter().map(|(_, array)| (array.shape.clone(), bits(&array.data))).collect();
            (path.join("/"), weights)
        })
        .collect()
}

#[test]
fn every_file_reads_and_matches_its_config() {
    let Some(root) = models("") else { return };
    let mut files = Vec::new();
    keras_files(&root, &mut files);
    assert!(!files.is_empty(), "no Keras files in {}", root.display());
    for path in &files {
        let weights = weights_of(path);
        assert!(!weights.is_empty(), "{}", path.display());
        println!("{}: {} layers with weights", path.display(), weights.len());
    }
}

#[test]
fn all_formats_of_one_model_hold_the_same_weights() {
    let Some(root) = models("") else { return };
    let mut files = Vec::new();
    keras_files(&root, &mut files);
    for keras in files.iter().filter(|path| path.extension().unwrap() == "keras") {
        for other in ["h5", "weights.h5"] {
            let other = keras.with_extension(other);
            if other.is_file() {
                assert_eq!(weights_of(keras), weights_of(&other), "{}", other.display());
            }
        }
    }
}

/// Keras 2 and Keras 3 saved one and the same model.
#[test]
fn keras_2_and_keras_3_agree() {
    let Some(root) = models("") else { return };
    for name in ["v0_separable", "v1_depthwise", "v4_functional_slices"] {
        let [new, old] = ["seed", "seed/keras2"].map(|folder| root.join(folder).join(name).with_extension("keras"));
        assert_eq!(weights_of(&new), weights_of(&old), "{name}");
    }
}

/// Values that h5py 3.16 reads from the same files.
#[test]
fn values_are_those_that_h5py_reads() {
    let Some(root) = models("") else { return };
    for (file, format, layer, index, shape, first, last) in H5PY {
        let path = root.join(file);
        let read = archive::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.format, format, "{file}");
        let config = config_of(&path, &read);
        let assigned = assign::match_layers(&config, &read).unwrap();
        let layer: Vec<String> = vec![layer.to_owned()];
        let array = &assigned[&layer][index].1;
        assert_eq!(array.shape, shape, "{file} {layer:?}");
        assert_eq!(array.data.first(), Some(&first), "{file} {layer:?}");
        assert_eq!(array.data.last(), Some(&last), "{file} {layer:?}");
        assert_eq!(array.dtype, "float32");
    }
}

type Expected = (&'static str, Format, &'static str, usize, &'static [usize], f32, f32);

const H5PY: [Expected; 7] = [
    ("seed/v0_separable.keras", Format::Archive, "separable_conv2d", 1, &[1, 1, 16, 1], 0.6342324, -0.13403599),
    ("seed/v0_separable.h5", Format::LegacyModel, "separable_conv2d", 0, &[3, 3, 16, 1], 0.14349763, -0.09387142),
    ("seed/v0_separable.weights.h5", Format::Weights, "dense", 0, &[8, 2], 0.2077745, 0.39091867),
    (
        "seed/keras2/v1_depthwise.h5",
        Format::LegacyModel,
        "depthwise_conv2d",
        0,
        &[3, 3, 16, 1],
        0.14349763,
        -0.09387142,
    ),
    ("arch/mobilenet_v1_025_96/model.h5", Format::LegacyModel, "conv_pw_13_bn", 3, &[256], 0.43002442, 0.44897535),
    ("arch/mobilenet_v2_035_96/model.keras", Format::Archive, "Conv1", 0, &[3, 3, 3, 16], 0.15137428, -0.14835848),
    ("arch/mobilenet_v2_035_96/model.keras", Format::Archive, "bn_Conv1", 2, &[16], 0.22829384, 0.52426815),
];
