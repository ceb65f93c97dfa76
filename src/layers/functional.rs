//! The functional API: layers called on symbolic tensors.

use std::sync::Arc;

use super::{IntoLayer, LayerRef, Reshaping};
use crate::error::LayerError;

/// What a layer is called on, and gives: a tensor of one model that has no values yet. Cloning shares it.
#[derive(Debug, Clone)]
pub struct SymbolicTensor {
    pub(super) call: Arc<Call>,
    pub(super) output: usize,
}

/// One call of a layer, or an input of a model.
#[derive(Debug)]
pub(super) struct Call {
    pub source: Source,
    pub inputs: Vec<SymbolicTensor>,
}

#[derive(Debug)]
pub(super) enum Source {
    /// An input: its name (empty for Keras's own naming) and its shape without the batch.
    Input { name: String, shape: Vec<Option<usize>> },
    /// A layer.
    Layer(LayerRef),
}

impl SymbolicTensor {
    pub(super) fn of(source: Source, inputs: Vec<SymbolicTensor>, output: usize) -> SymbolicTensor {
        SymbolicTensor { call: Arc::new(Call { source, inputs }), output }
    }

    /// The channels `start..end` of this tensor, which has `rank` axes, batch and channels (last) included.
    ///
    /// # Errors
    /// [`LayerError::Layer`] when the range is empty.
    pub fn channels(&self, rank: usize, start: usize, end: usize) -> Result<SymbolicTensor, LayerError> {
        if start >= end {
            let what = format!("channels {start} to {end} are none");
            return Err(LayerError::Layer { layer: "slice".into(), class: "GetItem".into(), what });
        }
        Ok(Reshaping::channels(rank, start, end).layer().call(self))
    }
}

/// An input of a model.
#[derive(Debug)]
pub struct Input;

impl Input {
    /// An input of this shape, the batch not counted.
    #[allow(clippy::new_ret_no_self)]
    pub fn new<const N: usize>(shape: [usize; N]) -> SymbolicTensor {
        Input::open(String::new(), shape.iter().map(|&size| Some(size)).collect())
    }

    /// An input with a name, and with axes of any size where `None` stands.
    pub fn open(name: impl Into<String>, shape: Vec<Option<usize>>) -> SymbolicTensor {
        SymbolicTensor::of(Source::Input { name: name.into(), shape }, Vec::new(), 0)
    }
}

impl LayerRef {
    /// Calls the layer on one tensor. Whether it takes it is known when a model is made.
    pub fn call(&self, x: &SymbolicTensor) -> SymbolicTensor {
        self.call_many(&[x])
    }

    /// Calls the layer on several tensors.
    pub fn call_many(&self, inputs: &[&SymbolicTensor]) -> SymbolicTensor {
        let inputs = inputs.iter().map(|&input| input.clone()).collect();
        SymbolicTensor::of(Source::Layer(self.clone()), inputs, 0)
    }

    /// Calls a layer of several outputs.
    pub fn call_for(&self, inputs: &[&SymbolicTensor], outputs: usize) -> Vec<SymbolicTensor> {
        let first = self.call_many(inputs);
        (0..outputs).map(|output| SymbolicTensor { call: first.call.clone(), output }).collect()
    }
}
