//! `conv_grad_filter`: the gradient of a convolution's weights, summed over all pixels by teams of invocations.

use serde_json::json;

use super::lane::images_fit;
use super::layout::count;
use super::team::Team;
use super::window::{AXES, Windows, axis_params, window_fits};
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params,
};
use crate::ops::{ConvGradFilterSite, Op};

params! {
    /// Parameters of `conv_grad_filter`: the teams that have work, the rows of output pixels and the pixels of one row, the
    /// channels of a pixel in elements or vectors, and the three axes.
    struct Params {
        lines: u32,
        rows: u32,
        pixels: u32,
        x_channels: u32,
        y_channels: u32,
        w_channels: u32,
        x_per_group: u32,
        y_per_group: u32,
        windows: Windows,
    }
}

/// Takes every filter gradient: a team sums one tap's products over rows of pixels, for one pair of channels, for four output
/// channels, for four channels of a depthwise filter, or for a square of four times four channels.
///
/// Processors read through images, where these fit.
pub(super) const KERNEL: Kernel = Kernel { stem: "conv_grad_filter", accepts };

/// What a team sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tile {
    /// Four input times four output channels.
    Square,
    /// One input channel times four output channels.
    Row,
    /// Four channels of a depthwise filter.
    Depthwise,
    /// One weight.
    Single,
}

impl Tile {
    fn of(site: &ConvGradFilterSite) -> Tile {
        let depthwise = site.groups == site.in_channels && site.groups == site.out_channels;
        let (x, y) = (site.in_channels.is_multiple_of(4), site.out_channels.is_multiple_of(4));
        match (site.groups, depthwise) {
            (1, _) if x && y => Tile::Square,
            (1, _) if y => Tile::Row,
            (_, true) if x => Tile::Depthwise,
            _ => Tile::Single,
        }
    }

    /// Its name in the shader, the type of its sum, and how many channels of `x` and `dy` one load has.
    fn facts(self) -> (&'static str, &'static str, usize, usize) {
        match self {
            Tile::Square => ("square", "mat4x4<f32>", 4, 4),
            Tile::Row => ("row", "vec4<f32>", 1, 4),
            Tile::Depthwise => ("depthwise", "vec4<f32>", 4, 4),
            Tile::Single => ("single", "f32", 1, 1),
        }
    }
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::ConvGradFilter(op) = case.op else { return Refusal::because("takes gradients of filters") };
    case.fits(traits)?;
    let site = op.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    window_fits(&site.axes)?;
    let tile = Tile::of(&site);
    let (name, sum, x_part, y_part) = tile.facts();
    let plain = site.is_plain();
    // Without a window rows are only pixels one after the other, and are cut so that every lane has some.
    let (rows, pixels) = match plain {
        true => (site.pixels(), 1),
        false => (site.batch * site.axes[0].output * site.axes[1].output, site.axes[2].output),
    };
    let team = Team::new(rows, traits);
    team.ends(rows, pixels.saturating_add(1), traits)?;
    let taps: usize = op.size.iter().product();
    let (in_per_group, out_per_group) = (site.in_channels / site.groups, site.out_channels / site.groups);
    let lines = match tile {
        Tile::Square => taps * site.in_channels / 4 * site.out_channels / 4,
        Tile::Row => taps * site.in_channels * site.out_channels / 4,
        Tile::Depthwise => taps * site.in_channels / 4,
        Tile::Single => taps * in_per_group * site.out_channels,
    };
    let (lines, workgroups) = team.grid(lines, traits)?;
    let params = Params {
        lines,
        rows: count(rows)?,
        pixels: count(pixels)?,
        x_channels: count(site.in_channels / x_part)?,
        y_channels: count(site.out_channels / y_part)?,
        w_channels: count(in_per_group)?,
        x_per_group: count(in_per_group)?,
        y_per_group: count(out_per_group)?,
        windows: axis_params(&site.axes)?,
    };
    let bind = |images: bool| {
        let form = |part: usize| match (images, part) {
            (true, 4) => Form::Image,
            (true, _) => Form::ImageScalar,
            (false, part) => Form::read(part == 4),
        };
        let write = Form::write(tile != Tile::Single);
        vec![
            Binding::new("x", Operand::Input(0), form(x_part)),
            Binding::new("dy", Operand::Input(1), form(y_part)),
            Binding::new("dw", Operand::Output(0), write),
        ]
    };
    let images = traits.class == DeviceClass::Cpu && images_fit(case, &bind(true), traits).is_ok();
    let shader = Shader::new("conv_grad_filter", Params::WGSL)
        .with("tile", name)
        .with("T", sum)
        .with("images", images)
        .with("plain", plain)
        .with("axes", json!(AXES));
    Ok(Dispatch { shader: team.options(shader, true), bindings: bind(images), params: params.words(), workgroups }
        .into())
}
