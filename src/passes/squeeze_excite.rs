//! Squeeze-and-excite blocks: their factors are computed in one dispatch, and multiply weights where those are fewer than pixels.

use super::separable::conv_of;
use crate::error::GraphError;
use crate::graph::{Rewrite, Site, ValueId};
use crate::kernels::{Case, DeviceTraits, Refusal, squeeze_excite_pays};
use crate::ops::{Binary, BinaryFn, ChainOperand, Dim, Filters, Op, Reduce, ReduceFn, Reshape, SqueezeExcite};
use crate::tensor::TensorType;

/// Joins a mean over pixels and the two dense layers that read it, for a device.
pub(super) struct FuseSqueezeExcite<'a> {
    pub traits: &'a DeviceTraits,
}

impl Rewrite for FuseSqueezeExcite<'_> {
    fn name(&self) -> &'static str {
        "fuse_squeeze_excite"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Op::Conv(expand) = &site.node.op else { return Ok(None) };
        let hidden = site.inputs[0];
        let Some((reduce, reduce_inputs)) = conv_of(site, hidden) else { return Ok(None) };
        let pooled = reshaped(site, reduce_inputs[0]);
        let mean = |op: &Op| match op {
            Op::Reduce(reduce) if reduce.function == ReduceFn::Mean => Some(reduce.clone()),
            _ => None,
        };
        let Some((squeeze, squeeze_inputs)) = site.producer(pooled, mean) else { return Ok(None) };
        let layers: Vec<ValueId> = reduce_inputs[1..].iter().chain(&site.inputs[1..]).copied().collect();
        let from = |x: ValueId| -> Vec<ValueId> { [x].into_iter().chain(layers.iter().copied()).collect() };
        let apart = SqueezeExcite { squeeze: None, reduce, expand: expand.clone() };
        let inputs = from(reduce_inputs[0]);
        // What is no such block is not worth a word.
        if apart.stages(&types(site, &inputs)).is_err() {
            return Ok(None);
        }
        let (own, pool) = (site.name_of(hidden), site.name_of(pooled));
        if site.uses(hidden) != 1 {
            site.refused.push(format!("not joined with `{own}`: its result is read elsewhere as well"));
            return Ok(None);
        }
        // The mean, as the first layer sees it.
        let seen = [true, false].map(|keepdims| Reduce { keepdims, ..squeeze.clone() });
        let x = types(site, &squeeze_inputs);
        let wanted = site.graph().ty(reduce_inputs[0]);
        let squeeze = seen
            .into_iter()
            .find(|seen| Op::from(seen.clone()).spec().infer(&x).is_ok_and(|found| found.first() == Some(wanted)));
        let whole = SqueezeExcite { squeeze, ..apart.clone() };
        let alone = match &whole.squeeze {
            None => Err(Refusal("the layer reads it in another shape".into())),
            Some(_) if [pooled, reduce_inputs[0]].iter().any(|&value| site.uses(value) != 1) => {
                Err(Refusal("its result is read elsewhere as well".into()))
            }
            Some(_) => self.pays(site, &whole, &from(squeeze_inputs[0])),
        };
        match alone {
            Ok(()) => {
                site.applied.push(format!("joined with `{own}` and `{pool}`"));
                site.emit(whole, &from(squeeze_inputs[0])).map(Some)
            }
            Err(why) => match self.pays(site, &apart, &inputs) {
                Ok(()) => {
                    site.applied.push(format!("joined with `{own}`, but not with `{pool}`: {why}"));
                    site.emit(apart, &inputs).map(Some)
                }
                Err(why) => {
                    site.refused.push(format!("not joined with `{own}`: {why}"));
                    Ok(None)
                }
            },
        }
    }
}

impl FuseSqueezeExcite<'_> {
    fn pays(&self, site: &Site<'_>, op: &SqueezeExcite, inputs: &[ValueId]) -> Result<(), Refusal> {
        let (op, inputs) = (Op::from(op.clone()), types(site, inputs));
        let outputs = op.spec().infer(&inputs).map_err(|error| Refusal(error.to_string()))?;
        squeeze_excite_pays(&Case { op: &op, inputs: &inputs, outputs: &outputs }, self.traits)
    }
}

/// Lets factors of channels multiply the weights of the pointwise convolution that reads the product, where those are fewer.
pub(super) struct ScaleWeights;

impl Rewrite for ScaleWeights {
    fn name(&self) -> &'static str {
        "scale_weights"
    }

    fn visit(&self, site: &mut Site<'_>) -> Result<Option<ValueId>, GraphError> {
        let Op::Conv(conv) = &site.node.op else { return Ok(None) };
        let product = site.inputs[0];
        let multiply = |op: &Op| matches!(op, Op::Binary(Binary { function: BinaryFn::Mul })).then_some(());
        let Some(((), factors)) = site.producer(product, multiply) else { return Ok(None) };
        let &[a, b] = &factors[..] else { return Ok(None) };
        let graph = site.graph();
        let shape = |value: ValueId| &graph.ty(value).shape;
        let channels = shape(product).last_axis();
        let pixels = shape(product).elements() / channels.max(1);
        // Factors are fewer than what they multiply, and each is one of a channel.
        let ways = [(a, b), (b, a)].into_iter();
        let way = ways.filter(|&(x, factors)| shape(x) == shape(product) && shape(factors).last_axis() == channels);
        let Some((x, factors)) = way.min_by_key(|&(_, factors)| shape(factors).elements()) else { return Ok(None) };
        let types: Vec<TensorType> = site.inputs.iter().map(|&id| graph.ty(id).clone()).collect();
        let pointwise = conv.site(&types).is_ok_and(|site| site.is_pointwise() && site.groups == 1);
        if !pointwise || conv.filters != (Filters::PerGroup { groups: 1 }) || shape(factors) == shape(x) {
            return Ok(None);
        }
        let weights = shape(site.inputs[1]).elements();
        let name = site.name_of(product);
        let by_channel = ChainOperand::of(shape(factors), shape(x)) == Some(ChainOperand::Channel);
        let why = if site.uses(product) != 1 {
            Some("its result is read elsewhere as well".into())
        } else if !by_channel {
            Some("pictures of the batch have factors of their own".into())
        } else if weights >= pixels * channels {
            Some(format!("there are {weights} weights and only {} elements to multiply", pixels * channels))
        } else {
            None
        };
        if let Some(why) = why {
            site.refused.push(format!("`{name}` does not scale the weights instead: {why}"));
            return Ok(None);
        }
        let (conv, mut inputs) = (conv.clone(), site.inputs.clone());
        let rank = site.graph().ty(inputs[1]).shape.rank();
        let dims = (0..rank).map(|axis| Dim::Size(if axis + 2 == rank { channels } else { 1 })).collect();
        let column = site.emit_named(name.clone(), Reshape { dims }, &[factors])?;
        inputs[1] = site.emit_named(name.clone(), Binary { function: BinaryFn::Mul }, &[inputs[1], column])?;
        inputs[0] = x;
        site.applied.push(format!("`{name}` scales the weights instead"));
        site.emit(conv, &inputs).map(Some)
    }
}

/// The value that a value is another shape of.
fn reshaped(site: &Site<'_>, value: ValueId) -> ValueId {
    let reshape = |op: &Op| matches!(op, Op::Reshape(_)).then_some(());
    match site.producer(value, reshape) {
        Some(((), inputs)) => inputs[0],
        None => value,
    }
}

fn types(site: &Site<'_>, values: &[ValueId]) -> Vec<TensorType> {
    values.iter().map(|&id| site.graph().ty(id).clone()).collect()
}
