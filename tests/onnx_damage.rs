//! ONNX files that are damaged in every way are read, or refused with a reason: no panic, no hang, no memory that the file does not
//! account for.
//!
//! Samples are the models of `ONNX_NODE_TESTS` and `WGCONV_MODELS` and one of the project's own. `WGCONV_FUZZ_MINUTES` makes a long run
//! of a short one; `WGCONV_FUZZ_SEED` another.

mod damage;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use damage::{Random, damaged};
use wgconv::import::onnx::{Given, read_onnx};
use wgconv::kernels::{DeviceClass, DeviceTraits, preferred};
use wgconv::passes::{FoldCache, optimize};
use wgconv::plan::plan;

/// No damaged file may take longer. Tests share their machine.
const LIMIT: Duration = Duration::from_secs(20);

fn models(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            models(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "onnx") {
            found.push(path);
        }
    }
}

/// The samples that make a graph, and those that are refused as they are.
fn samples() -> [Vec<Vec<u8>>; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("examples/data/separable.onnx")];
    for (variable, default) in [("ONNX_NODE_TESTS", "onnx_node"), ("WGCONV_MODELS", "models")] {
        let folder = std::env::var_os(variable).map_or(root.join("../shared").join(default), PathBuf::from);
        if !folder.is_dir() {
            println!("skipped: no folder {} (set {variable})", folder.display());
        }
        models(&folder, &mut found);
    }
    found.sort();
    // Large weights say nothing that small ones do not, and cost time.
    found.retain(|path| std::fs::metadata(path).unwrap().len() < 1 << 21);
    let (fine, refused): (Vec<PathBuf>, Vec<PathBuf>) =
        found.into_iter().partition(|path| attempt(path) > Came::NoGraph);
    [fine, refused].map(|paths| paths.iter().map(|path| std::fs::read(path).unwrap()).collect())
}

/// How far a file came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    NotRead,
    NoGraph,
    NotOptimized,
    NotPlanned,
    Planned,
}

/// The public road from a file to a plan.
fn attempt(path: &Path) -> Came {
    let model = match read_onnx(path) {
        Ok(model) => model,
        Err(error) => {
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
            return Came::NotRead;
        }
    };
    let mut given = BTreeMap::new();
    for input in model.inputs() {
        let sizes = input.shape.iter().enumerate();
        let shape = sizes.map(|(axis, size)| size.unwrap_or(if axis == 0 { 2 } else { 8 })).collect();
        given.insert(input.name.clone(), Given::Shape(shape));
    }
    let Ok(lowered) = model.graph(&given) else { return Came::NoGraph };
    let Ok((graph, _)) = optimize(lowered.graph, &FoldCache::default()) else { return Came::NotOptimized };
    let traits = DeviceTraits::portable(DeviceClass::Discrete);
    match plan(&graph, &traits, |node, _| preferred(&node.op, &traits)) {
        Ok(_) => Came::Planned,
        Err(_) => Came::NotPlanned,
    }
}

#[test]
fn damaged_models_are_read_or_refused() {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap());
    let (minutes, seed) = (number("WGCONV_FUZZ_MINUTES"), number("WGCONV_FUZZ_SEED").unwrap_or(1));
    let [fine, refused] = samples();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.onnx");
    let start = Instant::now();
    // Milliseconds since the start at which the present attempt began; a thread of its own sees one that never ends.
    static BEGAN: AtomicU64 = AtomicU64::new(u64::MAX);
    let watched = path.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let began = BEGAN.load(Ordering::Relaxed);
            if began != u64::MAX && start.elapsed() > Duration::from_millis(began) + 3 * LIMIT {
                let kept = std::env::temp_dir().join("wgconv_hangs.onnx");
                let _ = std::fs::copy(&watched, &kept);
                eprintln!("an attempt does not end; see {}", kept.display());
                std::process::abort();
            }
        }
    });
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
        // What is refused for its ops is mostly refused at once.
        let samples = if refused.is_empty() || random.below(6) > 0 { &fine } else { &refused };
        let sample = &samples[random.below(samples.len())];
        let other = &fine[random.below(fine.len())];
        std::fs::write(&path, damaged(sample, other, &mut random)).unwrap();
        rounds += 1;
        let began = Instant::now();
        BEGAN.store(start.elapsed().as_millis() as u64, Ordering::Relaxed);
        let came = catch_unwind(AssertUnwindSafe(|| attempt(&path)));
        BEGAN.store(u64::MAX, Ordering::Relaxed);
        slowest = slowest.max(began.elapsed());
        let what = match came {
            Ok(came) if began.elapsed() <= LIMIT => {
                *counts.entry(came).or_default() += 1;
                continue;
            }
            Ok(_) => format!("takes more than {} s", LIMIT.as_secs()),
            Err(_) => format!("panics at {}", LAST.lock().unwrap()),
        };
        let number = failures.len();
        let entry = failures.entry(what).or_insert_with(|| {
            let kept = std::env::temp_dir().join(format!("wgconv_damaged_{}_{number}.onnx", std::process::id()));
            std::fs::copy(&path, &kept).unwrap();
            (0, kept)
        });
        entry.0 += 1;
    }
    let _ = std::panic::take_hook();
    println!("{rounds} damaged files of {} models: {counts:?}, slowest {slowest:?}", fine.len() + refused.len());
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(counts.contains_key(&Came::NotRead) && counts.contains_key(&Came::Planned), "{counts:?}");
}
