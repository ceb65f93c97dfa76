//! Convolutional networks on any GPU through `wgpu`.

pub mod error;
pub mod graph;
pub mod kernels;
pub mod ops;
pub mod tensor;
