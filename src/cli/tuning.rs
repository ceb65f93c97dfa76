//! The --tuning arguments: whether plans take kernels that were measured to be the fastest.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use crate::gpu;
use crate::session::{Options, Tuning, TuningTable};

#[derive(Debug, Args)]
pub(super) struct TuningArgs {
    /// Whether plans take the kernels that were measured to be the fastest on this device.
    #[arg(long, value_enum, default_value = "off", value_name = "WHEN")]
    tuning: When,
    /// The table of tuned kernels; as a rule it lies in the user's folder for caches.
    #[arg(long, value_name = "FILE", requires = "tuning")]
    tuning_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// The fixed order of kernels.
    Off,
    /// What `wgconv tune` found earlier.
    Cached,
    /// As `cached`; what it did not see is measured first.
    On,
}

impl When {
    fn name(self) -> &'static str {
        match self {
            When::Off => "off",
            When::Cached => "cached",
            When::On => "on",
        }
    }
}

impl TuningArgs {
    /// Whether anything but the fixed order of kernels was asked for.
    pub(super) fn any(&self) -> bool {
        self.tuning != When::Off
    }

    /// These arguments again, for a process that does the work with caches of its own: the table is named.
    pub(super) fn again(&self, device: &gpu::Device) -> Result<Vec<OsString>, Failure> {
        if !self.any() {
            return Ok(Vec::new());
        }
        let file = self.tuning_file.clone().map_or_else(|| TuningTable::default_path(device), Ok)?;
        if self.tuning == When::Cached {
            TuningTable::read(&file, device)?;
        }
        Ok(["--tuning".into(), self.tuning.name().into(), "--tuning-file".into(), file.into()].into())
    }

    /// Session options with these.
    pub(super) fn apply(&self, options: Options) -> Options {
        let tuning = match self.tuning {
            When::Off => Tuning::Off,
            When::Cached => Tuning::Cached,
            When::On => Tuning::On,
        };
        Options { tuning, tuning_file: self.tuning_file.clone(), ..options }
    }
}
