//! Tiles of positions that a stride cuts into cells: what kernels share that unroll every phase of a stride.

use super::layout::count;
use super::{DeviceTraits, Refusal, params, workgroups};

params! {
    /// Vectors of channels, tiles beside each other, both maps, the cell of the smaller map that begins in the first cell of
    /// the larger one, and how far that cell begins in front of it.
    struct Params {
        quads: u32,
        tile_columns: u32,
        in_rows: u32,
        in_columns: u32,
        out_rows: u32,
        out_columns: u32,
        first_row: u32,
        first_column: u32,
        lead_rows: u32,
        lead_columns: u32,
    }
}

/// One axis of both maps.
pub(super) struct PhaseAxis {
    /// Positions of the kernel's input map.
    pub(super) input: usize,
    /// Positions of its output map.
    pub(super) output: usize,
    /// Positions that are cut into cells: those of the larger map.
    pub(super) positions: usize,
    /// Positions of one cell.
    pub(super) stride: usize,
    /// How far the first window begins in front of the larger map.
    pub(super) before: usize,
}

impl PhaseAxis {
    /// Cells that the positions fall into.
    fn cells(&self) -> usize {
        (self.before % self.stride + self.positions).div_ceil(self.stride)
    }
}

/// The parameters and the grid for tiles of `tile` cells, with `threads` invocations along the columns and their channels.
pub(super) fn grid(
    [rows, columns]: [PhaseAxis; 2],
    tile: [usize; 2],
    (quads, threads, batch): (usize, u32, usize),
    traits: &DeviceTraits,
) -> Result<(Params, [u32; 3]), Refusal> {
    let tile_columns = columns.cells().div_ceil(tile[1]);
    let grid = [(quads * tile_columns).div_ceil(threads as usize), rows.cells().div_ceil(tile[0]), batch];
    let workgroups = workgroups(grid, "tiles", traits)?;
    let params = Params {
        quads: count(quads)?,
        tile_columns: count(tile_columns)?,
        in_rows: count(rows.input)?,
        in_columns: count(columns.input)?,
        out_rows: count(rows.output)?,
        out_columns: count(columns.output)?,
        first_row: count(rows.before / rows.stride)?,
        first_column: count(columns.before / columns.stride)?,
        lead_rows: count(rows.before % rows.stride)?,
        lead_columns: count(columns.before % columns.stride)?,
    };
    Ok((params, workgroups))
}
