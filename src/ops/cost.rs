//! What a step costs: arithmetic and memory traffic.

use crate::tensor::TensorType;

/// Work of one op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Cost {
    /// Multiply-accumulates (one is two floating point operations).
    pub macs: u64,
    /// Bytes read and written, each tensor once.
    pub bytes: u64,
}

impl Cost {
    /// `macs` multiply-accumulates, and every input and output moved once.
    pub fn new(macs: usize, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let bytes: usize = inputs.iter().chain(outputs).map(TensorType::bytes).sum();
        Cost { macs: macs as u64, bytes: bytes as u64 }
    }
}

impl std::ops::Add for Cost {
    type Output = Cost;
    fn add(self, other: Cost) -> Cost {
        Cost { macs: self.macs.saturating_add(other.macs), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), |a, b| a + b)
    }
}
