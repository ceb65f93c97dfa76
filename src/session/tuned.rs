//! The table that a session plans with: read once, and completed as graphs come along.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::tune::tune;
use super::{Options, Tuning, TuningTable};
use crate::error::SessionError;
use crate::gpu::Device;
use crate::graph::Graph;

/// The table of a session, once it was needed.
#[derive(Debug, Default)]
pub(super) struct Tuned(Mutex<Option<Held>>);

#[derive(Debug)]
struct Held {
    table: Arc<TuningTable>,
    /// Where it may be written; not over a file that is no table of this device.
    path: Option<PathBuf>,
}

impl Tuned {
    /// The table for a graph that the passes have been through; `None` with tuning off.
    pub(super) fn for_graph(
        &self,
        graph: &Graph,
        device: &Device,
        options: &Options,
    ) -> Result<Option<Arc<TuningTable>>, SessionError> {
        if options.tuning == Tuning::Off {
            return Ok(None);
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get_or_insert_with(|| Held::read(device, options));
        if options.tuning == Tuning::On {
            held.complete(graph, device, options)?;
        }
        Ok(Some(held.table.clone()))
    }
}

impl Held {
    /// The table of a device, or an empty one with a warning.
    fn read(device: &Device, options: &Options) -> Held {
        let path = options.tuning_file.clone().map_or_else(|| TuningTable::default_path(device), Ok);
        let ours = options.tuning_file.is_none();
        let open = |path: &Path| match options.tuning {
            // A file that was named, and that nothing will be written to, should be there.
            Tuning::Cached if !ours => TuningTable::read(path, device),
            _ => TuningTable::open(path, device, ours),
        };
        match path.and_then(|path| Ok((open(&path)?, path))) {
            Ok((table, path)) => Held { table: Arc::new(table), path: Some(path) },
            Err(why) => {
                log::warn!("plans are made without tuned kernels: {why}");
                Held { table: Arc::new(TuningTable::new(device)), path: None }
            }
        }
    }

    /// Measures what the table lacks, and writes it.
    fn complete(&mut self, graph: &Graph, device: &Device, options: &Options) -> Result<(), SessionError> {
        let mut table = TuningTable::clone(&self.table);
        let measured = tune(graph, device, &mut table, options);
        if table != *self.table
            && let Some(path) = &self.path
            && let Err(why) = table.write(path)
        {
            log::warn!("what was tuned is not kept: {why}");
        }
        // A lost device leaves a kernel in quarantine.
        self.table = Arc::new(table);
        measured.map(|_| ())
    }
}

/// The table that a session with these options would plan a graph by; `None` with tuning off.
///
/// # Errors
/// [`SessionError::Gpu`] when the device is lost while kernels are measured, as [`Tuning::On`] has it.
pub fn tuned_for(graph: &Graph, device: &Device, options: &Options) -> Result<Option<Arc<TuningTable>>, SessionError> {
    Tuned::default().for_graph(graph, device, options)
}
