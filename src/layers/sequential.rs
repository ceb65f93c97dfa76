//! `Sequential`: layers in a row.

use super::{Input, LayerRef, Model, SymbolicTensor};
use crate::error::LayerError;

/// Layers in a row.
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<LayerRef>,
}

impl Sequential {
    /// No layers yet.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// Adds a layer.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, layer: impl Into<LayerRef>) -> Sequential {
        self.layers.push(layer.into());
        self
    }

    /// The model for inputs of this shape, the batch not counted.
    ///
    /// # Errors
    /// [`LayerError`] when a layer does not take what the one before gives.
    pub fn build<const N: usize>(self, shape: [usize; N]) -> Result<Model, LayerError> {
        self.build_named("sequential", Input::new(shape))
    }

    /// As [`Sequential::build`], under a name and from an input of its own.
    ///
    /// # Errors
    /// As [`Sequential::build`].
    pub fn build_named(self, name: impl Into<String>, input: SymbolicTensor) -> Result<Model, LayerError> {
        let output = self.layers.iter().fold(input.clone(), |x, layer| layer.call(&x));
        let mut model = Model::named(name, &[input], &[output])?;
        model.sequential = true;
        Ok(model)
    }
}
