//! Penalties on weights that are added to the loss in training.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::to_config::number;

/// `l1 * sum(|w|) + l2 * sum(w^2)` (Keras's `L1`, `L2` and `L1L2`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Regularizer {
    /// Factor of the sum of magnitudes.
    pub l1: f32,
    /// Factor of the sum of squares.
    pub l2: f32,
}

impl Regularizer {
    /// The sum of magnitudes; Keras's default factor is 0.01.
    pub fn l1(l1: f32) -> Regularizer {
        Regularizer { l1, l2: 0.0 }
    }

    /// The sum of squares; Keras's default factor is 0.01.
    pub fn l2(l2: f32) -> Regularizer {
        Regularizer { l1: 0.0, l2 }
    }

    /// As Keras writes it.
    pub(super) fn to_config(self) -> Value {
        let (class, config) = match (self.l1, self.l2) {
            (l1, 0.0) => ("L1", json!({ "l1": number(l1) })),
            (0.0, l2) => ("L2", json!({ "l2": number(l2) })),
            (l1, l2) => ("L1L2", json!({ "l1": number(l1), "l2": number(l2) })),
        };
        json!({ "module": "keras.regularizers", "class_name": class, "config": config, "registered_name": null })
    }

    /// A regularizer from its Keras configuration; `None` for one of another class.
    pub(super) fn from_config(value: &Value) -> Option<Regularizer> {
        let class = value.get("class_name")?.as_str()?;
        let config = value.get("config")?;
        let factor = |key: &str| config.get(key).and_then(Value::as_f64).map_or(0.0, |factor| factor as f32);
        match class.to_lowercase().as_str() {
            "l1" => Some(Regularizer::l1(factor("l1"))),
            "l2" => Some(Regularizer::l2(factor("l2"))),
            "l1l2" | "l1_l2" => Some(Regularizer { l1: factor("l1"), l2: factor("l2") }),
            _ => None,
        }
    }
}
