//! A phase compiled for one batch size, and the variables that it works on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::step_graph::{Phase, Variable, names};
use crate::cpu;
use crate::error::{SessionError, TrainError};
use crate::gpu::{Bound, Reading, Variables};
use crate::graph::Graph;
use crate::session::{Compiled, Device, Options, Session};
use crate::tensor::Tensor;

/// Which of their two buffers the variables are in: those that change with every batch, and those that change with every
/// step of the optimizer.
type Sides = (bool, bool);

/// The variables of a training on a device.
#[derive(Debug)]
pub(super) struct Store {
    variables: Vec<Variable>,
    place: Place,
    sides: Sides,
}

#[derive(Debug)]
enum Place {
    Gpu(Variables),
    Cpu(Vec<Tensor>),
}

impl Store {
    pub fn new(device: &Device, variables: Vec<Variable>) -> Result<Store, TrainError> {
        let place = match device {
            Device::Gpu(gpu) => {
                let values: Vec<(String, Tensor)> =
                    variables.iter().map(|variable| (variable.name.clone(), variable.first.clone())).collect();
                Place::Gpu(Variables::new(gpu, &values)?)
            }
            Device::Cpu => Place::Cpu(variables.iter().map(|variable| variable.first.clone()).collect()),
        };
        Ok(Store { variables, place, sides: (false, false) })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.name.as_str())
    }

    /// The present value of a variable.
    pub fn read(&self, index: usize) -> Result<Tensor, TrainError> {
        match &self.place {
            Place::Gpu(variables) => Ok(variables.read(index)?),
            Place::Cpu(values) => values.get(index).cloned().ok_or_else(|| no_variable(index)),
        }
    }

    /// Checks that values are those of all variables and of no others.
    pub fn check(&self, values: &BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        let wrong = |what: String| Err(TrainError::Data { what });
        for Variable { name, first, .. } in &self.variables {
            let Some(found) = values.get(name).map(Tensor::tensor_type) else {
                return wrong(format!("`{name}` is missing; it was saved with another optimizer or model"));
            };
            let expected = first.tensor_type();
            if found != expected {
                return wrong(format!("`{name}` is {expected} here and {found} there"));
            }
        }
        match values.keys().find(|name| !self.names().any(|own| own == *name)) {
            Some(name) => wrong(format!("this training has no `{name}`; it was saved with another optimizer or model")),
            None => Ok(()),
        }
    }

    /// Gives all variables other values, or none when one does not fit.
    pub fn write(&mut self, values: &BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        self.check(values)?;
        for (index, variable) in self.variables.iter().enumerate() {
            let Some(tensor) = values.get(&variable.name) else { continue };
            match &mut self.place {
                Place::Gpu(variables) => variables.write(index, tensor)?,
                Place::Cpu(own) => own.get_mut(index).into_iter().for_each(|value| *value = tensor.clone()),
            }
        }
        Ok(())
    }

    /// Gives the model's weights their present values, or their averages where there are some.
    pub fn update_weights(&self) -> Result<(), TrainError> {
        for (index, variable) in self.variables.iter().enumerate() {
            if let Some(weight) = &variable.weight {
                let average = names::average(&variable.name);
                let averaged = self.names().position(|name| name == average);
                weight.set(self.read(averaged.unwrap_or(index))?)?;
            }
        }
        Ok(())
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        match &self.place {
            Place::Gpu(variables) => variables.bytes(),
            Place::Cpu(values) => values.iter().map(|value| value.tensor_type().bytes() as u64).sum(),
        }
    }
}

fn no_variable(index: usize) -> TrainError {
    TrainError::Data { what: format!("there is no variable {index}") }
}

/// A phase compiled for one batch size.
pub(super) struct Step {
    compiled: Arc<Compiled>,
    phase: Phase,
    /// Variables by position, the input that reads each, and the output that becomes its next value.
    ports: Vec<(usize, usize, Option<usize>)>,
    /// Inputs that are given for every batch.
    data: Vec<(String, usize)>,
    /// Outputs that come back to the host.
    outputs: Vec<(String, usize)>,
    bounds: HashMap<Sides, Bound>,
    /// The sides that the last run read from.
    last: Sides,
    /// What first gave a number that is not finite, on the CPU reference.
    first_bad: Option<String>,
}

/// A step that has been started.
pub(super) enum Pending {
    Reading(Vec<String>, Reading),
    Done(BTreeMap<String, Tensor>),
}

impl Pending {
    /// The outputs that come back, by name.
    pub fn wait(self) -> Result<BTreeMap<String, Tensor>, TrainError> {
        match self {
            Pending::Reading(names, reading) => Ok(names.into_iter().zip(reading.wait()?).collect()),
            Pending::Done(outputs) => Ok(outputs),
        }
    }
}

impl Step {
    pub fn compile(
        device: &Device,
        options: &Options,
        graph: Graph,
        phase: Phase,
        store: &Store,
        predictions: bool,
    ) -> Result<Step, TrainError> {
        let compiled = Session::new(graph, device.clone(), options.clone()).compile(&BTreeMap::new())?;
        let graph = compiled.graph();
        let input_names: Vec<&str> = graph.inputs().iter().map(|&id| graph.value(id).name.as_str()).collect();
        let output_names: Vec<&str> = graph.outputs().iter().map(|(name, _)| name.as_str()).collect();
        let mut ports = Vec::new();
        for (index, name) in store.names().enumerate() {
            if let Some(input) = input_names.iter().position(|input| *input == name) {
                let next = names::next(name);
                ports.push((index, input, output_names.iter().position(|output| *output == next)));
            }
        }
        let is_variable = |input: usize| ports.iter().any(|port| port.1 == input);
        let data = (0..input_names.len())
            .filter(|&input| !is_variable(input))
            .map(|input| (input_names[input].to_string(), input))
            .collect();
        let returned = |name: &str| {
            name == names::LOSS || name == names::GRADIENT_NORM || (predictions && name.starts_with("prediction/"))
        };
        let outputs = output_names.iter().enumerate().filter(|(_, name)| returned(name));
        let outputs = outputs.map(|(output, name)| (name.to_string(), output)).collect();
        Ok(Step {
            compiled,
            phase,
            ports,
            data,
            outputs,
            bounds: HashMap::new(),
            last: (false, false),
            first_bad: None,
        })
    }

    /// What it needs on the device beside the variables, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.compiled.plan().map_or(0, |plan| plan.peak_bytes())
    }

    /// The graph as the passes left it, and its plan.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Starts the step on `data`, its inputs by name.
    pub fn start(&mut self, store: &mut Store, data: &BTreeMap<String, Tensor>) -> Result<Pending, TrainError> {
        let missing = |name: &str| TrainError::Data { what: format!("the batch has no `{name}`") };
        match &mut store.place {
            Place::Cpu(values) => {
                let graph = self.compiled.graph();
                let name = |input: usize| graph.inputs().get(input).map(|&id| graph.value(id).name.clone());
                let mut inputs = BTreeMap::new();
                for (own, _) in &self.data {
                    inputs.insert(own.clone(), data.get(own).ok_or_else(|| missing(own))?.clone());
                }
                for &(variable, input, _) in &self.ports {
                    inputs.extend(name(input).zip(values.get(variable).cloned()));
                }
                let mut first_bad = None;
                let outputs = cpu::run_with(graph, &inputs, |node, outputs| {
                    if first_bad.is_none() && outputs.iter().any(is_bad) {
                        first_bad = Some(node.name.clone());
                    }
                })
                .map_err(SessionError::from)?;
                self.first_bad = first_bad;
                for &(variable, _, output) in &self.ports {
                    let next = output.and_then(|output| outputs.get(output)).cloned();
                    values.get_mut(variable).zip(next).into_iter().for_each(|(value, next)| *value = next);
                }
                let returned = self.outputs.iter();
                let returned = returned.filter_map(|(name, at)| Some((name.clone(), outputs.get(*at)?.clone())));
                Ok(Pending::Done(returned.collect()))
            }
            Place::Gpu(variables) => {
                let executable = self.compiled.executable()?;
                for (name, input) in &self.data {
                    executable.upload_input(*input, data.get(name).ok_or_else(|| missing(name))?)?;
                }
                self.last = store.sides;
                let bound = match self.bounds.entry(store.sides) {
                    std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::hash_map::Entry::Vacant(entry) => {
                        entry.insert(executable.bind_variables(variables, &self.ports)?)
                    }
                };
                let positions: Vec<usize> = self.outputs.iter().map(|(_, output)| *output).collect();
                let reading = executable.start(bound, &positions)?;
                let written = self.ports.iter().filter(|port| port.2.is_some()).map(|port| port.0);
                variables.swap(written);
                store.sides.0 ^= matches!(self.phase, Phase::Train | Phase::Accumulate);
                store.sides.1 ^= self.phase == Phase::Train;
                Ok(Pending::Reading(self.outputs.iter().map(|(name, _)| name.clone()).collect(), reading))
            }
        }
    }

    /// The node that first gave a number that is not finite in the last run, if there is one. On a GPU the run is repeated
    /// step by step: what it read is still there.
    pub fn first_bad_number(&self, store: &Store) -> Result<Option<String>, TrainError> {
        let (Place::Gpu(_), Some(bound)) = (&store.place, self.bounds.get(&self.last)) else {
            return Ok(self.first_bad.clone());
        };
        let executable = self.compiled.executable()?;
        let mut found = None;
        executable.run_bound_steps(bound, |step, _, outputs| {
            if outputs.iter().any(is_bad) {
                found = executable.plan().steps.get(step).map(|step| step.name.clone());
            }
            found.is_none()
        })?;
        Ok(found)
    }
}

fn is_bad(tensor: &Tensor) -> bool {
    tensor.f32s().is_ok_and(|values| values.iter().any(|value| !value.is_finite()))
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("phase", &self.phase).field("ports", &self.ports).finish_non_exhaustive()
    }
}
