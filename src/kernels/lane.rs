//! What the lane family shares: kernels for adapters that are processors, where images and shuffles are the fast loads.
//!
//! Drivers that run shaders on a processor turn a buffer load at a computed address into a loop over the vector lanes,
//! while a load from a storage image is straight code, and a shuffle with a literal lane is a single instruction.

use super::epilogue::bindings_as;
use super::{Binding, Case, DeviceClass, DeviceTraits, Form, Operand, Refusal};
use crate::ops::Epilogue;

/// The lanes of a device that the family is written for.
pub(super) fn lanes(traits: &DeviceTraits) -> Result<u32, Refusal> {
    match traits.lanes() {
        Some(lanes @ (4 | 8 | 16)) => Ok(lanes),
        Some(lanes) => Refusal::because(format!("has tiles for 4, 8 or 16 lanes, and this processor has {lanes}")),
        None if traits.class == DeviceClass::Cpu => {
            Refusal::because("needs subgroup operations of one fixed size, which this device does not offer")
        }
        None => Refusal::because("the lane family is for adapters that are processors"),
    }
}

/// Checks that every operand read through an image fits into one.
pub(super) fn images_fit(case: &Case<'_>, bindings: &[Binding], traits: &DeviceTraits) -> Result<(), Refusal> {
    for binding in bindings {
        let (Operand::Input(index), Some(texel)) = (binding.operand, binding.form.texel()) else { continue };
        let Some(ty) = case.inputs.get(index) else { continue };
        if !image_fits(ty.shape.elements(), texel, traits) {
            let (rows, side) = (Form::image_rows(ty.shape.elements(), texel), traits.max_texture_side);
            return Refusal::because(format!(
                "{ty} as an image has {} x {rows} texels, and the device has {side} x {side}",
                Form::IMAGE_WIDTH
            ));
        }
    }
    Ok(())
}

/// Whether the device has images for so many elements, `texel` of them in one texel.
pub(super) fn image_fits(elements: usize, texel: u32, traits: &DeviceTraits) -> bool {
    let side = traits.max_texture_side;
    Form::IMAGE_WIDTH <= side && Form::image_rows(elements, texel) <= side as usize
}

/// How a kernel that both families use reads `elements` of a tensor: on processors through an image, where it has room for them.
pub(super) fn read_form(form: Form, elements: usize, traits: &DeviceTraits) -> Form {
    let (image, texel) = match form {
        Form::ReadVec4 => (Form::Image, 4),
        Form::Read => (Form::ImageScalar, 1),
        _ => return form,
    };
    if traits.class == DeviceClass::Cpu && image_fits(elements, texel, traits) { image } else { form }
}

/// Outputs of one lane: so many pixels, and so many vectors of channels of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub pixels: usize,
    pub quads: usize,
}

/// Tiles in order of preference. Each is a shader of its own, which the driver takes a few hundred milliseconds to translate.
///
/// 5 pixels leave less of 14 x 14 pictures over, 7 less of 7 x 7 ones, and 2 less of 4 x 4 ones.
const TILES: [Tile; 7] = [
    Tile { pixels: 4, quads: 8 },
    Tile { pixels: 4, quads: 4 },
    Tile { pixels: 4, quads: 6 },
    Tile { pixels: 4, quads: 2 },
    Tile { pixels: 5, quads: 8 },
    Tile { pixels: 7, quads: 4 },
    Tile { pixels: 2, quads: 8 },
];

/// Products in one round of a loop, beyond which drivers take longer to translate the shader than it saves.
const MOST_PRODUCTS: usize = 1536;

/// The rounds in which a tile is summed up.
pub(super) struct Rounds {
    /// Rounds of one tile.
    pub count: usize,
    /// Rows of the weights in each.
    pub rows: usize,
}

/// The tile that takes least time. `groups` counts the workgroups it makes of the work, and `inputs` the vector instructions
/// that fetch its inputs in one round.
///
/// The counts are those of 256-bit vectors: two instructions for a product (drivers do not fuse them), one to broadcast a
/// weight, three to keep a sum over a round (a loop masks what it carries), and about 40 for a texel of each lane, as address
/// arithmetic, eight loads and two transpositions. The driver gives each core the same number of workgroups.
pub(super) fn tile(
    rounds: &Rounds,
    lanes: usize,
    groups: impl Fn(Tile) -> usize,
    inputs: impl Fn(Tile) -> usize,
) -> Tile {
    let cost = |tile: Tile| {
        let (sums, outs) = (tile.pixels * tile.quads * 4, tile.quads * 4);
        let weights = (rounds.rows * tile.quads).div_ceil(lanes) * TEXEL;
        let round = sums * (2 * rounds.rows + 3) + outs * rounds.rows + weights + inputs(tile);
        groups(tile).next_multiple_of(2) * (rounds.count * round + STORE * tile.pixels * tile.quads + WORKGROUP)
    };
    let [first, others @ ..] = TILES;
    others
        .into_iter()
        .filter(|tile| tile.pixels * tile.quads * 4 * rounds.rows <= MOST_PRODUCTS)
        .fold(first, |best, tile| if cost(tile) * 16 < cost(best) * 15 { tile } else { best })
}

/// Vector instructions that load a texel for each lane, store one, and start a workgroup.
pub(super) const TEXEL: usize = 42;
pub(super) const STORE: usize = 270;
const WORKGROUP: usize = 2100;

/// The output and what the epilogue reads, in binding order, from input `first` on.
pub(super) fn lane_bindings(epilogue: &Epilogue, first: usize) -> Vec<Binding> {
    let mut bindings = vec![Binding::new("y", Operand::Output(0), Form::WriteVec4)];
    bindings.extend(bindings_as(epilogue, first, |_| Form::Image));
    bindings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::candidates;
    use crate::ops::{Conv, Op};
    use crate::tensor::{TensorType, Window};

    /// What the kernels of the family say to a 1x1 convolution from 8 to 8 channels over `pixels` pixels.
    fn refusals(pixels: usize, traits: &DeviceTraits) -> Vec<String> {
        let op = Op::from(Conv::new(Window::unit(2), 1));
        let inputs = [TensorType::f32([1, pixels, 1, 8]), TensorType::f32([1, 1, 8, 8])];
        let outputs = [TensorType::f32([1, pixels, 1, 8])];
        let case = Case { op: &op, inputs: &inputs, outputs: &outputs };
        let lane = candidates(&op).iter().filter(|kernel| kernel.stem.ends_with("_lane"));
        lane.filter_map(|kernel| (kernel.accepts)(&case, traits).err()).map(|refusal| refusal.0).collect()
    }

    #[test]
    fn the_family_says_why_it_refuses() {
        let on_a_card = refusals(64, &DeviceTraits::portable(DeviceClass::Discrete));
        assert_eq!(on_a_card, ["the lane family is for adapters that are processors"; 5]);
        let without_subgroups = refusals(64, &DeviceTraits::portable(DeviceClass::Cpu));
        assert_eq!(without_subgroups.iter().filter(|why| why.contains("subgroup operations")).count(), 3);
        let narrow = DeviceTraits { max_texture_side: 4096, ..DeviceTraits::lavapipe() };
        let too_large = refusals(4096 * 4096, &narrow);
        assert_eq!(too_large.iter().filter(|why| why.contains("has 4096 x 4096")).count(), 2, "{too_large:?}");
        assert_eq!(refusals(64, &DeviceTraits::lavapipe()).len(), 3);
    }
}
