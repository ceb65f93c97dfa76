//! `pool`: max and average pooling over up to three axes.

use serde_json::json;

use super::lane::image_fits;
use super::layout::count;
use super::window::{AXES, Windows, axis_params, window_fits};
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, LONG_LOOP, Launch, Operand, Refusal, Shader,
    ends, forms, linear, params,
};
use crate::ops::{Op, PoolKind};

params! {
    /// Parameters of `pool`: elements or vectors of the output and of one pixel, what a maximum starts from, and the
    /// windows of the three axes.
    struct Params {
        count: u32,
        channels: u32,
        start: f32,
        windows: Windows,
    }
}

/// Takes every pool; in vectors where the channels fill whole ones, which processors read through images.
pub(super) const KERNEL: Kernel = Kernel { stem: "pool", accepts };

/// What a pool takes, as the templates of pools and of their gradients call it.
pub(super) fn kind_name(kind: PoolKind) -> &'static str {
    match kind {
        PoolKind::Max => "max",
        PoolKind::Average { count_include_pad: true } => "padded average",
        PoolKind::Average { count_include_pad: false } => "average",
    }
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Pool(op) = case.op else { return Refusal::because("takes pools") };
    case.fits(traits)?;
    let site = op.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    window_fits(&site.axes)?;
    let vectors = site.channels.is_multiple_of(4);
    let part = if vectors { 4 } else { 1 };
    let (items, workgroups) = linear(site.output.elements() / part, traits)?;
    let taps = site.axes.iter().fold(1usize, |taps, axis| taps.saturating_mul(axis.size));
    let unroll = if taps > LONG_LOOP { 8 } else { 1 };
    let rows = site.axes[0].size.saturating_mul(site.axes[1].size.saturating_add(1));
    ends((taps / unroll).saturating_add(rows.saturating_mul(2)), traits)?;
    let params = Params {
        count: items,
        channels: count(site.channels / part)?,
        start: if op.kind == PoolKind::Max { f32::NEG_INFINITY } else { 0.0 },
        windows: axis_params(&site.axes)?,
    };
    let images = vectors && traits.class == DeviceClass::Cpu && image_fits(case.inputs[0].shape.elements(), 4, traits);
    let (read, write, element) = forms(vectors);
    let read = if images { Form::Image } else { read };
    Ok(Dispatch {
        shader: Shader::new("pool", Params::WGSL)
            .with("kind", kind_name(op.kind))
            .with("T", element)
            .with("images", images)
            .with("axes", json!(AXES))
            .with("unroll", unroll),
        bindings: vec![Binding::new("x", Operand::Input(0), read), Binding::new("y", Operand::Output(0), write)],
        params: params.words(),
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::{Pool, PoolKind};
    use crate::tensor::Window;

    #[test]
    fn every_kind_is_valid_in_both_forms_and_unrolled() {
        let average = |count_include_pad| PoolKind::Average { count_include_pad };
        for kind in [PoolKind::Max, average(true), average(false)] {
            for (size, x) in
                [(vec![2, 2], [1, 5, 7, 8]), (vec![2, 2], [1, 5, 7, 3]), (vec![199, 200], [1, 199, 200, 4])]
            {
                let op = Pool { kind, size, window: Window::unit(2) };
                assert_eq!(launches(op, &[&x]).len(), 1);
            }
        }
    }

    #[test]
    fn long_windows_are_unrolled() {
        let op = |size: usize| Pool { kind: PoolKind::Max, size: vec![size], window: Window::unit(1) };
        let unroll =
            |size: usize| launches(op(size), &[&[1, 40_000, 1]])[0].1.dispatches[0].shader.options["unroll"].clone();
        assert_eq!((unroll(13), unroll(32_769)), (1.into(), 8.into()));
    }
}
