//! The weights of a model that this crate wrote as ONNX, as they were before.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{OnnxError, folder_of, open, stored, tensor};
use crate::ops::Transpose;
use crate::tensor::Tensor;

/// The key of a file's metadata that holds, as JSON by name, how each weight was written.
pub(crate) const WEIGHT_ORDERS: &str = "wgconv.weight_orders";

/// How a weight lies in a file: reshaped to some shape, and then its axes in another order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WeightOrder {
    /// The weight's own shape.
    pub shape: Vec<usize>,
    /// Axis `i` in the file is axis `order[i]` of the reshaped weight.
    pub order: Vec<usize>,
}

impl WeightOrder {
    /// Another transpose after this one.
    pub fn then(self, perm: &[usize]) -> WeightOrder {
        WeightOrder { order: perm.iter().map(|&axis| self.order[axis]).collect(), ..self }
    }

    /// The weight as it was.
    fn undo(&self, stored: &Tensor) -> Result<Tensor, String> {
        if self.order.len() != stored.shape().rank() {
            return Err(format!("{} axes in order, and {} are stored", self.order.len(), stored.shape()));
        }
        let back: Vec<usize> = (0..self.order.len())
            .map(|axis| self.order.iter().position(|&own| own == axis))
            .collect::<Option<_>>()
            .ok_or_else(|| format!("the order {:?} of its axes is none", self.order))?;
        tensor::elements(&self.shape)?;
        let turned = Transpose::of(stored, &back).map_err(|error| error.to_string())?;
        turned.reshaped(self.shape.clone()).map_err(|error| error.to_string())
    }
}

/// Reads the weights of a model of layers, by the names and in the shapes that they have there.
///
/// # Errors
/// [`OnnxError::File`] when the file is damaged, or another program wrote it.
pub(crate) fn read_weights(path: &Path) -> Result<BTreeMap<String, Tensor>, OnnxError> {
    let wrong = |what: String| OnnxError::File { path: path.to_path_buf(), what };
    let model = open(path)?;
    let orders = model.metadata_props.iter().find(|entry| entry.key == WEIGHT_ORDERS).ok_or_else(|| {
        let what = "it does not say which weights of layers it holds; only .onnx files that wgconv wrote do. Load the \
                    Keras model it came from, or its .safetensors";
        wrong(what.into())
    })?;
    let orders: BTreeMap<String, WeightOrder> =
        serde_json::from_str(&orders.value).map_err(|error| wrong(format!("{WEIGHT_ORDERS}: {error}")))?;
    let mut weights = BTreeMap::new();
    for proto in model.graph.map(|graph| graph.initializer).unwrap_or_default() {
        if let Some(order) = orders.get(&proto.name) {
            let name = proto.name.clone();
            let read = stored::read_tensor(proto, folder_of(path)).and_then(|tensor| tensor.to_tensor());
            let weight = order.undo(&read.map_err(wrong)?).map_err(|what| wrong(format!("weight `{name}`: {what}")))?;
            weights.insert(name, weight);
        }
    }
    Ok(weights)
}
