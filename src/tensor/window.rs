//! Window arithmetic shared by convolutions and pools: output sizes and padding per axis.

use serde::Serialize;

use crate::error::WindowError;

/// How a window may reach over the edges of its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// No padding: every window lies inside the input.
    Valid,
    /// Output size `ceil(input / stride)`; the odd element of padding goes after (Keras `same`, ONNX `SAME_UPPER`).
    Same,
    /// As `Same`, with the odd element before (ONNX `SAME_LOWER`).
    SameLower,
    /// All padding before, so that no output sees a later input (Keras `causal`).
    Causal,
    /// Elements before and after each spatial axis.
    Explicit(Vec<(usize, usize)>),
}

/// A sliding window over one or more spatial axes. The vectors have one entry per axis.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Window {
    /// Steps between neighbouring windows.
    pub stride: Vec<usize>,
    /// Steps between neighbouring taps of one window.
    pub dilation: Vec<usize>,
    /// Padding rule.
    pub padding: Padding,
    /// Round the output size up: the last window may start inside the padding after the input.
    pub ceil_mode: bool,
}

/// One axis of a [`Window`] resolved for an input size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AxisWindow {
    /// Input elements.
    pub input: usize,
    /// Output elements.
    pub output: usize,
    /// Taps.
    pub size: usize,
    /// Steps between neighbouring windows.
    pub stride: usize,
    /// Steps between neighbouring taps.
    pub dilation: usize,
    /// Padding before the first element.
    pub before: usize,
    /// Padding after the last element.
    pub after: usize,
}

impl AxisWindow {
    /// Distance from the first to the last tap, plus one: `dilation * (size - 1) + 1`.
    pub fn extent(&self) -> usize {
        self.dilation * (self.size - 1) + 1
    }

    /// Whether the window has nothing to do with this axis: every position is its own output.
    pub fn passes(&self) -> bool {
        self.size == 1 && self.stride == 1 && self.before == 0 && self.after == 0
    }

    /// The input position under tap `tap` of output `output`, or `None` where it lies in the padding.
    pub fn position(&self, output: usize, tap: usize) -> Option<usize> {
        (output * self.stride + tap * self.dilation).checked_sub(self.before).filter(|&position| position < self.input)
    }
}

impl Window {
    /// A window of stride 1 and dilation 1 over `axes` axes.
    pub fn unit(axes: usize) -> Window {
        Window { stride: vec![1; axes], dilation: vec![1; axes], padding: Padding::Valid, ceil_mode: false }
    }

    /// Number of spatial axes.
    pub fn axes(&self) -> usize {
        self.stride.len()
    }

    /// Output size and padding of every axis.
    ///
    /// `output = floor((input + before + after - dilation * (size - 1) - 1) / stride) + 1`, which holds for stride and
    /// dilation together as well; `Same` gives `ceil(input / stride)` (TensorFlow's rule, which Keras follows).
    ///
    /// # Errors
    /// [`WindowError`] when a size, stride or dilation is 0, the vectors disagree in length, or the window never fits.
    pub fn resolve(&self, input: &[usize], size: &[usize]) -> Result<Vec<AxisWindow>, WindowError> {
        let axes = self.axes();
        let explicit = match &self.padding {
            Padding::Explicit(pads) => Some(pads),
            _ => None,
        };
        let lengths = [input.len(), size.len(), self.dilation.len(), explicit.map_or(axes, Vec::len)];
        if lengths.iter().any(|&length| length != axes) {
            return Err(WindowError::Axes { expected: axes, input: input.len(), size: size.len() });
        }
        (0..axes)
            .map(|axis| {
                let pads = explicit.map_or((0, 0), |pads| pads[axis]);
                self.resolve_axis(axis, input[axis], size[axis], pads)
            })
            .collect()
    }

    fn resolve_axis(
        &self,
        axis: usize,
        input: usize,
        size: usize,
        explicit: (usize, usize),
    ) -> Result<AxisWindow, WindowError> {
        let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
        if input == 0 || size == 0 || stride == 0 || dilation == 0 {
            return Err(WindowError::Zero { axis, input, size, stride, dilation });
        }
        let extent = (size - 1)
            .checked_mul(dilation)
            .and_then(|reach| reach.checked_add(1))
            .ok_or(WindowError::NeverFits { axis, input, extent: usize::MAX, padding: 0 })?;
        let (before, after) = match self.padding {
            Padding::Valid => (0, 0),
            Padding::Causal => (extent - 1, 0),
            Padding::Explicit(_) => explicit,
            Padding::Same | Padding::SameLower => {
                let output = input.div_ceil(stride);
                let total = ((output - 1) * stride + extent).saturating_sub(input);
                let half = total / 2;
                match self.padding {
                    Padding::SameLower => (total - half, half),
                    _ => (half, total - half),
                }
            }
        };
        let padded = input.saturating_add(before).saturating_add(after);
        let Some(room) = padded.checked_sub(extent) else {
            return Err(WindowError::NeverFits { axis, input, extent, padding: before + after });
        };
        let mut output = room / stride + 1;
        // A window that would start in the padding after the input is dropped (ONNX and PyTorch agree on this).
        if self.ceil_mode && !room.is_multiple_of(stride) && output * stride < input + before {
            output += 1;
        }
        Ok(AxisWindow { input, output, size, stride, dilation, before, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize, size: usize, stride: usize, dilation: usize, padding: Padding) -> AxisWindow {
        let window = Window { stride: vec![stride], dilation: vec![dilation], padding, ceil_mode: false };
        window.resolve(&[input], &[size]).unwrap()[0]
    }

    #[test]
    fn same_splits_the_odd_element_after() {
        let even = axis(8, 4, 1, 1, Padding::Same);
        assert_eq!((even.output, even.before, even.after), (8, 1, 2));
        let lower = axis(8, 4, 1, 1, Padding::SameLower);
        assert_eq!((lower.output, lower.before, lower.after), (8, 2, 1));
        let strided = axis(7, 3, 2, 1, Padding::Same);
        assert_eq!((strided.output, strided.before, strided.after), (4, 1, 1));
        let gap = axis(9, 2, 4, 1, Padding::Same);
        assert_eq!((gap.output, gap.before, gap.after), (3, 0, 1));
    }

    #[test]
    fn causal_pads_before_only() {
        let causal = axis(6, 3, 1, 2, Padding::Causal);
        assert_eq!((causal.output, causal.before, causal.after), (6, 4, 0));
        assert_eq!(causal.position(0, 2), Some(0));
        assert_eq!(causal.position(0, 1), None);
    }

    #[test]
    fn stride_and_dilation_combine() {
        assert_eq!(axis(11, 3, 2, 3, Padding::Valid).output, 3);
    }

    #[test]
    fn a_window_that_never_fits_is_an_error() {
        let window = Window::unit(1);
        assert!(matches!(window.resolve(&[2], &[3]), Err(WindowError::NeverFits { axis: 0, .. })));
        assert!(matches!(window.resolve(&[0], &[3]), Err(WindowError::Zero { .. })));
        assert!(matches!(window.resolve(&[4, 4], &[3]), Err(WindowError::Axes { .. })));
    }
}
