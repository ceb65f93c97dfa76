//! Collects the weights of each layer from the groups of an HDF5 file that Keras wrote.

use super::array::Array;
use super::h5::{Group, H5Error, damaged};

/// What a file holds of one layer.
#[derive(Clone, Debug)]
pub struct StoredLayer {
    /// The keys of the nested models, then that of the layer; empty for a model's own weights.
    ///
    /// A legacy file has one key, the layer's name, and keeps a nested model's weights together.
    pub path: Vec<String>,
    /// The layer's name when the file was saved, where the file says.
    pub layer_name: Option<String>,
    /// The weights in the order of `layer.weights`, by their names where stored, else by index.
    pub weights: Vec<(String, Array)>,
}

/// What the group of a model's layers is called; the last two are from Keras 2.12 and 2.13.
const CONTAINERS: [&str; 3] = ["layers", "_layer_checkpoint_dependencies", "_self_tracked_trackables"];

/// The group of the variables that a layer or model owns itself.
const VARIABLES: &str = "vars";

/// Far above any real nesting; a damaged file can link a group into itself.
const DEPTH_LIMIT: usize = 64;

/// Whether the root group of a file with class-named groups can have a group called `name`.
pub(super) fn is_model_key(name: &str) -> bool {
    name == VARIABLES || CONTAINERS.contains(&name)
}

/// Reads groups that are named after layers, which attributes list in order.
///
/// `optimizer_weights` beside them is left unread on purpose: it only serves training.
pub(super) fn named_layers(group: &Group, names: &[String]) -> Result<Vec<StoredLayer>, H5Error> {
    let mut layers = Vec::new();
    for name in names {
        layers.push(StoredLayer {
            path: vec![name.clone()],
            layer_name: Some(name.clone()),
            weights: named_weights(&group.group(name)?)?,
        });
    }
    let own = "top_level_model_weights";
    let is_layer = names.iter().any(|name| name == own);
    if !is_layer && group.groups()?.iter().any(|(name, _)| name == own) {
        layers.push(StoredLayer { path: Vec::new(), layer_name: None, weights: named_weights(&group.group(own)?)? });
    }
    Ok(layers)
}

fn named_weights(group: &Group) -> Result<Vec<(String, Array)>, H5Error> {
    let names = group.strings("weight_names")?.unwrap_or_default();
    names
        .into_iter()
        .map(|name| {
            let array = group.dataset(&name)?.read()?;
            Ok((name, array))
        })
        .collect()
}

/// Reads groups that are named after classes, below the root group of a model.
pub(super) fn keyed_layers(root: &Group) -> Result<Vec<StoredLayer>, H5Error> {
    let mut layers = Vec::new();
    walk(root, &mut Vec::new(), &mut layers)?;
    Ok(layers)
}

fn walk(group: &Group, path: &mut Vec<String>, layers: &mut Vec<StoredLayer>) -> Result<(), H5Error> {
    check_depth(group, path.len())?;
    let mut children = group.groups()?;
    let container = CONTAINERS.iter().find_map(|key| children.iter().position(|(name, _)| name == key));
    let container = container.map(|index| children.remove(index).1);
    // A model keeps its optimizer, losses and metrics beside its layers. They only serve training,
    // so they are left unread on purpose.
    if container.is_some() || path.is_empty() {
        children.retain(|(name, _)| !serves_training(name));
    }
    let mut weights = Vec::new();
    let layer_name = collect(&children, "", path.len(), &mut weights)?;
    layers.push(StoredLayer { path: path.clone(), layer_name, weights });
    for (key, layer) in container.map_or(Ok(Vec::new()), |group| group.groups())? {
        path.push(key);
        walk(&layer, path, layers)?;
        path.pop();
    }
    Ok(())
}

/// Adds the variables in `children`, a layer's own before those of the objects inside it, and
/// returns the layer's name where it is stored.
fn collect(
    children: &[(String, Group)],
    prefix: &str,
    depth: usize,
    weights: &mut Vec<(String, Array)>,
) -> Result<Option<String>, H5Error> {
    let mut layer_name = None;
    if let Some((_, variables)) = children.iter().find(|(name, _)| name == VARIABLES) {
        layer_name = variables.string("name")?;
        let mut found = variables.datasets()?;
        // The file lists "10" before "2".
        found.sort_by_key(|(name, _)| name.parse::<u64>().unwrap_or(u64::MAX));
        for (name, dataset) in found {
            weights.push((format!("{prefix}{name}"), dataset.read()?));
        }
    }
    for (name, child) in children.iter().filter(|(name, _)| name != VARIABLES) {
        check_depth(child, depth)?;
        // The state of a random generator, as of Dropout, is no weight of the layer.
        if !name.ends_with("generator") {
            let prefix = format!("{prefix}{name}/");
            collect(&child.groups()?, &prefix, depth + 1, weights)?;
        }
    }
    Ok(layer_name)
}

fn serves_training(name: &str) -> bool {
    ["optimizer", "loss", "metric"].iter().any(|part| name.contains(part))
}

fn check_depth(group: &Group, depth: usize) -> Result<(), H5Error> {
    if depth < DEPTH_LIMIT {
        return Ok(());
    }
    let reason = "the groups are nested without end";
    Err(damaged("the groups", group.path(), reason))
}
