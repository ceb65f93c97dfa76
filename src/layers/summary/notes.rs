//! Notes in plain words where a model probably does not do what its author meant, each with the way out.

use std::collections::HashSet;

use serde::Serialize;

use super::trace::join;
use crate::error::LayerError;
use crate::graph::{Graph, Node};
use crate::layers::names::snake_case;
use crate::layers::{Model, TensorRef};
use crate::ops::{BinaryFn, Filters, Op};
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

pub(super) fn notes(model: &Model, graph: &Graph) -> Result<Vec<Note>, LayerError> {
    let mut found = Vec::new();
    merged_channels(model, graph, &mut found);
    mixed_axes(graph, &mut found);
    shared_kernels(model, graph, &mut found)?;
    mostly_padding(graph, &mut found);
    dead_ends(model, "", &mut found);
    activations_in_a_row(graph, &mut found);
    superfluous_bias(graph, &mut found);
    // A layer that is called several times is said once.
    let mut notes: Vec<Note> = Vec::new();
    for note in found {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    Ok(notes)
}

/// Separable layers whose pointwise half makes fewer channels than come in.
fn merged_channels(model: &Model, graph: &Graph, notes: &mut Vec<Note>) {
    for node in graph.nodes() {
        let (Some(path), Op::Conv(conv)) = (node.name.strip_suffix("/pointwise"), &node.op) else { continue };
        let Some(layer) = model.get_layer(path).filter(|layer| layer.layer().halves().is_some()) else { continue };
        let Ok(site) = conv.site(&graph.input_types(node)) else { continue };
        let depthwise = graph.nodes().iter().find(|other| other.name == format!("{path}/depthwise"));
        let before = depthwise.map_or(site.in_channels, |node| {
            graph.input_types(node).first().map_or(site.in_channels, |ty| ty.shape.last_axis())
        });
        if site.out_channels >= before {
            continue;
        }
        let (class, rank) = (layer.layer().class_name(), site.axes.len());
        notes.push(Note {
            layer: path.into(),
            what: format!(
                "{class} filters its {before} channels one by one, and then its pointwise half adds them up into {} of them: \
                 {before} channels go in, {} come out",
                site.out_channels, site.out_channels
            ),
            way_out: format!(
                "to keep {before} channels take DepthwiseConv{rank}D, or `depthwise_half()` of this layer, which shares its \
                 weights; for one filter for all channels take SharedDepthwiseConv{rank}D"
            ),
        });
    }
}

/// One filter for all channels in disguise, and what nearly is one.
fn shared_kernels(model: &Model, graph: &Graph, notes: &mut Vec<Note>) -> Result<(), LayerError> {
    let wrong = |source| LayerError::Graph { layer: model.name().into(), source };
    let (optimized, report) = optimize(graph.clone(), &FoldCache::default()).map_err(wrong)?;
    let pass = "recognize_shared_kernels";
    for found in report.applied.iter().filter(|note| note.pass == pass) {
        let same = optimized.nodes().iter().filter(|node| node.name == found.node);
        let layer = same.filter_map(|node| shared_layer(&optimized, node)).next();
        let layer = layer.unwrap_or_else(|| "SharedDepthwiseConv".into());
        notes.push(Note {
            layer: found.node.clone(),
            what: format!("this equals {layer}; the passes found {}", found.what),
            way_out: format!("nothing needs to change; {layer} says the same in one layer, with the same weights"),
        });
    }
    for refused in report.refused.iter().filter(|note| note.pass == pass) {
        let concat = |node: &&Node| node.name == refused.node && matches!(node.op, Op::Concat(_));
        if optimized.nodes().iter().any(|node| concat(&node)) {
            notes.push(Note {
                layer: refused.node.clone(),
                what: format!("this is nearly one filter for all channels, but {}", refused.what),
                way_out: "if one filter for all channels is meant, call one layer on every channel in order, or take \
                          SharedDepthwiseConv2D"
                    .into(),
            });
        }
    }
    Ok(())
}

/// A shared-kernel convolution as the layer that says it: `SharedDepthwiseConv2D(3)`.
fn shared_layer(graph: &Graph, node: &Node) -> Option<String> {
    let Op::Conv(conv) = &node.op else { return None };
    let site = conv.site(&graph.input_types(node)).ok().filter(|_| conv.filters == Filters::Shared)?;
    let sizes: Vec<String> = site.axes.iter().map(|axis| axis.size.to_string()).collect();
    let size = match sizes.split_first() {
        Some((first, rest)) if rest.iter().all(|size| size == first) => first.clone(),
        _ => format!("[{}]", sizes.join(", ")),
    };
    Some(format!("SharedDepthwiseConv{}D({size})", site.axes.len()))
}

/// Reshapes that put columns and channels into one axis right before a convolution, channels innermost.
fn mixed_axes(graph: &Graph, notes: &mut Vec<Note>) {
    for node in graph.nodes() {
        if let Some((channels, columns, window)) = mixed(graph, node) {
            notes.push(Note {
                layer: node.name.clone(),
                what: format!(
                    "a Reshape puts {columns} columns and {channels} channels into one axis with the channels innermost, so \
                     this filter of width {window} sees {window} neighbouring channels of one column (or the last of one \
                     column and the first of the next), not {window} columns of one channel"
                ),
                way_out: "put Permute((1, 3, 2)) before the Reshape, which gives every channel its own columns, or take \
                          SharedDepthwiseConv2D"
                    .into(),
            });
        }
    }
}

/// A convolution of one channel that reads a reshape of `[.., columns, channels]` into one axis: channels, columns, width.
fn mixed(graph: &Graph, node: &Node) -> Option<(usize, usize, usize)> {
    let Op::Conv(conv) = &node.op else { return None };
    let site = conv.site(&graph.input_types(node)).ok()?;
    let reshape = graph.producer(*node.inputs.first()?)?;
    if !matches!(reshape.op, Op::Reshape(_)) || conv.filters == Filters::Shared || site.in_channels != 1 {
        return None;
    }
    let source = *reshape.inputs.first()?;
    let shape = &graph.ty(source).shape;
    // A permute that leaves the channels innermost changes nothing about it.
    let turned = |node: &Node| matches!(&node.op, Op::Transpose(t) if t.perm.last() != Some(&(t.perm.len() - 1)));
    if graph.producer(source).is_some_and(turned) {
        return None;
    }
    let (row, rank) = (site.axes.last()?, shape.rank());
    let (columns, channels) = (*shape.get(rank.checked_sub(2)?)?, shape.last_axis());
    let mixed = rank >= 3 && channels > 1 && columns > 1 && row.input == columns * channels && row.size > 1;
    mixed.then_some((channels, columns, row.size))
}

/// Windows larger than what they slide over.
fn mostly_padding(graph: &Graph, notes: &mut Vec<Note>) {
    for node in graph.nodes() {
        let inputs = graph.input_types(node);
        let (axes, smaller) = match &node.op {
            Op::Conv(conv) => (conv.site(&inputs).map(|site| site.axes), "kernel or dilation"),
            Op::Pool(pool) => (pool.site(&inputs).map(|site| site.axes.to_vec()), "pool"),
            _ => continue,
        };
        let Ok(axes) = axes else { continue };
        if let Some(axis) = axes.iter().find(|axis| axis.extent() > axis.input) {
            notes.push(Note {
                layer: owner(&node.name),
                what: format!(
                    "its window reaches over {} elements and the input has {}: it never fits inside, and part of every \
                     window lies in the padding",
                    axis.extent(),
                    axis.input
                ),
                way_out: format!("take a smaller {smaller}, or put the layer where the input is larger"),
            });
        }
    }
}

/// Inputs and outputs that no output of the model depends on.
fn dead_ends(model: &Model, scope: &str, notes: &mut Vec<Note>) {
    let mut used: HashSet<TensorRef> = model.outputs().iter().map(|(_, output)| *output).collect();
    for (position, call) in model.calls().iter().enumerate().rev() {
        let dead: Vec<usize> = (0..call.outputs.len())
            .filter(|&output| !used.contains(&TensorRef::Call { call: position, output }))
            .collect();
        if dead.len() < call.outputs.len() {
            used.extend(&call.inputs);
        }
        notes.extend(dead.iter().map(|output| Note {
            layer: join(scope, call.layer.name()),
            what: format!("nothing uses output {output} of its call {}", call.index),
            way_out: "leave it out, or make it an output of the model".into(),
        }));
    }
    for (i, input) in model.inputs().iter().enumerate() {
        if !used.contains(&TensorRef::Input(i)) {
            notes.push(Note {
                layer: join(scope, &input.name),
                what: "no output of the model depends on this input".into(),
                way_out: "leave it out of the model, or connect it".into(),
            });
        }
    }
    for layer in model.layers() {
        if let Some(nested) = layer.layer().as_model() {
            dead_ends(nested, &join(scope, layer.name()), notes);
        }
    }
}

/// Activations of the result of an activation.
fn activations_in_a_row(graph: &Graph, notes: &mut Vec<Note>) {
    for node in graph.nodes() {
        let Some(second) = activation(node) else { continue };
        let Some(before) = node.inputs.first().and_then(|&x| graph.producer(x)) else { continue };
        let Some(first) = activation(before) else { continue };
        let effect = if first == second && ["relu", "relu6"].contains(&first.as_str()) {
            "which changes nothing"
        } else {
            "with nothing learnt in between"
        };
        let (earlier, layer) = (owner(&before.name), owner(&node.name));
        notes.push(Note {
            what: format!("it applies {second} to the {first} of `{earlier}`, {effect}"),
            way_out:
                "leave one of the two out; a layer with an activation of its own needs no activation layer after it"
                    .into(),
            layer,
        });
    }
}

/// The activation that a node computes, in Keras's spelling.
fn activation(node: &Node) -> Option<String> {
    let debug = match &node.op {
        Op::Softmax(softmax) => format!("{:?}", softmax.kind),
        Op::Unary(unary) if node.name.ends_with("/activation") => format!("{:?}", unary.function),
        Op::Binary(binary) if binary.function == BinaryFn::Prelu => return Some("prelu".into()),
        _ => return None,
    };
    debug.split([' ', '{', '(']).next().map(snake_case)
}

/// The layer that a node of one of its parts belongs to.
fn owner(node: &str) -> String {
    let parts = ["/activation", "/depthwise", "/pointwise"];
    parts.iter().find_map(|part| node.strip_suffix(part)).unwrap_or(node).to_string()
}

/// A bias right before batch normalisation, which takes any constant away again.
fn superfluous_bias(graph: &Graph, notes: &mut Vec<Note>) {
    let readers = graph.readers();
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::BatchNorm(_))) {
        let Some(&x) = node.inputs.first() else { continue };
        // Whoever else reads the sum sees the bias.
        let only = readers.get(x.index()).is_some_and(|readers| readers.len() == 1) && !graph.is_output(x);
        let Some(bias) = graph.producer(x).filter(|_| only) else { continue };
        let Some(layer) = bias.name.strip_suffix("/bias") else { continue };
        notes.push(Note {
            layer: layer.into(),
            what: format!("its bias is taken away again by the batch normalisation `{}` in training", node.name),
            way_out: "use_bias(false) saves the parameters".into(),
        });
    }
}
