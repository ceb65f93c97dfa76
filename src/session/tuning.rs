//! Tables of tuned kernels: for each case the kernel that was measured to be the fastest, in a file that people can read.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::TuningError;
use crate::gpu::{self, cache_folder};
use crate::graph::{Graph, Node};
use crate::kernels::{Kernel, shaders_fingerprint};
use crate::ops::Op;
use crate::tensor::{TensorType, write_atomically};

/// Whether plans take the kernels that were measured to be the fastest on their device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tuning {
    /// They do not: the order of candidates is fixed, and the same on every device of a kind.
    #[default]
    Off,
    /// They do where an earlier tuning left its table; cases that are not in it keep the fixed order.
    Cached,
    /// As [`Tuning::Cached`], and cases that are not in the table are measured when a graph is compiled. The table is
    /// written back.
    On,
}

/// Version of the file format: since 2 with forms of convolutions.
const SCHEMA: u32 = 2;
/// The oldest one that is read.
const OLDEST: u32 = 1;
/// No honest table comes near: a network has tens of cases.
const MOST_BYTES: u64 = 64 << 20;

/// Measured choices of kernels on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuningTable {
    schema: u32,
    origin: Origin,
    cases: BTreeMap<String, TunedCase>,
    /// By the case of the convolution.
    #[serde(default)]
    forms: BTreeMap<String, TunedForm>,
    quarantine: Vec<Quarantined>,
}

/// What a table was measured on: choices hold for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Origin {
    version: String,
    shaders: String,
    adapter: String,
    backend: String,
    driver: String,
}

/// The choice for one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedCase {
    /// A node with this case, for readers.
    pub node: String,
    /// Stem of the kernel to use.
    pub kernel: String,
    /// Stem of the kernel that the fixed order prefers.
    pub default: String,
    /// What the numbers of the candidates were held against.
    pub checked_against: CheckedAgainst,
    /// Milliseconds of each candidate that was right, the fastest of its batches.
    pub milliseconds: BTreeMap<String, f64>,
}

/// A convolution that was measured as it is and on transformed filters ([`crate::ops::Winograd`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TunedForm {
    /// A node with this case, for readers.
    pub node: String,
    /// Whether it is to be computed on transformed filters.
    pub winograd: bool,
    /// Stem of the kernel of the convolution as it is.
    pub kernel: String,
    /// Milliseconds of that kernel, in the fastest of its batches.
    pub milliseconds: f64,
    /// Milliseconds on transformed filters, measured in turns with it.
    pub winograd_milliseconds: f64,
    /// What the numbers on transformed filters were held against, within the accuracy class of their own op.
    pub checked_against: CheckedAgainst,
}

/// What the numbers of candidates are held against, within the accuracy class of the op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedAgainst {
    /// The CPU reference.
    Reference,
    /// The kernel that the fixed order prefers, where the reference would take too long. Conformance tests hold that kernel
    /// against the reference, but not on this size.
    DefaultKernel,
}

/// A kernel that must not compute a case on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// The case.
    pub case: String,
    /// Stem of the kernel.
    pub kernel: String,
    /// What it did: failed to validate, ran out of memory, gave wrong numbers.
    pub reason: String,
}

/// The case of a node as a table names it.
pub(super) fn case_name(graph: &Graph, node: &Node) -> String {
    name_of(&node.op, &graph.input_types(node))
}

/// The op with its attributes, and the types of its inputs.
pub(super) fn name_of(op: &Op, inputs: &[TensorType]) -> String {
    let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    format!("{op:?} of {}", inputs.join(", "))
}

/// Stem under which a convolution on transformed filters is put in quarantine for the case of the convolution as it is.
pub(super) const TRANSFORMED: &str = "conv_winograd";

impl TuningTable {
    /// An empty table for a device.
    pub fn new(device: &gpu::Device) -> TuningTable {
        let summary = device.summary();
        let origin = Origin {
            version: env!("CARGO_PKG_VERSION").into(),
            shaders: shaders_fingerprint(),
            adapter: summary.name,
            backend: summary.backend,
            driver: summary.driver,
        };
        let (cases, forms, quarantine) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        TuningTable { schema: SCHEMA, origin, cases, forms, quarantine }
    }

    /// Where the table of a device lies as a rule: in the user's folder for caches, one file for each adapter and driver.
    ///
    /// # Errors
    /// [`TuningError::NoFolder`] when the system names none, or `WGCONV_CACHE` is `off`.
    pub fn default_path(device: &gpu::Device) -> Result<PathBuf, TuningError> {
        let summary = device.summary();
        let text = format!("{} {} {}", summary.name, summary.backend, summary.driver).to_lowercase();
        let words: Vec<&str> =
            text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let folder = cache_folder().ok_or(TuningError::NoFolder)?;
        Ok(folder.join("tuning").join(format!("{}.json", words.join("-"))))
    }

    /// Reads the table of a device.
    ///
    /// # Errors
    /// [`TuningError`] when there is no such file, it is no table, or it was measured on something else.
    pub fn read(path: &Path, device: &gpu::Device) -> Result<TuningTable, TuningError> {
        let wrong = |e: std::io::Error| TuningError::File { path: path.into(), what: e.to_string() };
        let malformed = |what: String| TuningError::Malformed { path: path.into(), what };
        let bytes = std::fs::metadata(path).map_err(wrong)?.len();
        if bytes > MOST_BYTES {
            return Err(malformed(format!("it has {bytes} bytes")));
        }
        let mut table: TuningTable =
            serde_json::from_slice(&std::fs::read(path).map_err(wrong)?).map_err(|e| malformed(e.to_string()))?;
        let here = TuningTable::new(device);
        let foreign = |what, found: String, expected: String| match found == expected {
            true => Ok(()),
            false => Err(TuningError::Foreign { path: path.into(), what, found, expected }),
        };
        if (OLDEST..SCHEMA).contains(&table.schema) {
            table.schema = SCHEMA;
        }
        foreign("format", table.schema.to_string(), here.schema.to_string())?;
        let (found, expected) = (table.origin.clone(), here.origin);
        foreign("adapter", found.adapter, expected.adapter)?;
        foreign("backend", found.backend, expected.backend)?;
        foreign("driver", found.driver, expected.driver)?;
        let outdated = |what, found: String, expected: String| match found == expected {
            true => Ok(()),
            false => Err(TuningError::Outdated { path: path.into(), what, found, expected }),
        };
        outdated("version of wgconv", found.version, expected.version)?;
        outdated("set of shaders", found.shaders, expected.shaders)?;
        let kernels = table.cases.iter().map(|(case, tuned)| (case, tuned.kernel.as_str()));
        let transformed = table.forms.iter().filter(|(_, form)| form.winograd).map(|(case, _)| (case, TRANSFORMED));
        match kernels.chain(transformed).find(|(case, kernel)| table.is_quarantined(case, kernel)) {
            Some((case, kernel)) => {
                Err(malformed(format!("it chooses `{kernel}`, which it has in quarantine, for {case}")))
            }
            None => Ok(table),
        }
    }

    /// The table in a file, to be completed and written back: an empty one where there is no file, and, with a warning, in place
    /// of one of earlier kernels. `ours` says that whatever else is there may be replaced, too: a cache, not a file of the
    /// user's.
    ///
    /// # Errors
    /// As [`TuningTable::read`].
    pub fn open(path: &Path, device: &gpu::Device, ours: bool) -> Result<TuningTable, TuningError> {
        if !path.exists() {
            return Ok(TuningTable::new(device));
        }
        match TuningTable::read(path, device) {
            Err(why) if ours || matches!(why, TuningError::Outdated { .. }) => {
                log::warn!("{why}; it is not used");
                Ok(TuningTable::new(device))
            }
            read => read,
        }
    }

    /// Writes the table, as a whole or not at all; makes its folder.
    ///
    /// # Errors
    /// [`TuningError::File`] with what the operating system says.
    pub fn write(&self, path: &Path) -> Result<(), TuningError> {
        let wrong = |what: String| TuningError::File { path: path.into(), what };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| wrong(e.to_string()))?;
        }
        let text = serde_json::to_string_pretty(self).map_err(|e| wrong(e.to_string()))?;
        write_atomically(path, |out| writeln!(out, "{text}")).map_err(|e| wrong(e.to_string()))
    }

    /// The choice for the case of a node.
    pub fn case(&self, graph: &Graph, node: &Node) -> Option<&TunedCase> {
        self.cases.get(&case_name(graph, node))
    }

    /// How a convolution came out that was measured in both forms.
    pub fn form(&self, graph: &Graph, node: &Node) -> Option<&TunedForm> {
        self.forms.get(&case_name(graph, node))
    }

    /// Whether a convolution is to be computed on transformed filters, and why or why not; `None` where nothing was measured.
    pub(super) fn verdict(&self, op: &Op, inputs: &[TensorType]) -> Option<Result<String, String>> {
        let case = name_of(op, inputs);
        if let Some(entry) = self.quarantine.iter().find(|entry| entry.case == case && entry.kernel == TRANSFORMED) {
            return Some(Err(format!("it is in quarantine: {}", entry.reason)));
        }
        let TunedForm { winograd, kernel, milliseconds: plain, winograd_milliseconds: other, .. } =
            self.forms.get(&case)?;
        let measured = format!("measured {other:.3} ms, and {kernel} {plain:.3} ms");
        Some(match winograd {
            true => Ok(format!("{:.0}% faster ({measured})", 100.0 * (plain / other - 1.0))),
            false if other < plain => Err(format!("too little faster ({measured})")),
            false => Err(format!("{:.0}% slower ({measured})", 100.0 * (other / plain - 1.0))),
        })
    }

    /// Kernels in quarantine.
    pub fn quarantine(&self) -> &[Quarantined] {
        &self.quarantine
    }

    /// The candidates of a node as the table would have them tried: its choice first, those in quarantine last. They stay
    /// candidates, so that no table can leave a node without a kernel.
    pub fn order(&self, graph: &Graph, node: &Node, mut order: Vec<&'static Kernel>) -> Vec<&'static Kernel> {
        let case = case_name(graph, node);
        let chosen = self.cases.get(&case);
        if let Some(tuned) = chosen.filter(|tuned| order.iter().all(|kernel| kernel.stem != tuned.kernel)) {
            log::warn!(
                "the table of tuned kernels names `{}` for `{}`, which is no kernel for it: the choice is ignored",
                tuned.kernel,
                node.name
            );
        }
        order.sort_by_key(|kernel| match chosen {
            Some(tuned) if tuned.kernel == kernel.stem => 0,
            _ if self.is_quarantined(&case, kernel.stem) => 2,
            _ => 1,
        });
        order
    }

    pub(super) fn is_quarantined(&self, case: &str, kernel: &str) -> bool {
        self.quarantine.iter().any(|entry| entry.case == case && entry.kernel == kernel)
    }

    pub(super) fn knows(&self, case: &str) -> bool {
        self.cases.contains_key(case)
    }

    pub(super) fn knows_form(&self, case: &str) -> bool {
        self.forms.contains_key(case) || self.is_quarantined(case, TRANSFORMED)
    }

    pub(super) fn choose(&mut self, case: String, tuned: TunedCase) {
        self.cases.insert(case, tuned);
    }

    pub(super) fn choose_form(&mut self, case: String, form: TunedForm) {
        self.forms.insert(case, form);
    }

    pub(super) fn put_in_quarantine(&mut self, entry: Quarantined) {
        self.quarantine.push(entry);
    }
}
