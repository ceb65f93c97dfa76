//! `pool_grad_cells`: the gradient of a pool with a small window, all windows over some cells of the input per invocation.

use serde_json::json;

use super::lane::{image_fits, lanes};
use super::phases::{Params, PhaseAxis, grid};
use super::pool::kind_name;
use super::window::window_fits;
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, LINEAR_WORKGROUP, Launch, Operand, Refusal,
    Shader,
};
use crate::ops::{Op, PoolKind};
use crate::tensor::AxisWindow;

/// Takes pools over one or two axes without dilation, over channels that divide by four, whose window is short enough to be
/// unrolled. Processors read through images.
pub(super) const KERNEL: Kernel = Kernel { stem: "pool_grad_cells", accepts };

/// Taps of all windows of a tile, up to which they are unrolled on a processor, and on GPUs, whose registers hold less.
const MOST_TAPS: [usize; 2] = [256, 96];
/// Largest stride whose cells are unrolled.
const LARGEST_STRIDE: usize = 4;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::PoolGrad(op) = case.op else { return Refusal::because("takes gradients of pools") };
    case.fits(traits)?;
    let site = op.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    window_fits(&site.axes)?;
    if !site.channels.is_multiple_of(4) {
        return Refusal::because(format!("takes channels that divide by 4, and these are {}", site.channels));
    }
    let [depth, rows, columns] = &site.axes;
    if [depth.size, depth.stride, depth.input, depth.output] != [1; 4] {
        return Refusal::because("takes one or two axes");
    }
    // Windows that begin in earlier cells and reach into one.
    let back = [rows, columns].map(|axis| (axis.size - 1) / axis.stride);
    let processor = traits.class == DeviceClass::Cpu;
    let tile = match (processor, back) {
        (true, [0, 0]) => [1, 4],
        (true, _) => [2, 2],
        (false, [0, 0]) => [1, 2],
        (false, _) => [1, 1],
    };
    let windows = (tile[0] + back[0]).saturating_mul(tile[1] + back[1]);
    let taps = windows.saturating_mul(rows.size.saturating_mul(columns.size));
    let most = MOST_TAPS[usize::from(!processor)];
    for axis in [rows, columns] {
        if axis.stride > LARGEST_STRIDE || (axis.dilation > 1 && axis.size > 1) || taps > most {
            return Refusal::because(format!(
                "takes strides of up to {LARGEST_STRIDE}, no dilation, and up to {most} taps over a tile; this one has size {}, stride {}, dilation {}",
                axis.size, axis.stride, axis.dilation
            ));
        }
    }
    let threads = if processor { lanes(traits)? } else { LINEAR_WORKGROUP };
    let images = processor && case.inputs.iter().all(|input| image_fits(input.shape.elements(), 4, traits));
    let axis = |axis: &AxisWindow| PhaseAxis {
        input: axis.input,
        output: axis.output,
        positions: axis.input,
        stride: axis.stride,
        before: axis.before,
    };
    let sizes = (site.channels / 4, threads, site.batch);
    let (params, workgroups) = grid([axis(rows), axis(columns)], tile, sizes, traits)?;
    let read = if images { Form::Image } else { Form::ReadVec4 };
    let mut bindings = vec![Binding::new("dy", Operand::Input(0), read)];
    if op.pool.kind == PoolKind::Max {
        bindings.push(Binding::new("x", Operand::Input(1), read));
        bindings.push(Binding::new("y", Operand::Input(2), read));
    }
    bindings.push(Binding::new("dx", Operand::Output(0), Form::WriteVec4));
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("threads", threads)
        .with("images", images)
        .with("kind", kind_name(op.pool.kind))
        .with("tile", json!(tile))
        .with("size", json!([rows.size, columns.size]))
        .with("stride", json!([rows.stride, columns.stride]))
        .with("back", json!(back));
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::{launches_on, refusals};
    use crate::kernels::{DeviceClass, DeviceTraits};
    use crate::ops::{Pool, PoolGrad, PoolKind};
    use crate::tensor::{Padding, Window};

    fn op(kind: PoolKind, size: usize, stride: usize, channels: usize) -> PoolGrad {
        let window = Window { stride: vec![stride; 2], padding: Padding::Same, ..Window::unit(2) };
        PoolGrad { pool: Pool { kind, size: vec![size; 2], window }, input: vec![1, 12, 12, channels].into() }
    }

    #[test]
    fn every_kind_is_valid_on_every_device() {
        for traits in [DeviceTraits::lavapipe(), DeviceTraits::portable(DeviceClass::Discrete)] {
            for (size, stride) in [(2, 2), (3, 2), (3, 1), (3, 3), (2, 4), (4, 2)] {
                let (y, x) = ([1, 12 / stride, 12 / stride, 8], [1, 12, 12, 8]);
                let max = launches_on(&traits, op(PoolKind::Max, size, stride, 8), &[&y, &x, &y]);
                assert_eq!(max[0].0, "pool_grad_cells");
                for count_include_pad in [true, false] {
                    let average = PoolKind::Average { count_include_pad };
                    assert_eq!(launches_on(&traits, op(average, size, stride, 8), &[&y])[0].0, "pool_grad_cells");
                }
            }
        }
    }

    #[test]
    fn large_windows_and_odd_channels_are_refused() {
        let average = PoolKind::Average { count_include_pad: true };
        let why = |size: usize, channels: usize| {
            let refused = refusals(op(average, size, 1, channels), &[&[1, 12, 12, channels]]);
            refused.into_iter().find(|(stem, _)| *stem == "pool_grad_cells").map(|(_, why)| why)
        };
        assert_eq!(why(3, 8), None);
        assert!(why(3, 6).is_some_and(|why| why.contains("divide by 4")));
        assert!(why(7, 8).is_some_and(|why| why.contains("size 7")));
    }
}
