//! Convolutional networks on any GPU through `wgpu`.

pub mod bench;
pub mod cases;
pub mod cli;
pub mod cpu;
pub mod error;
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
pub mod zoo;
