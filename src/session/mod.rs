//! A session: a graph compiled for a device, for as many input shapes as come along.

mod check;
mod compiled;
mod device;
mod tune;
mod tuned;
mod tuning;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use check::{Checked, StepCheck};
pub use compiled::{Compiled, Progress, plan_with};
pub(crate) use compiled::{choose_forms, run_passes};
pub use device::Device;
pub use tune::tune;
pub use tuned::tuned_for;
pub use tuning::{CheckedAgainst, Quarantined, TunedCase, TunedForm, Tuning, TuningTable};

use crate::error::SessionError;
use crate::gpu::SharedWeights;
use crate::graph::Graph;
use crate::passes::FoldCache;
use crate::tensor::{Precision, Tensor, TensorType};
use tuned::Tuned;

/// How a graph is compiled.
#[derive(Clone)]
pub struct Options {
    /// Rewrite the graph before planning it. Off, every node runs as it was written.
    pub optimize: bool,
    /// Use this kernel (by its stem) wherever it accepts a node, before the usual candidates.
    pub prefer_kernel: Option<String>,
    /// Whether kernels are chosen by measurements on the device. [`Options::prefer_kernel`] comes before them.
    pub tuning: Tuning,
    /// The table of such measurements; as a rule that of [`TuningTable::default_path`].
    pub tuning_file: Option<PathBuf>,
    /// How weights and intermediate values are stored on a GPU; inputs, outputs and arithmetic are `f32` either way.
    pub precision: Precision,
    /// Compute 3x3 convolutions by Winograd's F(2x2, 3x3) where the device should take less time for it: fewer multiplications,
    /// with roundings of their own ([`crate::ops::Winograd`]). For weights that are known when a graph is compiled. An estimate says
    /// where that is, or, with [`Options::tuning`], what was measured.
    pub winograd: bool,
    /// Plans kept for different input shapes; the one used longest ago goes first.
    pub cached_plans: usize,
    /// Called as work proceeds that may take long.
    pub progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            optimize: true,
            prefer_kernel: None,
            tuning: Tuning::default(),
            tuning_file: None,
            precision: Precision::F32,
            winograd: false,
            cached_plans: 8,
            progress: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("optimize", &self.optimize)
            .field("prefer_kernel", &self.prefer_kernel)
            .field("tuning", &self.tuning)
            .field("tuning_file", &self.tuning_file)
            .field("precision", &self.precision)
            .field("winograd", &self.winograd)
            .field("cached_plans", &self.cached_plans)
            .finish_non_exhaustive()
    }
}

/// Input types, in the order of the graph's inputs: what plans are told apart by.
type Key = Vec<TensorType>;

/// A plan that is there or being made: threads that want the same one wait for each other, and no others do.
type Place = Arc<Mutex<Option<Arc<Compiled>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A graph on a device. Weights are uploaded once, whatever input shapes come along; each new set of shapes is compiled when it
/// first comes.
///
/// ```
/// use std::collections::BTreeMap;
/// use wgconv::session::{Device, Options, Session};
/// use wgconv::tensor::Tensor;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let model = wgconv::zoo::build("separable_question")?; // or `import::read_model("model.keras")`
/// let session = Session::new(model.graph(1)?, Device::auto(), Options::default());
/// session.warm_up(&BTreeMap::new())?; // compile now rather than at the first run
/// let inputs = BTreeMap::from([("input_layer".to_string(), Tensor::full([1, 12, 12, 1], 0.5))]);
/// let outputs = session.run(&inputs)?;
/// assert_eq!(outputs["dense"].f32s()?.len(), 2);
/// # Ok(())
/// # }
/// ```
///
/// Threads may share it: runs follow each other on the device, and each thread gets the outputs of its own inputs. While one
/// thread compiles for new input shapes, others run with those that are there.
#[derive(Debug)]
pub struct Session {
    graph: Graph,
    device: Device,
    options: Options,
    weights: SharedWeights,
    folded: FoldCache,
    tuned: Tuned,
    /// Most recently used last.
    plans: Mutex<Vec<(Key, Place)>>,
}

impl Session {
    /// A session for a graph. Nothing is compiled until [`Session::compile`] or the first run.
    pub fn new(graph: Graph, device: Device, options: Options) -> Session {
        Session {
            graph,
            device,
            options,
            weights: SharedWeights::default(),
            folded: FoldCache::default(),
            tuned: Tuned::default(),
            plans: Mutex::default(),
        }
    }

    /// The graph as it was given.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How it was asked to compile.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Bytes of weights on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// Compiles for the given input types, or finds what was compiled for them before. Inputs that are not named keep the
    /// type that the graph was built with.
    ///
    /// # Errors
    /// [`SessionError`] when the graph does not take these inputs or the device cannot run it.
    pub fn compile(&self, types: &BTreeMap<String, TensorType>) -> Result<Arc<Compiled>, SessionError> {
        let named = |id: &crate::graph::ValueId| types.get(&self.graph.value(*id).name);
        let key: Key = self.graph.inputs().iter().map(|id| named(id).unwrap_or(self.graph.ty(*id)).clone()).collect();
        let known = |name: &String| self.graph.inputs().iter().any(|&id| self.graph.value(id).name == *name);
        if !types.keys().all(known) {
            // Says which name is unknown.
            self.graph.with_input_types(types)?;
        }
        let place = self.place(key);
        let mut made = lock(&place);
        if let Some(compiled) = &*made {
            return Ok(compiled.clone());
        }
        let compiled = self.graph.with_input_types(types).map_err(SessionError::from).and_then(|graph| {
            Compiled::new(graph, &self.device, &self.options, &self.weights, &self.folded, &self.tuned)
        });
        match compiled {
            Ok(compiled) => Ok(made.insert(Arc::new(compiled)).clone()),
            Err(why) => {
                // What cannot be made takes no place of what can.
                lock(&self.plans).retain(|(_, other)| !Arc::ptr_eq(other, &place));
                Err(why)
            }
        }
    }

    /// The place of a plan, which becomes the one used last.
    fn place(&self, key: Key) -> Place {
        let mut plans = lock(&self.plans);
        let found = match plans.iter().position(|(have, _)| *have == key) {
            Some(position) => plans.remove(position),
            None => {
                if plans.len() >= self.options.cached_plans.max(1) {
                    plans.remove(0);
                }
                (key, Place::default())
            }
        };
        let place = found.1.clone();
        plans.push(found);
        place
    }

    /// Compiles for the given input types and runs once on zeros, so that the first run that matters is as fast as any: shaders are
    /// translated, buffers have memory behind them, staging buffers exist. Does nothing more than compile on the CPU reference.
    ///
    /// # Errors
    /// As [`Session::compile`] and [`Session::run`].
    pub fn warm_up(&self, types: &BTreeMap<String, TensorType>) -> Result<Arc<Compiled>, SessionError> {
        let compiled = self.compile(types)?;
        compiled.warm_up()?;
        Ok(compiled)
    }

    /// Runs on inputs by name; outputs come by name. Compiles first when these input shapes are new.
    ///
    /// # Errors
    /// [`SessionError`] when an input is missing or does not fit, or the device fails.
    pub fn run(&self, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, SessionError> {
        self.compile(&types(inputs))?.run(inputs)
    }

    /// As [`Session::run`], without blocking the calling thread while the device works (compiling still does).
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn run_async(&self, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, SessionError> {
        self.compile(&types(inputs))?.run_async(inputs).await
    }
}

fn types(inputs: &BTreeMap<String, Tensor>) -> BTreeMap<String, TensorType> {
    inputs.iter().map(|(name, tensor)| (name.clone(), tensor.tensor_type())).collect()
}
