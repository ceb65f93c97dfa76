//! `matmul`: batched matrix product, element by element.

use super::layout::{Axes, count, signed};
use super::{
    Binding, Case, DeviceTraits, Dispatch, Form, Kernel, LONG_LOOP, Launch, Operand, Refusal, Shader, ends, linear,
    params,
};
use crate::ops::{MatMulSite, Op};
use crate::tensor::Shape;

params! {
    /// Parameters of `matmul`: elements of the output, the sizes of one product, the elements to step over in both
    /// operands, and the axes of the batch.
    struct Params {
        count: u32,
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

/// Takes every product.
pub(super) const KERNEL: Kernel = Kernel { stem: "matmul", accepts };

/// A product with the way its operands lie in memory.
pub(super) struct Product {
    /// Sizes.
    pub(super) site: MatMulSite,
    /// Elements of `a` to step over from row to row and from term to term.
    pub(super) a: [u32; 2],
    /// Elements of `b` to step over from term to term and from column to column.
    pub(super) b: [u32; 2],
    /// The batch, with the elements of `a` and `b` to step over.
    pub(super) batch: Axes,
}

impl Product {
    /// Reads the case of a product.
    pub(super) fn new(case: &Case<'_>, traits: &DeviceTraits) -> Result<Product, Refusal> {
        let (Op::MatMul(op), [a, b]) = (case.op, case.inputs) else {
            return Refusal::because("takes matrix products");
        };
        case.fits(traits)?;
        let site = op.site(case.inputs).map_err(|error| Refusal(error.to_string()))?;
        let (m, n, k) = (count(site.m)?, count(site.n)?, count(site.k)?);
        let strides = |shape: &Shape, matrix: usize| {
            let leading = Shape::from(shape.get(..shape.rank().saturating_sub(2)).unwrap_or_default());
            let strides = leading.broadcast_strides(&site.batch).unwrap_or_default();
            signed(&strides).into_iter().map(|stride| stride * matrix as i64).collect::<Vec<_>>()
        };
        let batch =
            Axes::merged(&site.batch, &[strides(&a.shape, site.m * site.k), strides(&b.shape, site.k * site.n)]);
        Ok(Product {
            a: if op.transpose_a { [1, m] } else { [k, 1] },
            b: if op.transpose_b { [1, k] } else { [n, 1] },
            batch,
            site,
        })
    }

    /// The operands as the shaders call them.
    pub(super) fn bindings() -> Vec<Binding> {
        vec![
            Binding::new("a", Operand::Input(0), Form::Read),
            Binding::new("b", Operand::Input(1), Form::Read),
            Binding::new("y", Operand::Output(0), Form::Write),
        ]
    }
}

fn accepts(case: &Case<'_>, traits: &DeviceTraits) -> Result<Launch, Refusal> {
    let Product { site, a, b, batch } = Product::new(case, traits)?;
    let unroll = if site.k > LONG_LOOP { 8 } else { 1 };
    ends(site.k / unroll, traits)?;
    let (items, workgroups) = linear(site.batch.elements() * site.m * site.n, traits)?;
    let params = Params {
        count: items,
        m: count(site.m)?,
        n: count(site.n)?,
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
        shader: Shader::new("matmul", Params::WGSL).with("rank", batch.rank()).with("unroll", unroll),
        bindings: Product::bindings(),
        params: params.words(),
        workgroups,
    }
    .into())
}
