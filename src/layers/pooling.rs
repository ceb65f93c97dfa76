//! `MaxPooling`, `AveragePooling` and their global forms.

use serde_json::{Value, json};

use super::settings::{check_rank, setters, size_setters};
use super::{DataFormat, Emitter, IntoSizes, KerasSite, Layer, LayerRef, Padding, WeightSpec};
use crate::error::LayerError;
use crate::graph::ValueId;
use crate::ops::{self, PoolKind, Reduce, ReduceFn};
use crate::tensor::Shape;

/// Pooling over `R` spatial axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Pooling<const R: usize> {
    maximum: bool,
    pool_size: [usize; R],
    strides: [usize; R],
    padding: Padding,
    data_format: DataFormat,
}

/// Pooling over one spatial axis.
pub type Pooling1D = Pooling<1>;
/// Pooling over rows and columns.
pub type Pooling2D = Pooling<2>;
/// Pooling over three spatial axes.
pub type Pooling3D = Pooling<3>;

impl<const R: usize> Pooling<R> {
    /// The largest element of every window; windows lie side by side (Keras's default strides).
    pub fn max(pool_size: impl IntoSizes<R>) -> Pooling<R> {
        Pooling { maximum: true, ..Pooling::average(pool_size) }
    }

    /// The mean of every window, padding not counted.
    pub fn average(pool_size: impl IntoSizes<R>) -> Pooling<R> {
        let pool_size = pool_size.sizes();
        Pooling {
            maximum: false,
            pool_size,
            strides: pool_size,
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
        }
    }

    size_setters! { R;
        /// Steps between neighbouring windows (the pool size).
        strides,
    }
    setters! {
        /// How the window may reach over the edges (valid).
        padding: Padding,
        /// Where the channels are (last).
        data_format: DataFormat,
    }
}

impl<const R: usize> Layer for Pooling<R> {
    fn class_name(&self) -> &'static str {
        match (self.maximum, R) {
            (true, 1) => "MaxPooling1D",
            (true, 2) => "MaxPooling2D",
            (true, _) => "MaxPooling3D",
            (false, 1) => "AveragePooling1D",
            (false, 2) => "AveragePooling2D",
            (false, _) => "AveragePooling3D",
        }
    }

    fn config(&self) -> Value {
        json!({
            "pool_size": self.pool_size.as_slice(),
            "strides": self.strides.as_slice(),
            "padding": self.padding.name(),
            "data_format": self.data_format.name(),
        })
    }

    fn in_keras(&self, site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        site.check_rank(R).map(|()| Vec::new())
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        check_rank(emitter, x, R)?;
        let op = ops::Pool {
            kind: match self.maximum {
                true => PoolKind::Max,
                false => PoolKind::Average { count_include_pad: false },
            },
            size: self.pool_size.to_vec(),
            window: self.padding.window(&self.strides, &[1; R]),
        };
        self.data_format.around(emitter, x, |emitter, x| emitter.node("", op, &[x])).map(|y| vec![y])
    }
}

/// One number per channel, over `R` spatial axes.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalPooling<const R: usize> {
    maximum: bool,
    keepdims: bool,
    data_format: DataFormat,
}

/// Global pooling over one spatial axis.
pub type GlobalPooling1D = GlobalPooling<1>;
/// Global pooling over rows and columns.
pub type GlobalPooling2D = GlobalPooling<2>;
/// Global pooling over three spatial axes.
pub type GlobalPooling3D = GlobalPooling<3>;

impl<const R: usize> GlobalPooling<R> {
    /// The largest element of every channel.
    pub fn max() -> GlobalPooling<R> {
        GlobalPooling { maximum: true, keepdims: false, data_format: DataFormat::ChannelsLast }
    }

    /// The mean of every channel.
    pub fn average() -> GlobalPooling<R> {
        GlobalPooling { maximum: false, ..GlobalPooling::max() }
    }

    setters! {
        /// Keep the spatial axes, with size 1 (no).
        keepdims: bool,
        /// Where the channels are (last).
        data_format: DataFormat,
    }
}

impl<const R: usize> Layer for GlobalPooling<R> {
    fn class_name(&self) -> &'static str {
        match (self.maximum, R) {
            (true, 1) => "GlobalMaxPooling1D",
            (true, 2) => "GlobalMaxPooling2D",
            (true, _) => "GlobalMaxPooling3D",
            (false, 1) => "GlobalAveragePooling1D",
            (false, 2) => "GlobalAveragePooling2D",
            (false, _) => "GlobalAveragePooling3D",
        }
    }

    fn config(&self) -> Value {
        json!({ "data_format": self.data_format.name(), "keepdims": self.keepdims })
    }

    fn in_keras(&self, site: &KerasSite<'_>) -> Result<Vec<LayerRef>, String> {
        site.check_rank(R).map(|()| Vec::new())
    }

    fn weights(&self, _inputs: &[Shape]) -> Result<Vec<WeightSpec>, String> {
        Ok(Vec::new())
    }

    fn emit(
        &self,
        emitter: &mut Emitter<'_>,
        inputs: &[ValueId],
        _weights: &[ValueId],
    ) -> Result<Vec<ValueId>, LayerError> {
        let x = emitter.one(inputs)?;
        check_rank(emitter, x, R)?;
        let first = self.data_format.first_spatial();
        let function = if self.maximum { ReduceFn::Max } else { ReduceFn::Mean };
        let op = Reduce { function, axes: (first..first + R).collect(), keepdims: self.keepdims };
        Ok(vec![emitter.node("", op, &[x])?])
    }
}
