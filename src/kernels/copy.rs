//! Strided copies: what slices, expansions, concatenations and permutations come down to.

use super::lane::image_fits;
use super::layout::{Axes, count, signed};
use super::{Binding, DeviceClass, DeviceTraits, Dispatch, Form, Operand, Refusal, Shader, linear, params};
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
        // Positions in the output are those of the work where it is written from end to end.
        let in_order = axes.strides(1) == row_major(axes.sizes());
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
        // A processor reads what it writes many times through an image, which is small beside the output.
        let repeats = axes.strides(0).contains(&0);
        let images =
            dense[0] && repeats && traits.class == DeviceClass::Cpu && image_fits(4 * elements_read(&axes), 4, traits);
        let read = match dense[0] {
            true if images => Form::Image,
            vectors => Form::read(vectors),
        };
        let write = dense[1];
        Ok(Dispatch {
            shader: Shader::new(template, Params::WGSL)
                .with("T", if write { "vec4<f32>" } else { "f32" })
                .with("images", images)
                .with("in_order", in_order)
                .with("rank", axes.rank()),
            bindings: vec![
                Binding::new("x", Operand::Input(self.input), read),
                Binding::new("y", Operand::Output(0), Form::write(write)),
            ],
            params: params.words(),
            workgroups,
        })
    }
}

/// Elements (or vectors) of the input that a copy reads: those along axes on which it does not repeat.
fn elements_read(axes: &Axes) -> usize {
    axes.sizes().iter().zip(axes.strides(0)).filter(|(_, stride)| **stride != 0).map(|(&size, _)| size).product()
}

/// The strides of a dense tensor.
fn row_major(sizes: &[usize]) -> Vec<i64> {
    signed(&crate::tensor::Shape::from(sizes.to_vec()).strides())
}
