//! Functions of each element, one after the other, as one op: what lies between them is never stored.

use serde::Serialize;

use super::{Binary, BinaryFn, Cost, Gradient, GradientSite, OpSpec, Unary, UnaryFn};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// One function of a [`Chain`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainStep {
    /// A function of the value.
    Unary(UnaryFn),
    /// A function of the value and the next input.
    Binary {
        /// The function.
        function: BinaryFn,
        /// The value is the second operand.
        reversed: bool,
    },
}

/// How a further input of a [`Chain`] meets the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainOperand {
    /// Element by element.
    All,
    /// One element for each position of the last axis.
    Channel,
    /// One element for all.
    One,
}

/// Functions applied to every element of the first input, in order; each that takes two takes the next of the further inputs.
///
/// The further inputs have the shape of the first, one element, or the elements of its last axis alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chain {
    /// The functions.
    pub steps: Vec<ChainStep>,
}

impl ChainOperand {
    /// How an operand meets values of shape `value`, if it does in one of these ways.
    pub fn of(operand: &Shape, value: &Shape) -> Option<ChainOperand> {
        operand.broadcast_strides(value)?;
        match operand.elements() {
            1 => Some(ChainOperand::One),
            elements if elements == value.elements() => Some(ChainOperand::All),
            elements if elements == operand.last_axis() && elements == value.last_axis() => Some(ChainOperand::Channel),
            _ => None,
        }
    }
}

impl Chain {
    /// How each further input meets the value.
    ///
    /// # Errors
    /// [`ShapeError`] when their number or shapes do not fit.
    pub fn operands(&self, inputs: &[TensorType]) -> Result<Vec<ChainOperand>, ShapeError> {
        let binary = self.steps.iter().filter(|step| matches!(step, ChainStep::Binary { .. })).count();
        super::expect_f32(self.name(), inputs, 1 + binary)?;
        let value = &inputs[0].shape;
        let operand = |ty: &TensorType| {
            ChainOperand::of(&ty.shape, value).ok_or_else(|| {
                ShapeError::mismatch(
                    self.name(),
                    format!("{} is neither {value}, nor one element, nor one for each of its last axis", ty.shape),
                )
            })
        };
        inputs[1..].iter().map(operand).collect()
    }
}

impl OpSpec for Chain {
    fn name(&self) -> &'static str {
        "Chain"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        self.operands(inputs)?;
        Ok(vec![inputs[0].clone()])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        self.operands(&super::types(inputs))?;
        let (mut values, mut further) = (vec![inputs[0].clone()], inputs[1..].iter());
        for step in &self.steps {
            let value = values.iter();
            values = match *step {
                ChainStep::Unary(function) => Unary { function }.reference(&value.collect::<Vec<_>>())?,
                ChainStep::Binary { function, reversed } => {
                    let mut operands: Vec<&Tensor> = value.chain(further.next().copied()).collect();
                    if reversed {
                        operands.reverse();
                    }
                    Binary { function }.reference(&operands)?
                }
            };
        }
        Ok(values)
    }

    fn gradient(&self, _: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::NotDifferentiable("it is made of single functions once their gradients are there"))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _: &[TensorType]) -> Accuracy {
        // Every step rounds once, as every term of a sum does.
        let classes = self.steps.iter().map(|step| match step {
            ChainStep::Unary(function) => function.accuracy(),
            ChainStep::Binary { function, .. } => Binary { function: *function }.accuracy(&[]),
        });
        classes.fold(Accuracy::Reduction { length: self.steps.len() }, Accuracy::and)
    }
}
