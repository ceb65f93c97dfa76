//! ONNX files by wgconv and by its peers: equal weights, equal inputs, one run, taking turns.
//!
//! `python make_models.py FOLDER`, then `cargo run --release --bin inference --features tract,rten -- FOLDER [--filter PART]
//! [--seconds S] [--json FILE]`. ONNX Runtime, wonnx, and ncnn with pnnx, take part when the Python that `WGCONV_PYTHON` names (else `python3`)
//! has them; `WGCONV_DEVICE` names wgconv's adapter. An engine whose output is not wgconv's is said to be wrong and not timed.

mod engines;

use std::path::{Path, PathBuf};

use engines::engines;
use serde_json::{Value, json};
use wgconv::bench::Statistics;
use wgconv::session::Device;
use wgconv_peers::{PAUSE, Result, Spent, number, option};

/// The largest difference, in units of the largest magnitude.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    let largest = b.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let worst =
        a.iter().zip(b).fold(0f32, |worst, (a, b)| if (a - b).is_nan() { f32::NAN } else { worst.max((a - b).abs()) });
    if a.len() == b.len() { worst / largest } else { f32::INFINITY }
}

/// Rows of one file.
fn measure(path: &Path, device: &Device, seconds: f64) -> Result<Vec<Value>> {
    let mut engines = engines(path, device)?;
    let work = path.file_stem().unwrap_or_default().to_string_lossy().to_string();
    let (expected, _) = engines[0].run()?;
    engines.retain_mut(|engine| {
        let apart = engine.run().and_then(|_| engine.run()).map(|(output, _)| apart(&output, &expected));
        match &apart {
            Ok(apart) if *apart <= 1e-4 => return true,
            Ok(apart) => {
                eprintln!("{work}: without {}: its output is {apart:e} of the largest value away", engine.label())
            }
            Err(why) => eprintln!("{work}: without {}: {why}", engine.label()),
        }
        false
    });
    let mut taken: Vec<Vec<Spent>> = engines.iter().map(|_| Vec::new()).collect();
    let total = |taken: &[Spent]| taken.iter().map(|spent| spent.seconds).sum::<f64>();
    let mut round = 0;
    while taken.iter().any(|taken| taken.len() < 5 || (total(taken) < seconds && taken.len() < 1000)) {
        for turn in 0..engines.len() {
            let engine = (round + turn) % engines.len();
            // Each stays for some runs: caches that another engine filled are its own again.
            let start = total(&taken[engine]);
            let mut runs = 0;
            while runs < 3 || total(&taken[engine]) - start < 0.02 {
                taken[engine].push(engines[engine].time()?);
                runs += 1;
            }
            std::thread::sleep(PAUSE);
        }
        round += 1;
    }
    let row = |(engine, taken): (&Box<dyn engines::Engine>, &Vec<Spent>)| {
        let ms = |value: fn(&Spent) -> f64| {
            Statistics::of(&taken.iter().map(|spent| value(spent) * 1e3).collect::<Vec<_>>())
        };
        let (wall, cpu) =
            (ms(|spent| spent.seconds).unwrap_or_default(), ms(|spent| spent.cpu_seconds).unwrap_or_default());
        json!({ "work": work, "engine": engine.label(), "median_ms": wall.median, "min_ms": wall.min, "p90_ms": wall.p90, "cpu_ms": cpu.median, "runs": wall.runs })
    };
    Ok(engines.iter().zip(&taken).map(row).collect())
}

fn main() -> Result<()> {
    let folder =
        std::env::args().nth(1).filter(|folder| !folder.starts_with("--")).ok_or("FOLDER of ONNX files is missing")?;
    let filter = option("--filter")?.unwrap_or_default();
    let seconds: f64 = option("--seconds")?.map_or(Ok(1.0), |text| text.parse())?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| {
        file.extension().is_some_and(|ending| ending == "onnx") && file.to_string_lossy().contains(&filter)
    });
    files.sort();
    files.truncate(number("--most", usize::MAX)?);
    let device = Device::select(&std::env::var("WGCONV_DEVICE").unwrap_or_else(|_| "gpu".into()))?;
    println!("| work | engine | median ms | min | p90 | CPU ms | median : wgconv's | CPU : wgconv's |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for file in &files {
        let rows = measure(file, &device, seconds)?;
        for row in &rows {
            let value = |row: &Value, key: &str| row[key].as_f64().unwrap_or(f64::NAN);
            let [median, min, p90, cpu] =
                ["median_ms", "min_ms", "p90_ms", "cpu_ms"].map(|key| format!("{:.3}", value(row, key)));
            let [median_ratio, cpu_ratio] =
                ["median_ms", "cpu_ms"].map(|key| format!("{:.2}", value(row, key) / value(&rows[0], key)));
            let [work, engine] = ["work", "engine"].map(|key| row[key].as_str().unwrap_or("?"));
            println!("| {work} | {engine} | {median} | {min} | {p90} | {cpu} | {median_ratio} | {cpu_ratio} |");
        }
        all.extend(rows);
    }
    if let Some(file) = option("--json")? {
        std::fs::write(file, serde_json::to_string_pretty(&all)?)?;
    }
    Ok(())
}
