//! Random numbers by position: the same key gives the same numbers on every device.

use serde::Serialize;

use super::{Cost, Gradient, GradientSite, OpSpec, expect_f32, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Shape, Tensor, TensorType};

/// What the numbers look like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// `1 / (1 - rate)` with probability `1 - rate`, else 0: the factors of dropout.
    Keep {
        /// Share of zeros, at least 0 and below 1.
        rate: f32,
    },
    /// The normal distribution.
    Normal {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        deviation: f32,
    },
}

/// Random numbers of the shape `shape`.
///
/// One input: the key, four whole numbers below 2^24 (the seed and the step, each in two parts). The numbers follow from the
/// key, the stream and the position alone, through the hash pcg4d (Jarzynski and Olano, Hash Functions for GPU Rendering,
/// JCGT 9(3), 2020).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Random {
    /// What the numbers look like.
    pub distribution: Distribution,
    /// Shape of the output.
    pub shape: Shape,
    /// Tells apart the nodes of one graph.
    pub stream: u32,
}

/// The hash of four words.
pub fn pcg4d(words: [u32; 4]) -> [u32; 4] {
    let mut v = words.map(|word| word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |v: &mut [u32; 4]| {
        v[0] = v[0].wrapping_add(v[1].wrapping_mul(v[3]));
        v[1] = v[1].wrapping_add(v[2].wrapping_mul(v[0]));
        v[2] = v[2].wrapping_add(v[0].wrapping_mul(v[1]));
        v[3] = v[3].wrapping_add(v[1].wrapping_mul(v[2]));
    };
    mix(&mut v);
    v = v.map(|word| word ^ (word >> 16));
    mix(&mut v);
    v
}

/// The upper 24 bits as a number in `[0, 1)`.
fn unit(word: u32) -> f64 {
    f64::from(word >> 8) / f64::from(1u32 << 24)
}

impl Random {
    fn element(&self, key: [u32; 4], index: usize) -> f32 {
        let words = pcg4d([
            index as u32,
            self.stream.wrapping_add(key[3].wrapping_mul(0x9e37_79b9)),
            key[0] ^ (key[1] << 24) ^ (key[1] >> 8),
            key[2],
        ]);
        match self.distribution {
            Distribution::Keep { rate } if unit(words[0]) < f64::from(rate) => 0.0,
            Distribution::Keep { rate } => 1.0 / (1.0 - rate),
            Distribution::Normal { mean, deviation } => {
                // Box and Muller; the logarithm never sees 0.
                let radius = (-2.0 * (1.0 - unit(words[0])).ln()).sqrt();
                let angle = 2.0 * std::f64::consts::PI * unit(words[1]);
                (f64::from(mean) + f64::from(deviation) * radius * angle.cos()) as f32
            }
        }
    }
}

impl OpSpec for Random {
    fn name(&self) -> &'static str {
        "Random"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        expect_f32(self.name(), inputs, 1)?;
        if inputs[0].shape.to_vec() != [4] {
            return Err(ShapeError::mismatch(self.name(), format!("the key must be [4] and is {}", inputs[0].shape)));
        }
        match self.distribution {
            Distribution::Keep { rate } if !(0.0..1.0).contains(&rate) => {
                Err(ShapeError::mismatch(self.name(), format!("the rate must be at least 0 and below 1; got {rate}")))
            }
            _ => Ok(vec![TensorType::f32(self.shape.clone())]),
        }
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let ty = self.infer(&types(inputs))?.remove(0);
        let mut key = [0; 4];
        for (word, &value) in key.iter_mut().zip(values(self.name(), inputs)?[0]) {
            *word = value as u32;
        }
        output(self.name(), &ty, (0..ty.shape.elements()).map(|index| self.element(key, index)).collect())
    }

    fn gradient(&self, _site: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::NotDifferentiable("random numbers do not depend on anything smoothly"))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::new(0, inputs, outputs)
    }

    fn accuracy(&self, _inputs: &[TensorType]) -> Accuracy {
        match self.distribution {
            Distribution::Keep { .. } => Accuracy::Exact,
            Distribution::Normal { .. } => Accuracy::Transcendental,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(distribution: Distribution, stream: u32, step: f32) -> Vec<f32> {
        let op = Random { distribution, shape: vec![100, 1000].into(), stream };
        let key = Tensor::from_f32([4], vec![7.0, 0.0, step, 0.0]).unwrap();
        op.reference(&[&key]).unwrap()[0].f32s().unwrap().to_vec()
    }

    #[test]
    fn the_share_of_zeros_is_the_rate_and_steps_differ() {
        let a = draw(Distribution::Keep { rate: 0.3 }, 1, 5.0);
        let zeros = a.iter().filter(|&&x| x == 0.0).count() as f64 / a.len() as f64;
        assert!((zeros - 0.3).abs() < 0.005, "{zeros}");
        assert!(a.iter().all(|&x| x == 0.0 || x == 1.0 / 0.7));
        let agree = |b: Vec<f32>| a.iter().zip(b).filter(|(a, b)| *a == b).count() as f64 / a.len() as f64;
        // Independent draws agree in 0.3^2 + 0.7^2 of the places.
        assert!((agree(draw(Distribution::Keep { rate: 0.3 }, 1, 6.0)) - 0.58).abs() < 0.01);
        assert!((agree(draw(Distribution::Keep { rate: 0.3 }, 2, 5.0)) - 0.58).abs() < 0.01);
        assert_eq!(agree(draw(Distribution::Keep { rate: 0.3 }, 1, 5.0)), 1.0);
    }

    #[test]
    fn normal_numbers_have_their_mean_and_deviation() {
        let a = draw(Distribution::Normal { mean: 2.0, deviation: 3.0 }, 0, 0.0);
        let mean = a.iter().map(|&x| f64::from(x)).sum::<f64>() / a.len() as f64;
        let variance = a.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / a.len() as f64;
        assert!((mean - 2.0).abs() < 0.03 && (variance.sqrt() - 3.0).abs() < 0.03, "{mean} {variance}");
    }
}
