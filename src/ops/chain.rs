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
    /// A function of the value and a further input.
    Binary {
        /// The function.
        function: BinaryFn,
        /// The value is the second operand.
        reversed: bool,
        /// Which of the further inputs, from 0.
        operand: usize,
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

/// Functions applied to every element of the first input, in order; each that takes two takes one of the further inputs.
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

impl ChainStep {
    /// Whether the function jumps from one value to another.
    fn jumps(self) -> bool {
        matches!(self, ChainStep::Unary(function) if function.is_stepped())
    }

    fn accuracy(self) -> Accuracy {
        match self {
            ChainStep::Unary(function) => function.accuracy(),
            ChainStep::Binary { function, .. } => Binary { function }.accuracy(&[]),
        }
    }

    fn apply(self, value: &Tensor, further: &[&Tensor]) -> Result<Tensor, ShapeError> {
        let computed = match self {
            ChainStep::Unary(function) => Unary { function }.reference(&[value])?,
            ChainStep::Binary { function, reversed, operand } => {
                let mut operands: Vec<&Tensor> = [value].into_iter().chain(further.get(operand).copied()).collect();
                if reversed {
                    operands.reverse();
                }
                Binary { function }.reference(&operands)?
            }
        };
        computed.into_iter().next().ok_or_else(|| ShapeError::mismatch("Chain", "a function has no result"))
    }
}

impl Chain {
    /// How each further input meets the value.
    ///
    /// # Errors
    /// [`ShapeError`] when their number or shapes do not fit.
    pub fn operands(&self, inputs: &[TensorType]) -> Result<Vec<ChainOperand>, ShapeError> {
        let further = self.steps.iter().map(|step| match step {
            ChainStep::Unary(_) => 0,
            ChainStep::Binary { operand, .. } => operand + 1,
        });
        super::expect_f32(self.name(), inputs, 1 + further.max().unwrap_or(0))?;
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

    /// How far each element of the output may lie from the reference beside the chain's accuracy class; `None` where only the first
    /// function jumps, if any.
    ///
    /// What comes to a jump later in the chain has been rounded by the functions before it, and a device whose division or
    /// exponential differs in the last places may fall on the other side. Elements that come so close get the height of the jump, as
    /// the rest of the chain makes it; all others get 0.
    ///
    /// # Errors
    /// [`ShapeError`] as for the reference.
    pub fn slack(&self, inputs: &[&Tensor]) -> Result<Option<Tensor>, ShapeError> {
        if !self.steps.iter().skip(1).any(|step| step.jumps()) {
            return Ok(None);
        }
        self.operands(&super::types(inputs))?;
        let (first, further) = (inputs[0], &inputs[1..]);
        let wrong = |source| ShapeError::Tensor { op: "Chain", source };
        // The least and the most that a device may have come to, with the reference between them.
        let mut ends = [first.clone(), first.clone(), first.clone()];
        let mut crossed = vec![false; first.shape().elements()];
        for step in &self.steps {
            let [low, middle, high] = ends;
            let middle = step.apply(&middle, further)?;
            let (low, high) = (step.apply(&low, further)?, step.apply(&high, further)?);
            let values = super::values("Chain", &[&low, &middle, &high])?;
            let largest =
                values[1].iter().filter(|v| v.is_finite()).fold(0f64, |most, &v| most.max(f64::from(v).abs()));
            let (mut least, mut most) = (Vec::with_capacity(crossed.len()), Vec::with_capacity(crossed.len()));
            for (i, crossed) in crossed.iter_mut().enumerate() {
                let [a, b, c] = [values[0][i], values[1][i], values[2][i]];
                let (low, high) = (a.min(b).min(c), a.max(b).max(c));
                *crossed |= step.jumps() && low != high;
                let error = step.accuracy().tolerance(b.into(), largest) as f32;
                least.push(low - error);
                most.push(high + error);
            }
            let end = |values| Tensor::from_f32(first.shape().clone(), values).map_err(wrong);
            ends = [end(least)?, middle, end(most)?];
        }
        let values = super::values("Chain", &[&ends[0], &ends[1], &ends[2]])?;
        let slack = crossed.iter().enumerate().map(|(i, &crossed)| {
            let most = (values[2][i] - values[1][i]).max(values[1][i] - values[0][i]);
            if crossed && most.is_finite() { most } else { 0.0 }
        });
        Tensor::from_f32(first.shape().clone(), slack.collect()).map(Some).map_err(wrong)
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
        let first = inputs[0].clone();
        Ok(vec![self.steps.iter().try_fold(first, |value, step| step.apply(&value, &inputs[1..]))?])
    }

    fn gradient(&self, _: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::NotDifferentiable("it is made of single functions once their gradients are there"))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _: &[TensorType]) -> Accuracy {
        // Every step rounds once, as every term of a sum does.
        self.steps
            .iter()
            .map(|step| step.accuracy())
            .fold(Accuracy::Reduction { length: self.steps.len() }, Accuracy::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantised(first: Option<BinaryFn>) -> Chain {
        let with = |function| ChainStep::Binary { function, reversed: false, operand: 0 };
        let steps = [ChainStep::Unary(UnaryFn::Round), with(BinaryFn::Mul)];
        Chain { steps: first.map(with).into_iter().chain(steps).collect() }
    }

    #[test]
    fn what_comes_close_to_a_jump_may_fall_on_its_other_side() {
        let just = |x: f32| f32::from_bits(x.to_bits() - 1);
        let x = Tensor::from_f32([6], vec![1.5, just(1.5), 1.4, -0.5, -0.6, 40.0]).unwrap();
        let scale = Tensor::full([1], 0.25);
        let slack = quantised(Some(BinaryFn::Mul)).slack(&[&x, &Tensor::full([1], 1.0)]).unwrap().unwrap();
        let near: Vec<bool> = slack.f32s().unwrap().iter().map(|&v| v > 0.0).collect();
        assert_eq!(near, [true, true, false, true, false, false]);
        // The height of the jump, as the rest of the chain makes it.
        let slack = quantised(Some(BinaryFn::Div)).slack(&[&Tensor::full([1], 0.375), &scale]).unwrap().unwrap();
        assert!((slack.f32s().unwrap()[0] - 0.25).abs() < 1e-5, "{slack:?}");
        // What is stored is what it is.
        assert_eq!(quantised(None).slack(&[&x, &scale]).unwrap(), None);
    }

    #[test]
    fn no_number_is_near_nothing() {
        let x = Tensor::from_f32([3], vec![f32::NAN, f32::INFINITY, 0.5]).unwrap();
        let slack = quantised(Some(BinaryFn::Div)).slack(&[&x, &Tensor::full([1], 1.0)]).unwrap().unwrap();
        assert!(slack.f32s().unwrap()[..2].iter().all(|&v| v == 0.0), "{slack:?}");
    }
}
