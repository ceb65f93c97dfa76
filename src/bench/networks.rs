//! The networks that engines are compared on, and a step of training.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::BenchError;
use crate::layers::{
    Activation, ActivationLayer, Conv2D, Dense, DepthwiseConv2D, GlobalPooling2D, Padding, Sequential,
};
use crate::ops::Cost;
use crate::session::{Compiled, Device, Options, Session};
use crate::tensor::Tensor;
use crate::train::{Batch, Loss, Optimizer, Settings, Trainer};
use crate::zoo;

/// A network of the zoo with its batch, or a step of training.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Its name; `@8` is a batch of eight.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Inference { zoo: &'static str, batch: usize },
    Training { batch: usize },
}

const fn inference(name: &'static str, zoo: &'static str, batch: usize) -> Network {
    Network { name, kind: Kind::Inference { zoo, batch } }
}

/// All of them.
pub const NETWORKS: &[Network] = &[
    inference("mobilenet_v1", "mobilenet_v1", 1),
    inference("mobilenet_v2", "mobilenet_v2", 1),
    inference("resnet18", "resnet18", 1),
    inference("mobilenet_v1@8", "mobilenet_v1", 8),
    Network { name: "train", kind: Kind::Training { batch: 64 } },
];

/// A network on a device, ready to run.
pub(super) enum Ready {
    Inference { compiled: Arc<Compiled>, inputs: BTreeMap<String, Tensor> },
    Training { trainer: Box<Trainer>, batch: Batch },
}

impl Network {
    /// Builds and compiles it.
    pub(super) fn ready(&self, device: Device, options: Options) -> Result<Ready, BenchError> {
        match self.kind {
            Kind::Inference { zoo, batch } => {
                let graph = zoo::build(zoo)?.graph(batch)?;
                let wave = |&id: &crate::graph::ValueId| {
                    let value = graph.value(id);
                    (value.name.clone(), Tensor::from_fn(value.ty.shape.clone(), |i| (i as f32 * 0.618_034).sin()))
                };
                let inputs = graph.inputs().iter().map(wave).collect();
                let session = Session::new(graph, device, options);
                let compiled = session.compile(&BTreeMap::new())?;
                Ok(Ready::Inference { compiled, inputs })
            }
            Kind::Training { batch } => training(device, batch),
        }
    }
}

/// One step of SGD on images of 28x28: conv 3x3 1->16, depthwise 3x3, pointwise 16->32, relu, global average, dense 10.
fn training(device: Device, batch: usize) -> Result<Ready, BenchError> {
    let model = Sequential::new()
        .add(Conv2D::new(16, 3).padding(Padding::Same))
        .add(DepthwiseConv2D::new(3).padding(Padding::Same))
        .add(Conv2D::new(32, 1))
        .add(ActivationLayer::new(Activation::RELU))
        .add(GlobalPooling2D::average())
        .add(Dense::new(10))
        .build([28, 28, 1])?;
    model.initialize(1);
    let loss = Loss::SparseCategoricalCrossentropy { from_logits: true };
    let settings = Settings::new(&model, loss, Optimizer::sgd().learning_rate(0.1));
    let x = Tensor::from_fn([batch, 28, 28, 1], |i| ((i * 7919) % 1000) as f32 / 1000.0);
    let y = Tensor::from_fn([batch], |i| (i % 3) as f32);
    let inputs = model.inputs().iter().map(|input| (input.name.clone(), x.clone())).collect();
    let targets = model.outputs().iter().map(|(name, _)| (name.clone(), y.clone())).collect();
    let batch = Batch { inputs, targets, sample_weights: None };
    Ok(Ready::Training { trainer: Box::new(Trainer::new(&model, device, settings)?), batch })
}

impl Ready {
    /// Runs it once, from inputs on the host to outputs on the host.
    pub(super) fn run(&mut self) -> Result<(), BenchError> {
        match self {
            Ready::Inference { compiled, inputs } => compiled.run(inputs).map(|_| ()).map_err(BenchError::from),
            Ready::Training { trainer, batch } => trainer.train_batch(batch).map(|_| ()).map_err(BenchError::from),
        }
    }

    /// The work of one run, where there is a plan to ask.
    pub(super) fn cost(&self) -> Option<Cost> {
        match self {
            Ready::Inference { compiled, .. } => compiled.plan().map(|plan| plan.cost()),
            Ready::Training { .. } => None,
        }
    }
}
