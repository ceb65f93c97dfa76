//! Looks up names, classes and nested layers in the config of a Keras model.

use serde_json::Value;

/// The layers of a model's config; `None` for a layer that is no model.
pub(super) fn layers_of(layer: &Value) -> Option<&[Value]> {
    let config = layer.get("config")?;
    // Before Keras 2.2 the config of a Sequential model was the bare list.
    let layers = config.get("layers").unwrap_or(config);
    layers.as_array().map(Vec::as_slice)
}

pub(super) fn is_sequential(model: &Value) -> bool {
    class_of(model) == "Sequential"
}

pub(super) fn class_of(layer: &Value) -> &str {
    text(layer.get("class_name"))
}

pub(super) fn name_of(layer: &Value) -> &str {
    let config = layer.get("config").and_then(|config| config.get("name"));
    text(config.or_else(|| layer.get("name")))
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// `path` with the name of `layer` at its end.
pub(super) fn extended(path: &[String], layer: &Value) -> Vec<String> {
    let mut path = path.to_vec();
    path.push(name_of(layer).to_owned());
    path
}

/// What Keras makes of a layer's class for a group: `SeparableConv2D` becomes `separable_conv2d`.
pub(super) fn class_key(layer: &Value) -> String {
    let class = class_of(layer);
    // A registered class is written as `package>Name`.
    let class = class.rsplit('>').next().unwrap_or(class);
    let mut key = String::new();
    let mut previous: Option<char> = None;
    let mut rest = class.chars().peekable();
    while let Some(letter) = rest.next() {
        let starts_word = previous.is_some_and(|before| before.is_ascii_lowercase())
            || (previous.is_some() && rest.peek().is_some_and(char::is_ascii_lowercase));
        if letter.is_ascii_uppercase() && starts_word {
            key.push('_');
        }
        key.extend(letter.to_lowercase());
        previous = Some(letter);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_keys_are_those_of_keras() {
        for (class, key) in [
            ("Conv2D", "conv2d"),
            ("SeparableConv2D", "separable_conv2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("ReLU", "re_lu"),
            ("PReLU", "p_re_lu"),
            ("BatchNormalization", "batch_normalization"),
            ("ZeroPadding2D", "zero_padding2d"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("LSTM", "lstm"),
            ("TFOpLambda", "tf_op_lambda"),
            ("SlicingOpLambda", "slicing_op_lambda"),
            ("my_package>MyLayer", "my_layer"),
        ] {
            let layer = serde_json::json!({ "class_name": class });
            assert_eq!(class_key(&layer), key, "{class}");
        }
    }
}
