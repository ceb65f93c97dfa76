//! Training: gradients as nodes of the same graph, losses, optimizers, and the loop around them.

mod backward;
mod batch;
mod expression;
mod loss;
mod optimizer;
mod settings;
mod step;
mod step_graph;
mod trainer;

pub use backward::{backward, gradients};
pub use batch::Batch;
pub use loss::Loss;
pub use optimizer::{Clipping, Optimizer};
pub use settings::Settings;
pub use trainer::{BatchResult, Running, Trainer};
