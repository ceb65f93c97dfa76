//! Batch normalisation after a convolution becomes part of its weights and bias, and one after another part of that.

use super::FoldCache;
use crate::error::{GraphError, ShapeError};
use crate::graph::{Rewrite, Site, ValueId};
use crate::ops::{BatchNorm, Epilogue, Filters, Op};
use crate::tensor::Tensor;

/// Folds `BatchNorm` into the `Conv`, `ConvTranspose` or `BatchNorm` before it.
pub(super) struct FoldBatchNorm<'a> {
    pub cache: &'a FoldCache,
}

/// What the weights of the convolution look like.
struct Layout {
    /// Elements of one output channel that lie next to each other.
    inner: usize,
    epilogue: Epilogue,
}

impl Rewrite for FoldBatchNorm<'_> {
    fn name(&self) -> &'static str {
        "fold_batch_norm"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Op::BatchNorm(norm) = &site.node.op else { return Ok(None) };
        let norm = norm.clone();
        let x = site.inputs[0];
        if let Some(merged) = self.merge(site, &norm)? {
            return Ok(Some(merged));
        }
        let wanted = |op: &Op| match op {
            Op::Conv(_) | Op::ConvTranspose(_) => Some(op.clone()),
            _ => None,
        };
        let Some((op, sources)) = site.producer(x, wanted) else {
            site.refused.push("no convolution comes right before it; it stays a step of its own".into());
            return Ok(None);
        };
        let layout = match fit(site, &norm, &op, &sources) {
            Ok(layout) => layout,
            Err(why) => {
                site.refused.push(why);
                return Ok(None);
            }
        };
        let constant = |id: ValueId| site.graph().as_constant(id).cloned();
        let statistics: Option<Vec<Tensor>> = site.inputs[1..].iter().map(|&id| constant(id)).collect();
        let bias = if layout.epilogue.bias { constant(sources[2]).map(Some) } else { Some(None) };
        let (Some(statistics), Some(weights), Some(bias)) = (statistics, constant(sources[1]), bias) else {
            site.refused.push("its statistics or the convolution's weights are computed, not constant".into());
            return Ok(None);
        };
        let failed = |source| GraphError::Node { node: site.node.name.clone(), source };
        let scales = scales(&norm, &statistics).map_err(failed)?;
        let mut from: Vec<&Tensor> = statistics.iter().collect();
        from.push(&weights);
        from.extend(bias.as_ref());
        let what = format!("{norm:?}");
        let folded_weights = self
            .cache
            .get(&format!("weights {} {what}", layout.inner), &from, || {
                let values = weights.f32s().map_err(tensor_error)?;
                let factors = scales.iter().flat_map(|&(scale, _)| std::iter::repeat_n(scale, layout.inner));
                let factors: Vec<f64> = factors.collect();
                let mut scaled = Vec::with_capacity(values.len());
                for row in values.chunks(factors.len().max(1)) {
                    scaled.extend(row.iter().zip(&factors).map(|(&w, factor)| (f64::from(w) * factor) as f32));
                }
                Tensor::from_f32(weights.shape().clone(), scaled).map_err(tensor_error)
            })
            .map_err(failed)?;
        let folded_bias =
            self.cache
                .get(&format!("bias {what}"), &from, || {
                    let old = match &bias {
                        Some(bias) => bias.f32s().map_err(tensor_error)?,
                        None => &[0.0],
                    };
                    let shifted = scales.iter().enumerate().map(|(channel, (scale, offset))| {
                        (f64::from(old[channel % old.len()]) * scale + offset) as f32
                    });
                    Tensor::from_f32([scales.len()], shifted.collect()).map_err(tensor_error)
                })
                .map_err(failed)?;
        let name = site.node.name.clone();
        let weights = site.constant(format!("{name}/weights"), folded_weights);
        let bias = site.constant(format!("{name}/bias"), folded_bias);
        let epilogue = Epilogue { bias: true, ..layout.epilogue };
        let folded: Op = match op {
            Op::Conv(mut conv) => {
                conv.epilogue = epilogue;
                conv.into()
            }
            Op::ConvTranspose(mut conv) => {
                conv.epilogue = epilogue;
                conv.into()
            }
            _ => return Ok(None),
        };
        let convolution = site.name_of(x);
        site.applied.push(format!("folded into the weights and bias of `{convolution}`"));
        site.emit_named(convolution, folded, &[sources[0], weights, bias]).map(Some)
    }
}

impl FoldBatchNorm<'_> {
    /// Of two batch normalisations in a row, both constant, the first one takes the other's factors.
    fn merge(&self, site: &mut Site<'_>, norm: &BatchNorm) -> Result<Option<ValueId>, GraphError> {
        let x = site.inputs[0];
        let wanted = |op: &Op| match op {
            Op::BatchNorm(first) if first.axis == norm.axis => Some(first.clone()),
            _ => None,
        };
        let Some((first, sources)) = site.producer(x, wanted) else { return Ok(None) };
        let constants = |ids: &[ValueId]| -> Option<Vec<Tensor>> {
            ids.iter().map(|&id| site.graph().as_constant(id).cloned()).collect()
        };
        let (Some(own), Some(others)) = (constants(&site.inputs[1..]), constants(&sources[1..3])) else {
            return Ok(None);
        };
        if site.uses(x) != 1 {
            return Ok(None);
        }
        let failed = |source| GraphError::Node { node: site.node.name.clone(), source };
        let scales = scales(norm, &own).map_err(failed)?;
        let from: Vec<&Tensor> = own.iter().chain(&others).collect();
        let mut merged = Vec::with_capacity(2);
        for (which, old) in ["gamma", "beta"].into_iter().zip(&others) {
            let compute = || {
                let old = old.f32s().map_err(tensor_error)?;
                let value = |(&old, &(scale, offset)): (&f32, &(f64, f64))| {
                    (f64::from(old) * scale + if which == "beta" { offset } else { 0.0 }) as f32
                };
                Tensor::from_f32([scales.len()], old.iter().zip(&scales).map(value).collect()).map_err(tensor_error)
            };
            merged.push(self.cache.get(&format!("merged {which} {norm:?}"), &from, compute).map_err(failed)?);
        }
        let before = site.name_of(x);
        site.applied.push(format!("merged into the batch normalisation `{before}`"));
        let mut inputs = sources;
        for (input, tensor) in inputs[1..3].iter_mut().zip(merged) {
            *input = site.constant(format!("{before}/merged"), tensor);
        }
        site.emit_named(before, first, &inputs).map(Some)
    }
}

/// Whether a batch normalisation can move into a convolution, or why not.
fn fit(site: &Site<'_>, norm: &BatchNorm, op: &Op, sources: &[ValueId]) -> Result<Layout, String> {
    let x = site.inputs[0];
    if norm.axis + 1 != site.graph().ty(x).shape.rank() {
        return Err(format!("it normalises axis {}, and a convolution's channels are the last one", norm.axis));
    }
    if site.uses(x) != 1 {
        return Err("the convolution's own result is read elsewhere as well".into());
    }
    let weights = &site.graph().ty(sources[1]).shape;
    let (inner, epilogue) = match op {
        Op::Conv(conv) if conv.filters == Filters::Shared => {
            return Err("the convolution has one filter for all channels, and they are scaled differently".into());
        }
        Op::Conv(conv) => (1, conv.epilogue),
        Op::ConvTranspose(conv) if conv.groups == 1 => (weights.last_axis(), conv.epilogue),
        _ => return Err("the transposed convolution has groups".into()),
    };
    if epilogue.residual || epilogue.activation.is_some() {
        return Err("the convolution has an activation or a residual before it".into());
    }
    Ok(Layout { inner, epilogue })
}

fn tensor_error(source: crate::error::TensorError) -> ShapeError {
    ShapeError::Tensor { op: "BatchNorm", source }
}

/// Factor and summand of every channel.
fn scales(norm: &BatchNorm, statistics: &[Tensor]) -> Result<Vec<(f64, f64)>, ShapeError> {
    let values: Vec<&[f32]> = statistics.iter().map(Tensor::f32s).collect::<Result<_, _>>().map_err(tensor_error)?;
    let [gamma, beta, mean, variance] = values[..] else {
        return Err(ShapeError::Inputs { op: "BatchNorm", expected: 5, found: values.len() + 1 });
    };
    Ok(gamma
        .iter()
        .zip(beta)
        .zip(mean.iter().zip(variance))
        .map(|((&gamma, &beta), (&mean, &variance))| norm.scale_and_offset(gamma, beta, mean, variance))
        .collect())
}
