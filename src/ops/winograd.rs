//! A 3x3 convolution with transformed filters: Winograd's F(2x2, 3x3), 16 products for four outputs that take 36 otherwise.

use serde::Serialize;

use super::{Conv, ConvSite, Cost, Filters, Gradient, GradientSite, OpSpec, output, types, values};
use crate::error::ShapeError;
use crate::tensor::{Accuracy, Tensor, TensorType};

/// A convolution of 3x3 taps of stride 1 in one group, computed in tiles of 2x2 outputs: `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, with
/// the matrices of Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2015), section 4.1.
///
/// Inputs: `x [batch.., height, width, in_channels]`, transformed filters `[4, 4, in_channels, out_channels]` (of
/// [`Winograd::filters`]), then what the epilogue adds. Output: that of the convolution.
///
/// Sums of differences stand for every product: where an input is infinite, outputs that see it are NaN.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Winograd {
    /// The convolution that is meant.
    pub conv: Conv,
}

/// Taps of the filter along an axis, outputs of a tile, and inputs of a tile.
const TAPS: usize = 3;
const OUTPUTS: usize = 2;
const INPUTS: usize = 4;

/// `G`.
const FILTER: [[f64; TAPS]; INPUTS] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
/// `Bᵀ`.
const INPUT: [[f64; INPUTS]; INPUTS] =
    [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0]];
/// `Aᵀ`.
const OUTPUT: [[f64; INPUTS]; OUTPUTS] = [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, -1.0]];

/// `m X mᵀ` of a square `X`.
fn both_sides<const R: usize, const N: usize>(m: &[[f64; N]; R], x: impl Fn(usize, usize) -> f64) -> [[f64; R]; R] {
    let mut left = [[0.0; N]; R];
    for (row, factors) in left.iter_mut().zip(m) {
        for (column, value) in row.iter_mut().enumerate() {
            *value = factors.iter().enumerate().map(|(k, factor)| factor * x(k, column)).sum();
        }
    }
    left.map(|row| m.map(|factors| row.iter().zip(factors).map(|(a, b)| a * b).sum()))
}

impl Winograd {
    /// The op for a convolution, or why it is none.
    ///
    /// # Errors
    /// [`ShapeError`] when a window has not 3x3 taps of stride 1 without dilation over two axes, or there are several groups.
    pub fn of(conv: &Conv, inputs: &[TensorType]) -> Result<Winograd, ShapeError> {
        let site = conv.site(inputs)?;
        let suits = |axis: &crate::tensor::AxisWindow| [axis.size, axis.stride, axis.dilation] == [TAPS, 1, 1];
        let groups = conv.filters == (Filters::PerGroup { groups: 1 });
        if !groups || site.axes.len() != 2 || !site.axes.iter().all(suits) {
            return Err(ShapeError::mismatch("Winograd", "takes 3x3 taps of stride 1 without dilation, in one group"));
        }
        Ok(Winograd { conv: conv.clone() })
    }

    /// The type of filters `[3, 3, in_channels, out_channels]` once they are transformed.
    ///
    /// # Errors
    /// [`ShapeError`] when they have another shape.
    pub fn filter_type(w: &TensorType) -> Result<TensorType, ShapeError> {
        let &[TAPS, TAPS, ins, outs] = &w.shape[..] else {
            return Err(ShapeError::mismatch("Winograd", format!("filters are [3, 3, in, out]; got {}", w.shape)));
        };
        Ok(TensorType { shape: [INPUTS, INPUTS, ins, outs].into(), dtype: w.dtype })
    }

    /// Filters `[3, 3, in_channels, out_channels]` as this op reads them: `G g Gᵀ` of each, computed in `f64`.
    ///
    /// # Errors
    /// [`ShapeError`] when they have another shape or are not `f32`.
    pub fn filters(w: &Tensor) -> Result<Tensor, ShapeError> {
        let transformed = Winograd::filter_type(&w.tensor_type())?;
        let g = values("Winograd", &[w])?[0];
        let each = g.len() / (TAPS * TAPS);
        let mut u = vec![0.0; INPUTS * INPUTS * each];
        for i in 0..each {
            let planes = both_sides(&FILTER, |row, column| g[(row * TAPS + column) * each + i].into());
            for (plane, value) in planes.into_iter().flatten().enumerate() {
                u[plane * each + i] = value as f32;
            }
        }
        Tensor::from_f32(transformed.shape, u).map_err(|source| ShapeError::Tensor { op: "Winograd", source })
    }

    /// The convolution that is meant, resolved for the inputs of this op.
    ///
    /// # Errors
    /// [`ShapeError`] when they do not fit.
    pub fn site(&self, inputs: &[TensorType]) -> Result<ConvSite, ShapeError> {
        let mut meant = inputs.to_vec();
        if let Some(filters) = meant.get_mut(1) {
            let &[INPUTS, INPUTS, ins, outs] = &filters.shape[..] else {
                let found = &filters.shape;
                return Err(ShapeError::mismatch(
                    "Winograd",
                    format!("transformed filters are [4, 4, in, out]; got {found}"),
                ));
            };
            *filters = TensorType { shape: [TAPS, TAPS, ins, outs].into(), dtype: filters.dtype };
        }
        Winograd::of(&self.conv, &meant)?;
        self.conv.site(&meant)
    }

    /// Tiles of outputs along height and width.
    pub fn tiles(site: &ConvSite) -> [usize; 2] {
        let [_, height, width] = site.axes3();
        [height, width].map(|axis| axis.output.div_ceil(OUTPUTS))
    }
}

impl OpSpec for Winograd {
    fn name(&self) -> &'static str {
        "Winograd"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
        Ok(vec![TensorType::f32(self.site(inputs)?.output)])
    }

    fn reference(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, ShapeError> {
        let site = self.site(&types(inputs))?;
        let data = values("Winograd", inputs)?;
        let (x, u, further) = (data[0], data[1], &data[2..]);
        let [_, height, width] = site.axes3();
        let (ins, outs) = (site.in_channels, site.out_channels);
        let [down, across] = Winograd::tiles(&site);
        let mut y = vec![0.0; site.output.elements()];
        let mut products = vec![[[0f64; INPUTS]; INPUTS]; outs];
        for (image, row, column) in super::conv::positions(site.batch, down, across) {
            let origin = [row * OUTPUTS, column * OUTPUTS];
            products.fill([[0.0; INPUTS]; INPUTS]);
            for channel in 0..ins {
                let tile =
                    both_sides(&INPUT, |i, j| match (height.position(origin[0], i), width.position(origin[1], j)) {
                        (Some(h), Some(w)) => x[((image * height.input + h) * width.input + w) * ins + channel].into(),
                        _ => 0.0,
                    });
                for (plane, value) in tile.into_iter().flatten().enumerate() {
                    let filters = &u[(plane * ins + channel) * outs..];
                    for (product, &filter) in products.iter_mut().zip(filters) {
                        product[plane / INPUTS][plane % INPUTS] += value * f64::from(filter);
                    }
                }
            }
            for (channel, product) in products.iter().enumerate() {
                let outputs = both_sides(&OUTPUT, |i, j| product[i][j]);
                for (i, sum) in outputs.into_iter().flatten().enumerate() {
                    let (h, w) = (origin[0] + i / OUTPUTS, origin[1] + i % OUTPUTS);
                    if h < height.output && w < width.output {
                        let index = ((image * height.output + h) * width.output + w) * outs + channel;
                        y[index] = self.conv.epilogue.apply(sum, further, index, outs);
                    }
                }
            }
        }
        output("Winograd", &TensorType::f32(site.output), y)
    }

    fn gradient(&self, _: &mut GradientSite<'_>) -> Result<Gradient, ShapeError> {
        Ok(Gradient::NotDifferentiable("it is made of a convolution once its gradients are there"))
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let macs = self.site(inputs).map_or(0, |site| {
            let tiles = site.batch * Winograd::tiles(&site).iter().product::<usize>();
            INPUTS * INPUTS * tiles * site.in_channels * site.out_channels
        });
        Cost::new(macs, inputs, outputs)
    }

    /// Nine planes add up to an output, and each of their products is of a sum of four inputs: the convolution's terms four times.
    fn accuracy(&self, inputs: &[TensorType]) -> Accuracy {
        self.conv.epilogue.accuracy(self.site(inputs).map_or(1, |site| 4 * site.reduction()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Padding, Window, compare};

    fn wave(shape: &[usize], step: f32) -> Tensor {
        Tensor::from_fn(shape.to_vec(), |i| (i as f32 * step).sin())
    }

    #[test]
    fn it_computes_the_convolution_that_is_meant() {
        for (padding, size) in [
            (Padding::Same, [5, 7]),
            (Padding::Valid, [6, 4]),
            (Padding::Explicit(vec![(0, 3), (2, 0)]), [3, 8]),
            (Padding::Same, [1, 1]),
        ] {
            let conv = Conv::new(Window { padding, ..Window::unit(2) }, 1);
            let (x, w) = (wave(&[2, size[0], size[1], 3], 0.37), wave(&[3, 3, 3, 5], 0.61));
            let op = Winograd::of(&conv, &[x.tensor_type(), w.tensor_type()]).unwrap();
            let found = op.reference(&[&x, &Winograd::filters(&w).unwrap()]).unwrap();
            let expected = conv.reference(&[&x, &w]).unwrap();
            // The transformed filters are rounded.
            let comparison = compare(&found[0], &expected[0], Accuracy::Reduction { length: 1 }, 1.0);
            assert!(comparison.pass, "{comparison}");
        }
    }

    #[test]
    fn other_windows_and_groups_are_none() {
        let of = |window: Window, groups: usize, w: [usize; 4]| {
            Winograd::of(&Conv::new(window, groups), &[TensorType::f32([1, 9, 9, 4]), TensorType::f32(w)]).is_ok()
        };
        assert!(of(Window::unit(2), 1, [3, 3, 4, 8]));
        assert!(!of(Window::unit(2), 2, [3, 3, 2, 8]));
        assert!(!of(Window::unit(2), 1, [3, 1, 4, 8]));
        assert!(!of(Window { stride: vec![2; 2], ..Window::unit(2) }, 1, [3, 3, 4, 8]));
        assert!(!of(Window { dilation: vec![1, 2], ..Window::unit(2) }, 1, [3, 3, 4, 8]));
    }

    #[test]
    fn it_multiplies_less_than_half_as_often() {
        let conv = Conv::new(Window { padding: Padding::Same, ..Window::unit(2) }, 1);
        let x = TensorType::f32([1, 56, 56, 64]);
        let direct = conv.cost(&[x.clone(), TensorType::f32([3, 3, 64, 64])], &[]).macs;
        let macs = Winograd { conv }.cost(&[x, TensorType::f32([4, 4, 64, 64])], &[]).macs;
        assert_eq!(direct as f64 / macs as f64, 2.25);
    }
}
