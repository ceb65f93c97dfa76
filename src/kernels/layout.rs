//! Axes of strided kernels: their sizes, and for each operand the elements to step over.

use super::{Form, Refusal};

/// Axes that a shader can walk over, after merging.
const MOST_AXES: usize = 8;

/// Axes from the outermost to the innermost, and how operands are read or written along them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axes {
    sizes: Vec<usize>,
    /// For each operand the stride of each axis; 0 where the operand repeats.
    strides: Vec<Vec<i64>>,
}

impl Axes {
    /// Axes of `sizes`; `strides` has one list per operand.
    ///
    /// Axes of one element disappear, and neighbours that every operand walks through in one go become one axis. At
    /// least one axis remains.
    pub(super) fn merged(sizes: &[usize], strides: &[Vec<i64>]) -> Axes {
        let mut merged = Axes { sizes: Vec::new(), strides: vec![Vec::new(); strides.len()] };
        for (axis, &size) in sizes.iter().enumerate().filter(|(_, size)| **size != 1) {
            let own: Vec<i64> = strides.iter().map(|operand| operand.get(axis).copied().unwrap_or(0)).collect();
            let continues = |(outer, own): (&Vec<i64>, &i64)| outer.last() == Some(&(own * size as i64));
            match merged.sizes.last_mut() {
                Some(outer) if merged.strides.iter().zip(&own).all(continues) => {
                    *outer *= size;
                    for (outer, own) in merged.strides.iter_mut().zip(own) {
                        outer.pop();
                        outer.push(own);
                    }
                }
                _ => merged.push(size, own),
            }
        }
        if merged.sizes.is_empty() {
            merged.push(1, vec![0; strides.len()]);
        }
        merged
    }

    fn push(&mut self, size: usize, own: Vec<i64>) {
        self.sizes.push(size);
        self.strides.iter_mut().zip(own).for_each(|(outer, own)| outer.push(own));
    }

    /// Number of axes.
    pub(super) fn rank(&self) -> usize {
        self.sizes.len()
    }

    /// Positions in all.
    pub(super) fn positions(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The innermost size and each operand's innermost stride.
    pub(super) fn innermost(&self) -> (usize, Vec<i64>) {
        let strides = self.strides.iter().map(|operand| operand.last().copied().unwrap_or(0));
        (self.sizes.last().copied().unwrap_or(1), strides.collect())
    }

    /// Sizes from the outermost axis on.
    pub(super) fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Strides of an operand from the outermost axis on.
    pub(super) fn strides(&self, operand: usize) -> &[i64] {
        self.strides.get(operand).map_or(&[], Vec::as_slice)
    }

    /// Whether every stride of `operand` is a whole number of vectors, the innermost one aside if it is `dense`.
    pub(super) fn aligned(&self, operand: usize, dense: bool) -> bool {
        let strides = self.strides(operand);
        let outer = strides.len().saturating_sub(usize::from(dense));
        strides.iter().take(outer).all(|stride| stride % 4 == 0)
    }

    /// Counts the innermost axis in vectors of four elements, where every operand allows it.
    ///
    /// An operand is read in vectors when it is dense along the innermost axis and its other strides are whole vectors;
    /// one that repeats along the innermost axis keeps its strides in elements. With `padded`, a single axis may end
    /// inside a vector. Returns for each operand whether it is read in vectors.
    pub(super) fn vectorize(&mut self, padded: bool) -> Option<Vec<bool>> {
        let (size, innermost) = self.innermost();
        let whole = size.is_multiple_of(4) || (padded && self.rank() == 1);
        let fits = |(operand, &stride): (usize, &i64)| stride == 0 || (stride == 1 && self.aligned(operand, true));
        if !whole || !innermost.iter().enumerate().all(fits) {
            return None;
        }
        if let Some(last) = self.sizes.last_mut() {
            *last = size.div_ceil(4);
        }
        let dense: Vec<bool> = innermost.iter().map(|&stride| stride == 1).collect();
        for (strides, _) in self.strides.iter_mut().zip(&dense).filter(|(_, dense)| **dense) {
            let outer = strides.len() - 1;
            strides.iter_mut().take(outer).for_each(|stride| *stride /= 4);
        }
        Some(dense)
    }

    /// Counts an operand that is not dense along these axes in vectors: all its strides are whole vectors.
    pub(super) fn divide(&mut self, operand: usize) {
        self.strides.iter_mut().skip(operand).take(1).flatten().for_each(|stride| *stride /= 4);
    }

    /// The sizes as parameters.
    ///
    /// # Errors
    /// When more axes remain than the shaders walk over.
    pub(super) fn size_words(&self) -> Result<[u32; MOST_AXES], Refusal> {
        axis_words(self.sizes.iter().copied())
    }

    /// The strides of an operand as parameters; negative ones rely on `u32` arithmetic to wrap.
    pub(super) fn stride_words(&self, operand: usize) -> [u32; MOST_AXES] {
        let mut words = [0; MOST_AXES];
        for (word, &stride) in words.iter_mut().zip(self.strides(operand)) {
            *word = stride as u32;
        }
        words
    }
}

/// One number for each axis as parameters, and 1 for axes that are not there.
///
/// # Errors
/// When there are more axes than the shaders walk over.
pub(super) fn axis_words(values: impl ExactSizeIterator<Item = usize>) -> Result<[u32; MOST_AXES], Refusal> {
    if values.len() > MOST_AXES {
        let found = values.len();
        return Refusal::because(format!("walks over {MOST_AXES} axes, and {found} remain after merging neighbours"));
    }
    let mut words = [1; MOST_AXES];
    for (word, value) in words.iter_mut().zip(values) {
        *word = count(value)?;
    }
    Ok(words)
}

/// How an operand is read along axes of which [`Axes::vectorize`] said this.
pub(super) fn form(dense: Option<&Vec<bool>>, operand: usize) -> Form {
    Form::read(dense.is_some_and(|dense| dense.get(operand) == Some(&true)))
}

/// Strides as signed numbers.
pub(super) fn signed(strides: &[usize]) -> Vec<i64> {
    strides.iter().map(|&stride| stride as i64).collect()
}

/// A number as a parameter.
pub(super) fn count(value: usize) -> Result<u32, Refusal> {
    u32::try_from(value).map_err(|_| Refusal(format!("{value} does not fit into the shader's 32 bits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_merge_only_where_every_operand_agrees() {
        let dense = Axes::merged(&[2, 1, 3, 4], &[vec![12, 12, 4, 1]]);
        assert_eq!((dense.sizes(), dense.strides(0)), (&[24][..], &[1][..]));
        let channels = Axes::merged(&[2, 3, 4], &[vec![12, 4, 1], vec![0, 0, 1]]);
        assert_eq!(
            (channels.sizes(), channels.strides(0), channels.strides(1)),
            (&[6, 4][..], &[4, 1][..], &[0, 1][..])
        );
        let scalar = Axes::merged(&[1, 1], &[vec![1, 1]]);
        assert_eq!((scalar.sizes(), scalar.positions()), (&[1][..], 1));
    }

    #[test]
    fn vectors_need_whole_strides() {
        let mut axes = Axes::merged(&[6, 8], &[vec![8, 1], vec![1, 0]]);
        assert_eq!(axes.vectorize(false), Some(vec![true, false]));
        assert_eq!((axes.sizes(), axes.strides(0), axes.strides(1)), (&[6, 2][..], &[2, 1][..], &[1, 0][..]));
        let odd = Axes::merged(&[6, 8], &[vec![9, 1]]);
        assert_eq!(odd.clone().vectorize(false), None);
        let mut tail = Axes::merged(&[13], &[vec![1]]);
        assert_eq!(tail.clone().vectorize(false), None);
        assert_eq!(tail.vectorize(true), Some(vec![true]));
        assert_eq!(tail.positions(), 4);
    }

    #[test]
    fn too_many_axes_are_refused_with_their_number() {
        let strides: Vec<i64> = (0..9).map(|axis| 3i64.pow(axis) * 7).collect();
        let refusal = Axes::merged(&[2; 9], &[strides]).size_words().unwrap_err();
        assert!(refusal.0.contains('9'), "{refusal}");
    }
}
