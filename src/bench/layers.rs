//! The layers that engines are compared on: single convolutions of the sizes that MobileNets and ResNets have.

use crate::error::GraphError;
use crate::graph::Graph;
use crate::ops::{Conv, Unary, UnaryFn};
use crate::tensor::{Padding, Tensor, TensorType, Window};

/// A layer with fixed sizes and made-up weights; batch 1, `same` padding, no bias.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// Its name: what it is, channels, and the side of its square input.
    pub name: &'static str,
    side: usize,
    channels: usize,
    parts: &'static [Part],
}

/// One convolution of a layer.
#[derive(Debug, Clone, Copy)]
enum Part {
    Conv { size: usize, stride: usize, filters: usize },
    Depthwise { size: usize, stride: usize },
    Relu6,
}

const fn layer(name: &'static str, side: usize, channels: usize, parts: &'static [Part]) -> Layer {
    Layer { name, side, channels, parts }
}

const fn conv(size: usize, stride: usize, filters: usize) -> Part {
    Part::Conv { size, stride, filters }
}

const fn depthwise(size: usize, stride: usize) -> Part {
    Part::Depthwise { size, stride }
}

/// All of them.
pub const LAYERS: &[Layer] = &[
    layer("L01_conv3x3s2_3-32_224", 224, 3, &[conv(3, 2, 32)]),
    layer("L02_dw3x3_32_112", 112, 32, &[depthwise(3, 1)]),
    layer("L03_pw_32-64_112", 112, 32, &[conv(1, 1, 64)]),
    layer("L04_dw3x3_128_56", 56, 128, &[depthwise(3, 1)]),
    layer("L05_pw_128-128_56", 56, 128, &[conv(1, 1, 128)]),
    layer("L06_dw3x3s2_256_28", 28, 256, &[depthwise(3, 2)]),
    layer("L07_pw_256-512_14", 14, 256, &[conv(1, 1, 512)]),
    layer("L08_pw_512-512_14", 14, 512, &[conv(1, 1, 512)]),
    layer("L09_dw3x3_512_14", 14, 512, &[depthwise(3, 1)]),
    layer("L10_dw5x5_240_14", 14, 240, &[depthwise(5, 1)]),
    layer("L11_conv3x3_64-64_56", 56, 64, &[conv(3, 1, 64)]),
    layer("L12_pw_1024-1024_7", 7, 1024, &[conv(1, 1, 1024)]),
    layer("L13_sep3x3_128-128_56_relu6", 56, 128, &[depthwise(3, 1), Part::Relu6, conv(1, 1, 128), Part::Relu6]),
];

impl Layer {
    /// Its input: [1, side, side, channels].
    pub fn input(&self) -> Tensor {
        values([1, self.side, self.side, self.channels].to_vec(), 1, 1.0)
    }

    /// Its graph, with the input `x` and the output `y`.
    ///
    /// # Errors
    /// [`GraphError`] when an op does not take what the one before it gives, which is a fault of the list.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        let mut graph = Graph::new();
        let mut x = graph.input("x", TensorType::f32([1, self.side, self.side, self.channels]));
        let mut channels = self.channels;
        for (position, part) in self.parts.iter().enumerate() {
            let window = |stride| Window { stride: vec![stride; 2], padding: Padding::Same, ..Window::unit(2) };
            let (stride, groups, shape) = match *part {
                Part::Conv { size, stride, filters } => (stride, 1, [size, size, channels, filters]),
                Part::Depthwise { size, stride } => (stride, channels, [size, size, 1, channels]),
                Part::Relu6 => {
                    x = graph.node(format!("relu6_{position}"), Unary { function: UnaryFn::Relu6 }, &[x])?;
                    continue;
                }
            };
            // Results of the order of the inputs, as trained layers have them.
            let scale = 1.7 / ((shape[0] * shape[1] * shape[2]) as f32).sqrt();
            let weights = values(shape.to_vec(), 2 + position as u32, scale);
            let weights = graph.constant(format!("weights_{position}"), weights);
            x = graph.node(format!("conv_{position}"), Conv::new(window(stride), groups), &[x, weights])?;
            channels = shape[3];
        }
        graph.output("y", x);
        Ok(graph)
    }
}

/// Values between `-scale` and `scale`, the same ones for the same seed.
fn values(shape: Vec<usize>, seed: u32, scale: f32) -> Tensor {
    Tensor::from_fn(shape, |position| {
        let mixed = (position as u32).wrapping_add(seed.wrapping_mul(0x9E37_79B9)).wrapping_mul(2_654_435_761);
        ((mixed >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_as_large_as_their_names_say() {
        let mmacs = |layer: &Layer| {
            let graph = layer.graph().unwrap();
            let cost = |node: &crate::graph::Node| {
                node.op.spec().cost(&graph.input_types(node), &graph.output_types(node)).macs as f64
            };
            graph.nodes().iter().map(cost).sum::<f64>() / 1e6
        };
        let found: Vec<String> = LAYERS.iter().map(|layer| format!("{:.1}", mmacs(layer))).collect();
        let expected =
            ["10.8", "3.6", "25.7", "3.6", "51.4", "0.5", "25.7", "51.4", "0.9", "1.2", "115.6", "51.4", "55.0"];
        assert_eq!(found, expected);
        assert!(LAYERS.iter().zip(1..).all(|(layer, i)| layer.name.starts_with(&format!("L{i:02}_"))));
    }
}
