//! `matmul_tile`: batched matrix product by tiles in workgroup memory.

use super::layout::count;
use super::matmul::Product;
use super::{Case, DeviceTraits, Dispatch, Kernel, Launch, Refusal, Shader, ends, params};
use crate::ops::Op;

params! {
    /// Parameters of `matmul_tile`: tiles of the output, the sizes of one product, the elements to step over in both
    /// operands, and the axes of the batch.
    struct Params {
        tiles: u32,
        row_tiles: u32,
        column_tiles: u32,
        m: u32,
        n: u32,
        k: u32,
        a_row: u32,
        a_k: u32,
        b_k: u32,
        b_column: u32,
        batch: [u32; 8],
        a_batch: [u32; 8],
        b_batch: [u32; 8],
    }
}

/// Invocations along each side of a workgroup.
const SIDE: usize = 16;
/// Terms of the sum that a workgroup keeps at once.
const TERMS: usize = 16;
/// Terms added in one round of the loop over those.
const UNROLL: usize = 4;
/// Products with fewer rows or columns leave most of a tile empty.
const FEWEST: usize = 8;
/// From this many rows and columns on an invocation computes 4 x 4 elements, before that one.
const LARGE: usize = 64;

/// Takes products of 8 rows and columns or more.
pub(super) const KERNEL: Kernel = Kernel { stem: "matmul_tile", accepts };

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Product { site, a, b, batch } = Product::new(case, traits)?;
    let Op::MatMul(op) = case.op else { return Refusal::because("takes matrix products") };
    let (m, n) = (site.m, site.n);
    if m.min(n) < FEWEST {
        return Refusal::because(format!("is for {FEWEST} rows and columns or more, and here are {m} and {n}"));
    }
    let per = if m.min(n) >= LARGE { 4 } else { 1 };
    let tile = SIDE * per;
    let (invocations, bytes) = ((SIDE * SIDE) as u32, (2 * TERMS * tile * size_of::<f32>()) as u32);
    if invocations > traits.max_invocations || bytes > traits.max_workgroup_bytes {
        return Refusal::because(format!(
            "needs {invocations} invocations and {bytes} bytes in a workgroup, and {} and {} are allowed",
            traits.max_invocations, traits.max_workgroup_bytes
        ));
    }
    ends(site.k.div_ceil(TERMS).saturating_mul(1 + TERMS / UNROLL + per), traits)?;
    let (row_tiles, column_tiles) = (m.div_ceil(tile), n.div_ceil(tile));
    let tiles = batch.positions() * row_tiles * column_tiles;
    let Some(workgroups) = traits.fold(tiles as u64) else {
        return Refusal::because(format!("{tiles} tiles are more than one dispatch has workgroups for"));
    };
    let params = Params {
        tiles: count(tiles)?,
        row_tiles: count(row_tiles)?,
        column_tiles: count(column_tiles)?,
        m: count(m)?,
        n: count(n)?,
        k: count(site.k)?,
        a_row: a[0],
        a_k: a[1],
        b_k: b[0],
        b_column: b[1],
        batch: batch.size_words()?,
        a_batch: batch.stride_words(0),
        b_batch: batch.stride_words(1),
    };
    Ok(Dispatch {
        shader: Shader::new("matmul_tile", Params::WGSL)
            .with("rank", batch.rank())
            .with("side", SIDE)
            .with("terms", TERMS)
            .with("unroll", UNROLL)
            .with("per", per)
            .with("tile", tile)
            .with("transpose_a", op.transpose_a)
            .with("transpose_b", op.transpose_b),
        bindings: Product::bindings(),
        params: params.words(),
        workgroups,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use crate::kernels::check::launches;
    use crate::ops::MatMul;

    #[test]
    fn small_products_go_element_by_element() {
        for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let stems = |m: usize, n: usize| -> Vec<&str> {
                let a = if transpose_a { [2, 13, m] } else { [2, m, 13] };
                let b = if transpose_b { [n, 13] } else { [13, n] };
                launches(MatMul { transpose_a, transpose_b }, &[&a, &b]).into_iter().map(|(stem, _)| stem).collect()
            };
            assert_eq!(stems(1, 100), ["matmul"]);
            assert_eq!(stems(40, 8), ["matmul_tile", "matmul"]);
            assert_eq!(stems(100, 64), ["matmul_tile", "matmul"]);
        }
    }
}
