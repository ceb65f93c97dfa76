//! Error types, one enum per layer; each says what was wrong, where, what was expected and the way out.

mod graph;
mod tensor;

pub use graph::GraphError;
pub use tensor::{ShapeError, TensorError, WindowError};
