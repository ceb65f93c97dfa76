//! `wgconv run` over a folder of pictures: batch by batch, one line of JSON for each picture.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::answers::{Answers, Probabilities};
use super::inputs::Reader;
use super::source::Source;
use super::{Failure, graph_inputs, output_file, progress};
use crate::import::picture_files;
use crate::session::{Device, Options, Session};
use crate::tensor::{Tensor, write_npy};

/// Outputs with more numbers than this are not part of a line.
const LINE: usize = 4096;

/// What is done with each picture.
pub(super) struct Job<'a> {
    pub source: &'a Source,
    /// Sizes of inputs that a model leaves open.
    pub shapes: &'a [String],
    pub device: Device,
    pub answers: Answers,
    /// Pictures of a batch, if anything was said.
    pub batch: Option<usize>,
    /// Where outputs are written.
    pub outputs: Option<&'a Path>,
    /// Stop at the first picture that cannot be read.
    pub strict: bool,
    /// How it is compiled.
    pub options: Options,
}

/// A session and how its outputs are read.
struct Open {
    session: Session,
    classes: Vec<(String, Probabilities)>,
}

pub(super) fn run(job: &Job<'_>, folder: &Path, reader: &mut Reader<'_>) -> Result<ExitCode, Failure> {
    let files = picture_files(folder)?;
    if files.is_empty() {
        return Err(format!("{}: no PNG or JPEG pictures", folder.display()).into());
    }
    let inputs = job.source.inputs();
    let [(name, shape)] = &inputs[..] else {
        return Err("a folder of pictures needs a model with one input".into());
    };
    let given = graph_inputs::sizes(&[name], job.shapes)?.remove(*name);
    let shape = given.map_or_else(|| shape.clone(), |sizes| sizes.into_iter().map(Some).collect());
    let batch = match (shape.first().copied().flatten(), job.batch) {
        (Some(own), Some(batch)) if own != batch => {
            return Err(format!("input `{name}` takes a batch of {own}, and --batch-size is {batch}").into());
        }
        (Some(own), _) => own,
        (None, batch) => batch.unwrap_or(8).min(files.len()),
    };
    if batch == 0 {
        return Err("a batch of 0 pictures is none".into());
    }
    let input = reader.input(name, &shape)?;
    let settings = reader.settings()?;
    let bar = progress::bar("pictures");
    bar.set_length(files.len() as u64);
    let mut open = None;
    let mut unread = 0;
    let mut waiting: Vec<(&PathBuf, Tensor)> = Vec::new();
    for file in &files {
        match settings.open(file, input) {
            Ok(picture) => {
                let same = waiting.first().is_none_or(|(_, first)| first.shape() == picture.tensor.shape());
                if !same || waiting.len() == batch {
                    flush(job, name, batch, &mut waiting, &mut open, &bar)?;
                }
                waiting.push((file, picture.tensor));
            }
            Err(failure) if job.strict => return Err(failure.into()),
            Err(failure) => {
                flush(job, name, batch, &mut waiting, &mut open, &bar)?;
                bar.suspend(|| eprintln!("wgconv: {failure}"));
                print(&bar, &json!({ "file": file, "error": failure.to_string() }))?;
                bar.inc(1);
                unread += 1;
            }
        }
    }
    flush(job, name, batch, &mut waiting, &mut open, &bar)?;
    bar.finish_and_clear();
    if unread > 0 {
        eprintln!("wgconv: {unread} of {} pictures could not be read", files.len());
    }
    Ok(if unread > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs the pictures that are waiting and prints their lines. A batch that is not full is filled up with its last picture.
fn flush(
    job: &Job<'_>,
    input: &str,
    batch: usize,
    waiting: &mut Vec<(&PathBuf, Tensor)>,
    open: &mut Option<Open>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let pictures = std::mem::take(waiting);
    let Some((_, last)) = pictures.last() else { return Ok(()) };
    let mut values = Vec::with_capacity(batch * last.f32s()?.len());
    for position in 0..batch {
        let (_, picture) = &pictures[position.min(pictures.len() - 1)];
        values.extend_from_slice(picture.f32s()?);
    }
    let shape: Vec<usize> = [batch].into_iter().chain(last.shape()[1..].iter().copied()).collect();
    let tensor = Tensor::from_f32(shape.clone(), values)?;
    // Pictures of another size may need another graph, not only another plan.
    let current = open.take().filter(|open| {
        let graph = open.session.graph();
        graph.inputs().iter().all(|&id| graph.ty(id).shape.to_vec() == shape)
    });
    let current = match current {
        Some(current) => current,
        None => {
            let shapes = BTreeMap::from([(input.to_string(), shape)]);
            let graph = job.source.graph(&shapes, &BTreeMap::new(), job.options.precision)?;
            let classes = job.answers.outputs(&graph)?;
            let options = job.options.clone();
            Open { session: Session::new(graph, job.device.clone(), options), classes }
        }
    };
    let outputs = current.session.run(&BTreeMap::from([(input.to_string(), tensor)]))?;
    for (position, (file, _)) in pictures.iter().enumerate() {
        let mut line = vec![];
        for (name, output) in &outputs {
            let (all, shape) = (output.f32s()?, output.shape());
            let (shape, values) = match shape.first() {
                Some(&first) if first == batch => {
                    let each = all.len() / batch;
                    (&shape[1..], &all[each * position..each * (position + 1)])
                }
                // What is no batch is of all pictures together.
                _ if batch == 1 => (&shape[..], all),
                _ => {
                    let says = format!("output `{name}` {shape} has no batch axis of {batch}");
                    return Err(format!("{says}; use --batch-size 1").into());
                }
            };
            line.push(answer(job, &current, file, name, shape, values)?);
        }
        print(bar, &json!({ "file": file, "outputs": line }))?;
        bar.inc(1);
    }
    *open = Some(current);
    Ok(())
}

/// What a line says of one output.
fn answer(
    job: &Job<'_>,
    open: &Open,
    file: &Path,
    name: &str,
    shape: &[usize],
    values: &[f32],
) -> Result<Value, Failure> {
    let written = match job.outputs {
        Some(folder) => {
            let picture = file.file_name().unwrap_or_default().to_string_lossy();
            let path = output_file(folder, &format!("{picture}.{name}"));
            write_npy(&path, &Tensor::from_f32(shape.to_vec(), values.to_vec())?)?;
            Some(path)
        }
        None => None,
    };
    let mut said = json!({ "name": name, "shape": shape });
    if let Some((_, made)) = open.classes.iter().find(|(output, _)| output == name) {
        said["probabilities"] = json!(made);
        said["top"] = json!(job.answers.classes(*made, values));
    } else if values.len() <= LINE && written.is_none() {
        said["values"] = json!(values);
    }
    if let Some(path) = written {
        said["file"] = json!(path);
    }
    Ok(said)
}

/// Prints a line of JSON beside a bar. A closed pipe ends the work.
fn print(bar: &ProgressBar, line: &Value) -> Result<(), Failure> {
    Ok(bar.suspend(|| writeln!(std::io::stdout().lock(), "{line}"))?)
}
