//! Runs a reader against damaged files: no panic, no hang, no memory that a file does not account for.
//!
//! `WGCONV_FUZZ_MINUTES` makes a long run of a short one; `WGCONV_FUZZ_SEED` another.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Random;
use wgconv::bench::process_use;
use wgconv::graph::Graph;
use wgconv::kernels::{DeviceClass, DeviceTraits, preferred};
use wgconv::passes::{FoldCache, optimize};
use wgconv::plan::plan;

/// No damaged file may take longer. Tests share their machine, so that the processor's time counts where it is known.
const LIMIT: Duration = Duration::from_secs(20);

/// Nor may it take more memory at a time, the samples included.
const MOST: usize = 3 << 30;

/// Hands out no more than [`MOST`]: what asks for more ends the process.
struct Bounded;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call that is answered goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed);
        if held.saturating_add(layout.size()) > MOST {
            HELD.fetch_sub(layout.size(), Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed);
        if held.saturating_add(layout.size()) > MOST {
            HELD.fetch_sub(layout.size(), Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// How far a file came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    NotRead,
    NoGraph,
    NotOptimized,
    NotPlanned,
    Planned,
}

/// The public road from a graph to a plan.
pub fn planned(graph: Graph) -> Came {
    let Ok((graph, _)) = optimize(graph, &FoldCache::default()) else { return Came::NotOptimized };
    let traits = DeviceTraits::portable(DeviceClass::Discrete);
    match plan(&graph, &traits, |node, _| preferred(&node.op, &traits)) {
        Ok(_) => Came::Planned,
        Err(_) => Came::NotPlanned,
    }
}

/// Time that the process has worked for.
fn worked(start: Instant) -> Duration {
    process_use().cpu_seconds.map_or(start.elapsed(), Duration::from_secs_f64)
}

/// Ends the process, with the file kept, where an attempt does not end.
fn watch(start: Instant, began: &'static AtomicU64, path: PathBuf) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let began = began.load(Ordering::Relaxed);
            if began != u64::MAX && worked(start) > Duration::from_millis(began) + 3 * LIMIT {
                eprintln!("an attempt does not end; see {}", path.display());
                std::process::abort();
            }
        }
    });
}

/// Tries files of an `ending` until the rounds or minutes are over. A file that ends the process stays in the folder for temporary
/// files as `wgconv_damaged_PROCESS.ENDING`.
pub fn withstand(ending: &str, mut damaged: impl FnMut(&mut Random) -> Vec<u8>, attempt: impl Fn(&Path) -> Came) {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap());
    let (minutes, seed) = (number("WGCONV_FUZZ_MINUTES"), number("WGCONV_FUZZ_SEED").unwrap_or(1));
    let kept =
        |number: &str| std::env::temp_dir().join(format!("wgconv_damaged_{}{number}.{ending}", std::process::id()));
    let path = kept("");
    let start = Instant::now();
    // Milliseconds of work at which the present attempt began; a thread of its own sees one that never ends.
    static BEGAN: AtomicU64 = AtomicU64::new(u64::MAX);
    watch(start, &BEGAN, path.clone());
    // Where it was says more than what.
    static LAST: Mutex<String> = Mutex::new(String::new());
    std::panic::set_hook(Box::new(|panic| {
        *LAST.lock().unwrap() = panic.location().map_or_else(String::new, |location| location.to_string());
    }));
    let (mut random, mut rounds, mut slowest) = (Random::new(seed), 0u64, Duration::ZERO);
    let mut counts: BTreeMap<Came, u64> = BTreeMap::new();
    let mut failures: BTreeMap<String, (u64, PathBuf)> = BTreeMap::new();
    let goes_on = |rounds: u64| match minutes {
        Some(minutes) => start.elapsed() < Duration::from_secs(60 * minutes),
        None => rounds < 2000,
    };
    while goes_on(rounds) {
        std::fs::write(&path, damaged(&mut random)).unwrap();
        rounds += 1;
        let began = worked(start);
        BEGAN.store(began.as_millis() as u64, Ordering::Relaxed);
        let came = catch_unwind(AssertUnwindSafe(|| attempt(&path)));
        BEGAN.store(u64::MAX, Ordering::Relaxed);
        let took = worked(start) - began;
        slowest = slowest.max(took);
        let what = match came {
            Ok(came) if took <= LIMIT => {
                *counts.entry(came).or_default() += 1;
                continue;
            }
            Ok(_) => format!("takes more than {} s", LIMIT.as_secs()),
            Err(_) => format!("panics at {}", LAST.lock().unwrap()),
        };
        let place = kept(&format!("_{}", failures.len()));
        let entry = failures.entry(what).or_insert_with(|| {
            std::fs::copy(&path, &place).unwrap();
            (0, place)
        });
        entry.0 += 1;
    }
    let _ = std::panic::take_hook();
    std::fs::remove_file(&path).unwrap();
    println!("{rounds} damaged files: {counts:?}, slowest {slowest:?}");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(counts.contains_key(&Came::NotRead) && counts.contains_key(&Came::Planned), "{counts:?}");
}
