//! Which classes are taken for which.

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::tensor::Tensor;

/// Counts of samples by their class (rows) and by the class that was predicted (columns).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    /// Rows of counts; as many as the model has classes.
    pub counts: Vec<Vec<u64>>,
}

impl ConfusionMatrix {
    /// Takes in a batch: targets that are numbers of classes `[batch]` or one-hot `[batch, classes]`, and predictions
    /// `[batch, classes]` (or `[batch, 1]`: the probability of class 1).
    ///
    /// # Errors
    /// [`TrainError::Data`] when targets and predictions do not belong together, or a target is no class of the model's;
    /// nothing is counted then.
    pub fn update(&mut self, target: &Tensor, prediction: &Tensor) -> Result<(), TrainError> {
        let wrong = |what: String| TrainError::Data { what };
        let (target, prediction) = (target.to_f32(), prediction.to_f32());
        let y = target.f32s().map_err(|e| wrong(e.to_string()))?;
        let p = prediction.f32s().map_err(|e| wrong(e.to_string()))?;
        let samples = prediction.shape().first().copied().unwrap_or(0).max(1);
        let (wide, classes) = (y.len() / samples, p.len() / samples);
        if wide * samples != y.len() || (wide != 1 && wide != classes) {
            let what =
                format!("targets {} and predictions {} do not belong together", target.shape(), prediction.shape());
            return Err(wrong(what));
        }
        let size = classes.max(2);
        let largest = |row: &[f32]| (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        let class = |row: &[f32]| match row {
            [one] => usize::from(*one > 0.5),
            row => largest(row),
        };
        let truth = |y: &[f32]| match y {
            [number] => (0..size).find(|&class| class as f32 == *number).ok_or_else(|| {
                wrong(format!("there is no class {number}; the model has the classes 0 to {}", size - 1))
            }),
            row => Ok(largest(row)),
        };
        let truths = y.chunks(wide.max(1)).map(truth).collect::<Result<Vec<usize>, TrainError>>()?;
        let size = size.max(self.counts.len());
        self.counts.resize(size, Vec::new());
        self.counts.iter_mut().for_each(|row| row.resize(size, 0));
        for (truth, p) in truths.into_iter().zip(p.chunks(classes.max(1))) {
            self.counts[truth][class(p)] += 1;
        }
        Ok(())
    }
}

impl std::fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let largest = self.counts.iter().flatten().max().copied().unwrap_or(0);
        let width = largest.to_string().len().max(self.counts.len().to_string().len()) + 1;
        write!(f, "class  ")?;
        (0..self.counts.len()).try_for_each(|class| write!(f, "{class:>width$}"))?;
        writeln!(f, "   right")?;
        for (class, row) in self.counts.iter().enumerate() {
            write!(f, "{class:>5}  ")?;
            row.iter().try_for_each(|count| write!(f, "{count:>width$}"))?;
            let total: u64 = row.iter().sum();
            let share = if total > 0 { 100.0 * row[class] as f64 / total as f64 } else { 0.0 };
            writeln!(f, "  {share:5.1}%")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_counted_by_what_they_are_taken_for() {
        let p = Tensor::from_f32([3, 3], vec![0.1, 0.7, 0.2, 0.5, 0.2, 0.3, 0.1, 0.3, 0.6]).unwrap();
        let mut matrix = ConfusionMatrix::default();
        matrix.update(&Tensor::from_f32([3], vec![1.0, 2.0, 2.0]).unwrap(), &p).unwrap();
        let one_hot = Tensor::from_f32([3, 3], vec![0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]).unwrap();
        matrix.update(&one_hot, &p).unwrap();
        assert_eq!(matrix.counts, [[0, 0, 0], [0, 2, 0], [2, 0, 2]]);
        assert!(matrix.to_string().contains("50.0%"));
        let mut binary = ConfusionMatrix::default();
        let (y, p) =
            (Tensor::from_f32([2, 1], vec![1.0, 0.0]).unwrap(), Tensor::from_f32([2, 1], vec![0.9, 0.8]).unwrap());
        binary.update(&y, &p).unwrap();
        assert_eq!(binary.counts, [[0, 1], [0, 1]]);
        assert!(binary.update(&Tensor::full([3], 0.0), &p).is_err());
        let before = binary.clone();
        for number in [2.0, -1.0, 0.5, 1e30, f32::NAN] {
            let failure = binary.update(&Tensor::from_f32([2], vec![1.0, number]).unwrap(), &p).unwrap_err();
            assert!(failure.to_string().contains("the classes 0 to 1"), "{failure}");
        }
        assert_eq!(binary, before);
        let text = serde_json::to_string(&binary).unwrap();
        assert_eq!(serde_json::from_str::<ConfusionMatrix>(&text).unwrap(), binary);
    }
}
