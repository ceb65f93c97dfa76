//! Names of layers: Keras's for those without one, each taken once in a model.

use std::collections::HashMap;

use crate::error::LayerError;

/// Names that are taken in one model.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    /// `stem`, `stem_1`, `stem_2`, ..: the first that is free.
    pub fn fresh(&mut self, stem: &str) -> String {
        let mut number = 0;
        loop {
            let name = if number == 0 { stem.to_string() } else { format!("{stem}_{number}") };
            if !self.0.contains_key(&name) {
                self.0.insert(name.clone(), 1);
                return name;
            }
            number += 1;
        }
    }

    pub fn take(&mut self, name: &str, model: &str) -> Result<String, LayerError> {
        match self.0.insert(name.into(), 1) {
            None => Ok(name.into()),
            Some(_) => {
                let what = format!("two layers are called `{name}`; every layer needs a name of its own");
                Err(LayerError::Model { model: model.into(), what })
            }
        }
    }
}

/// Keras's snake case of a class name: `Conv2D` is `conv2d`, `ReLU` is `re_lu`, `MaxPooling2D` is `max_pooling2d`.
pub(crate) fn snake_case(class: &str) -> String {
    let chars: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let after_lower = i > 0 && (chars[i - 1].is_lowercase());
        let before_word = i > 0 && chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_lower || (before_word && !chars[i - 1].is_numeric())) {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_keras() {
        for (class, name) in [
            ("Conv2D", "conv2d"),
            ("ReLU", "re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("PReLU", "p_re_lu"),
            ("MaxPooling2D", "max_pooling2d"),
            ("SeparableConv2D", "separable_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("GetItem", "get_item"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("ELU", "elu"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
