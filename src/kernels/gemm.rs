//! What kernels that are tiled matrix products share: the tile, its grid, and the bindings.

use serde_json::json;

use super::conv_generic::epilogue_parts;
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Launch, Operand, Refusal, Shader, ends};
use crate::ops::{Conv, ConvSite};

/// Steps of the sum that are in workgroup memory at once.
const DEPTH: usize = 16;
/// Tiles of the larger kind below which the smaller kind keeps more of a device busy.
const FEW_TILES: usize = 64;

/// Rows, columns and length of the product.
pub(super) struct Product {
    pub rows: usize,
    pub columns: usize,
    pub reduction: usize,
    /// Both operands are read, and the result is written, in vectors.
    pub vectors: bool,
}

/// Rows (or columns) of tiles, and invocations along one side of a tile.
pub(super) struct Tiling {
    pub side: usize,
    pub column_tiles: usize,
    pub workgroups: [u32; 3],
}

impl Product {
    /// The product that a convolution in one group amounts to.
    pub fn of(site: &ConvSite) -> Product {
        let vectors = site.in_channels.is_multiple_of(4) && site.out_channels.is_multiple_of(4);
        Product { rows: site.pixels(), columns: site.out_channels, reduction: site.reduction(), vectors }
    }

    /// The larger tiles where they are many, the smaller ones otherwise.
    pub fn tiling(&self, traits: &DeviceTraits) -> Result<Tiling, Refusal> {
        let tiles = |side: usize| self.rows.div_ceil(4 * side).saturating_mul(self.columns.div_ceil(4 * side));
        let side = if tiles(16) >= FEW_TILES && traits.max_invocations >= 256 { 16 } else { 8 };
        let bytes = 4 * side * (DEPTH + DEPTH + 4) * 4;
        if bytes > traits.max_workgroup_bytes as usize {
            return Refusal::because(format!(
                "needs {bytes} bytes of workgroup memory, and the device has {}",
                traits.max_workgroup_bytes
            ));
        }
        ends(self.reduction + self.reduction / DEPTH + 1, traits)?;
        match traits.fold(tiles(side) as u64) {
            Some(workgroups) => Ok(Tiling { side, column_tiles: self.columns.div_ceil(4 * side), workgroups }),
            None => Refusal::because(format!("{} tiles are more than one dispatch can count", tiles(side))),
        }
    }

    /// The launch of `stem` with its parameter block.
    pub fn launch(
        &self,
        (stem, params): (&'static str, &'static str),
        words: Vec<u32>,
        tiling: &Tiling,
        case: &Case<'_>,
        conv: &Conv,
    ) -> Launch {
        let (read, write) = if self.vectors { (Form::ReadVec4, Form::WriteVec4) } else { (Form::Read, Form::Write) };
        let (bias, epilogue) = epilogue_parts(case, &conv.epilogue, self.vectors);
        let mut bindings = vec![
            Binding::new("x", Operand::Input(0), read),
            Binding::new("w", Operand::Input(1), read),
            Binding::new("y", Operand::Output(0), write),
        ];
        bindings.extend(epilogue);
        let shader = Shader::new(stem, params)
            .with("T", if self.vectors { "vec4<f32>" } else { "f32" })
            .with("vectors", self.vectors)
            .with("side", tiling.side)
            .with("depth", DEPTH)
            .with("tail", !self.reduction.is_multiple_of(DEPTH))
            .with("bias", bias)
            .with("residual", json!(conv.epilogue.residual))
            .with_activation(conv.epilogue.activation);
        Dispatch { shader, bindings, params: words, workgroups: tiling.workgroups }.into()
    }
}
