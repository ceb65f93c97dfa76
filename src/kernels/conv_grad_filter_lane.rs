//! `conv_grad_filter_lane`: the gradient of a convolution's weights as a matrix product summed over pixels, on a processor.

use super::lane::{images_fit, lanes};
use super::layout::count;
use super::reduce::Slices;
use super::window::{AXES, Windows, axis_params, window_fits};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, params};
use crate::ops::{ConvGradFilterSite, Op};

params! {
    /// Parameters of `conv_grad_filter_lane`: units of the operand that lanes own and their tiles, texels of a pixel of both
    /// operands and tiles of the shared one, lines of pixels, lines and pixels of one slice, rows and vectors of the filter,
    /// and the three axes.
    struct Params {
        units: u32,
        unit_tiles: u32,
        own_texels: u32,
        shared_texels: u32,
        shared_tiles: u32,
        lines: u32,
        lines_per_slice: u32,
        pixels: u32,
        filter_rows: u32,
        filter_quads: u32,
        windows: Windows,
    }
}

/// Takes ungrouped filters whose output channels divide by four, on processors.
///
/// Lanes own texels of `x` under different taps and channels, and share those of `dy`. Without a window the roles may be
/// exchanged, so that the operand with more channels fills the lanes.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_grad_filter_lane", accepts };

/// Workgroups that keep the cores evenly busy.
const EVEN: usize = 48;
/// Pixels that are worth a workgroup of its own.
const FEWEST_PIXELS: usize = 256;
/// Pixels of one line where there is no window.
const PLAIN_LINE: usize = 64;

/// What one workgroup computes, in texels.
struct Tile {
    /// Texels (or scalars) that each lane owns.
    own: usize,
    /// Texels of the shared operand.
    shared: usize,
    /// Pixels of one step.
    step: usize,
}

impl Tile {
    /// The tile for so many units of the owned and texels of the shared operand. `rows` is the filter rows of a unit.
    fn of(units: usize, shared: usize, rows: usize, lanes: usize) -> Tile {
        let shared = [1, 2, 4, 8].into_iter().find(|&quads| quads >= shared).unwrap_or(8);
        let most = (32 / (rows * shared)).clamp(1, 4);
        let own = [1, 2, 4].into_iter().filter(|&own| own <= most).find(|&own| own * lanes >= units).unwrap_or(most);
        // As many texels as there are lanes at least, and a loop body that is short enough to translate quickly.
        Tile { own, shared, step: lanes.div_ceil(shared).max(if own * rows * shared >= 32 { 2 } else { 4 }) }
    }
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let lanes = lanes(traits)? as usize;
    let Op::ConvGradFilter(op) = case.op else { return Refusal::because("takes gradients of filters") };
    case.fits(traits)?;
    let site = op.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if site.groups != 1 {
        return Refusal::because("takes convolutions in one group");
    }
    if !site.out_channels.is_multiple_of(4) {
        let to = site.out_channels;
        return Refusal::because(format!("takes output channels that divide by 4, and these are {to}"));
    }
    window_fits(&site.axes)?;
    launch(case, &site, lanes, traits)
}

fn launch(case: &Case<'_>, site: &ConvGradFilterSite, lanes: usize, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let scalar = !site.in_channels.is_multiple_of(4);
    let plain = site.is_plain();
    let taps: usize = site.axes.iter().map(|axis| axis.size).product();
    let rows = if scalar { 1 } else { 4 };
    let (x_texels, y_texels) = (site.in_channels / rows, site.out_channels / 4);
    // The lanes own what fills them better.
    let spare = |units: usize| units.next_multiple_of(lanes) * 16 / units;
    let turned = plain && !scalar && spare(y_texels) < spare(x_texels);
    let (units, own_texels, shared_texels) = match turned {
        true => (y_texels, y_texels, x_texels),
        false => (taps * x_texels, x_texels, y_texels),
    };
    let tile = Tile::of(units, shared_texels, rows, lanes);
    // Without a window, pixels are cut into lines at will.
    let total = site.pixels();
    let pixels = if plain { PLAIN_LINE.min(total) } else { site.axes[2].output };
    let lines = total.div_ceil(pixels);
    let (unit_tiles, shared_tiles) = (units.div_ceil(lanes * tile.own), shared_texels.div_ceil(tile.shared));
    let tiles = unit_tiles * shared_tiles;
    let lines_per_slice = lines.div_ceil(EVEN.div_ceil(tiles)).max(FEWEST_PIXELS.div_ceil(pixels)).min(lines);
    let slices = lines.div_ceil(lines_per_slice);
    ends(lines_per_slice.saturating_mul(1 + pixels.div_ceil(tile.step)), traits)?;
    let Some(workgroups) = traits.fold((tiles * slices) as u64) else {
        return Refusal::because(format!("{tiles} tiles in {slices} slices are more than one dispatch can count"));
    };
    let sum = Slices::of(slices, &case.outputs[0], traits)?;
    let params = Params {
        units: count(units)?,
        unit_tiles: count(unit_tiles)?,
        own_texels: count(own_texels)?,
        shared_texels: count(shared_texels)?,
        shared_tiles: count(shared_tiles)?,
        lines: count(lines)?,
        lines_per_slice: count(lines_per_slice)?,
        pixels: count(if plain { total } else { pixels })?,
        filter_rows: count(taps * site.in_channels)?,
        filter_quads: count(y_texels)?,
        windows: axis_params(&site.axes)?,
    };
    let x_form = if scalar { Form::ImageScalar } else { Form::Image };
    let bindings = vec![
        Binding::new("x", Operand::Input(0), x_form),
        Binding::new("dy", Operand::Input(1), Form::Image),
        Binding::new("dw", sum.target(), Form::WriteVec4),
    ];
    images_fit(case, &bindings, traits)?;
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("lanes", lanes)
        .with("own", tile.own)
        .with("shared", tile.shared)
        .with("step", tile.step)
        .with("rows", rows)
        .with("plain", plain)
        .with("plain_line", PLAIN_LINE.min(total))
        .with("turned", turned)
        .with("tail", !pixels.is_multiple_of(tile.step) || (plain && !total.is_multiple_of(pixels)))
        .with("axes", serde_json::json!(AXES));
    let first = Dispatch { shader, bindings, params: params.words(), workgroups };
    sum.launch(first, traits)
}
