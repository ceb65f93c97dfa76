//! The --tuning arguments: whether plans take kernels that were measured to be the fastest.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::session::{Options, Tuning};

#[derive(Debug, Args)]
pub(super) struct TuningArgs {
    /// Whether plans take the kernels that were measured to be the fastest on this device.
    #[arg(long, value_enum, default_value = "off", value_name = "WHEN")]
    tuning: When,
    /// The table of tuned kernels; as a rule it lies in the user's folder for caches.
    #[arg(long, value_name = "FILE")]
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

    /// These arguments again, for a process that does the work.
    pub(super) fn again(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--tuning".into(), self.tuning.name().into()];
        if let Some(file) = &self.tuning_file {
            arguments.extend(["--tuning-file".into(), file.into()]);
        }
        arguments
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
