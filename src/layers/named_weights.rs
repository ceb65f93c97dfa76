//! The weights of a model by name, layers inside nested models included.

use super::{LayerRef, Model, Weight};

impl Model {
    /// Every layer that is no model, under the names of the models around it and its own, joined by `/`.
    pub fn leaves(&self) -> Vec<(String, LayerRef)> {
        let mut leaves = Vec::new();
        for layer in self.layers() {
            match layer.layer().as_model() {
                Some(nested) => {
                    let inside = nested.leaves().into_iter();
                    leaves.extend(inside.map(|(name, inner)| (format!("{}/{name}", layer.name()), inner)));
                }
                None => leaves.push((layer.name().to_string(), layer.clone())),
            }
        }
        leaves
    }

    /// Every weight under the name of its layer (see [`Model::leaves`]) and its own, such as `block/conv2d/kernel`; a weight that
    /// several layers share comes once, under the first.
    pub fn named_weights(&self) -> Vec<(String, Weight)> {
        let mut seen = std::collections::HashSet::new();
        let mut weights = Vec::new();
        for (name, layer) in self.leaves() {
            let own = layer.weights().iter().filter(|weight| seen.insert(weight.id()));
            weights.extend(own.map(|weight| (format!("{name}/{}", weight.spec().name), weight.clone())));
        }
        weights
    }
}
