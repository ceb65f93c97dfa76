//! Comparison of a computed tensor with its reference, under a named accuracy class.

use half::f16;
use serde::Serialize;

use crate::tensor::{Precision, Tensor};

/// How close a kernel must come to the CPU reference. The class follows from what the op does, not from a device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Accuracy {
    /// Data movement and selection: the same bits.
    Exact,
    /// A handful of correctly rounded operations per element.
    Elementwise,
    /// `exp`, `tanh`, `pow` and their kin, whose precision WGSL bounds loosely.
    Transcendental,
    /// A sum of `length` products in any order.
    Reduction {
        /// Number of terms summed into one output element.
        length: usize,
    },
    /// A reduction whose result goes through a transcendental function or a division.
    NormalizedReduction {
        /// Number of terms summed into one output element.
        length: usize,
    },
    /// Any of these, stored as `f16`: what `f32` allows to a normalized reduction and one rounding on top.
    Half {
        /// Number of terms summed into one output element.
        length: usize,
    },
    /// What has passed through `stores` values stored as `f16`, one after the other.
    HalfChain {
        /// Number of values stored on the way.
        stores: usize,
    },
}

impl Accuracy {
    /// The class of a result of this class that is stored with another precision.
    pub fn stored(self, precision: Precision) -> Accuracy {
        match (precision, self) {
            (Precision::F32, same) => same,
            (Precision::F16, Accuracy::Reduction { length } | Accuracy::NormalizedReduction { length }) => {
                Accuracy::Half { length }
            }
            (Precision::F16, same @ (Accuracy::Half { .. } | Accuracy::HalfChain { .. })) => same,
            (Precision::F16, _) => Accuracy::Half { length: 0 },
        }
    }

    /// Relative and absolute tolerance; the absolute one is in units of the largest magnitude in the reference.
    ///
    /// Rounding errors of a sum grow with the square root of its length for either sign of term (Higham, Accuracy and
    /// Stability of Numerical Algorithms, section 2.8), so that is what the class allows, with a margin of four. The same
    /// holds for the roundings of values stored one after the other. WGSL lets a device round to either neighbour, so that
    /// storing as `f16` may cost a whole unit in the last place, `2^-10`.
    fn tolerances(self) -> (f64, f64) {
        let epsilon = f64::from(f32::EPSILON);
        let half = f64::from(f16::EPSILON);
        let sum = |length: usize| epsilon * (4.0 + 4.0 * (length as f64).sqrt());
        match self {
            Accuracy::Exact => (0.0, 0.0),
            Accuracy::Elementwise => (4.0 * epsilon, epsilon),
            Accuracy::Transcendental => (2e-5, 2e-6),
            Accuracy::Reduction { length } => (8.0 * epsilon, sum(length)),
            Accuracy::NormalizedReduction { length } => (2e-5, 2e-6 + sum(length)),
            Accuracy::Half { length } => (2e-5 + half, 2e-6 + sum(length)),
            Accuracy::HalfChain { stores } => (half, half * 4.0 * (stores as f64).sqrt()),
        }
    }

    /// The difference from a reference value that the class allows, where `largest` is the largest magnitude in the reference.
    pub(crate) fn tolerance(self, expected: f64, largest: f64) -> f64 {
        let (relative, absolute) = self.tolerances();
        relative * expected.abs() + absolute * largest
    }

    /// The smallest normal number of what results are stored as: anything below it may be flushed to zero.
    fn smallest(self) -> f64 {
        match self {
            Accuracy::Half { .. } | Accuracy::HalfChain { .. } => f16::MIN_POSITIVE.into(),
            _ => f32::MIN_POSITIVE.into(),
        }
    }

    /// The looser of two classes, for steps that combine them (a convolution with an activation epilogue).
    pub fn and(self, other: Accuracy) -> Accuracy {
        use Accuracy::{Elementwise, Exact, Half, HalfChain, NormalizedReduction, Reduction, Transcendental};
        let length = |class| match class {
            Reduction { length } | NormalizedReduction { length } | Half { length } => length,
            _ => 0,
        };
        match (self, other) {
            (HalfChain { stores: a }, HalfChain { stores: b }) => HalfChain { stores: a + b },
            (chain @ HalfChain { .. }, _) | (_, chain @ HalfChain { .. }) => chain,
            (Half { .. }, _) | (_, Half { .. }) => Half { length: length(self).max(length(other)) },
            (Exact, other) | (other, Exact) => other,
            (Elementwise, other) | (other, Elementwise) => other,
            (Transcendental, Transcendental) => Transcendental,
            (Transcendental, Reduction { length } | NormalizedReduction { length })
            | (Reduction { length } | NormalizedReduction { length }, Transcendental) => NormalizedReduction { length },
            (Reduction { length: a }, Reduction { length: b }) => Reduction { length: a.max(b) },
            (
                Reduction { length: a } | NormalizedReduction { length: a },
                Reduction { length: b } | NormalizedReduction { length: b },
            ) => NormalizedReduction { length: a.max(b) },
        }
    }
}

/// The outcome of [`compare`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Every element lies within its tolerance.
    pub pass: bool,
    /// Position of the worst element (the largest error in units of its tolerance).
    pub worst: Vec<usize>,
    /// The computed value there.
    pub actual: f64,
    /// The reference value there.
    pub expected: f64,
    /// What the difference was allowed to be there.
    pub allowed: f64,
    /// Largest absolute difference anywhere.
    pub max_difference: f64,
    /// How many elements lie outside their tolerance.
    pub outside: usize,
    /// Why the tensors cannot be compared at all (shape or element type), when they cannot.
    pub incomparable: Option<String>,
}

impl Comparison {
    /// The worst error in units of its tolerance: at most 1 where the comparison passes.
    pub fn used(&self) -> f64 {
        if self.incomparable.is_some() { f64::INFINITY } else { used(self.actual, self.expected, self.allowed) }
    }
}

/// A difference in units of what is allowed. NaN equals only NaN, and an infinity only itself.
fn used(actual: f64, expected: f64, allowed: f64) -> f64 {
    let same = actual == expected || (actual.is_nan() && expected.is_nan());
    let ratio = if same { 0.0 } else { (actual - expected).abs() / allowed };
    if ratio.is_finite() { ratio } else { f64::INFINITY }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(why) = &self.incomparable {
            return f.write_str(why);
        }
        write!(
            f,
            "{} outside tolerance; worst at {:?}: {:e} where {:e} was expected (difference {:.3e}, allowed {:.3e})",
            self.outside,
            self.worst,
            self.actual,
            self.expected,
            (self.actual - self.expected).abs(),
            self.allowed
        )
    }
}

/// Compares `actual` with `expected` element by element. `scale` multiplies the tolerances of the class (1 as a rule).
///
/// NaN equals only NaN, and an infinity only itself.
pub fn compare(actual: &Tensor, expected: &Tensor, accuracy: Accuracy, scale: f64) -> Comparison {
    compare_within(actual, expected, accuracy, scale, None)
}

/// As [`compare`], where each element may differ by so much more: what ops call their slack.
pub fn compare_within(
    actual: &Tensor,
    expected: &Tensor,
    accuracy: Accuracy,
    scale: f64,
    slack: Option<&Tensor>,
) -> Comparison {
    let mut result = Comparison {
        pass: true,
        worst: Vec::new(),
        actual: 0.0,
        expected: 0.0,
        allowed: 0.0,
        max_difference: 0.0,
        outside: 0,
        incomparable: None,
    };
    if actual.tensor_type() != expected.tensor_type() {
        result.pass = false;
        result.incomparable = Some(format!("{} where {} was expected", actual.tensor_type(), expected.tensor_type()));
        return result;
    }
    let (actual_f32, expected_f32) = (actual.to_f32(), expected.to_f32());
    let (Ok(a), Ok(e)) = (actual_f32.f32s(), expected_f32.f32s()) else { return result };
    let slack = slack.and_then(|slack| slack.f32s().ok());
    let largest = e.iter().filter(|v| v.is_finite()).fold(0f64, |largest, &v| largest.max(f64::from(v).abs()));
    let mut worst_ratio = -1.0;
    for (i, (&a, &e)) in a.iter().zip(e).enumerate() {
        let (a, e) = (f64::from(a), f64::from(e));
        // The smallest normal number keeps the ratio finite and lets flushed subnormals pass.
        let slack = slack.and_then(|slack| slack.get(i)).map_or(0.0, |&slack| slack.into());
        let allowed = scale * accuracy.tolerance(e, largest) + accuracy.smallest() + slack;
        let (difference, ratio) = ((a - e).abs(), used(a, e, allowed));
        if ratio > 1.0 {
            result.outside += 1;
            result.pass = false;
        }
        if difference.is_finite() {
            result.max_difference = result.max_difference.max(difference);
        }
        if ratio > worst_ratio {
            worst_ratio = ratio;
            result.worst = position(actual.shape(), i);
            (result.actual, result.expected, result.allowed) = (a, e, allowed);
        }
    }
    result
}

fn position(shape: &[usize], mut index: usize) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    for (axis, &size) in shape.iter().enumerate().rev() {
        position[axis] = index % size.max(1);
        index /= size.max(1);
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinity_only_equal_themselves() {
        let reference = Tensor::from_f32([3], vec![1.0, f32::NAN, f32::INFINITY]).unwrap();
        assert!(compare(&reference, &reference, Accuracy::Exact, 1.0).pass);
        let wrong = Tensor::from_f32([3], vec![f32::NAN, f32::NAN, f32::INFINITY]).unwrap();
        let found = compare(&wrong, &reference, Accuracy::Reduction { length: 9 }, 1.0);
        assert!(!found.pass && found.worst == vec![0]);
        let wrong = Tensor::from_f32([3], vec![1.0, f32::NAN, f32::MAX]).unwrap();
        assert!(!compare(&wrong, &reference, Accuracy::Transcendental, 1.0).pass);
    }

    #[test]
    fn the_worst_element_is_found() {
        let reference = Tensor::from_fn([2, 3], |i| i as f32);
        let wrong = Tensor::from_fn([2, 3], |i| if i == 4 { 4.5 } else { i as f32 });
        let found = compare(&wrong, &reference, Accuracy::Elementwise, 1.0);
        assert_eq!((found.pass, found.worst.as_slice(), found.outside), (false, &[1, 1][..], 1));
    }

    #[test]
    fn shapes_must_agree() {
        let found = compare(&Tensor::full([2, 3], 0.0), &Tensor::full([3, 2], 0.0), Accuracy::Exact, 1.0);
        assert!(!found.pass && found.incomparable.is_some());
    }
}
