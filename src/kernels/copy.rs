//! Strided copies: what slices, expansions, concatenations and permutations come down to.

use serde_json::json;

use super::lane::read_form;
use super::layout::{Axes, count, signed};
use super::{Binding, Case, DeviceTraits, Dispatch, Form, Operand, Refusal, Shader, linear, params};

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

/// Elements of an image for each that is read of it: a load from a buffer takes a processor as long as copying eight into an image.
const MOST_IMAGE_PER_READ: usize = 4;

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
        case: &Case<'_>,
        traits: &DeviceTraits,
    ) -> Result<Dispatch, Refusal> {
        let (Some(input), [output]) = (case.inputs.get(self.input), case.outputs) else {
            return Refusal::because("copies inputs into one output");
        };
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
        // Processors read through images, which hold all of the input: not for a small part of it.
        let vector = if dense[0] { 4 } else { 1 };
        let most = MOST_IMAGE_PER_READ * vector * elements_read(&axes);
        let read = match Form::read(dense[0]) {
            form if input.shape.elements() <= most => read_form(form, input.shape.elements(), traits),
            form => form,
        };
        let write = dense[1];
        Ok(Dispatch {
            shader: Shader::new(template, Params::WGSL)
                .with("T", if write { "vec4<f32>" } else { "f32" })
                .with("form", json!(read))
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
