//! `transpose_block`: matrices turned over in blocks of 4 by 4 that invocations hold in registers, for processors.
//!
//! A processor has no workgroup memory worth the name; its caches serve reads and writes of whole lines however they are ordered.

use serde_json::json;

use super::lane::read_form;
use super::layout::count;
use super::transpose::Matrices;
use super::{
    Binding, Case, DeviceClass, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params,
    workgroups,
};

params! {
    /// Parameters of `transpose_block`: the matrices as they lie in the input, and the axes of the batch around them. Strides count
    /// vectors where the input is read in vectors.
    struct Params {
        rows: u32,
        columns: u32,
        row_stride: u32,
        batch: [u32; 8],
        batch_strides: [u32; 8],
    }
}

/// Side of a block.
const BLOCK: usize = 4;
/// Invocations of a workgroup: the lanes of 256-bit vectors.
const LANES: usize = 8;
/// Blocks side by side of one invocation: what it reads of a row is a line of the cache.
const MOST_BLOCKS: usize = 4;
/// Elements that the grid has room for to each there is, beyond which moving them one by one is as fast.
const MOST_ROOM: usize = 4;

/// Takes permutations that swap the innermost axes of the input after merging, as between channels last and first; in vectors on
/// either side whose rows are whole vectors.
pub(super) const KERNEL: Kernel = Kernel { stem: "transpose_block", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    if traits.class != DeviceClass::Cpu {
        return Refusal::because("is for adapters that are processors");
    }
    case.fits(traits)?;
    let Matrices { rows, columns, mut row_stride, mut batch } = Matrices::of(case)?;
    let read_vectors = columns.is_multiple_of(4) && row_stride % 4 == 0 && batch.aligned(0, false);
    if read_vectors {
        row_stride /= 4;
        batch.divide(0);
    }
    let row_lanes = rows.div_ceil(BLOCK).next_power_of_two().min(LANES);
    let column_lanes = LANES / row_lanes;
    let blocks = columns.div_ceil(BLOCK * column_lanes).min(MOST_BLOCKS);
    let tile = [BLOCK * row_lanes, BLOCK * column_lanes * blocks];
    let grid = [rows.div_ceil(tile[0]), columns.div_ceil(tile[1]), batch.positions()];
    if grid[0] * tile[0] * grid[1] * tile[1] > MOST_ROOM * rows * columns {
        return Refusal::because(format!(
            "has tiles of {tile:?}, of which {rows} x {columns} elements fill too little"
        ));
    }
    let params = Params {
        rows: count(rows)?,
        columns: count(columns)?,
        row_stride: row_stride as u32,
        batch: batch.size_words()?,
        batch_strides: batch.stride_words(0),
    };
    let elements = case.inputs.iter().map(|x| x.shape.elements()).sum();
    let (read, write_vectors) = (read_form(Form::read(read_vectors), elements, traits), rows.is_multiple_of(4));
    Ok(Dispatch {
        shader: Shader::new("transpose_block", Params::WGSL)
            .with("lanes", LANES)
            .with("row_lanes", row_lanes)
            .with("blocks", blocks)
            .with("form", json!(read))
            .with("read_vectors", read_vectors)
            .with("write_vectors", write_vectors)
            .with("rank", batch.rank()),
        bindings: vec![
            Binding::new("x", Operand::Input(0), read),
            Binding::new("y", Operand::Output(0), Form::write(write_vectors)),
        ],
        params: params.words(),
        workgroups: workgroups(grid, "tiles", traits)?,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::DeviceTraits;
    use crate::kernels::check::launches_on;
    use crate::ops::Transpose;

    /// The first kernel that takes a permutation, and whether it reads and writes vectors.
    fn first(perm: &[usize], x: &[usize]) -> (&'static str, Vec<bool>) {
        let launches = launches_on(&DeviceTraits::lavapipe(), Transpose { perm: perm.to_vec() }, &[x]);
        let (stem, launch) = &launches[0];
        let options = &launch.dispatches[0].shader.options;
        let vectors = ["read_vectors", "write_vectors"].iter().filter_map(|name| options.get(name)?.as_bool());
        (stem, vectors.collect())
    }

    #[test]
    fn blocks_are_for_processors_and_sizes_of_every_kind() {
        assert_eq!(first(&[0, 3, 1, 2], &[2, 5, 8, 12]), ("transpose_block", vec![true, true]));
        assert_eq!(first(&[0, 3, 1, 2], &[2, 5, 7, 12]), ("transpose_block", vec![true, false]));
        assert_eq!(first(&[0, 2, 3, 1], &[2, 12, 5, 7]), ("transpose_block", vec![false, true]));
        assert_eq!(first(&[0, 2, 3, 1], &[2, 3, 15, 24]), ("transpose_block", vec![true, false]));
        assert_eq!(first(&[1, 0], &[33, 47]), ("transpose_block", vec![false, false]));
        assert_eq!(first(&[0, 2, 1], &[100, 3, 3]), ("transpose", vec![]));
        assert_eq!(first(&[1, 0, 2], &[5, 7, 12]), ("transpose", vec![]));
        let card = launches_on(
            &DeviceTraits::portable(crate::kernels::DeviceClass::Discrete),
            Transpose { perm: vec![1, 0] },
            &[&[64, 64]],
        );
        assert_eq!(card[0].0, "transpose_tile");
    }
}
