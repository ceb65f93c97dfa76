//! A graph compiled for one set of input shapes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tuned::Tuned;
use super::{Device, Options, TuningTable};
use crate::cpu;
use crate::error::{GraphError, PlanError, SessionError};
use crate::gpu::{Executable, SharedWeights};
use crate::graph::Graph;
use crate::kernels::{DeviceTraits, preferred};
use crate::ops::Op;
use crate::passes::{FoldCache, Report, optimize, specialize, winograd};
use crate::plan::{Plan, Port, plan_stored};
use crate::tensor::{Precision, Tensor, TensorType};

/// How far a compilation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Shader pipelines that are ready to run.
    Pipelines {
        /// Finished.
        done: usize,
        /// All that were missing.
        total: usize,
    },
    /// Cases whose kernels were measured so far, with [`Tuning::On`](super::Tuning::On).
    Tuning {
        /// Finished.
        done: usize,
        /// All that were not in the table.
        total: usize,
    },
}

/// A graph compiled for one set of input shapes.
#[derive(Debug)]
pub struct Compiled {
    graph: Graph,
    report: Report,
    executable: Option<Executable>,
    /// Time for rewriting and planning.
    plan_time: Duration,
    /// Time for pipelines, buffers and uploads.
    device_time: Duration,
}

impl Compiled {
    pub(super) fn new(
        graph: Graph,
        device: &Device,
        options: &Options,
        weights: &SharedWeights,
        cache: &FoldCache,
        tuned: &Tuned,
    ) -> Result<Compiled, SessionError> {
        graph.check_outputs()?;
        graph.check_names()?;
        let start = Instant::now();
        let traits = match device {
            Device::Gpu(gpu) => Some(gpu.traits()),
            Device::Cpu => None,
        };
        let (graph, mut report) = run_passes(graph, traits, options, cache)?;
        let Device::Gpu(gpu) = device else {
            if options.precision != Precision::F32 {
                return Err(SessionError::NeedsGpu { what: "storing as f16" });
            }
            let (plan_time, device_time) = (start.elapsed(), Duration::ZERO);
            return Ok(Compiled { graph, report, executable: None, plan_time, device_time });
        };
        let table = tuned.for_graph(&graph, gpu, options)?;
        let graph = choose_forms(graph, gpu.traits(), options, table.as_deref(), cache, &mut report)?;
        let planned = plan_with(&graph, gpu.traits(), options, table.as_deref())?;
        let plan_time = start.elapsed();
        let progress = |done, total| {
            if let Some(progress) = &options.progress {
                progress(Progress::Pipelines { done, total });
            }
        };
        let executable = Executable::compile(gpu, Arc::new(planned), weights, &progress)?;
        let device_time = start.elapsed() - plan_time;
        Ok(Compiled { graph, report, executable: Some(executable), plan_time, device_time })
    }

    /// The graph as the passes left it.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What the passes did.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The plan; `None` on the CPU reference, which needs none.
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.executable.as_ref().map(Executable::plan)
    }

    /// The plan on its device, for binding the caller's own buffers, profiling, or timing uploads and readbacks apart.
    ///
    /// # Errors
    /// [`SessionError::NeedsGpu`] on the CPU reference.
    pub fn executable(&self) -> Result<&Executable, SessionError> {
        self.executable.as_ref().ok_or(SessionError::NeedsGpu { what: "this" })
    }

    /// How long rewriting and planning took, and then pipelines, buffers and uploads.
    pub fn compile_times(&self) -> (Duration, Duration) {
        (self.plan_time, self.device_time)
    }

    /// The inputs in the order of the graph, checked.
    pub(crate) fn ordered(&self, inputs: &BTreeMap<String, Tensor>) -> Result<Vec<Tensor>, SessionError> {
        cpu::check_inputs(&self.graph, inputs)?;
        let name = |id: &crate::graph::ValueId| &self.graph.value(*id).name;
        Ok(self.graph.inputs().iter().filter_map(|id| inputs.get(name(id)).cloned()).collect())
    }

    /// Runs on inputs by name; outputs come by name.
    ///
    /// # Errors
    /// [`SessionError`] when an input is missing or does not fit, or the device fails.
    pub fn run(&self, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, SessionError> {
        let outputs = match &self.executable {
            Some(executable) => executable.run(&self.ordered(inputs)?)?,
            None => cpu::run(&self.graph, inputs)?,
        };
        Ok(self.named(outputs))
    }

    pub(super) fn warm_up(&self) -> Result<(), SessionError> {
        if let Some(executable) = &self.executable {
            let zeros = |port: &Port| Tensor::full(port.ty.shape.clone(), 0.0);
            executable.run(&executable.plan().inputs.iter().map(zeros).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// As [`Compiled::run`], without blocking the calling thread while the device works.
    ///
    /// # Errors
    /// As [`Compiled::run`].
    pub async fn run_async(&self, inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, SessionError> {
        let outputs = match &self.executable {
            Some(executable) => executable.run_async(&self.ordered(inputs)?).await?,
            None => cpu::run(&self.graph, inputs)?,
        };
        Ok(self.named(outputs))
    }

    fn named(&self, outputs: Vec<Tensor>) -> BTreeMap<String, Tensor> {
        self.graph.outputs().iter().map(|(name, _)| name.clone()).zip(outputs).collect()
    }
}

/// A graph after the passes that the options ask for, and what they did; those that suit a graph to a device need its traits. What
/// tuning measures is such a graph, and what comes of it is the business of [`choose_forms`].
///
/// # Errors
/// [`GraphError::Verify`] when a pass breaks the graph, which is a fault of the pass.
pub(crate) fn run_passes(
    mut graph: Graph,
    traits: Option<&DeviceTraits>,
    options: &Options,
    cache: &FoldCache,
) -> Result<(Graph, Report), GraphError> {
    let mut all = Report::default();
    let mut keep = |(passed, report): (Graph, Report)| {
        all.extend(report);
        passed
    };
    if options.optimize {
        graph = keep(optimize(graph, cache)?);
    }
    if let Some(traits) = traits
        && options.optimize
    {
        graph = keep(specialize(graph, traits)?);
    }
    Ok((graph, all))
}

/// A graph of [`run_passes`] with convolutions in other forms where the options ask for that, and the table or an estimate says that
/// they are faster.
///
/// # Errors
/// As [`run_passes`].
pub(crate) fn choose_forms(
    graph: Graph,
    traits: &DeviceTraits,
    options: &Options,
    table: Option<&TuningTable>,
    cache: &FoldCache,
    report: &mut Report,
) -> Result<Graph, GraphError> {
    if !options.winograd {
        return Ok(graph);
    }
    let measured = |op: &Op, inputs: &[TensorType]| table?.verdict(op, inputs);
    let (graph, further) = winograd(graph, traits, cache, &measured)?;
    report.extend(further);
    Ok(graph)
}

/// Plans a graph as a session with these options would: the kernel that the options prefer comes first, then the choice of
/// the table, then the device's fixed order.
///
/// # Errors
/// [`PlanError`] when a node has no kernel on this device, a tensor is too large for it, or it has no `f16` where that is asked.
pub fn plan_with(
    graph: &Graph,
    traits: &DeviceTraits,
    options: &Options,
    table: Option<&TuningTable>,
) -> Result<Plan, PlanError> {
    plan_stored(graph, traits, options.precision, |node, _| {
        let order = preferred(&node.op, traits);
        let mut order = match table {
            Some(table) => table.order(graph, node, order),
            None => order,
        };
        order.sort_by_key(|kernel| Some(kernel.stem) != options.prefer_kernel.as_deref());
        order
    })
}
