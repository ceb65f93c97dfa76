//! What the comparisons share: a clock for work of this process, Python processes that answer in JSON, options.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wgconv::bench::process_use;

/// Whatever goes wrong.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Between two measurements: time for threads of one engine to fall asleep before another is measured.
pub const PAUSE: Duration = Duration::from_millis(20);

/// What some work took.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// By the clock.
    pub seconds: f64,
    /// Of the processor, all threads together.
    pub cpu_seconds: f64,
}

/// Times work of this process.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Spent)> {
    let cpu = || process_use().cpu_seconds.unwrap_or(f64::NAN);
    let (start, cpu_start) = (Instant::now(), cpu());
    let value = work()?;
    Ok((value, Spent { seconds: start.elapsed().as_secs_f64(), cpu_seconds: cpu() - cpu_start }))
}

/// The version of a dependency that this was built with.
pub fn version(package: &str) -> &'static str {
    let entry = include_str!("../Cargo.lock").split(&format!("name = \"{package}\"\nversion = \"")).nth(1);
    entry.and_then(|rest| rest.split('"').next()).unwrap_or("?")
}

/// The value of an option such as `--steps 20`.
pub fn option(name: &str) -> Result<Option<String>> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    match arguments.next() {
        None => Ok(None),
        Some(_) => Ok(Some(arguments.next().ok_or(format!("{name} takes a value"))?)),
    }
}

/// As [`option`], a whole number with a default.
pub fn number(name: &str, default: usize) -> Result<usize> {
    Ok(option(name)?.map(|text| text.parse()).transpose()?.unwrap_or(default))
}

/// A script in a Python process of its own, one line of JSON in and out for each question.
pub struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts a script of this folder by the Python that `WGCONV_PYTHON` names, else by `python3`.
    pub fn start(script: &str, arguments: &[&str]) -> Result<Python> {
        let python = std::env::var("WGCONV_PYTHON").unwrap_or_else(|_| "python3".into());
        let mut command = Command::new(python);
        command.arg(format!("{}/{script}", env!("CARGO_MANIFEST_DIR"))).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no stdin")?;
        let output = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Python { child, input, output })
    }

    /// Writes a line and reads the answer.
    pub fn ask(&mut self, what: &Value) -> Result<Value> {
        writeln!(self.input, "{what}")?;
        self.input.flush()?;
        self.answer()
    }

    /// Reads a line that was not asked for.
    pub fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// What an answer says it took.
pub fn spent(answer: &Value) -> Result<Spent> {
    let number = |key: &str| answer[key].as_f64().ok_or_else(|| format!("no `{key}` in {answer}"));
    Ok(Spent { seconds: number("seconds")?, cpu_seconds: number("cpu_seconds")? })
}
