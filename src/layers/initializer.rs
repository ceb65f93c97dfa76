//! The initializers of Keras: seeded, and independent of the order in which weights are made.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::to_config::number;
use crate::tensor::{Shape, Tensor};

/// How a weight starts. Distributions are those of `keras.initializers`; the numbers drawn are this crate's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// One value.
    Constant(f32),
    /// Given values, repeated when there are fewer than elements.
    Values(Vec<f32>),
    /// Uniform between the bounds.
    RandomUniform {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// Normal.
    RandomNormal {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        stddev: f32,
    },
    /// Normal, redrawn beyond two standard deviations.
    TruncatedNormal {
        /// Mean.
        mean: f32,
        /// Standard deviation before truncation.
        stddev: f32,
    },
    /// Variance `scale / fan`, by the kind of fan.
    VarianceScaling {
        /// Numerator.
        scale: f32,
        /// What divides it.
        fan: Fan,
        /// Uniform rather than truncated normal.
        uniform: bool,
    },
    /// A matrix with orthonormal rows or columns, times `gain`; the last axis is one side, all others the other.
    Orthogonal {
        /// Factor.
        gain: f32,
    },
}

/// What variance scaling divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fan {
    /// Inputs of one output.
    In,
    /// Outputs of one input.
    Out,
    /// The mean of both.
    Average,
}

/// Keras's names for kinds of variance scaling.
const SCALINGS: &[&str] = &["GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"];

impl Initializer {
    /// Glorot (Xavier) uniform, the default of kernels: variance `2 / (fan_in + fan_out)`.
    pub fn glorot_uniform() -> Initializer {
        Initializer::VarianceScaling { scale: 1.0, fan: Fan::Average, uniform: true }
    }

    /// The initializer of a Keras class or snake-case name with its defaults; `None` for a name that Keras lacks.
    pub fn from_name(name: &str) -> Option<Initializer> {
        let scaling = |scale, fan, uniform| Initializer::VarianceScaling { scale, fan, uniform };
        let plain: String = name.chars().filter(|c| *c != '_').collect::<String>().to_lowercase();
        Some(match plain.as_str() {
            "zeros" | "zero" => Initializer::Zeros,
            "ones" | "one" => Initializer::Ones,
            "constant" => Initializer::Constant(0.0),
            "randomuniform" | "uniform" => Initializer::RandomUniform { min: -0.05, max: 0.05 },
            "randomnormal" | "normal" => Initializer::RandomNormal { mean: 0.0, stddev: 0.05 },
            "truncatednormal" => Initializer::TruncatedNormal { mean: 0.0, stddev: 0.05 },
            "variancescaling" => scaling(1.0, Fan::In, false),
            "glorotuniform" => scaling(1.0, Fan::Average, true),
            "glorotnormal" => scaling(1.0, Fan::Average, false),
            "heuniform" => scaling(2.0, Fan::In, true),
            "henormal" => scaling(2.0, Fan::In, false),
            "lecununiform" => scaling(1.0, Fan::In, true),
            "lecunnormal" => scaling(1.0, Fan::In, false),
            "orthogonal" | "orthogonalinitializer" => Initializer::Orthogonal { gain: 1.0 },
            _ => return None,
        })
    }

    /// As Keras writes it.
    pub(super) fn to_config(&self) -> Value {
        let (class, config) = match self {
            Initializer::Zeros => ("Zeros", json!({})),
            Initializer::Ones => ("Ones", json!({})),
            Initializer::Constant(value) => ("Constant", json!({ "value": number(*value) })),
            Initializer::Values(values) => {
                ("Constant", json!({ "value": values.iter().map(|&value| number(value)).collect::<Vec<_>>() }))
            }
            Initializer::RandomUniform { min, max } => {
                ("RandomUniform", json!({ "seed": null, "minval": number(*min), "maxval": number(*max) }))
            }
            Initializer::RandomNormal { mean, stddev } => {
                ("RandomNormal", json!({ "seed": null, "mean": number(*mean), "stddev": number(*stddev) }))
            }
            Initializer::TruncatedNormal { mean, stddev } => {
                ("TruncatedNormal", json!({ "seed": null, "mean": number(*mean), "stddev": number(*stddev) }))
            }
            Initializer::VarianceScaling { scale, fan, uniform } => {
                match SCALINGS.iter().find(|name| Initializer::from_name(name).as_ref() == Some(self)) {
                    Some(name) => (*name, json!({ "seed": null })),
                    None => {
                        let mode = match fan {
                            Fan::In => "fan_in",
                            Fan::Out => "fan_out",
                            Fan::Average => "fan_avg",
                        };
                        let distribution = if *uniform { "uniform" } else { "truncated_normal" };
                        let config = json!({
                            "seed": null, "scale": number(*scale), "mode": mode, "distribution": distribution,
                        });
                        ("VarianceScaling", config)
                    }
                }
            }
            Initializer::Orthogonal { gain } => ("Orthogonal", json!({ "seed": null, "gain": number(*gain) })),
        };
        json!({ "module": "keras.initializers", "class_name": class, "config": config, "registered_name": null })
    }

    /// Draws a weight. The same seed and key give the same values, whatever else was drawn before.
    pub fn draw(&self, shape: &Shape, seed: u64, key: &str) -> Tensor {
        let mut random = generator(seed, key);
        match self {
            Initializer::Zeros => Tensor::full(shape.clone(), 0.0),
            Initializer::Ones => Tensor::full(shape.clone(), 1.0),
            Initializer::Constant(value) => Tensor::full(shape.clone(), *value),
            Initializer::Values(values) => {
                Tensor::from_fn(shape.clone(), |i| values.get(i % values.len().max(1)).copied().unwrap_or(0.0))
            }
            Initializer::RandomUniform { min, max } => {
                Tensor::from_fn(shape.clone(), |_| min + (max - min) * random.random::<f32>())
            }
            Initializer::RandomNormal { mean, stddev } => {
                Tensor::from_fn(shape.clone(), |_| mean + stddev * normal(&mut random))
            }
            Initializer::TruncatedNormal { mean, stddev } => {
                Tensor::from_fn(shape.clone(), |_| mean + stddev * truncated_normal(&mut random))
            }
            Initializer::VarianceScaling { scale, fan, uniform } => {
                let (fan_in, fan_out) = fans(shape);
                let fan = match fan {
                    Fan::In => fan_in,
                    Fan::Out => fan_out,
                    Fan::Average => (fan_in + fan_out) / 2.0,
                };
                let variance = f64::from(*scale) / fan.max(1.0);
                if *uniform {
                    let limit = (3.0 * variance).sqrt() as f32;
                    Tensor::from_fn(shape.clone(), |_| limit * (2.0 * random.random::<f32>() - 1.0))
                } else {
                    // Truncation at two standard deviations shrinks the deviation by this factor, as Keras has it.
                    let stddev = (variance.sqrt() / 0.879_625_661_034_239_8) as f32;
                    Tensor::from_fn(shape.clone(), |_| stddev * truncated_normal(&mut random))
                }
            }
            Initializer::Orthogonal { gain } => orthogonal(shape, *gain, &mut random),
        }
    }
}

/// Keras's `compute_fans`: the last two axes are inputs and outputs, the others the receptive field.
fn fans(shape: &Shape) -> (f64, f64) {
    match shape[..] {
        [] => (1.0, 1.0),
        [n] => (n as f64, n as f64),
        [fan_in, fan_out] => (fan_in as f64, fan_out as f64),
        [ref field @ .., fan_in, fan_out] => {
            let field = field.iter().product::<usize>() as f64;
            (fan_in as f64 * field, fan_out as f64 * field)
        }
    }
}

fn generator(seed: u64, key: &str) -> ChaCha8Rng {
    // FNV-1a spreads the key over 64 bits; the generator's own mixing does the rest.
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    ChaCha8Rng::seed_from_u64(seed ^ hash)
}

/// Box-Muller, one value of each pair.
fn normal(random: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * random.random::<f64>()).cos()) as f32
}

fn truncated_normal(random: &mut ChaCha8Rng) -> f32 {
    loop {
        let value = normal(random);
        if value.abs() <= 2.0 {
            return value;
        }
    }
}

/// Gram-Schmidt on a random matrix, along its shorter side.
fn orthogonal(shape: &Shape, gain: f32, random: &mut ChaCha8Rng) -> Tensor {
    let columns = shape.last_axis().max(1);
    let rows = shape.elements() / columns;
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut vector: Vec<f64> = (0..length).map(|_| f64::from(normal(random))).collect();
        // Twice is enough for orthogonality to working precision.
        for _ in 0..2 {
            for other in &basis {
                let dot: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm > 1e-6 {
            vector.iter_mut().for_each(|x| *x /= norm);
            basis.push(vector);
        }
    }
    Tensor::from_fn(shape.clone(), |i| {
        let (row, column) = (i / columns, i % columns);
        let value = if rows <= columns { basis[row][column] } else { basis[column][row] };
        gain * value as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_reproducible_and_differ_by_key() {
        let shape = Shape::from([3, 3, 8, 16]);
        let draw = |seed, key| Initializer::glorot_uniform().draw(&shape, seed, key);
        assert_eq!(draw(1, "a/kernel"), draw(1, "a/kernel"));
        assert_ne!(draw(1, "a/kernel"), draw(1, "b/kernel"));
        assert_ne!(draw(1, "a/kernel"), draw(2, "a/kernel"));
    }

    #[test]
    fn variance_scaling_has_its_variance() {
        let shape = Shape::from([3, 3, 64, 64]);
        for name in ["glorot_uniform", "GlorotNormal", "he_uniform", "HeNormal", "lecun_normal"] {
            let tensor = Initializer::from_name(name).unwrap().draw(&shape, 7, name);
            let values = tensor.f32s().unwrap();
            let variance = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / values.len() as f64;
            let expected = if name.to_lowercase().starts_with("he") { 2.0 } else { 1.0 } / (9.0 * 64.0);
            assert!((variance / expected - 1.0).abs() < 0.05, "{name}: {variance} for {expected}");
        }
    }

    #[test]
    fn orthogonal_columns_are_orthonormal() {
        let tensor = Initializer::Orthogonal { gain: 1.0 }.draw(&Shape::from([3, 3, 2, 5]), 3, "k");
        let w = tensor.f32s().unwrap();
        for a in 0..5 {
            for b in 0..5 {
                let dot: f32 = (0..18).map(|row| w[row * 5 + a] * w[row * 5 + b]).sum();
                assert!((dot - f32::from(u8::from(a == b))).abs() < 1e-5, "{a} {b}: {dot}");
            }
        }
    }
}
