//! Error types, one enum per layer; each says what was wrong, where, what was expected and the way out.

mod bench;
mod gpu;
mod graph;
mod layers;
mod plan;
mod session;
mod tensor;
mod train;
mod tuning;
mod zoo;

pub use bench::BenchError;
pub use gpu::{GpuError, TemplateError};
pub use graph::GraphError;
pub use layers::LayerError;
pub use plan::PlanError;
pub use session::SessionError;
pub use tensor::{ShapeError, TensorError, WindowError};
pub use train::TrainError;
pub use tuning::TuningError;
pub use zoo::ZooError;
