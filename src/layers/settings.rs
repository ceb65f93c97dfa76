//! Settings that many layers share: sizes per axis, padding and the place of the channels.

use super::Emitter;
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::Transpose;
use crate::tensor::{self, Window};

/// A size for each of `R` spatial axes: one number for all, or an array.
pub trait IntoSizes<const R: usize> {
    /// The sizes.
    fn sizes(self) -> [usize; R];
}

impl<const R: usize> IntoSizes<R> for usize {
    fn sizes(self) -> [usize; R] {
        [self; R]
    }
}

impl<const R: usize> IntoSizes<R> for [usize; R] {
    fn sizes(self) -> [usize; R] {
        self
    }
}

/// How a window may reach over the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// Not at all.
    #[default]
    Valid,
    /// Zeros, so that the output has `ceil(input / stride)` elements.
    Same,
    /// Zeros before only; one spatial axis.
    Causal,
}

impl Padding {
    /// Keras's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Padding::Valid => "valid",
            Padding::Same => "same",
            Padding::Causal => "causal",
        }
    }

    /// The window of a layer.
    pub(super) fn window(self, strides: &[usize], dilation: &[usize]) -> Window {
        let padding = match self {
            Padding::Valid => tensor::Padding::Valid,
            Padding::Same => tensor::Padding::Same,
            Padding::Causal => tensor::Padding::Causal,
        };
        Window { stride: strides.to_vec(), dilation: dilation.to_vec(), padding, ceil_mode: false }
    }
}

/// Where the channels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DataFormat {
    /// `[batch, spatial.., channels]`.
    #[default]
    ChannelsLast,
    /// `[batch, channels, spatial..]`.
    ChannelsFirst,
}

impl DataFormat {
    /// Keras's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            DataFormat::ChannelsLast => "channels_last",
            DataFormat::ChannelsFirst => "channels_first",
        }
    }

    /// The axis of the channels in a tensor of this rank.
    pub(super) fn channel_axis(self, rank: usize) -> usize {
        match self {
            DataFormat::ChannelsLast => rank.saturating_sub(1),
            DataFormat::ChannelsFirst => 1,
        }
    }

    /// The first spatial axis.
    pub(super) fn first_spatial(self) -> usize {
        match self {
            DataFormat::ChannelsLast => 1,
            DataFormat::ChannelsFirst => 2,
        }
    }

    /// Number of channels of an input.
    pub(super) fn channels(self, shape: &[usize]) -> Result<usize, String> {
        let axis = self.channel_axis(shape.len());
        shape
            .get(axis)
            .copied()
            .filter(|_| shape.len() > 1)
            .ok_or_else(|| format!("the input {shape:?} has no channels"))
    }

    /// Brings the channels to the end, works, and brings them back.
    pub(super) fn around(
        self,
        emitter: &mut Emitter<'_>,
        x: ValueId,
        work: impl FnOnce(&mut Emitter<'_>, ValueId) -> Result<ValueId, LayerError>,
    ) -> Result<ValueId, LayerError> {
        if self == DataFormat::ChannelsLast {
            return work(emitter, x);
        }
        let rank = emitter.shape(x).rank();
        let perm = [0].into_iter().chain(2..rank).chain([1]).collect();
        let last = emitter.node("channels_last", Transpose { perm }, &[x])?;
        let y = work(emitter, last)?;
        let rank = emitter.shape(y).rank();
        let perm = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        emitter.node("channels_first", Transpose { perm }, &[y])
    }
}

/// Checks the rank of a layer's input: batch, `spatial` axes, channels.
pub(super) fn check_rank(emitter: &Emitter<'_>, x: ValueId, spatial: usize) -> Result<(), LayerError> {
    let shape = emitter.shape(x);
    if shape.rank() < spatial + 2 {
        return Err(emitter
            .wrong(format!("it works on {} axes (batch, {spatial} spatial, channels) and got {shape}", spatial + 2)));
    }
    Ok(())
}

/// Builder methods that set a field of the same name.
macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)?) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $field(mut self, $field: $ty) -> Self {
            self.$field = $field;
            self
        })*
    };
}

/// Builder methods that set a size per axis.
macro_rules! size_setters {
    ($rank:ident; $($(#[$doc:meta])* $field:ident),* $(,)?) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $field(mut self, $field: impl crate::layers::IntoSizes<$rank>) -> Self {
            self.$field = $field.sizes();
            self
        })*
    };
}

pub(super) use {setters, size_setters};
