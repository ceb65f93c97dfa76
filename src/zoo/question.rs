//! The question's own model: a 16-channel convolution, then one of eight ways to filter its channels.

use super::options::Options;
use crate::error::ZooError;
use crate::layers::{
    Activation, Concatenate, Conv2D, Conv3D, DataFormat, Dense, DepthwiseConv2D, Input, IntoLayer, Model, Reshaping,
    SeparableConv2D, SharedDepthwiseConv2D, SymbolicTensor,
};

const CHANNELS: usize = 16;
const VARIANTS: &str = "separable, depthwise, pointwise, shared, conv3d, permute, plain_reshape or slices";

/// Filters the 3x3 map of 16 channels, one way or another.
fn filter(x: &SymbolicTensor, variant: &str) -> Result<Option<SymbolicTensor>, ZooError> {
    let reshape = |sizes: &[usize]| Reshaping::Reshape(sizes.iter().map(|&size| Some(size)).collect()).layer();
    let permute = |dims: &[usize]| Reshaping::Permute(dims.to_vec()).layer();
    let stride_trick = |x: &SymbolicTensor| {
        let flat = reshape(&[3, 3 * CHANNELS, 1]).call(x);
        reshape(&[1, 1, CHANNELS]).call(&Conv2D::new(1, 3).strides(3).layer().call(&flat))
    };
    Ok(Some(match variant {
        "separable" => SeparableConv2D::new(1, 3).layer().call(x),
        "depthwise" => DepthwiseConv2D::new(3).layer().call(x),
        "pointwise" => Conv2D::pointwise(1).layer().call(x),
        "shared" => SharedDepthwiseConv2D::new(3).layer().call(x),
        "conv3d" => {
            let planes = reshape(&[CHANNELS, 3, 3, 1]).call(&permute(&[3, 1, 2]).call(x));
            reshape(&[1, 1, CHANNELS]).call(&Conv3D::new(1, [1, 3, 3]).layer().call(&planes))
        }
        "permute" => stride_trick(&permute(&[1, 3, 2]).call(x)),
        "plain_reshape" => stride_trick(x),
        "slices" => {
            let shared = Conv2D::new(1, 3).layer();
            let parts: Vec<SymbolicTensor> = (0..CHANNELS)
                .map(|channel| Ok(shared.call(&x.channels(4, channel, channel + 1)?)))
                .collect::<Result<_, ZooError>>()?;
            Concatenate::new(-1).layer().call_many(&parts.iter().collect::<Vec<_>>())
        }
        _ => return Ok(None),
    }))
}

pub(super) fn build(options: &Options<'_>) -> Result<Model, ZooError> {
    let variant = options.text("variant", "separable");
    let input = Input::new([12, 12, 1]);
    let x = Conv2D::new(CHANNELS, 4).strides(4).layer().call(&input);
    let x = filter(&x, variant)?.ok_or_else(|| options.wrong(format!("`variant={variant}` is not {VARIANTS}")))?;
    let x = Conv2D::new(8, 1).activation(Activation::RELU).layer().call(&x);
    let x = Reshaping::Flatten(DataFormat::ChannelsLast).layer().call(&x);
    let x = Dense::new(2).layer().call(&x);
    Ok(Model::named(format!("separable_question_{variant}"), &[input], &[x])?)
}
