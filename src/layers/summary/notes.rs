//! Notes in plain words where a model probably does not do what its author meant, each with the way out.

use serde::Serialize;

use super::Row;
use crate::error::LayerError;
use crate::graph::{Graph, Node};
use crate::layers::{Model, TensorRef};
use crate::ops::{Filters, Op};
use crate::passes::{FoldCache, optimize};

/// Something that is probably not meant, or that could be said more simply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The layer it is about.
    pub layer: String,
    /// What happens, in plain words.
    pub what: String,
    /// What would do what is probably meant.
    pub way_out: String,
}

pub(super) fn notes(model: &Model, graph: &Graph, rows: &[Row]) -> Result<Vec<Note>, LayerError> {
    let mut notes = Vec::new();
    merged_channels(graph, rows, &mut notes);
    shared_kernels(model, graph, &mut notes)?;
    mostly_padding(graph, &mut notes);
    dead_ends(model, &mut notes);
    superfluous_bias(graph, &mut notes);
    Ok(notes)
}

/// The layer that a node belongs to.
fn layer_of(node: &str) -> String {
    node.rsplit_once('/').map_or(node, |(layer, _)| layer).to_string()
}

/// Separable layers whose pointwise half makes fewer channels than come in.
fn merged_channels(graph: &Graph, rows: &[Row], notes: &mut Vec<Note>) {
    for node in graph.nodes() {
        let Some(layer) = node.name.strip_suffix("/pointwise") else { continue };
        let Op::Conv(conv) = &node.op else { continue };
        let Ok(site) = conv.site(&graph.input_types(node)) else { continue };
        let depthwise = graph.nodes().iter().find(|other| other.name == format!("{layer}/depthwise"));
        let before = depthwise.map_or(site.in_channels, |node| {
            graph.input_types(node).first().map_or(site.in_channels, |ty| ty.shape.last_axis())
        });
        if site.out_channels >= before || notes.iter().any(|note| note.layer == layer) {
            continue;
        }
        let class = rows.iter().find(|row| row.name == layer).map_or("SeparableConv2D", |row| row.class.as_str());
        let rank = class.chars().rev().nth(1).unwrap_or('2');
        notes.push(Note {
            layer: layer.into(),
            what: format!(
                "{class} filters its {before} channels one by one, and then its pointwise half adds them up into {} of them: \
                 {before} channels go in, {} come out",
                site.out_channels, site.out_channels
            ),
            way_out: format!(
                "for one filtered channel per input channel take DepthwiseConv{rank}D, or `depthwise_half()` of this layer, \
                 which shares its weights; for one filter for all channels take SharedDepthwiseConv{rank}D"
            ),
        });
    }
}

/// One filter for all channels in disguise, and the disguise that does not do what it is quoted for.
fn shared_kernels(model: &Model, graph: &Graph, notes: &mut Vec<Note>) -> Result<(), LayerError> {
    let wrong = |source| LayerError::Graph { layer: model.name().into(), source };
    let (_, report) = optimize(graph.clone(), &FoldCache::default()).map_err(wrong)?;
    for found in report.applied.iter().filter(|note| note.pass == "recognize_shared_kernels") {
        notes.push(Note {
            layer: found.node.clone(),
            what: format!("this is {}", found.what),
            way_out: "SharedDepthwiseConv2D says the same in one layer, with the same weights and numbers".into(),
        });
    }
    for node in graph.nodes() {
        if let Some((channels, columns, window)) = mixed_axes(graph, node) {
            notes.push(Note {
                layer: layer_of(&format!("{}/", node.name)),
                what: format!(
                    "a Reshape puts {columns} columns and {channels} channels into one axis with the channels innermost, so \
                     this filter of width {window} sees {window} neighbouring channels of one column, not {window} columns \
                     of one channel"
                ),
                way_out: "put Permute((1, 3, 2)) before the Reshape, which gives every channel its own columns, or take \
                          SharedDepthwiseConv2D"
                    .into(),
            });
        }
    }
    Ok(())
}

/// A convolution of one channel that reads a reshape of `[.., columns, channels]` into one axis: channels, columns, width.
fn mixed_axes(graph: &Graph, node: &Node) -> Option<(usize, usize, usize)> {
    let Op::Conv(conv) = &node.op else { return None };
    let site = conv.site(&graph.input_types(node)).ok()?;
    let reshape = graph.producer(*node.inputs.first()?)?;
    if !matches!(reshape.op, Op::Reshape(_)) || conv.filters == Filters::Shared || site.in_channels != 1 {
        return None;
    }
    let source = *reshape.inputs.first()?;
    if graph.producer(source).is_some_and(|node| matches!(node.op, Op::Transpose(_))) {
        return None;
    }
    let shape = &graph.ty(source).shape;
    let (row, rank) = (site.axes.last()?, shape.rank());
    let (columns, channels) = (*shape.get(rank.checked_sub(2)?)?, shape.last_axis());
    let mixed = rank >= 3 && channels > 1 && columns > 1 && row.input == columns * channels && row.size > 1;
    mixed.then_some((channels, columns, row.size))
}

/// Windows larger than what they slide over.
fn mostly_padding(graph: &Graph, notes: &mut Vec<Note>) {
    for node in graph.nodes() {
        let Op::Conv(conv) = &node.op else { continue };
        let Ok(site) = conv.site(&graph.input_types(node)) else { continue };
        if let Some(axis) = site.axes.iter().find(|axis| axis.extent() > axis.input) {
            notes.push(Note {
                layer: node.name.clone(),
                what: format!(
                    "its window reaches over {} elements and the input has {}: it never fits inside, and part of every \
                     result comes from padding",
                    axis.extent(),
                    axis.input
                ),
                way_out: "take a smaller kernel or dilation, or put the layer where the input is larger".into(),
            });
        }
    }
}

/// Inputs and outputs that nothing uses.
fn dead_ends(model: &Model, notes: &mut Vec<Note>) {
    let used = |tensor: TensorRef| {
        model.calls().iter().any(|call| call.inputs.contains(&tensor))
            || model.outputs().iter().any(|(_, output)| *output == tensor)
    };
    for (i, input) in model.inputs().iter().enumerate() {
        if !used(TensorRef::Input(i)) {
            notes.push(Note {
                layer: input.name.clone(),
                what: "nothing reads this input".into(),
                way_out: "leave it out of the model, or connect it".into(),
            });
        }
    }
    for (position, call) in model.calls().iter().enumerate() {
        for output in 0..call.outputs.len() {
            if !used(TensorRef::Call { call: position, output }) {
                notes.push(Note {
                    layer: call.layer.name().into(),
                    what: format!("nothing reads output {output} of call {}: it is not computed", call.index),
                    way_out: "leave it out, or make it an output of the model".into(),
                });
            }
        }
    }
}

/// A bias right before batch normalisation, which takes any constant away again.
fn superfluous_bias(graph: &Graph, notes: &mut Vec<Note>) {
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::BatchNorm(_))) {
        let Some(bias) = node.inputs.first().and_then(|&x| graph.producer(x)) else { continue };
        let Some(layer) = bias.name.strip_suffix("/bias") else { continue };
        notes.push(Note {
            layer: layer.into(),
            what: format!("its bias is taken away again by the batch normalisation `{}` in training", node.name),
            way_out: "use_bias(false) saves the parameters".into(),
        });
    }
}
