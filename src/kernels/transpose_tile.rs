//! `transpose_tile`: matrices turned over through workgroup memory, so that reads and writes both run along rows.

use super::layout::count;
use super::transpose::Matrices;
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Kernel, Launch, Operand, Refusal, Shader, params};

params! {
    /// Parameters of `transpose_tile`: the matrices as they lie in the input, and the axes of the batch around them.
    struct Params {
        tiles: u32,
        row_tiles: u32,
        column_tiles: u32,
        rows: u32,
        columns: u32,
        row_stride: u32,
        batch: [u32; 8],
        batch_strides: [u32; 8],
    }
}

/// Rows and columns of a tile.
const TILE: usize = 32;
/// Rows of a tile that a workgroup moves at once.
const ROWS_AT_ONCE: usize = 8;
/// Matrices with fewer rows or columns leave most of a tile empty.
const FEWEST: usize = 8;

/// Takes permutations that swap the innermost axes of the input after merging, as between channels last and first.
pub(super) const KERNEL: Kernel = Kernel { stem: "transpose_tile", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    case.fits(traits)?;
    let invocations = (TILE * ROWS_AT_ONCE) as u32;
    if traits.max_invocations < invocations {
        return Refusal::because(format!(
            "needs {invocations} invocations, and {} are allowed",
            traits.max_invocations
        ));
    }
    let Matrices { rows, columns, row_stride, batch } = Matrices::of(case)?;
    if rows.min(columns) < FEWEST {
        return Refusal::because(format!(
            "is for {FEWEST} rows and columns or more, and here are {rows} and {columns}"
        ));
    }
    let (row_tiles, column_tiles) = (rows.div_ceil(TILE), columns.div_ceil(TILE));
    let tiles = batch.positions() * row_tiles * column_tiles;
    let Some(workgroups) = traits.fold(tiles as u64) else {
        return Refusal::because(format!("{tiles} tiles are more than one dispatch has workgroups for"));
    };
    let params = Params {
        tiles: count(tiles)?,
        row_tiles: count(row_tiles)?,
        column_tiles: count(column_tiles)?,
        rows: count(rows)?,
        columns: count(columns)?,
        row_stride: row_stride as u32,
        batch: batch.size_words()?,
        batch_strides: batch.stride_words(0),
    };
    Ok(Dispatch {
        shader: Shader::new("transpose_tile", Params::WGSL)
            .with("tile", TILE)
            .with("rows_at_once", ROWS_AT_ONCE)
            .with("rank", batch.rank()),
        bindings: vec![
            Binding::new("x", Operand::Input(0), Form::Read),
            Binding::new("y", Operand::Output(0), Form::Write),
        ],
        params: params.words(),
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::Transpose;

    fn stems(perm: &[usize], x: &[usize]) -> Vec<&'static str> {
        launches(Transpose { perm: perm.to_vec() }, &[x]).into_iter().map(|(stem, _)| stem).collect()
    }

    #[test]
    fn tiles_are_for_swapped_innermost_axes() {
        assert_eq!(stems(&[0, 3, 1, 2], &[2, 5, 7, 13]), ["transpose_tile", "transpose"]);
        assert_eq!(stems(&[0, 2, 3, 1], &[2, 13, 5, 7]), ["transpose_tile", "transpose"]);
        assert_eq!(stems(&[1, 0], &[40, 33]), ["transpose_tile", "transpose"]);
        assert_eq!(stems(&[1, 0, 3, 2], &[2, 3, 8, 9]), ["transpose_tile", "transpose"]);
        assert_eq!(stems(&[0, 3, 1, 2], &[2, 5, 7, 3]), ["transpose"]);
        assert_eq!(stems(&[1, 0, 2], &[5, 7, 12]), ["transpose"]);
        assert_eq!(stems(&[2, 1, 0], &[9, 10, 11]), ["transpose"]);
        assert_eq!(stems(&[0, 1], &[9, 10]), ["transpose"]);
    }
}
