//! `dense_rows`: a dense layer (or a convolution of one tap) of few rows, its sums shared by many invocations.

use serde_json::json;

use super::epilogue::epilogue_bindings;
use super::layout::count;
use super::team::steps;
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, ends, forms, params,
};
use crate::ops::{Filters, Op};

params! {
    /// Parameters of `dense_rows`: output channels in elements or vectors, and input channels.
    struct Params { columns: u32, reduction: u32 }
}

/// Takes windows of one tap in one group on up to four rows.
pub(super) const KERNEL: Kernel = Kernel { stem: "dense_rows", accepts };

/// Rows that are unrolled; with more of them the tiles of `pointwise` have work enough.
const MOST_ROWS: usize = 4;
/// Invocations of a workgroup.
const INVOCATIONS: usize = 256;
/// Columns that invocations of a workgroup read side by side, the most first: longer rows are read faster.
const ACROSS: [usize; 3] = [16, 8, 4];
/// Workgroups below which fewer columns in each keep more of a device busy.
const BUSY: usize = 64;

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Op::Conv(conv) = case.op else { return Refusal::because("takes convolutions") };
    case.fits(traits)?;
    let site = conv.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
    if !site.is_pointwise() || conv.filters != (Filters::PerGroup { groups: 1 }) {
        return Refusal::because("takes windows of one tap in one group");
    }
    let rows = site.pixels();
    if rows > MOST_ROWS {
        return Refusal::because(format!("takes {MOST_ROWS} rows at most, and here are {rows}"));
    }
    let vectors = site.out_channels.is_multiple_of(4);
    let columns = site.out_channels / if vectors { 4 } else { 1 };
    let across = ACROSS.into_iter().find(|across| columns / across >= BUSY).unwrap_or(ACROSS[ACROSS.len() - 1]);
    let most = (INVOCATIONS.min(traits.max_invocations as usize) / across).max(1);
    // The tree that joins sums halves them, so that they are a power of two.
    let apart = (1 << most.ilog2()).min(site.in_channels.next_power_of_two());
    ends(site.in_channels.div_ceil(apart), traits)?;
    let groups = columns.div_ceil(across);
    let Some(workgroups) = traits.fold(groups as u64) else {
        return Refusal::because(format!("{groups} workgroups are more than one dispatch can count"));
    };
    let (read, write, element) = forms(vectors);
    let mut bindings = vec![
        Binding::new("x", Operand::Input(0), Form::Read),
        Binding::new("w", Operand::Input(1), read),
        Binding::new("y", Operand::Output(0), write),
    ];
    bindings.extend(epilogue_bindings(&conv.epilogue, case.inputs, 2, vectors));
    let shader = Shader::new(KERNEL.stem, Params::WGSL)
        .with("T", element)
        .with("threads", json!([across, apart]))
        .with("steps", json!(steps(apart as u32)))
        .with("rows", rows)
        .with_epilogue(&conv.epilogue, case.inputs, 2);
    let params = Params { columns: count(columns)?, reduction: count(site.in_channels)? };
    Ok(Dispatch { shader, bindings, params: params.words(), workgroups }.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kernels::check::{launches, launches_on};
    use crate::kernels::{DeviceClass, DeviceTraits};
    use crate::ops::Conv;
    use crate::tensor::Window;

    #[test]
    fn many_columns_are_read_in_longer_rows() {
        let threads = |rows: usize, ins: usize, outs: usize| {
            let found = launches(Conv::new(Window::unit(0), 1), &[&[rows, ins], &[ins, outs]]);
            let launch = found.into_iter().find(|(stem, _)| *stem == "dense_rows")?.1;
            Some(launch.dispatches[0].shader.options["threads"].clone())
        };
        assert_eq!(threads(1, 1280, 1000), Some(json!([4, 64])));
        assert_eq!(threads(1, 1024, 4096), Some(json!([16, 16])));
        assert_eq!(threads(4, 24, 96), Some(json!([4, 32])));
        assert_eq!(threads(2, 1, 3), Some(json!([4, 1])));
        assert_eq!(threads(5, 24, 96), None);
    }

    #[test]
    fn sums_are_a_power_of_two_on_every_device() {
        let traits = DeviceTraits { max_invocations: 200, ..DeviceTraits::portable(DeviceClass::Discrete) };
        let found = launches_on(&traits, Conv::new(Window::unit(0), 1), &[&[1, 1280], &[1280, 1000]]);
        let options = &found[0].1.dispatches[0].shader.options;
        assert_eq!((&options["threads"], &options["steps"]), (&json!([4, 32]), &json!([16, 8, 4, 2, 1])));
    }
}
