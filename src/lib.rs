//! Convolutional networks on any GPU through `wgpu`, with Keras's numbers.
//!
//! - [`layers`]: Keras's layers and models; [`layers::Model::summary`] says what each does.
//! - [`zoo`] and [`import`]: known architectures, and models from files; [`export`]: models to files.
//! - [`session`]: compiles a graph for a device and runs it; [`session::Device::auto`] finds the device.
//! - [`graph`], [`ops`], [`passes`], [`plan`], [`kernels`], [`gpu`], [`cpu`]: what happens in between, each stop printable.
//!
//! ```
//! use std::collections::BTreeMap;
//! use wgconv::layers::*;
//! use wgconv::session::{Device, Options, Session};
//! use wgconv::tensor::Tensor;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Sequential::new().add(SharedDepthwiseConv2D::new(3)).build([8, 8, 16])?;
//! let session = Session::new(model.graph(1)?, Device::Cpu, Options::default());
//! let inputs = BTreeMap::from([("input_layer".to_string(), Tensor::full([1, 8, 8, 16], 1.0))]);
//! let outputs = session.run(&inputs)?;
//! assert_eq!(outputs["shared_depthwise_conv2d"].shape().to_vec(), [1, 6, 6, 16]);
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
