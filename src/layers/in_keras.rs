//! Models in Keras's own classes: layers that Keras lacks become layers that compute the same there.

use std::collections::HashMap;

use super::settings::{DataFormat, Padding};
use super::{
    Activation, ActivationLayer, Constraint, Dims, Input, IntoLayer, Layer, LayerRef, Model, Reshaping, SymbolicTensor,
    TensorRef, Weight, layer_from_config,
};
use crate::error::LayerError;

/// What a layer needs to know to say itself in Keras's classes.
#[derive(Debug)]
pub struct KerasSite<'a> {
    /// The layer's name, which the last layer of the answer must have.
    pub name: &'a str,
    /// Shape of its first input; open where its calls differ.
    pub input: &'a Dims,
    /// Shape of its first output; open where its calls differ.
    pub output: &'a Dims,
    /// Its weights.
    pub weights: &'a [Weight],
}

impl KerasSite<'_> {
    /// A layer with weights of its own under the site's name and `suffix`.
    pub(super) fn layer(&self, suffix: &str, layer: impl Layer + 'static, weights: Vec<Weight>) -> LayerRef {
        LayerRef::with_weights(Box::new(layer), format!("{}{suffix}", self.name), weights)
    }

    /// Refuses inputs with more axes than batch, `spatial` and channels, which are more batch here and nothing in Keras 3.
    pub(super) fn check_rank(&self, spatial: usize) -> Result<(), String> {
        match self.input.len() == spatial + 2 {
            true => Ok(()),
            false => Err(format!("Keras 3 takes {} axes here, and the input {:?} has others", spatial + 2, self.input)),
        }
    }

    /// Number of channels of the input.
    pub(super) fn channels(&self, format: DataFormat) -> Result<usize, String> {
        let channels = self.input.get(format.channel_axis(self.input.len())).copied().flatten();
        channels.ok_or_else(|| format!("its input {:?} has an open number of channels", self.input))
    }

    /// Zeros before the spatial axes, as causal padding has them, where Keras has no causal padding.
    pub(super) fn causal(&self, kernel: &[usize], dilation: &[usize], format: DataFormat) -> LayerRef {
        let pads = kernel.iter().zip(dilation).map(|(size, dilation)| (dilation * size.saturating_sub(1), 0));
        Reshaping::ZeroPadding(pads.collect(), format).named(format!("{}_pad", self.name))
    }

    /// The activation of a layer that comes last, if it must be a layer of its own because it looks along an axis.
    pub(super) fn along_axis(&self, activation: Activation) -> Option<LayerRef> {
        let apart = matches!(activation, Activation::Softmax(_) | Activation::Glu);
        apart.then(|| ActivationLayer::new(activation).named(self.name))
    }
}

/// Refuses strides and dilation together, as Keras's convolutions do.
pub(super) fn not_both(strides: &[usize], dilation: &[usize]) -> Result<(), String> {
    let above_one = |sizes: &[usize]| sizes.iter().any(|&size| size > 1);
    match above_one(strides) && above_one(dilation) {
        true => Err(format!("Keras has no convolution with both strides {strides:?} and dilation {dilation:?}")),
        false => Ok(()),
    }
}

/// Refuses activations that Keras cannot name.
pub(super) fn named(activation: Activation) -> Result<(), String> {
    match activation {
        Activation::Function(function)
            if activation.name().is_none() && ActivationLayer::class_of(function).is_none() =>
        {
            Err(format!(
                "Keras has no activation {function:?}; a layer of its own, such as Rescaling or ReLU, may say it"
            ))
        }
        _ => Ok(()),
    }
}

impl LayerRef {
    /// Takes over the penalties and constraints on the weights that this layer shares with another. A norm is taken along axes
    /// of a shape, so that a constraint stays behind where the shape is another.
    fn inherit_training(&self, other: &LayerRef, notes: &mut Vec<String>) {
        for own in self.weights() {
            let Some(shared) = other.weights().iter().find(|weight| weight.id() == own.id()) else { continue };
            let (name, spec) = (own.spec().name, shared.spec());
            if let Some(regularizer) = other.regularizer(spec.name) {
                let _ = self.clone().regularized(name, regularizer);
            }
            match other.constraint(spec.name) {
                Some(constraint) if constraint == Constraint::NonNegative || spec.shape == own.spec().shape => {
                    let _ = self.clone().constrained(name, constraint);
                }
                Some(_) => {
                    notes.push(format!("the constraint on `{}` is left out: its shape is another", shared.name()))
                }
                None => {}
            }
        }
    }
}

impl Padding {
    /// Valid padding in the place of causal one.
    pub(super) fn without_causal(self) -> Padding {
        if self == Padding::Causal { Padding::Valid } else { self }
    }
}

/// A model in Keras's own classes.
#[derive(Debug, Clone)]
pub struct InKeras {
    /// The model; it shares the weights of the one that it stands for.
    pub model: Model,
    /// What is other than in that one, a sentence each.
    pub notes: Vec<String>,
}

impl Model {
    /// The same model in classes that Keras 3 has, for writing it to a file that Keras loads. It shares the weights.
    ///
    /// - `PointwiseConv` becomes a `Conv` of window 1.
    /// - `DepthwiseConv3D` becomes a `Conv3D` with a group per channel, and `SeparableConv3D` that and a `Conv3D` of window 1.
    /// - `SharedDepthwiseConv` becomes a convolution of one axis more and one filter, with the channels as a spatial axis
    ///   of window 1: the same products, the same few weights, and weights that stay shared when Keras trains on. Over three
    ///   axes or axes of open size it becomes channel slices through one `Conv`, concatenated.
    /// - Causal padding where Keras lacks it becomes `ZeroPadding` before the layer.
    ///
    /// # Errors
    /// [`LayerError::Model`], listing every layer that no Keras layers compute.
    pub fn in_keras(&self) -> Result<InKeras, LayerError> {
        let mut converted = self.converted()?;
        converted.notes.extend(converted.model.weights_held_twice());
        Ok(converted)
    }

    fn converted(&self) -> Result<InKeras, LayerError> {
        let (mut problems, mut notes) = (Vec::new(), Vec::new());
        let inputs: Vec<SymbolicTensor> =
            self.inputs.iter().map(|input| Input::open(input.name.clone(), input.shape.clone())).collect();
        let names = self.inputs.iter().map(|input| input.name.as_str());
        for name in names.chain(self.layers().into_iter().map(LayerRef::name)).filter(|name| name.contains('/')) {
            problems.push(format!("`{name}`: Keras's names hold no `/`"));
        }
        let mut chains: HashMap<usize, Vec<LayerRef>> = HashMap::new();
        let mut values: Vec<Vec<SymbolicTensor>> = Vec::with_capacity(self.calls.len());
        let find = |values: &[Vec<SymbolicTensor>], tensor: TensorRef| match tensor {
            TensorRef::Input(position) => inputs.get(position).cloned(),
            TensorRef::Call { call, output } => values.get(call).and_then(|outputs| outputs.get(output)).cloned(),
        };
        let broken = || self.wrong("a call reads an output that no call has");
        for call in &self.calls {
            let layer = &call.layer;
            let chain = chains.entry(layer.id()).or_insert_with(|| {
                self.chain(layer, &mut notes).unwrap_or_else(|why| {
                    problems.push(format!("`{}` ({}): {why}", layer.name(), layer.layer().class_name()));
                    vec![layer.clone()]
                })
            });
            let operands: Option<Vec<SymbolicTensor>> = call.inputs.iter().map(|&input| find(&values, input)).collect();
            let mut outputs = operands.ok_or_else(broken)?;
            for (position, layer) in chain.iter().enumerate() {
                let count = if position + 1 == chain.len() { call.outputs.len() } else { 1 };
                outputs = layer.call_for(&outputs.iter().collect::<Vec<_>>(), count);
            }
            values.push(outputs);
        }
        if !problems.is_empty() {
            let what = format!("no layers of Keras compute what it does: {}", problems.join("; "));
            return Err(self.wrong(what));
        }
        let outputs: Option<Vec<SymbolicTensor>> =
            self.outputs.iter().map(|(_, output)| find(&values, *output)).collect();
        let model = Model::named(self.name.clone(), &inputs, &outputs.ok_or_else(broken)?)?;
        let model = Model { sequential: self.sequential, ..model };
        Ok(InKeras { model, notes })
    }

    /// Weights that layers of this model share, of which Keras keeps one for each layer.
    fn weights_held_twice(&self) -> Vec<String> {
        let mut holders: HashMap<usize, String> = HashMap::new();
        let mut notes = Vec::new();
        let leaves = self.leaves();
        for (layer, weight) in leaves.iter().flat_map(|(name, layer)| layer.weights().iter().map(move |w| (name, w))) {
            let name = format!("`{layer}/{}`", weight.spec().name);
            match holders.get(&weight.id()) {
                Some(other) => {
                    notes.push(format!("{other} and {name} are one weight here, and two equal ones in Keras"))
                }
                None => drop(holders.insert(weight.id(), name)),
            }
        }
        notes
    }

    /// The layers of Keras that compute what a layer of this model does, one after the other.
    fn chain(&self, layer: &LayerRef, notes: &mut Vec<String>) -> Result<Vec<LayerRef>, String> {
        if let Some(nested) = layer.layer().as_model() {
            let InKeras { model, notes: inside } = nested.converted().map_err(|why| why.to_string())?;
            notes.extend(inside);
            return Ok(vec![model.named(layer.name())]);
        }
        let calls: Vec<_> = self.calls.iter().filter(|call| call.layer.is(layer)).collect();
        let merged = |dims: Vec<Dims>| {
            let differs = |axis: usize, size: &Option<usize>| dims.iter().any(|other| other.get(axis) != Some(size));
            let first = dims.first().map_or(&[][..], Vec::as_slice).iter().enumerate();
            first.map(|(axis, size)| if differs(axis, size) { None } else { *size }).collect::<Dims>()
        };
        let input = merged(calls.iter().filter_map(|call| call.inputs.first().map(|&x| self.dims(x))).collect());
        let output = merged(calls.iter().filter_map(|call| call.outputs.first().cloned()).collect());
        let site = KerasSite { name: layer.name(), input: &input, output: &output, weights: layer.weights() };
        let chain = layer.layer().in_keras(&site)?;
        if !chain.is_empty() {
            for part in &chain {
                part.set_trainable(layer.trainable());
                part.inherit_training(layer, notes);
            }
            let class = layer.layer().class_name();
            let classes: Vec<&str> = chain.iter().map(|part| part.layer().class_name()).collect();
            notes.push(format!(
                "`{}` ({class}) becomes {}, which compute the same in Keras",
                layer.name(),
                classes.join(", ")
            ));
            return Ok(chain);
        }
        let class = layer.layer().class_name();
        let config = layer.layer().config();
        // What cannot be read back is no class of Keras's.
        let known = layer.is_function()
            || config
                .as_object()
                .is_some_and(|config| layer_from_config(class, config).is_ok() && !layer.is_own_class());
        if known { Ok(vec![layer.clone()]) } else { Err(format!("Keras has no class {class}")) }
    }
}
