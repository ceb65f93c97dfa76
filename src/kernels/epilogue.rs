//! What kernels of convolutions do to a sum before it is stored: the options and bindings of `lib/epilogue.wgsl`.

use super::{Binding, Form, Operand, Shader};
use crate::ops::Epilogue;
use crate::tensor::TensorType;

impl Shader {
    /// Adds the options of an epilogue that reads from input `first` of an op with these inputs.
    pub(super) fn with_epilogue(self, epilogue: &Epilogue, inputs: &[TensorType], first: usize) -> Shader {
        self.with("bias", bias(epilogue, inputs, first))
            .with("residual", epilogue.residual)
            .with_activation(epilogue.activation)
    }
}

/// Whether an epilogue has a bias, and whether that is one number or one for each channel.
pub(super) fn bias(epilogue: &Epilogue, inputs: &[TensorType], first: usize) -> &'static str {
    match inputs.get(first).filter(|_| epilogue.bias) {
        Some(bias) if bias.shape.elements() == 1 => "one",
        Some(_) => "channel",
        None => "none",
    }
}

/// The bindings of what an epilogue reads from input `first` on, through buffers: in vectors or element by element. A bias of one
/// number is read as such.
pub(super) fn epilogue_bindings(
    epilogue: &Epilogue,
    inputs: &[TensorType],
    first: usize,
    vectors: bool,
) -> Vec<Binding> {
    let one = bias(epilogue, inputs, first) == "one";
    let form = |name: &str| Form::read(vectors && !(one && name == "bias"));
    bindings_as(epilogue, first, form)
}

/// The bindings of what an epilogue reads from input `first` on, each in a form by its name.
pub(super) fn bindings_as(epilogue: &Epilogue, first: usize, form: impl Fn(&str) -> Form) -> Vec<Binding> {
    let names = [epilogue.bias.then_some("bias"), epilogue.residual.then_some("residual")];
    let there = names.into_iter().flatten().zip(first..);
    there.map(|(name, i)| Binding::new(name, Operand::Input(i), form(name))).collect()
}
