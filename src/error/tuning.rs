//! Errors of tables of tuned kernels: files that cannot be read, are damaged, or belong to another device.

use std::path::PathBuf;

use thiserror::Error;

/// A table of tuned kernels cannot be read or written. Plans are then made without it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TuningError {
    /// The file cannot be read or written.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        what: String,
    },
    /// The file is no table, or damaged.
    #[error("{} is no table of tuned kernels: {what}; tune again into another file, or remove this one", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
    /// The table was measured on something else.
    #[error("{} was tuned for another {what}: `{found}`, and this is `{expected}`; tune again", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What is here.
        expected: String,
    },
    /// The table was measured with other kernels.
    #[error("{} was tuned with another {what} (`{found}`, and this is `{expected}`); tune again", path.display())]
    Outdated {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What is here.
        expected: String,
    },
    /// There is no folder for caches.
    #[error(
        "there is no folder for caches (WGCONV_CACHE is `off`, or neither HOME nor XDG_CACHE_HOME names one); let WGCONV_CACHE name a folder, or name a file for the table of tuned kernels (`Options::tuning_file`, --tuning-file, or --out of `tune`)"
    )]
    NoFolder,
}
