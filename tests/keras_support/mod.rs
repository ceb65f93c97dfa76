//! Writes small Keras files and configs for the tests.

use std::io::Write;
use std::path::PathBuf;

use hdf5_pure::{AttrValue, FileBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

pub fn class_named(layers: &[(&str, &[f32])]) -> Vec<u8> {
    let mut file = FileBuilder::new();
    let mut container = file.create_group("layers");
    for (key, values) in layers {
        let mut layer = container.create_group(key);
        let mut vars = layer.create_group("vars");
        vars.set_attr("name", AttrValue::VarLenString(format!("my_{key}")));
        for (index, value) in values.iter().enumerate() {
            vars.create_dataset(&index.to_string()).with_f32_data(&[*value]).with_shape(&[1]);
        }
        layer.add_group(vars.finish());
        container.add_group(layer.finish());
    }
    file.add_group(container.finish());
    let mut optimizer = file.create_group("optimizer");
    let mut vars = optimizer.create_group("vars");
    vars.create_dataset("0").with_i64_data(&[i64::MAX]);
    optimizer.add_group(vars.finish());
    file.add_group(optimizer.finish());
    file.finish().unwrap()
}

pub fn saved(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

// Each test file uses its own part of these.
#[allow(dead_code)]
pub fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub fn layer(class: &str, name: &str) -> Value {
    json!({ "class_name": class, "config": { "name": name } })
}

pub fn model(class: &str, name: &str, layers: &[Value]) -> Value {
    json!({ "class_name": class, "config": { "name": name, "layers": layers } })
}
