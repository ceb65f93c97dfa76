//! Training: gradients as nodes of the same graph, losses, optimizers, and the loop around them.

mod backward;
mod callbacks;
mod checkpoint;
mod confusion;
mod data;
mod expression;
mod fit;
mod history;
mod loss;
mod metric;
mod optimizer;
mod schedule;
mod settings;
mod step;
mod step_graph;
mod trainer;

pub use backward::{backward, backward_recomputing, gradients};
pub use callbacks::{Checkpointing, EarlyStopping, Mode, Patience, ReduceOnPlateau, Verdict};
pub use confusion::ConfusionMatrix;
pub use data::{Arrays, Augment, Batch, DataSource, Generator, ImageFolder, Part, order, split};
pub use fit::{Ended, Event, FitOptions, Progress};
pub use history::{Epoch, History};
pub use loss::Loss;
pub use metric::{Measured, Metric};
pub use optimizer::{Clipping, Optimizer};
pub use schedule::Schedule;
pub use settings::Settings;
pub use trainer::{BatchResult, Running, Trainer};
