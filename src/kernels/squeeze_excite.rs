//! `squeeze_excite`: a mean over all pixels and two dense layers, one workgroup for each picture.

use std::collections::BTreeMap;

use serde_json::json;

use super::epilogue::bias;
use super::lane::{lanes, read_form};
use super::layout::count;
use super::shader::function_options;
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params,
};
use crate::ops::{ConvSite, Epilogue, Op, Reduce, ReduceFn, SqueezeExcite};
use crate::tensor::TensorType;

params! {
    /// Parameters of `squeeze_excite`: pictures, the pixels of each, channels and vectors of them, features and the elements
    /// or vectors that they are computed in, and vectors of factors.
    struct Params {
        pictures: u32,
        pixels: u32,
        channels: u32,
        quads: u32,
        features: u32,
        columns: u32,
        out_quads: u32,
    }
}

/// Takes blocks whose channels divide by four and fit workgroup memory.
pub(super) const KERNEL: Kernel = Kernel { stem: "squeeze_excite", accepts };

/// Channels and features that there is room for in workgroup memory, beside the sums.
const MOST: [usize; 2] = [2048, 512];
/// Invocations of a workgroup on a GPU.
const INVOCATIONS: usize = 256;
/// Columns that they work on side by side, in the mean and in either layer.
const ACROSS: [usize; 3] = [32, 8, 32];
/// Elements that one workgroup reads in the time in which a device would begin another dispatch.
const MOST_ELEMENTS: usize = 1 << 16;
/// Pictures beyond which the tiles of matrix products read each weight for many of them, on GPUs and on processors.
const MOST_PICTURES: [usize; 2] = [64, 4];

/// The layers, resolved.
struct Layers<'a> {
    op: &'a SqueezeExcite,
    reduce: ConvSite,
    expand: ConvSite,
    /// Pixels of each picture.
    pixels: usize,
}

impl<'a> Layers<'a> {
    fn of(case: &Case<'a>) -> Result<Layers<'a>, Refusal> {
        let Op::SqueezeExcite(op) = case.op else { return Refusal::because("takes squeeze-and-excite blocks") };
        let wrong = |error: crate::error::ShapeError| Refusal(error.to_string());
        let [first, second] = op.stages(case.inputs).map_err(wrong)?;
        let (reduce, expand) = (op.reduce.site(&first).map_err(wrong)?, op.expand.site(&second).map_err(wrong)?);
        let pixels = match &op.squeeze {
            Some(squeeze) => spatial(squeeze, &case.inputs[0])?,
            None => 1,
        };
        Ok(Layers { op, reduce, expand, pixels })
    }
}

/// The pixels that fall together, where it is they and nothing else.
fn spatial(squeeze: &Reduce, x: &TensorType) -> Result<usize, Refusal> {
    let last = x.shape.rank().saturating_sub(1);
    let mut axes = squeeze.axes.clone();
    axes.sort_unstable();
    let first = axes.first().copied().unwrap_or(last);
    if squeeze.function != ReduceFn::Mean || !axes.iter().copied().eq(first..last) {
        return Refusal::because("takes means over all axes between the batch and the channels");
    }
    Ok(squeeze.length(&x.shape))
}

/// Whether a device gains from one dispatch for all of it, or why it does not.
pub fn pays(case: &Case<'_>, traits: &DeviceTraits) -> Result<(), Refusal> {
    let layers = Layers::of(case)?;
    launch(&layers, case, traits)?;
    let Layers { reduce, expand, pixels, .. } = layers;
    let [gpu, processor] = MOST_PICTURES;
    let most = if traits.class == DeviceClass::Cpu { processor } else { gpu };
    if reduce.pixels() > most {
        return Refusal::because(format!(
            "of more than {most} pictures, tiles read each weight for many, and these are {}",
            reduce.pixels()
        ));
    }
    let weights = reduce.in_channels * reduce.out_channels + expand.in_channels * expand.out_channels;
    if weights > MOST_ELEMENTS {
        return Refusal::because(format!(
            "one workgroup would read {weights} weights, and up to {MOST_ELEMENTS} take it no longer than a dispatch"
        ));
    }
    let picture = reduce.in_channels * pixels;
    if pixels > 1 && picture > MOST_ELEMENTS {
        return Refusal::because(format!(
            "one workgroup would read the {picture} elements of a picture, and up to {MOST_ELEMENTS} take it no longer than a \
             dispatch"
        ));
    }
    Ok(())
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    launch(&Layers::of(case)?, case, traits)
}

fn launch(layers: &Layers<'_>, case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    case.fits(traits)?;
    let Layers { op, reduce, expand, pixels } = layers;
    let (channels, features, outs) = (reduce.in_channels, reduce.out_channels, expand.out_channels);
    if !channels.is_multiple_of(4) || !outs.is_multiple_of(4) {
        return Refusal::because(format!("takes channels that divide by 4, and these are {channels} and {outs}"));
    }
    let [most_channels, most_features] = MOST;
    if channels > most_channels || features > most_features {
        return Refusal::because(format!(
            "has room for {most_channels} channels and {most_features} features, and here are {channels} and {features}"
        ));
    }
    let (vector, threads, across) = match traits.class {
        DeviceClass::Cpu => {
            let lanes = lanes(traits)? as usize;
            (lanes, lanes, [lanes; 3])
        }
        _ => (0, INVOCATIONS.min(traits.max_invocations as usize), ACROSS),
    };
    let bytes = 4 * (most_channels + most_features) + 16 * threads;
    if bytes > traits.max_workgroup_bytes as usize {
        return Refusal::because(format!(
            "takes {bytes} bytes of workgroup memory, and this device has {}",
            traits.max_workgroup_bytes
        ));
    }
    let vectors = features.is_multiple_of(4);
    let columns = if vectors { features / 4 } else { features };
    let rounds = [(channels / 4, *pixels), (columns, channels), (outs / 4, features)];
    let apart = across.map(|across| threads / across);
    let rounds = rounds.into_iter().zip(across).zip(apart);
    ends(rounds.map(|(((outs, ins), across), apart)| outs.div_ceil(across) * ins.div_ceil(apart)).sum(), traits)?;
    let pictures = reduce.pixels();
    let Some(workgroups) = traits.fold(pictures as u64) else {
        return Refusal::because(format!("{pictures} pictures are more than one dispatch can count"));
    };
    let second = op.second();
    let inner = Form::read(vectors);
    let mut bindings = Vec::new();
    let mut bind = |name, input: usize, form| {
        let elements = case.inputs[input].shape.elements();
        bindings.push(Binding::new(name, Operand::Input(input), read_form(form, elements, traits)));
    };
    bind("x", 0, Form::ReadVec4);
    bind("reduce", 1, inner);
    bind("expand", second, Form::ReadVec4);
    let kind = |epilogue: &Epilogue, first| bias(epilogue, case.inputs, first);
    let biases = [kind(&op.reduce.epilogue, 2), kind(&op.expand.epilogue, second + 1)];
    for (name, kind, input, form) in
        [("reduce_bias", biases[0], 2, inner), ("expand_bias", biases[1], second + 1, Form::ReadVec4)]
    {
        match kind {
            "none" => {}
            "one" => bind(name, input, Form::Read),
            _ => bind(name, input, form),
        }
    }
    let forms: BTreeMap<&str, Form> = bindings.iter().map(|binding| (binding.name, binding.form)).collect();
    bindings.push(Binding::new("y", Operand::Output(0), Form::WriteVec4));
    let params = Params {
        pictures: count(pictures)?,
        pixels: count(*pixels)?,
        channels: count(channels)?,
        quads: count(channels / 4)?,
        features: count(features)?,
        columns: count(columns)?,
        out_quads: count(outs / 4)?,
    };
    let inner_activation = op.reduce.epilogue.activation.map_or(serde_json::Value::Null, function_options);
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("threads", threads)
        .with("lanes", vector)
        .with("across", json!(across))
        .with("vectors", vectors)
        .with("forms", json!(forms))
        .with("most", json!(MOST))
        .with("biases", json!(biases))
        .with("inner_activation", inner_activation)
        .with_activation(op.expand.epilogue.activation);
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Conv;
    use crate::tensor::Window;

    #[test]
    fn blocks_are_joined_where_one_workgroup_is_fast_enough() {
        let why = |class, [pictures, side, channels, features]: [usize; 4]| {
            let squeeze = Reduce { function: ReduceFn::Mean, axes: vec![1, 2], keepdims: true };
            let layer = || Conv::new(Window::unit(2), 1);
            let op = Op::from(SqueezeExcite { squeeze: Some(squeeze), reduce: layer(), expand: layer() });
            let shapes = [[pictures, side, side, channels], [1, 1, channels, features], [1, 1, features, channels]];
            let inputs = shapes.map(TensorType::f32);
            let outputs = op.spec().infer(&inputs).unwrap();
            let traits =
                if class == DeviceClass::Cpu { DeviceTraits::lavapipe() } else { DeviceTraits::portable(class) };
            pays(&Case { op: &op, inputs: &inputs, outputs: &outputs }, &traits).err().map(|why| why.0)
        };
        for class in [DeviceClass::Discrete, DeviceClass::Cpu] {
            assert_eq!(why(class, [1, 14, 240, 10]), None);
            assert_eq!(why(class, [4, 14, 240, 64]), None);
            assert!(why(class, [1, 56, 96, 4]).unwrap().contains("301056 elements of a picture"));
            assert!(why(class, [1, 7, 576, 144]).unwrap().contains("165888 weights"));
            assert!(why(class, [1, 7, 2304, 96]).unwrap().contains("room for 2048"));
            assert!(why(class, [1, 7, 30, 8]).unwrap().contains("divide by 4"));
        }
        assert_eq!(why(DeviceClass::Discrete, [32, 14, 240, 64]), None);
        assert!(why(DeviceClass::Cpu, [32, 14, 240, 64]).unwrap().contains("more than 4 pictures"));
    }
}
