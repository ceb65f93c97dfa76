//! Models that are written: read back they have the same bits, and Keras loads them and gives the same numbers.

mod layer_models;
mod shared_data;
mod written_models;

use std::path::{Path, PathBuf};
use std::process::Command;

use wgconv::import::read_model;
use wgconv::layers::{Dense, Input, IntoLayer, Model, Sequential};
use wgconv::tensor::Tensor;
use written_models::{fill, inputs, models, networks, outputs, saved_by_keras, write_arrays};

fn weights(model: &Model) -> Vec<(String, Vec<u32>)> {
    let bits = |tensor: Tensor| tensor.f32s().unwrap().iter().map(|x| x.to_bits()).collect();
    model.named_weights().into_iter().map(|(name, weight)| (name, bits(weight.get()))).collect()
}

/// Weights of every layer, shared ones under each of their layers.
fn every_weight(model: &Model) -> Vec<(String, Tensor)> {
    let leaves = model.leaves();
    let named = leaves.iter().flat_map(|(name, layer)| layer.weights().iter().map(move |weight| (name, weight)));
    named.map(|(name, weight)| (name.clone(), weight.get())).collect()
}

#[test]
fn archives_read_back_have_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for (name, model) in models().into_iter().chain(saved_by_keras()) {
        let path = folder.path().join(format!("{name}.keras"));
        let written = model.save(&path).unwrap_or_else(|why| panic!("{name}: {why}"));
        let bytes = std::fs::read(&path).unwrap();
        let read = read_model(&path).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(outputs(&read), outputs(&model), "{name}");
        let in_keras = model.in_keras().unwrap();
        assert_eq!(every_weight(&read), every_weight(&in_keras.model), "{name}");
        assert_eq!(written.notes, in_keras.notes, "{name}");
        model.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}: the same model gives other bytes");
        // What was read is all Keras's: written again it is the same file.
        let again = read.save(&path).unwrap();
        assert_eq!(again.notes, Vec::<String>::new(), "{name}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}: what was read gives other bytes");
    }
}

#[test]
fn weights_alone_fill_a_model_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    for (name, model) in models() {
        let expected = weights(&model);
        for ending in ["keras", "weights.h5", "safetensors", "onnx"] {
            let path = folder.path().join(format!("{name}.{ending}"));
            model.save(&path).unwrap();
            model.initialize(9);
            assert!(expected.is_empty() || weights(&model) != expected, "{name}");
            model.load_weights(&path).unwrap_or_else(|why| panic!("{name}.{ending}: {why}"));
            assert_eq!(weights(&model), expected, "{name}.{ending}");
        }
    }
}

fn dense(names: [&str; 3], units: [usize; 3]) -> Model {
    let layers = names.into_iter().zip(units).map(|(name, units)| Dense::new(units).named(name));
    let model = layers.fold(Sequential::new(), Sequential::add).build_named("m", Input::new([4])).unwrap();
    fill(&model);
    model
}

#[test]
fn what_does_not_fit_is_told_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let saved = dense(["a", "b", "c"], [4, 5, 2]);
    for ending in ["keras", "safetensors", "onnx"] {
        let path = folder.path().join(format!("m.{ending}"));
        saved.save(&path).unwrap();
        let model = dense(["a", "b", "other"], [4, 7, 2]);
        model.initialize(3);
        let before = weights(&model);
        let message = model.load_weights(&path).unwrap_err().to_string();
        for part in
            ["`other/kernel` of the model is not in the file", "`c/", "`b/kernel` is f32[4, 5] in the file and [4, 7]"]
        {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
        assert_eq!(weights(&model), before, "{ending}");
        let report = model.load_matching_weights(&path).unwrap();
        assert_eq!(report.loaded, ["a/kernel", "a/bias"], "{ending}");
        assert_eq!(report.missing, ["other/kernel", "other/bias"], "{ending}");
        assert_eq!((report.unexpected.len(), report.mismatched.len()), (2, 2), "{report:?}");
        assert_eq!(weights(&model)[..2], weights(&saved)[..2], "{ending}");
        assert_eq!(weights(&model)[2..], before[2..], "{ending}");
    }
}

#[test]
fn keras_files_of_other_names_fill_a_model_in_keras_order() {
    let folder = tempfile::tempdir().unwrap();
    let saved = dense(["a", "b", "c"], [4, 5, 2]);
    for ending in ["keras", "weights.h5"] {
        let path = folder.path().join(format!("m.{ending}"));
        saved.save(&path).unwrap();
        let model = dense(["x", "a", "y"], [4, 5, 2]);
        model.initialize(3);
        model.load_weights(&path).unwrap();
        let bits = |model: &Model| weights(model).into_iter().map(|(_, bits)| bits).collect::<Vec<_>>();
        assert_eq!(bits(&model), bits(&saved), "{ending}");
    }
}

#[test]
fn refusals_name_the_file_and_leave_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let model = dense(["a", "b", "c"], [4, 5, 2]);
    for name in ["m.h5", "m.pth", "m", "keras"] {
        let message = model.save(folder.path().join(name)).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains(".weights.h5"), "{message}");
    }
    let message = model.save(folder.path().join("no/m.keras")).unwrap_err().to_string();
    assert!(message.contains("m.keras"), "{message}");
    let path = folder.path().join("m.keras");
    model.save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let (_, clip) = layer_models::without_keras().into_iter().find(|(name, _)| *name == "clip").unwrap();
    let message = clip.unwrap().save(&path).unwrap_err().to_string();
    assert!(message.contains("`dense`") && message.contains("Clip"), "{message}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(model.load_weights(folder.path().join("m.bin")).unwrap_err().to_string().contains(".safetensors"));
    assert!(model.load_weights(folder.path().join("m.safetensors")).unwrap_err().to_string().contains("m.safetensors"));
}

/// Keras itself: `WGCONV_PYTHON` is a Python that has it, `WGCONV_KERAS_FOLDER` keeps what is written.
#[test]
fn keras_loads_what_is_written_and_gives_the_same_numbers() {
    let Some(python) = std::env::var_os("WGCONV_PYTHON") else {
        println!("skipped: WGCONV_PYTHON names no Python that has Keras");
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("WGCONV_KERAS_FOLDER").map_or(temporary.path().to_path_buf(), PathBuf::from);
    for (name, model) in models().into_iter().chain(networks(96)).chain(saved_by_keras()) {
        let file = |ending: String| folder.join(format!("{name}.{ending}"));
        model.save(file("keras".into())).unwrap();
        model.save(file("weights.h5".into())).unwrap();
        write_arrays(&folder, &name, &inputs(&model), &model, &outputs(&model));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check_keras_export.py");
    let output = Command::new(python).arg(script).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
