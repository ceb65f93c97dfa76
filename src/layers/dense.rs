//! `Dense`: a weighted sum over the last axis.

use serde_json::{Value, json};

use super::settings::setters;
use super::{Activation, Emitter, Initializer, KerasSite, Layer, LayerRef, WeightSpec, in_keras};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops;
use crate::tensor::{Shape, Window};

/// `activation(x . kernel + bias)` along the last axis. Weights: `kernel [in, units]`, `bias [units]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    units: usize,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
}

impl Dense {
    /// A dense layer with Keras's defaults: a bias, no activation, Glorot uniform.
    pub fn new(units: usize) -> Dense {
        Dense {
            units,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::glorot_uniform(),
            bias_initializer: Initializer::Zeros,
        }
    }

    setters! {
        /// What happens to the result (nothing).
        activation: Activation,
        /// Whether there is a bias (yes).
        use_bias: bool,
        /// How the kernel starts (Glorot uniform).
        kernel_initializer: Initializer,
        /// How the bias starts (zeros).
        bias_initializer: Initializer,
    }
}

impl Layer for Dense {
    fn class_name(&self) -> &'static str {
        "Dense"
    }

    fn config(&self) -> Value {
        json!({
            "units": self.units,
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.to_config(),
            "bias_initializer": self.bias_initializer.to_config(),
        })
    }

    fn in_keras(&self, _site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        in_keras::named(self.activation).map(|()| Vec::new())
    }

    fn weights(&self, inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        let shape =
            inputs.first().filter(|shape| shape.rank() >= 2).ok_or("it needs a batch axis and a feature axis")?;
        let kernel = [shape.last_axis(), self.units];
        let mut specs = vec![WeightSpec::new("kernel", kernel, self.kernel_initializer.clone())];
        if self.use_bias {
            specs.push(WeightSpec::new("bias", [self.units], self.bias_initializer.clone()));
        }
        Ok(specs)
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        let y = emitter.node("", ops::Conv::new(Window::unit(0), 1), &[x, weights[0]])?;
        Ok(vec![emitter.finish(y, weights.get(1).copied(), self.activation)?])
    }
}
