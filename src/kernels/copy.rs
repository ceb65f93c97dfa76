//! Strided copies: what slices, expansions, concatenations and permutations come down to.

use super::layout::{Axes, count};
use super::{Binding, DeviceTraits, Dispatch, Form, Operand, Refusal, Shader, linear, params};
use crate::tensor::TensorType;

params! {
    /// Parameters of `lib/copy.wgsl`: elements or vectors to move, and how the axes run through both tensors.
    struct Params {
        count: u32,
        x_start: u32,
        y_start: u32,
        sizes: [u32; 8],
        x_strides: [u32; 8],
        y_strides: [u32; 8],
    }
}

/// One input copied into the output.
pub(super) struct StridedCopy {
    /// Which input.
    pub(super) input: usize,
    /// Sizes of what is copied.
    pub(super) sizes: Vec<usize>,
    /// First element read, and the elements of the input to step over along each axis.
    pub(super) source: (i64, Vec<i64>),
    /// First element written, and the elements of the output to step over along each axis.
    pub(super) target: (i64, Vec<i64>),
}

impl StridedCopy {
    /// The copy by the template `template`, in vectors where both sides allow it.
    pub(super) fn dispatch(
        self,
        template: &'static str,
        output: &TensorType,
        traits: &DeviceTraits,
    ) -> Result<Dispatch, Refusal> {
        let ((mut x_start, x_strides), (mut y_start, y_strides)) = (self.source, self.target);
        let scalar = Axes::merged(&self.sizes, &[x_strides, y_strides]);
        let mut axes = scalar.clone();
        // A vector that ends behind the copied elements may only overwrite the padding of the output.
        let whole = y_start == 0 && scalar.positions() == output.shape.elements();
        let dense = match axes.vectorize(whole) {
            Some(dense) if dense[1] && y_start % 4 == 0 && (!dense[0] || x_start % 4 == 0) => dense,
            _ => {
                axes = scalar;
                vec![false, false]
            }
        };
        if dense[0] {
            x_start /= 4;
        }
        if dense[1] {
            y_start /= 4;
        }
        let start = |start: i64| count(usize::try_from(start).unwrap_or(usize::MAX));
        let (items, workgroups) = linear(axes.positions(), traits)?;
        let params = Params {
            count: items,
            x_start: start(x_start)?,
            y_start: start(y_start)?,
            sizes: axes.size_words()?,
            x_strides: axes.stride_words(0),
            y_strides: axes.stride_words(1),
        };
        let (read, write) = (if dense[0] { Form::ReadVec4 } else { Form::Read }, dense[1]);
        Ok(Dispatch {
            shader: Shader::new(template, Params::WGSL)
                .with("T", if write { "vec4<f32>" } else { "f32" })
                .with("rank", axes.rank()),
            bindings: vec![
                Binding::new("x", Operand::Input(self.input), read),
                Binding::new("y", Operand::Output(0), if write { Form::WriteVec4 } else { Form::Write }),
            ],
            params: params.words(),
            workgroups,
        })
    }
}
