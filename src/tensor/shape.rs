//! Shapes: axis sizes, row-major strides and broadcasting.

use std::fmt;
use std::ops::Deref;

use serde::Serialize;

/// Axis sizes, outermost first. Convolution activations are `[batch, spatial.., channels]`.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Number of elements; 1 for a scalar, and the largest number where there are more than any memory holds.
    pub fn elements(&self) -> usize {
        // A number that wraps around would pass for a small tensor.
        self.0.iter().fold(1, |elements, &size| elements.saturating_mul(size))
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Size of the last axis (the channels of an activation); 1 for a scalar.
    pub fn last_axis(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// Elements to step over for one step along each axis, row-major.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1usize; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(self.0[axis]);
        }
        strides
    }

    /// Strides for reading this shape as if it were broadcast to `target`: 0 along axes that repeat.
    ///
    /// `None` when the shapes do not broadcast (NumPy's rule: axes are aligned from the last one).
    pub fn broadcast_strides(&self, target: &Shape) -> Option<Vec<usize>> {
        let missing = target.rank().checked_sub(self.rank())?;
        let mut strides = vec![0; target.rank()];
        for (axis, (&size, stride)) in self.0.iter().zip(self.strides()).enumerate() {
            match size {
                size if size == target.0[missing + axis] => strides[missing + axis] = stride,
                1 => {}
                _ => return None,
            }
        }
        Some(strides)
    }

    /// Where the elements of an operand lie that is walked along with a tensor of this shape, in the order of its elements.
    ///
    /// `strides` are the operand's along the axes of this shape, as [`Shape::broadcast_strides`] gives them.
    pub fn offsets(&self, strides: &[usize]) -> impl Iterator<Item = usize> + use<> {
        let own = self.strides();
        let axes: Vec<[usize; 3]> =
            self.0.iter().zip(own).zip(strides).map(|((&size, own), &stride)| [size, own, stride]).collect();
        (0..self.elements()).map(move |i| axes.iter().map(|[size, own, stride]| i / own % size * stride).sum())
    }

    /// The shape that both operands broadcast to (NumPy's rule), or `None`.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let size = |shape: &Shape, axis: usize| (axis + shape.rank()).checked_sub(rank).map_or(1, |own| shape.0[own]);
        (0..rank)
            .map(|axis| match (size(self, axis), size(other, axis)) {
                (a, b) if a == b || b == 1 => Some(a),
                (1, b) => Some(b),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Shape)
    }

    /// The axis sizes as a vector.
    pub fn to_vec(&self) -> Vec<usize> {
        self.0.clone()
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<T: Into<Vec<usize>>> From<T> for Shape {
    fn from(sizes: T) -> Shape {
        Shape(sizes.into())
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(sizes: I) -> Shape {
        Shape(sizes.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.0.iter().map(usize::to_string).collect();
        write!(f, "[{}]", sizes.join(", "))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A shape in words, with a question mark for each axis of open size: `[?, 224, 224, 3]`.
pub fn open_shape(shape: &[Option<usize>]) -> String {
    let sizes: Vec<String> = shape.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let a = Shape::from([2, 1, 5]);
        let b = Shape::from([3, 1]);
        assert_eq!(a.broadcast(&b), Some(Shape::from([2, 3, 5])));
        assert_eq!(b.broadcast_strides(&Shape::from([2, 3, 5])), Some(vec![0, 1, 0]));
        assert_eq!(
            Shape::from([2, 3, 2]).offsets(&[0, 1, 0]).collect::<Vec<_>>(),
            [0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2]
        );
        assert_eq!(a.broadcast(&Shape::from([4, 5])), Some(Shape::from([2, 4, 5])));
        assert_eq!(Shape::from([2, 5]).broadcast(&Shape::from([3, 5])), None);
        assert_eq!(Shape::from([4]).broadcast_strides(&Shape::from([3])), None);
    }

    #[test]
    fn strides_are_row_major() {
        assert_eq!(Shape::from([2, 3, 4]).strides(), vec![12, 4, 1]);
        assert_eq!(Shape::from([]).elements(), 1);
    }
}
