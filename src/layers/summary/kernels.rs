//! The kernel of a node in words: `3x3 per channel x16`, `16->1 pointwise`.

use crate::graph::{Graph, Node};
use crate::ops::{Filters, Op, PoolKind};

/// What a node slides over its input; `None` for nodes that slide nothing.
pub(super) fn describe(graph: &Graph, node: &Node) -> Option<String> {
    let inputs = graph.input_types(node);
    match &node.op {
        Op::Conv(conv) => {
            let site = conv.site(&inputs).ok()?;
            let (from, to) = (site.in_channels, site.out_channels);
            let sizes: Vec<usize> = site.axes.iter().map(|axis| axis.size).collect();
            let window = by(&sizes);
            let mut words = if conv.filters == Filters::Shared {
                format!("{window} shared by {from} channels")
            } else if sizes.is_empty() {
                format!("{from}->{to} dense")
            } else if site.groups == from && from > 1 {
                let multiplier = to / from;
                let times = if multiplier > 1 { format!(", {multiplier} filters each") } else { String::new() };
                format!("{window} per channel x{from}{times}")
            } else if sizes.iter().all(|&size| size == 1) {
                format!("{from}->{to} pointwise")
            } else {
                format!("{window} {from}->{to}")
            };
            if site.groups > 1 && site.groups < from {
                words.push_str(&format!(" in {} groups", site.groups));
            }
            words.push_str(&steps("stride", &conv.window.stride));
            words.push_str(&steps("dilation", &conv.window.dilation));
            Some(words)
        }
        Op::ConvTranspose(conv) => {
            let site = conv.site(&inputs).ok()?;
            let sizes: Vec<usize> = site.axes[3 - conv.stride.len()..].iter().map(|axis| axis.size).collect();
            let mut words = format!("{} transposed {}->{}", by(&sizes), site.in_channels, site.out_channels);
            words.push_str(&steps("stride", &conv.stride));
            Some(words)
        }
        Op::Pool(pool) => {
            let kind = if pool.kind == PoolKind::Max { "max" } else { "average" };
            Some(format!("{} {kind}{}", by(&pool.size), steps("stride", &pool.window.stride)))
        }
        Op::Reduce(reduce) => {
            let shape = &inputs.first()?.shape;
            let sizes: Vec<usize> = reduce.axes.iter().filter_map(|&axis| shape.get(axis).copied()).collect();
            Some(format!("{} {:?}", by(&sizes), reduce.function).to_lowercase())
        }
        _ => None,
    }
}

fn by(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

fn steps(what: &str, steps: &[usize]) -> String {
    match steps {
        [first, rest @ ..] if rest.iter().all(|step| step == first) => {
            if *first == 1 {
                String::new()
            } else {
                format!(", {what} {first}")
            }
        }
        [] => String::new(),
        _ => format!(", {what} {}", by(steps)),
    }
}
