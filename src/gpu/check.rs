//! What the tests of this room run: a graph that they build, on a device.
#![cfg(test)]

use std::sync::Arc;

use super::{Device, Executable, SharedWeights};
use crate::graph::Graph;
use crate::kernels::preferred;
use crate::plan::plan;

/// What `build` adds to a graph, planned as a session would without tuning.
pub(super) fn executable(device: &Device, build: impl FnOnce(&mut Graph)) -> Executable {
    let mut graph = Graph::new();
    build(&mut graph);
    let planned = plan(&graph, device.traits(), |node, _| preferred(&node.op, device.traits())).unwrap();
    Executable::compile(device, Arc::new(planned), &SharedWeights::default(), &|_, _| {}).unwrap()
}
