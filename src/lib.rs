//! Convolutional networks on any GPU through `wgpu`, with Keras's numbers.
//!
//! - [`layers`]: Keras's layers and models; [`layers::Model::summary`] says what each does.
//! - [`zoo`] and [`import`]: known architectures, and models from Keras, ONNX and TFLite files; pictures as inputs.
//!   [`export`]: models to files, by [`layers::Model::save`].
//! - [`session`]: compiles a graph for a device and runs it; [`session::Device::auto`] finds the device.
//! - [`train`]: losses, optimizers, metrics and the loop around them; [`train::Trainer`] trains a model in place.
//! - [`tensor`]: arrays on the host, `.npy` and `.safetensors` files. [`error`]: what can go wrong.
//! - [`graph`], [`ops`], [`passes`], [`plan`], [`kernels`], [`gpu`], [`cpu`]: what happens in between, each stop printable.
//!   [`mod@bench`] times it, [`cases`] are what kernels are tested on, [`cli`] is the program `wgconv`.
//!
//! Arrays are row-major with the batch first and channels last: `[batch, rows, columns, channels]`. Models of ONNX files keep the
//! order of axes that the file has. Inputs and outputs go by name: those of [`layers::Model::inputs`] and
//! [`layers::Model::outputs`], which are the layers' names as Keras gives them.
//!
//! ```
//! use std::collections::BTreeMap;
//! use wgconv::layers::*;
//! use wgconv::session::{Device, Options, Session};
//! use wgconv::tensor::Tensor;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Sequential::new().add(SharedDepthwiseConv2D::new(3)).build([8, 8, 16])?;
//! // The best GPU there is; where there is none, the CPU reference.
//! let session = Session::new(model.graph(1)?, Device::auto(), Options::default());
//! let input = model.inputs()[0].name.clone(); // "input_layer"
//! let inputs = BTreeMap::from([(input, Tensor::full([1, 8, 8, 16], 1.0))]);
//! let outputs = session.run(&inputs)?;
//! assert_eq!(outputs["shared_depthwise_conv2d"].shape().to_vec(), [1, 6, 6, 16]);
//! // Other batches are compiled when they come along; weights stay where they are.
//! let inputs = inputs.into_keys().map(|name| (name, Tensor::full([5, 8, 8, 16], 1.0))).collect();
//! assert_eq!(session.run(&inputs)?["shared_depthwise_conv2d"].shape().to_vec(), [5, 6, 6, 16]);
//! # Ok(())
//! # }
//! ```

pub mod bench;
pub mod cases;
pub mod cli;
pub mod cpu;
pub mod error;
pub mod export;
pub mod gpu;
pub mod graph;
pub mod import;
pub mod kernels;
pub mod layers;
pub mod ops;
pub mod passes;
pub mod plan;
pub mod session;
pub mod tensor;
pub mod train;
pub mod zoo;

/// The README's Rust blocks, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
