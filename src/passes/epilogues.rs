//! Bias, residual and activation after a convolution become its epilogue.

use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::ops::{BinaryFn, Dim, Epilogue, Op, Reshape};

/// Attaches what follows a convolution to it.
pub(super) struct AttachEpilogues;

impl Rewrite for AttachEpilogues {
    fn name(&self) -> &'static str {
        "attach_epilogues"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        match &site.node.op {
            Op::Unary(unary) => {
                let activation = unary.function;
                attach(
                    site,
                    site.inputs[0],
                    "activation",
                    |epilogue| {
                        if epilogue.activation.is_some() {
                            return Err("it has an activation already");
                        }
                        Ok(Epilogue { activation: Some(activation), ..epilogue })
                    },
                    &[],
                )
            }
            Op::Binary(binary) if binary.function == BinaryFn::Add => add(site),
            _ => Ok(None),
        }
    }
}

fn epilogue_of(op: &Op) -> Option<Epilogue> {
    match op {
        Op::Conv(conv) => Some(conv.epilogue),
        Op::ConvTranspose(conv) => Some(conv.epilogue),
        _ => None,
    }
}

fn with_epilogue(op: Op, epilogue: Epilogue) -> Op {
    match op {
        Op::Conv(mut conv) => {
            conv.epilogue = epilogue;
            conv.into()
        }
        Op::ConvTranspose(mut conv) => {
            conv.epilogue = epilogue;
            conv.into()
        }
        other => other,
    }
}

/// Rebuilds the convolution behind `value` with a changed epilogue and further inputs.
fn attach(
    site: &mut Site<'_>,
    value: ValueId,
    what: &str,
    change: impl FnOnce(Epilogue) -> Result<Epilogue, &'static str>,
    further: &[ValueId],
) -> Result<Option<ValueId>, GraphError> {
    let wanted = |op: &Op| epilogue_of(op).map(|epilogue| (op.clone(), epilogue));
    let Some(((op, epilogue), mut inputs)) = site.producer(value, wanted) else { return Ok(None) };
    let name = site.name_of(value);
    let changed = match change(epilogue) {
        _ if site.uses(value) != 1 => Err("its result is read elsewhere as well"),
        changed => changed,
    };
    match changed {
        Ok(changed) => {
            inputs.extend_from_slice(further);
            site.applied.push(format!("{what} attached to `{name}`"));
            site.emit_named(name, with_epilogue(op, changed), &inputs).map(Some)
        }
        Err(why) => {
            site.refused.push(format!("{what} not attached to `{name}`: {why}"));
            Ok(None)
        }
    }
}

fn add(site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
    let (a, b) = (site.inputs[0], site.inputs[1]);
    let graph = site.graph();
    let is_convolution = |value: ValueId| graph.producer(value).is_some_and(|node| epilogue_of(&node.op).is_some());
    for (value, other) in [(a, b), (b, a)] {
        let (ty, other_ty) = (&graph.ty(value).shape, &graph.ty(other).shape);
        if !is_convolution(value) || other_ty.broadcast_strides(ty).is_none() {
            continue;
        }
        let elements = other_ty.elements();
        if elements != 1 && (elements != ty.last_axis() || other_ty.last_axis() != elements) {
            continue;
        }
        let bias = match other_ty.rank() {
            1 => other,
            _ => site.emit(Reshape { dims: vec![Dim::Size(elements)] }, &[other])?,
        };
        return attach(
            site,
            value,
            "bias",
            |epilogue| match epilogue {
                Epilogue { bias: true, .. } => Err("it has a bias already"),
                Epilogue { residual: true, .. } | Epilogue { activation: Some(_), .. } => {
                    Err("a residual or an activation comes first")
                }
                _ => Ok(Epilogue { bias: true, ..epilogue }),
            },
            &[bias],
        );
    }
    if graph.ty(a) != graph.ty(b) || a == b {
        return Ok(None);
    }
    // Of two convolutions the later one takes the other's result, which is computed by then.
    for (value, other) in [(a.max(b), a.min(b)), (a.min(b), a.max(b))] {
        if !is_convolution(value) || site.graph().as_constant(other).is_some() {
            continue;
        }
        return attach(
            site,
            value,
            "residual",
            |epilogue| match epilogue {
                Epilogue { residual: true, .. } => Err("it has a residual already"),
                Epilogue { activation: Some(_), .. } => Err("an activation comes first"),
                _ => Ok(Epilogue { residual: true, ..epilogue }),
            },
            &[other],
        );
    }
    Ok(None)
}
