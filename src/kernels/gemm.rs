//! What kernels that are tiled matrix products share: the choice of a tile, its grid, and the bindings.

use serde_json::json;

use super::epilogue::epilogue_bindings;
use super::reduce::Slices;
use super::split_sum::{self, MOST_SLICES};
use super::team::busy;
use super::{Binding, Case, DeviceTraits, Dispatch, Launch, Operand, Refusal, Shader, ends, forms};
use crate::ops::{Conv, ConvSite, Epilogue};
use crate::tensor::TensorType;

/// Invocations of a workgroup along rows and columns, the blocks of 4 x 4 sums that each of them owns, and the terms of the sum
/// that are in workgroup memory at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tile {
    pub threads: [usize; 2],
    pub own: [usize; 2],
    pub depth: usize,
    /// Multiply-adds in a unit of time, relative to a device that did nothing else: the more sums an invocation owns, the fewer
    /// reads of workgroup memory each of them costs.
    pub pace: f64,
}

/// From large products to small ones; the first of equally good tiles is taken.
const TILES: [Tile; 6] = [
    Tile { threads: [16, 16], own: [2, 2], depth: 8, pace: 0.80 },
    Tile { threads: [16, 16], own: [2, 1], depth: 16, pace: 0.73 },
    Tile { threads: [8, 8], own: [2, 1], depth: 16, pace: 0.70 },
    Tile { threads: [16, 16], own: [1, 1], depth: 16, pace: 0.67 },
    Tile { threads: [8, 8], own: [1, 1], depth: 16, pace: 0.60 },
    Tile { threads: [16, 4], own: [1, 1], depth: 16, pace: 0.55 },
];

/// Terms that are worth a slice of their own.
const FEWEST_TERMS: usize = 256;

impl Tile {
    pub fn invocations(self) -> usize {
        self.threads[0] * self.threads[1]
    }

    pub fn rows(self) -> usize {
        4 * self.own[0] * self.threads[0]
    }

    pub fn columns(self) -> usize {
        4 * self.own[1] * self.threads[1]
    }

    /// Workgroup memory; every row of the left operand has a vector to spare.
    pub fn bytes(self) -> usize {
        4 * (self.rows() * (self.depth + 4) + self.columns() * self.depth)
    }

    /// Checks that a workgroup of a device holds it with so many bytes.
    pub fn fits(self, bytes: usize, traits: &DeviceTraits) -> Result<(), Refusal> {
        let (invocations, most) = (self.invocations(), traits.max_workgroup_bytes);
        match bytes <= most as usize && invocations <= traits.max_invocations as usize {
            true => Ok(()),
            false => Refusal::because(format!(
                "needs {bytes} bytes of workgroup memory and {invocations} invocations, and the device has {most} and {}",
                traits.max_invocations
            )),
        }
    }

    /// The tile that takes least time of those that suit and that a device has room for, each with so many bytes.
    pub fn fastest(
        suits: impl Fn(Tile) -> bool,
        bytes: impl Fn(Tile) -> usize,
        time: impl Fn(Tile) -> f64,
        traits: &DeviceTraits,
    ) -> Result<Tile, Refusal> {
        let fitting = TILES.into_iter().filter(|&tile| suits(tile) && tile.fits(bytes(tile), traits).is_ok());
        let smallest = TILES[TILES.len() - 1];
        match fitting.min_by(|&a, &b| time(a).total_cmp(&time(b))) {
            Some(tile) => Ok(tile),
            None => smallest.fits(bytes(smallest), traits).map(|()| smallest),
        }
    }

    /// The options of `lib/gemm.wgsl` for a sum of `reduction` terms. Behind the loop only whole vectors of terms remain, or
    /// whatever is left where both operands go element by element.
    pub fn options(self, shader: Shader, reduction: usize) -> Shader {
        shader
            .with("threads", json!(self.threads))
            .with("own", json!(self.own))
            .with("depth", self.depth)
            .with("tail", (reduction % self.depth).div_ceil(4))
            .with("grouped", false)
            .with("batched", false)
            .with("sliced", false)
            .with("phased", false)
    }

    /// How long `invocations` of it take on a device that runs `busy` at a time: the work of one, as often as that has to start
    /// over. Outputs that a tile has too many count as work.
    pub fn time(self, invocations: f64, busy: usize) -> f64 {
        invocations.max(busy as f64) * (self.own[0] * self.own[1]) as f64 / self.pace
    }
}

/// Rows, columns and length of a product, and how many of that kind there are.
pub(super) struct Product {
    pub groups: usize,
    pub rows: usize,
    pub columns: usize,
    pub reduction: usize,
    /// Both operands are read, and the result is written, in vectors.
    pub vectors: bool,
}

/// How a product is cut into tiles, and its sum into slices.
pub(super) struct Tiling {
    pub tile: Tile,
    pub column_tiles: usize,
    /// Tiles of one group.
    pub tiles: usize,
    /// Slices of the sum, and terms of each.
    pub slices: usize,
    pub slice: usize,
    workgroups: [u32; 3],
}

impl Product {
    /// The products that a convolution amounts to, one for each group.
    pub fn of(site: &ConvSite) -> Product {
        let groups = site.groups;
        let columns = site.out_channels / groups;
        let vectors = (site.in_channels / groups).is_multiple_of(4) && columns.is_multiple_of(4);
        Product { groups, rows: site.pixels(), columns, reduction: site.reduction(), vectors }
    }

    /// Tiles of all groups.
    fn tiles(&self, tile: Tile) -> usize {
        self.tiles_of_group(tile).saturating_mul(self.groups)
    }

    fn tiles_of_group(&self, tile: Tile) -> usize {
        self.rows.div_ceil(tile.rows()).saturating_mul(self.columns.div_ceil(tile.columns()))
    }

    /// Slices of the long sum of a single product where tiles alone leave a device of `busy` invocations idle; they divide it
    /// into whole steps.
    fn slices(&self, tile: Tile, busy: usize) -> usize {
        let whole = self.groups == 1 && self.vectors && self.reduction.is_multiple_of(tile.depth);
        let most = if whole { self.reduction / FEWEST_TERMS } else { 1 };
        let wanted = busy / (self.tiles(tile).saturating_mul(tile.invocations())).max(1);
        let slices = wanted.min(most).clamp(1, MOST_SLICES);
        // The last slice is not empty.
        self.reduction.div_ceil(self.slice(slices, tile)).max(1)
    }

    /// Terms of one slice.
    fn slice(&self, slices: usize, tile: Tile) -> usize {
        self.reduction.div_ceil(slices).next_multiple_of(tile.depth)
    }

    /// How long a tile takes for each term of the sum.
    fn time_by(&self, tile: Tile, busy: usize) -> f64 {
        let slices = self.slices(tile, busy);
        let invocations = self.tiles(tile) as f64 * (tile.invocations() * slices) as f64;
        tile.time(invocations, busy) / slices as f64
    }

    /// The tile that should be done first.
    fn tile(&self, traits: &DeviceTraits) -> Result<Tile, Refusal> {
        Tile::fastest(|_| true, Tile::bytes, |tile| self.time_by(tile, busy(traits)), traits)
    }

    /// How long all products take, as multiply-adds of a device that is busy and does nothing else.
    pub fn time(&self, traits: &DeviceTraits) -> Result<f64, Refusal> {
        let tile = self.tile(traits)?;
        Ok(16.0 * self.time_by(tile, busy(traits)) * self.reduction as f64)
    }

    /// How they are cut into tiles and slices.
    pub fn tiling(&self, traits: &DeviceTraits) -> Result<Tiling, Refusal> {
        let (tile, busy) = (self.tile(traits)?, busy(traits));
        let slices = self.slices(tile, busy);
        let slice = self.slice(slices, tile);
        ends(slice.div_ceil(tile.depth), traits)?;
        let groups = self.tiles(tile).saturating_mul(slices);
        match traits.fold(groups as u64) {
            Some(workgroups) => Ok(Tiling {
                tile,
                column_tiles: self.columns.div_ceil(tile.columns()),
                tiles: self.tiles_of_group(tile),
                slices,
                slice,
                workgroups,
            }),
            None => Refusal::because(format!("{groups} tiles are more than one dispatch can count")),
        }
    }

    /// The launch of a shader with its parameter block: one dispatch, and one that adds up the slices where there are several.
    pub fn launch(
        &self,
        shader: Shader,
        words: Vec<u32>,
        tiling: &Tiling,
        case: &Case<'_>,
        conv: &Conv,
        traits: &DeviceTraits,
    ) -> Result<Launch, Refusal> {
        let slices = Slices::of(tiling.slices, &case.outputs[0], traits)?;
        // What is cut into slices has its epilogue when they are added up.
        let none = Epilogue::default();
        let epilogue = if tiling.slices > 1 { &none } else { &conv.epilogue };
        let operands = [Operand::Input(0), Operand::Input(1), slices.target()];
        let first = self.dispatch(shader, words, tiling, operands, (epilogue, case.inputs));
        slices.launch_with(first, || split_sum::dispatch(tiling.slices, case, &conv.epilogue, traits))
    }

    /// The dispatch of a shader with its parameter block on both operands and the result, with an epilogue that reads from the third
    /// of the op's inputs on.
    pub fn dispatch(
        &self,
        shader: Shader,
        words: Vec<u32>,
        tiling: &Tiling,
        [x, w, y]: [Operand; 3],
        (epilogue, inputs): (&Epilogue, &[TensorType]),
    ) -> Dispatch {
        let (read, write, element) = forms(self.vectors);
        let mut bindings = vec![Binding::new("x", x, read), Binding::new("w", w, read), Binding::new("y", y, write)];
        bindings.extend(epilogue_bindings(epilogue, inputs, 2, self.vectors));
        let shader = tiling
            .tile
            .options(shader, self.reduction)
            .with("T", element)
            .with("vectors", self.vectors)
            .with("grouped", self.groups > 1)
            .with("sliced", tiling.slices > 1)
            .with_epilogue(epilogue, inputs, 2);
        Dispatch { shader, bindings, params: words, workgroups: tiling.workgroups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::DeviceClass;

    fn tiling(rows: usize, columns: usize, reduction: usize, class: DeviceClass) -> ([usize; 2], usize) {
        let vectors = columns.is_multiple_of(4) && reduction.is_multiple_of(4);
        let product = Product { groups: 1, rows, columns, reduction, vectors };
        let tiling = product.tiling(&DeviceTraits::portable(class)).unwrap();
        ([tiling.tile.rows(), tiling.tile.columns()], tiling.slices)
    }

    #[test]
    fn tiles_follow_the_product() {
        let card = |rows, columns, reduction| tiling(rows, columns, reduction, DeviceClass::Discrete);
        assert_eq!(card(56 * 56 * 32, 128, 128), ([128, 128], 1));
        assert_eq!(card(112 * 112, 64, 32), ([128, 64], 1));
        assert_eq!(card(56 * 56, 128, 128), ([64, 64], 1));
        assert_eq!(card(112 * 112, 24, 96), ([32, 32], 1));
        assert_eq!(card(112 * 112 * 4, 24, 96), ([64, 32], 1));
        assert_eq!(card(112 * 112, 16, 32), ([64, 16], 1));
        // Few pixels with many channels: the sum is cut.
        assert_eq!(card(14 * 14, 512, 512).1, 2);
        assert_eq!(card(7 * 7, 1024, 1024).1, 4);
        assert_eq!(card(7 * 7, 1024, 1020).1, 1);
        assert_eq!(tiling(7 * 7, 1024, 1024, DeviceClass::Cpu).1, 1);
    }

    #[test]
    fn groups_are_not_sliced() {
        let product = Product { groups: 2, rows: 16, columns: 32, reduction: 1024, vectors: true };
        assert_eq!(product.tiling(&DeviceTraits::portable(DeviceClass::Discrete)).unwrap().slices, 1);
        assert!(
            Product { groups: 1, ..product }.tiling(&DeviceTraits::portable(DeviceClass::Discrete)).unwrap().slices > 1
        );
    }

    #[test]
    fn slices_are_whole_steps_and_none_is_empty() {
        for reduction in (512..4096).step_by(16) {
            let product = Product { groups: 1, rows: 1, columns: 4, reduction, vectors: true };
            for tile in TILES {
                let slices = product.slices(tile, usize::MAX);
                let slice = product.slice(slices, tile);
                assert!(slices >= 2 && slice.is_multiple_of(tile.depth), "{reduction}");
                assert!((slices - 1) * slice < reduction && slices * slice >= reduction, "{reduction}");
            }
        }
    }

    #[test]
    fn workgroup_memory_that_is_too_small_is_named() {
        let traits = DeviceTraits { max_workgroup_bytes: 1024, ..DeviceTraits::portable(DeviceClass::Discrete) };
        let product = Product { groups: 1, rows: 64, columns: 64, reduction: 64, vectors: true };
        let refusal = product.tiling(&traits).err().unwrap();
        assert!(refusal.0.contains("1024"), "{refusal}");
    }
}
