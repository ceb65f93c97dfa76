//! Finding the first step that leaves its accuracy class: the GPU against the CPU reference, step by step.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Compiled;
use crate::error::{GraphError, SessionError};
use crate::tensor::{Comparison, Tensor, compare_within};

/// One step compared with the reference on the very inputs that the device gave it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepCheck {
    /// Position of the step in the plan.
    pub step: usize,
    /// Name of the node.
    pub name: String,
    /// Stem of the kernel.
    pub kernel: &'static str,
    /// Shapes of what it read.
    pub inputs: Vec<String>,
    /// Shape of what it wrote.
    pub output: String,
    /// How the first output compares.
    pub comparison: Comparison,
}

/// The outcome of [`Compiled::check`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// Steps compared.
    pub steps: usize,
    /// The first step outside its accuracy class.
    pub first_failure: Option<StepCheck>,
    /// The step that used most of its tolerance, failures aside.
    pub closest: Option<StepCheck>,
}

impl Compiled {
    /// Runs step by step and compares each one with the CPU reference; stops at the first that leaves its accuracy class.
    /// `tolerance_scale` multiplies every tolerance; `seen(done, total)` is called after every step.
    ///
    /// # Errors
    /// [`SessionError::NeedsGpu`] on the CPU reference; otherwise as [`Compiled::run`].
    pub fn check(
        &self,
        inputs: &BTreeMap<String, Tensor>,
        tolerance_scale: f64,
        mut seen: impl FnMut(usize, usize),
    ) -> Result<Checked, SessionError> {
        let executable = self.executable()?;
        executable.upload(&self.ordered(inputs)?)?;
        executable.poison()?;
        let plan = executable.plan().clone();
        let mut checked = Checked { steps: 0, first_failure: None, closest: None };
        let mut closest = -1.0;
        let mut failure: Option<GraphError> = None;
        executable.run_steps(|position, inputs, outputs| {
            let Some(step) = plan.steps.get(position) else { return false };
            let Some(node) = step.node.and_then(|node| self.graph().nodes().get(node)) else { return true };
            let operands: Vec<&Tensor> = inputs.iter().collect();
            let expected = node.op.spec().reference(&operands);
            let (expected, slack) = match expected.and_then(|expected| Ok((expected, node.op.slack(&operands)?))) {
                Ok(expected) => expected,
                Err(source) => {
                    failure = Some(GraphError::Node { node: node.name.clone(), source });
                    return false;
                }
            };
            checked.steps += 1;
            seen(position + 1, plan.steps.len());
            for (actual, expected) in outputs.iter().zip(&expected) {
                let comparison = compare_within(actual, expected, step.accuracy, tolerance_scale, slack.as_ref());
                let used = comparison.used();
                let failed = !comparison.pass;
                if !failed && used <= closest {
                    continue;
                }
                let found = StepCheck {
                    step: position,
                    name: step.name.clone(),
                    kernel: step.kernel,
                    inputs: step.inputs.iter().map(|placement| placement.ty.to_string()).collect(),
                    output: actual.tensor_type().to_string(),
                    comparison,
                };
                if failed {
                    checked.first_failure = Some(found);
                    return false;
                }
                closest = used;
                checked.closest = Some(found);
            }
            true
        })?;
        failure.map_or(Ok(checked), |failure| Err(failure.into()))
    }
}
