//! What training is told about single weights of a layer.

use std::sync::{Mutex, PoisonError};

/// What was said of some of a layer's weights, by their names; the last word counts.
#[derive(Debug)]
pub(super) struct PerWeight<T>(Mutex<Vec<(String, T)>>);

impl<T> Default for PerWeight<T> {
    fn default() -> PerWeight<T> {
        PerWeight(Mutex::default())
    }
}

impl<T: Clone> PerWeight<T> {
    pub(super) fn set(&self, weight: &str, said: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((weight.into(), said));
    }

    pub(super) fn get(&self, weight: &str) -> Option<T> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|(name, _)| name == weight).map(|(_, said)| said.clone())
    }
}
