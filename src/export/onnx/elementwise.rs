//! Functions of one and of two elements.

use super::build::{Known, Name, float, int, text};
use super::translate::Translator;
use crate::ops::{BinaryFn, UnaryFn};

/// Emits nodes on one tensor; the axes do not matter.
struct Chain<'t, 'a> {
    t: &'t mut Translator<'a>,
    x: Name,
}

impl Chain<'_, '_> {
    fn node(&mut self, op: &'static str, inputs: &[Name]) -> Name {
        self.t.build.emit(op, inputs, vec![])
    }

    /// `op(x)`.
    fn only(&mut self, op: &'static str) -> Name {
        self.node(op, &[self.x])
    }

    /// `op(x, number)`.
    fn with(&mut self, op: &'static str, x: Name, number: f32) -> Name {
        let number = self.t.build.scalar(number);
        self.node(op, &[x, number])
    }

    /// `op(x)` with attributes that are numbers.
    fn set(&mut self, op: &'static str, attributes: &[(&str, f32)]) -> Name {
        let attributes = attributes.iter().map(|&(name, value)| float(name, value)).collect();
        self.t.build.emit(op, &[self.x], attributes)
    }

    /// Infinite bounds are left out.
    fn clip(&mut self, x: Name, low: f32, high: f32) -> Name {
        let low = if low == f32::NEG_INFINITY { Name::NONE } else { self.t.build.scalar(low) };
        match high == f32::INFINITY {
            true => self.node("Clip", &[x, low]),
            false => {
                let high = self.t.build.scalar(high);
                self.node("Clip", &[x, low, high])
            }
        }
    }

    /// `value` where `x <= threshold`, else 0.
    fn below(&mut self, op: &'static str, threshold: f32, value: f32) -> Name {
        let below = self.with(op, self.x, threshold);
        let below = self.t.build.emit("Cast", &[below], vec![int("to", 1)]);
        self.with("Mul", below, value)
    }

    /// `max_value` from there on, `x` from `threshold` on, else `slope * (x - threshold)`.
    fn relu(&mut self, max_value: f32, slope: f32, threshold: f32) -> Name {
        let x = self.x;
        if threshold == 0.0 {
            return match (slope == 0.0, max_value == f32::INFINITY) {
                (true, true) => self.only("Relu"),
                (true, false) => self.clip(x, 0.0, max_value),
                (false, true) => self.set("LeakyRelu", &[("alpha", slope)]),
                (false, false) => {
                    let y = self.set("LeakyRelu", &[("alpha", slope)]);
                    self.clip(y, f32::NEG_INFINITY, max_value)
                }
            };
        }
        // max(x, threshold) is the threshold below it, which is taken away there.
        let above = self.clip(x, threshold, f32::INFINITY);
        let share = self.below("Less", threshold, threshold);
        let mut y = self.node("Sub", &[above, share]);
        if slope != 0.0 {
            let under = self.clip(x, f32::NEG_INFINITY, threshold);
            let under = self.with("Sub", under, threshold);
            let under = self.with("Mul", under, slope);
            y = self.node("Add", &[y, under]);
        }
        if max_value == f32::INFINITY { y } else { self.clip(y, f32::NEG_INFINITY, max_value) }
    }

    fn function(&mut self, function: UnaryFn) -> Name {
        let x = self.x;
        match function {
            UnaryFn::Relu => self.only("Relu"),
            UnaryFn::Relu6 => self.clip(x, 0.0, 6.0),
            UnaryFn::ReluGeneral { max_value, negative_slope, threshold } => {
                self.relu(max_value, negative_slope, threshold)
            }
            UnaryFn::LeakyRelu { negative_slope } => self.set("LeakyRelu", &[("alpha", negative_slope)]),
            UnaryFn::Elu { alpha } => self.set("Elu", &[("alpha", alpha)]),
            UnaryFn::Selu => self.only("Selu"),
            UnaryFn::Celu { alpha } => self.set("Celu", &[("alpha", alpha)]),
            UnaryFn::Gelu => self.only("Gelu"),
            UnaryFn::GeluTanh => self.t.build.emit("Gelu", &[x], vec![text("approximate", "tanh")]),
            UnaryFn::Silu => {
                let gate = self.only("Sigmoid");
                self.node("Mul", &[x, gate])
            }
            UnaryFn::HardSilu => self.only("HardSwish"),
            UnaryFn::Sigmoid => self.only("Sigmoid"),
            UnaryFn::HardSigmoid { alpha, beta } => self.set("HardSigmoid", &[("alpha", alpha), ("beta", beta)]),
            UnaryFn::LogSigmoid => {
                let minus = self.only("Neg");
                let softplus = self.node("Softplus", &[minus]);
                self.node("Neg", &[softplus])
            }
            UnaryFn::SparseSigmoid => self.set("HardSigmoid", &[("alpha", 0.5), ("beta", 0.5)]),
            UnaryFn::Tanh => self.only("Tanh"),
            UnaryFn::HardTanh => self.clip(x, -1.0, 1.0),
            UnaryFn::TanhShrink => {
                let tanh = self.only("Tanh");
                self.node("Sub", &[x, tanh])
            }
            UnaryFn::Softplus => self.only("Softplus"),
            UnaryFn::Softsign => self.only("Softsign"),
            UnaryFn::SparsePlus => {
                // The parabola up to 1, and what comes after it.
                let within = self.clip(x, -1.0, 1.0);
                let shifted = self.with("Add", within, 1.0);
                let square = self.node("Mul", &[shifted, shifted]);
                let parabola = self.with("Mul", square, 0.25);
                let above = self.clip(x, 1.0, f32::INFINITY);
                let above = self.with("Sub", above, 1.0);
                self.node("Add", &[parabola, above])
            }
            UnaryFn::Squareplus { b } => {
                let square = self.node("Mul", &[x, x]);
                let square = self.with("Add", square, b);
                let root = self.node("Sqrt", &[square]);
                let sum = self.node("Add", &[x, root]);
                self.with("Mul", sum, 0.5)
            }
            UnaryFn::HardShrink { threshold } => self.set("Shrink", &[("lambd", threshold), ("bias", 0.0)]),
            UnaryFn::SoftShrink { threshold } => self.set("Shrink", &[("lambd", threshold), ("bias", threshold)]),
            UnaryFn::Threshold { threshold, value } => {
                let above = self.set("ThresholdedRelu", &[("alpha", threshold)]);
                if value == 0.0 {
                    return above;
                }
                let below = self.below("LessOrEqual", threshold, value);
                self.node("Add", &[above, below])
            }
            UnaryFn::Mish => self.only("Mish"),
            UnaryFn::Exp => self.only("Exp"),
            UnaryFn::Affine { scale, offset } => {
                let scaled = if scale == 1.0 { x } else { self.with("Mul", x, scale) };
                if offset == 0.0 && scale != 1.0 { scaled } else { self.with("Add", scaled, offset) }
            }
            UnaryFn::Clip { low, high } => self.clip(x, low, high),
            UnaryFn::Neg => self.only("Neg"),
            UnaryFn::Abs => self.only("Abs"),
            UnaryFn::Log => self.only("Log"),
            UnaryFn::Sqrt => self.only("Sqrt"),
            UnaryFn::Square => self.node("Mul", &[x, x]),
            UnaryFn::Reciprocal => self.only("Reciprocal"),
            UnaryFn::Floor => self.only("Floor"),
            UnaryFn::Ceil => self.only("Ceil"),
            UnaryFn::Round => self.only("Round"),
            UnaryFn::Sign => self.only("Sign"),
            UnaryFn::Erf => self.only("Erf"),
            UnaryFn::IsNan => {
                let nan = self.only("IsNaN");
                self.t.build.emit("Cast", &[nan], vec![int("to", 1)])
            }
        }
    }
}

pub(super) fn unary(t: &mut Translator<'_>, x: Known, function: UnaryFn) -> Result<Known, String> {
    let order = t.build.native(x);
    let source = t.build.form(x, &order)?;
    let y = Chain { t, x: source }.function(function);
    let sizes = t.build.sizes(x).to_vec();
    Ok(t.build.value(sizes, order, y))
}

/// A function of two values that broadcast to `sizes`.
pub(super) fn binary(
    t: &mut Translator<'_>,
    function: BinaryFn,
    a: Known,
    b: Known,
    sizes: Vec<Option<usize>>,
) -> Result<Known, String> {
    let order = t.build.common(&[a, b]);
    let operands = [t.build.beside(a, &order)?, t.build.beside(b, &order)?];
    let (op, compares) = match function {
        BinaryFn::Add => ("Add", false),
        BinaryFn::Sub => ("Sub", false),
        BinaryFn::Mul => ("Mul", false),
        BinaryFn::Div => ("Div", false),
        BinaryFn::Max => ("Max", false),
        BinaryFn::Min => ("Min", false),
        BinaryFn::Prelu if t.build.sizes(a) == sizes => ("PRelu", false),
        BinaryFn::Prelu => return Err("a slope that is larger than what it is for".into()),
        BinaryFn::Pow => ("Pow", false),
        BinaryFn::Equal => ("Equal", true),
        BinaryFn::Less => ("Less", true),
        BinaryFn::LessEqual => ("LessOrEqual", true),
        BinaryFn::Greater => ("Greater", true),
        BinaryFn::GreaterEqual => ("GreaterOrEqual", true),
    };
    let mut y = t.build.emit(op, &operands, vec![]);
    if compares {
        y = t.build.emit("Cast", &[y], vec![int("to", 1)]);
    }
    Ok(t.build.value(sizes, order, y))
}

/// A choice between two values that broadcast to `sizes`.
pub(super) fn select(t: &mut Translator<'_>, inputs: [Known; 3], sizes: Vec<Option<usize>>) -> Result<Known, String> {
    let order = t.build.common(&inputs);
    let [condition, a, b] = inputs;
    let (condition, a, b) =
        (t.build.beside(condition, &order)?, t.build.beside(a, &order)?, t.build.beside(b, &order)?);
    let condition = t.build.emit("Cast", &[condition], vec![int("to", 9)]);
    let y = t.build.emit("Where", &[condition, a, b], vec![]);
    Ok(t.build.value(sizes, order, y))
}
