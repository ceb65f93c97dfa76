//! Assigns the weights stored in a Keras file to the layers of a model config.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::archive::KerasFile;
use super::array::Array;
use super::config::{class_key, class_of, extended, is_sequential, layers_of, name_of};
use super::stored::StoredLayer;

/// Why stored weights and a model config do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The config describes no model.
    #[error(
        "the config of {} has no list of layers; expected a Sequential or Functional model, so \
         save such a model with `model.save(\"model.keras\")`",
        path.display()
    )]
    NoLayers {
        /// The file that holds the weights.
        path: PathBuf,
    },
    /// The file holds weights for which the config has no layer.
    #[error(
        "{} stores weights that no layer of the config takes: {}; expected the weights of the \
         very model that the config describes, so save both together with \
         `model.save(\"model.keras\")`",
        path.display(),
        names.join(", ")
    )]
    Unclaimed {
        /// The file that holds the weights.
        path: PathBuf,
        /// The paths of the layers in the file.
        names: Vec<String>,
    },
    /// The weights of a nested model are stored together, and one names none of its layers.
    #[error(
        "{} stores weight '{weight}' of the nested model '{model}', which does not tell one layer \
         of it; expected the name of a layer in the weight's name, so save the model with \
         `model.save(\"model.keras\")`, which keeps layers apart",
        path.display()
    )]
    Nested {
        /// The file that holds the weights.
        path: PathBuf,
        /// The name of the nested model.
        model: String,
        /// The stored name of the weight.
        weight: String,
    },
}

/// The stored weights of each layer, in the order of `layer.weights`.
///
/// A key is the names of the nested models, then that of the layer.
pub type Assigned<'a> = BTreeMap<Vec<String>, Vec<&'a (String, Array)>>;

/// Maps every layer of a model config to its stored weights, none for a layer without weights.
///
/// A layer object that two nested models share is stored once, under the first; the second gets
/// none.
pub fn match_layers<'a>(config: &Value, file: &'a KerasFile) -> Result<Assigned<'a>, Error> {
    let layers = layers_of(config).ok_or_else(|| Error::NoLayers { path: file.path.clone() })?;
    let mut matching = Matching { file, claimed: BTreeSet::new(), assigned: BTreeMap::new() };
    if file.format.is_legacy() {
        matching.by_name(layers, is_sequential(config))?;
    } else {
        matching.by_class(layers, &[], &[]);
    }
    matching.finish()
}

struct Matching<'a> {
    file: &'a KerasFile,
    /// Which of the file's layers have found their layer of the config.
    claimed: BTreeSet<usize>,
    assigned: Assigned<'a>,
}

impl<'a> Matching<'a> {
    /// Follows Keras, which names each group after the layer's class and numbers the layers of one
    /// class in the order of the config.
    fn by_class(&mut self, layers: &[Value], stored: &[String], path: &[String]) {
        let keys: BTreeSet<&'a str> = self
            .file
            .layers
            .iter()
            .filter(|layer| layer.path.starts_with(stored))
            .filter_map(|layer| layer.path.get(stored.len()))
            .map(String::as_str)
            .collect();
        let mut totals = BTreeMap::<String, usize>::new();
        for layer in layers {
            *totals.entry(class_key(layer)).or_default() += 1;
        }
        let mut seen = BTreeMap::<String, usize>::new();
        for layer in layers {
            let class = class_key(layer);
            let total = totals.get(&class).copied().unwrap_or_default();
            let count = seen.entry(class.clone()).or_default();
            let key = stored_key(&keys, &class, *count, total);
            *count += 1;
            let mut stored = stored.to_vec();
            stored.push(key);
            let path = extended(path, layer);
            match layers_of(layer) {
                Some(layers) => self.by_class(layers, &stored, &path),
                None => {
                    let index = self.file.layers.iter().position(|l| l.path == stored);
                    let weights = index.map_or(Vec::new(), |index| self.claim(index));
                    self.assigned.insert(path, weights);
                }
            }
        }
    }

    /// Pairs layers by name, or by order where the file comes from a model with other names.
    fn by_name(&mut self, layers: &[Value], sequential: bool) -> Result<(), Error> {
        let stored: Vec<usize> = (0..self.file.layers.len())
            .filter(|&index| self.stored(index).is_some_and(|layer| !layer.path.is_empty()))
            .collect();
        // A Sequential model does not count its InputLayer among its layers.
        let listed: Vec<&Value> =
            layers.iter().filter(|layer| !(sequential && class_of(layer) == "InputLayer")).collect();
        let names: BTreeSet<&str> = listed.iter().map(|layer| name_of(layer)).collect();
        let all_named = stored
            .iter()
            .filter_map(|&index| self.stored(index))
            .filter(|layer| !layer.weights.is_empty())
            .all(|layer| layer.path.first().is_some_and(|name| names.contains(name.as_str())));
        let by_order = !all_named && stored.len() == listed.len();
        for (position, layer) in listed.into_iter().enumerate() {
            let name = name_of(layer);
            let index = if by_order {
                stored.get(position).copied()
            } else {
                stored.iter().copied().find(|&index| {
                    self.stored(index).is_some_and(|layer| layer.path.first().is_some_and(|key| key == name))
                })
            };
            let weights = index.map_or(Vec::new(), |index| self.claim(index));
            let path = vec![name.to_owned()];
            match layers_of(layer) {
                Some(layers) => self.split(name, layers, weights)?,
                None => {
                    self.assigned.insert(path, weights);
                }
            }
        }
        Ok(())
    }

    /// Shares out the weights of a nested model, which a legacy file keeps in one list with all
    /// that can be trained first.
    fn split(&mut self, model: &str, layers: &[Value], weights: Vec<&'a (String, Array)>) -> Result<(), Error> {
        let mut leaves = Vec::new();
        list_leaves(layers, &[model.to_owned()], &mut leaves);
        for path in &leaves {
            self.assigned.insert(path.clone(), Vec::new());
        }
        for weight in weights {
            let owner = owner_of(&weight.0, &leaves);
            match owner.and_then(|path| self.assigned.get_mut(path)) {
                Some(taken) => taken.push(weight),
                None => {
                    return Err(Error::Nested {
                        path: self.file.path.clone(),
                        model: model.to_owned(),
                        weight: weight.0.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    fn stored(&self, index: usize) -> Option<&'a StoredLayer> {
        self.file.layers.get(index)
    }

    fn claim(&mut self, index: usize) -> Vec<&'a (String, Array)> {
        self.claimed.insert(index);
        self.stored(index).map_or(Vec::new(), |layer| layer.weights.iter().collect())
    }

    fn finish(self) -> Result<Assigned<'a>, Error> {
        let names: Vec<String> = (self.file.layers.iter().enumerate())
            .filter(|(index, layer)| !layer.weights.is_empty() && !self.claimed.contains(index))
            .map(|(_, layer)| match layer.path.as_slice() {
                [] => "the weights of the model itself".to_owned(),
                path => format!("'{}'", path.join("/")),
            })
            .collect();
        if names.is_empty() {
            return Ok(self.assigned);
        }
        Err(Error::Unclaimed { path: self.file.path.clone(), names })
    }
}

/// The key of the layer that is number `count` of the `total` layers of one class.
fn stored_key(keys: &BTreeSet<&str>, class: &str, count: usize, total: usize) -> String {
    let mut numbered: Vec<(usize, &str)> = keys
        .iter()
        .filter_map(|&key| match key.strip_prefix(class)? {
            "" => Some((0, key)),
            rest => Some((rest.strip_prefix('_')?.parse().ok()?, key)),
        })
        .collect();
    numbered.sort_unstable();
    // The first releases to write this layout counted a layer twice that they listed twice, which
    // left gaps in the numbers.
    let has_gaps = numbered.last().is_some_and(|&(number, _)| number >= total);
    match numbered.get(count) {
        Some(&(_, key)) if has_gaps => key.to_owned(),
        _ if count == 0 => class.to_owned(),
        _ => format!("{class}_{count}"),
    }
}

/// The one layer that a weight's name, such as `model/block/conv/kernel:0`, tells.
fn owner_of<'p>(weight: &str, leaves: &'p [Vec<String>]) -> Option<&'p Vec<String>> {
    let scope = weight.rsplit_once('/').map_or("", |(scope, _)| scope);
    let scope = format!("/{scope}/");
    let mut best = None;
    for path in leaves {
        let Some((leaf, models)) = path.split_last() else {
            continue;
        };
        // The innermost name decides; names of the nested models tell namesakes apart.
        if let Some(place) = scope.rfind(&format!("/{leaf}/")) {
            let inside = |model: &&String| scope.contains(&format!("/{model}/"));
            let rank = (place + leaf.len(), leaf.len(), models.iter().filter(inside).count());
            match best {
                Some((other, _, _)) if rank < other => {}
                Some((other, _, _)) if rank == other => best = Some((rank, path, false)),
                _ => best = Some((rank, path, true)),
            }
        }
    }
    best.filter(|&(_, _, unique)| unique).map(|(_, path, _)| path)
}

fn list_leaves(layers: &[Value], path: &[String], leaves: &mut Vec<Vec<String>>) {
    for layer in layers {
        let path = extended(path, layer);
        match layers_of(layer) {
            Some(layers) => list_leaves(layers, &path, leaves),
            None => leaves.push(path),
        }
    }
}
