//! How wide numbers are stored on a device and in files; they are computed in `f32` whatever it is.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use serde::Serialize;

/// How the numbers of a buffer are stored. Shaders widen what they load and round what they store; arithmetic and sums are
/// `f32` either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Four bytes: nothing is lost.
    #[default]
    F32,
    /// Two bytes, IEEE 754 binary16: 11 significant bits, 65504 the largest number (beyond it lies infinity), `2^-14` the
    /// smallest one that every device keeps.
    F16,
}

impl Precision {
    /// Bytes of one number.
    pub fn size(self) -> u64 {
        match self {
            Precision::F32 => 4,
            Precision::F16 => 2,
        }
    }

    /// Whether none of these numbers becomes infinite that was not, and whole ones (counts, indices) stay what they are.
    pub fn holds(self, values: &[f32]) -> bool {
        let whole = |v: f32| v.fract() == 0.0;
        self == Precision::F32
            || values.iter().all(|&v| match f16::from_f32(v).to_f32() {
                stored if whole(v) => stored == v,
                stored => stored.is_finite() || !v.is_finite(),
            })
    }

    /// The numbers as they are stored, rounded to nearest even; zeros fill up to whole words of four bytes.
    pub(crate) fn store(self, values: &[f32]) -> Vec<u8> {
        match self {
            Precision::F32 => bytemuck::cast_slice(values).to_vec(),
            Precision::F16 => {
                let mut narrow = vec![f16::ZERO; values.len().next_multiple_of(2)];
                narrow[..values.len()].convert_from_f32_slice(values);
                narrow.iter().flat_map(|number| number.to_bits().to_le_bytes()).collect()
            }
        }
    }

    /// Numbers as they are stored, widened; nothing is lost.
    pub(crate) fn load(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            // Mapped memory is aligned: one copy then.
            Precision::F32 => match bytemuck::try_cast_slice(bytes) {
                Ok(numbers) => numbers.to_vec(),
                Err(_) => bytemuck::pod_collect_to_vec(bytes),
            },
            Precision::F16 => {
                let (numbers, _) = bytes.as_chunks::<2>();
                numbers.iter().map(|&number| from_f16(u16::from_le_bytes(number))).collect()
            }
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        })
    }
}

/// An IEEE 754 binary16 number, widened without loss.
pub fn from_f16(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// A bfloat16 number, widened without loss.
pub fn from_bf16(bits: u16) -> f32 {
    bf16::from_bits(bits).to_f32()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_widen_exactly() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(from_f16(bits), value, "{bits:#x}");
        }
        assert!(from_f16(0x7e00).is_nan());
        assert_eq!(from_f16(0x8000).to_bits(), (-0.0f32).to_bits());
        assert_eq!(from_bf16(0xc2f7), -123.5);
    }

    #[test]
    fn stored_numbers_come_back_rounded_to_nearest_even() {
        let step = 2f32.powi(-10);
        let stored = [1.0 + 0.5 * step, 1.0 + 1.5 * step, 1.0 + 0.51 * step, -65504.0, 65519.9, 65520.0, 6e-8];
        let expected = [1.0, 1.0 + 2.0 * step, 1.0 + step, -65504.0, 65504.0, f32::INFINITY, 2f32.powi(-24)];
        let bytes = Precision::F16.store(&stored);
        assert_eq!((bytes.len(), &Precision::F16.load(&bytes)[..7]), (16, &expected[..]));
        assert_eq!(Precision::F32.load(&Precision::F32.store(&stored)), stored);
        assert!(Precision::F16.holds(&[65519.9, f32::INFINITY, f32::NAN, 2050.0, 2049.5]));
        assert!(!Precision::F16.holds(&[-65520.5]) && !Precision::F16.holds(&[2049.0]));
        assert!(Precision::F16.load(&Precision::F16.store(&[f32::NAN]))[0].is_nan());
    }
}
