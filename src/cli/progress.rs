//! Progress bars on a terminal, silence in a pipe, and the library's warnings on stderr.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::session::{Options, Progress};

/// A bar on stderr that shows itself only on a terminal and is gone when it is finished.
pub(super) fn bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg} [{wide_bar}] {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_string());
    bar
}

/// What moves a bar as work proceeds.
pub(super) fn moves(bar: &ProgressBar) -> impl Fn(usize, usize) + Sync {
    |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    }
}

/// How long work may take before it shows a bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// Session options whose compilation moves a bar, if it takes long.
pub(super) fn options(optimize: bool) -> Options {
    let bar = bar("compiling shaders");
    bar.set_draw_target(ProgressDrawTarget::hidden());
    let started: OnceLock<Instant> = OnceLock::new();
    let progress = Arc::new(move |progress| {
        let (what, done, total) = match progress {
            Progress::Pipelines { done, total } => ("compiling shaders", done, total),
            Progress::Tuning { done, total } => ("measuring kernels", done, total),
        };
        bar.set_message(what);
        if bar.is_hidden() && started.get_or_init(Instant::now).elapsed() > PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        moves(&bar)(done, total);
        if done == total {
            bar.finish_and_clear();
        }
    });
    Options { optimize, progress: Some(progress), ..Options::default() }
}

struct StderrLog;

impl log::Log for StderrLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("wgconv") && metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("wgconv: {}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Sends the library's warnings to stderr.
pub(super) fn log_to_stderr() {
    // A logger that is already there keeps its place.
    if log::set_logger(&StderrLog).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}
