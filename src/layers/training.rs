//! A model's graph with its weights as inputs: for training, and for evaluation in between.

use std::collections::BTreeMap;

use super::layer::Mode;
use super::{Constraint, Model, Regularizer, Weight};
use crate::error::LayerError;
use crate::graph::{Graph, ValueId};

/// A model's graph for training ([`Model::training_graph`]). It has no outputs yet: a loss comes first.
#[derive(Debug, Clone)]
pub struct TrainingGraph {
    /// The forward pass.
    pub graph: Graph,
    /// Every weight, once.
    pub weights: Vec<TrainedWeight>,
    /// The key of random numbers ([`super::Emitter::KEY`]), if a layer draws any.
    pub key: Option<ValueId>,
    /// The model's outputs with their names.
    pub outputs: Vec<(String, ValueId)>,
}

/// A weight in a [`TrainingGraph`].
#[derive(Debug, Clone)]
pub struct TrainedWeight {
    /// Its name: the names of the models around it, the layer's and its own, joined by `/`.
    pub name: String,
    /// The weight.
    pub weight: Weight,
    /// The input of the graph that stands for it.
    pub value: ValueId,
    /// Whether its gradient changes it.
    pub trainable: bool,
    /// The penalty on it, if there is one.
    pub regularizer: Option<Regularizer>,
    /// What it is brought back to after every step, if it is.
    pub constraint: Option<Constraint>,
    /// What it becomes with this batch apart from any gradient (moving statistics).
    pub updated: Option<ValueId>,
}

impl Model {
    /// The graph for training: weights are inputs of it, batch normalisation uses the statistics of the batch, and dropout
    /// drops.
    ///
    /// # Errors
    /// As [`Model::graph_for`].
    pub fn training_graph(
        &self,
        batch: usize,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<TrainingGraph, LayerError> {
        self.weighted_graph(batch, shapes, true)
    }

    /// The graph for inference with the weights as inputs of it, so that they can be others in every run.
    ///
    /// # Errors
    /// As [`Model::graph_for`].
    pub fn evaluation_graph(
        &self,
        batch: usize,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<TrainingGraph, LayerError> {
        self.weighted_graph(batch, shapes, false)
    }

    fn weighted_graph(
        &self,
        batch: usize,
        shapes: &BTreeMap<String, Vec<usize>>,
        training: bool,
    ) -> Result<TrainingGraph, LayerError> {
        let mode = Mode { values: false, training, scope: "" };
        let (graph, emission, outputs) = self.emit_graph(batch, shapes, mode)?;
        let weights = emission.weights.into_iter().map(|placed| TrainedWeight {
            updated: emission.updates.iter().find(|(own, _)| *own == placed.value).map(|(_, updated)| *updated),
            name: graph.value(placed.value).name.clone(),
            weight: placed.weight,
            value: placed.value,
            trainable: placed.trainable,
            regularizer: placed.regularizer,
            constraint: placed.constraint,
        });
        let outputs = self.outputs().iter().map(|(name, _)| name.clone()).zip(outputs).collect();
        Ok(TrainingGraph { weights: weights.collect(), key: emission.key, outputs, graph })
    }
}
