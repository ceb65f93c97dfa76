//! What weights are brought back to after every step of a training.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::to_config::number;

/// A projection that a weight takes after each step of the optimizer (Keras 3's `keras.constraints`).
///
/// Norms are Euclidean, along `axes` of the weight as it is stored (of a convolution: window axes, input channels, filters);
/// Keras's default is axis 0. Where a norm divides, Keras's 1e-7 is added to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Negative elements become 0.
    NonNegative,
    /// Norms above `max` are scaled down to it; Keras's default is 2.
    MaxNorm {
        /// The largest norm.
        max: f32,
        /// Axes along which the norm is taken.
        axes: Vec<i64>,
    },
    /// All norms are scaled to 1.
    UnitNorm {
        /// Axes along which the norm is taken.
        axes: Vec<i64>,
    },
    /// Norms come nearer to the range from `min` to `max`; Keras's defaults are 0, 1, and a rate of 1.
    MinMaxNorm {
        /// The smallest norm.
        min: f32,
        /// The largest norm.
        max: f32,
        /// Share of the way that is gone in each step; 1 goes all of it.
        rate: f32,
        /// Axes along which the norm is taken.
        axes: Vec<i64>,
    },
}

impl Constraint {
    /// As Keras writes it.
    pub(super) fn to_config(&self) -> Value {
        let axis = |axes: &[i64]| match axes {
            [axis] => json!(axis),
            axes => json!(axes),
        };
        let (class, config) = match self {
            Constraint::NonNegative => ("NonNeg", json!({})),
            Constraint::MaxNorm { max, axes } => ("MaxNorm", json!({ "max_value": number(*max), "axis": axis(axes) })),
            Constraint::UnitNorm { axes } => ("UnitNorm", json!({ "axis": axis(axes) })),
            Constraint::MinMaxNorm { min, max, rate, axes } => {
                let (min, max, rate) = (number(*min), number(*max), number(*rate));
                ("MinMaxNorm", json!({ "min_value": min, "max_value": max, "rate": rate, "axis": axis(axes) }))
            }
        };
        json!({ "module": "keras.constraints", "class_name": class, "config": config, "registered_name": null })
    }

    /// A constraint from its Keras configuration; `None` for one of another class.
    pub(super) fn from_config(value: &Value) -> Option<Constraint> {
        let class = value.get("class_name")?.as_str()?;
        let setting = |key: &str| value.get("config").and_then(|config| config.get(key));
        let number = |key: &str, default: f32| match setting(key) {
            Some(value) => value.as_f64().map(|value| value as f32),
            None => Some(default),
        };
        let axes = || match setting("axis") {
            None => Some(vec![0]),
            Some(value) => super::config::as_list(value, Value::as_i64),
        };
        match class {
            "NonNeg" => Some(Constraint::NonNegative),
            "MaxNorm" => Some(Constraint::MaxNorm { max: number("max_value", 2.0)?, axes: axes()? }),
            "UnitNorm" => Some(Constraint::UnitNorm { axes: axes()? }),
            "MinMaxNorm" => Some(Constraint::MinMaxNorm {
                min: number("min_value", 0.0)?,
                max: number("max_value", 1.0)?,
                rate: number("rate", 1.0)?,
                axes: axes()?,
            }),
            _ => None,
        }
    }
}
