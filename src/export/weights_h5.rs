//! The HDF5 layout of Keras 3's weights: `layers/<class in snake case, numbered>/vars/<number>`, nested models inside.

use hdf5_pure::{AttrValue, FileBuilder, GroupBuilder};

use crate::layers::{KerasGroup, LayerRef, Model};

/// The weights of a model whose classes are Keras's.
pub(super) fn bytes(model: &Model) -> Result<Vec<u8>, String> {
    let mut file = FileBuilder::new();
    let mut layers = file.create_group("layers");
    fill_layers(&mut layers, model)?;
    file.add_group(layers.finish());
    let mut vars = file.create_group("vars");
    vars.set_attr("name", name(model.name()));
    file.add_group(vars.finish());
    file.finish().map_err(|error| error.to_string())
}

/// A text of its own length: one of variable length, as Keras's are, would cost a heap of 4 KiB for each layer.
fn name(text: &str) -> AttrValue {
    AttrValue::String(text.into())
}

/// A group per input and layer, without weights or with.
fn fill_layers(layers: &mut GroupBuilder, model: &Model) -> Result<(), String> {
    for KerasGroup { key, name: layer_name, layer } in model.keras_groups() {
        let mut group = layers.create_group(&key);
        if let Some(nested) = layer.and_then(|layer| layer.layer().as_model()) {
            let mut inner = group.create_group("layers");
            fill_layers(&mut inner, nested)?;
            group.add_group(inner.finish());
        }
        let mut vars = group.create_group("vars");
        vars.set_attr("name", name(layer_name));
        for (number, weight) in layer.map_or(&[][..], LayerRef::weights).iter().enumerate() {
            let tensor = weight.get();
            let values = tensor.f32s().map_err(|error| error.to_string())?;
            let shape: Vec<u64> = tensor.shape().iter().map(|&size| size as u64).collect();
            vars.create_dataset(&number.to_string()).with_f32_data(values).with_shape(&shape);
        }
        group.add_group(vars.finish());
        layers.add_group(group.finish());
    }
    Ok(())
}
