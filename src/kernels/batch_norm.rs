//! `batch_norm`: batch normalisation with given statistics, where it is not folded into a convolution.

use super::layout::count;
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, forms, linear, params,
};
use crate::ops::Op;

params! {
    /// Parameters of `batch_norm`: elements or vectors of the output, those behind each channel, and channels.
    struct Params { count: u32, inner: u32, channels: u32, epsilon: f32 }
}

/// Takes any axis; in vectors of channels where the axis is the last one and fills whole vectors, and in vectors of one
/// channel where what lies behind the axis does.
pub(super) const KERNEL: Kernel = Kernel { stem: "batch_norm", accepts };

/// Names of the inputs after the first one.
const STATISTICS: [&str; 4] = ["gamma", "beta", "mean", "variance"];

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let (Op::BatchNorm(op), Some(x)) = (case.op, case.inputs.first()) else {
        return Refusal::because("takes batch normalisation");
    };
    case.fits(traits)?;
    let (Some(&channels), Some(inner)) = (x.shape.get(op.axis), x.shape.get(op.axis + 1..)) else {
        return Refusal::because(format!("axis {} does not exist in {x}", op.axis));
    };
    let inner: usize = inner.iter().product();
    let last = inner == 1;
    let vectors = if last { channels.is_multiple_of(4) } else { inner.is_multiple_of(4) };
    let part = if vectors { 4 } else { 1 };
    let (items, workgroups) = linear(x.shape.elements() / part, traits)?;
    let params = Params {
        count: items,
        inner: count(if last { 1 } else { (inner / part).max(1) })?,
        channels: count(if last { (channels / part).max(1) } else { channels.max(1) })?,
        epsilon: op.epsilon,
    };
    let (read, write, _) = forms(vectors);
    let statistics = Form::read(vectors && last);
    let mut bindings = vec![Binding::new("x", Operand::Input(0), read)];
    bindings.extend(STATISTICS.iter().zip(1..).map(|(name, i)| Binding::new(name, Operand::Input(i), statistics)));
    bindings.push(Binding::new("y", Operand::Output(0), write));
    Ok(Dispatch { shader: Shader::new("batch_norm", Params::WGSL), bindings, params: params.words(), workgroups }
        .into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::BatchNorm;

    #[test]
    fn channels_last_and_first_work_in_vectors() {
        for (axis, x, invocations) in [
            (3, [2, 5, 7, 12], 2 * 5 * 7 * 3),
            (3, [2, 5, 7, 13], 2 * 5 * 7 * 13),
            (1, [2, 13, 4, 5], 2 * 13 * 5),
            (1, [2, 12, 3, 5], 2 * 12 * 15),
        ] {
            let channels: &[usize] = &[x[axis]];
            let (_, launch) =
                &launches(BatchNorm { axis, epsilon: 1e-3 }, &[&x, channels, channels, channels, channels])[0];
            assert_eq!(launch.dispatches[0].params[0], invocations, "{x:?}");
        }
    }
}
