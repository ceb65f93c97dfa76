//! The engines: wgconv, and those that features and Python bring.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use wgconv::import::onnx::read_onnx;
use wgconv::session::{Compiled, Device, Options, Session};
use wgconv::tensor::Tensor;
use wgconv_peers::{Python, Result, Spent, spent, timed};

/// One ONNX file loaded by one engine.
pub trait Engine {
    fn label(&self) -> String;
    /// From an input on the host to the output on the host.
    fn run(&mut self) -> Result<(Vec<f32>, Spent)>;
    /// As [`Engine::run`], for the time only.
    fn time(&mut self) -> Result<Spent> {
        Ok(self.run()?.1)
    }
}

/// A file with its input, channels first.
struct Task {
    path: PathBuf,
    shape: Vec<usize>,
    x: Vec<f32>,
}

struct Wgconv {
    device: String,
    compiled: Arc<Compiled>,
    inputs: BTreeMap<String, Tensor>,
}

impl Wgconv {
    fn load(path: &Path, device: &Device) -> Result<(Wgconv, Task)> {
        let graph = read_onnx(path)?.graph(&BTreeMap::new())?.graph;
        let id = *graph.inputs().first().ok_or("no input")?;
        let value = graph.value(id);
        let x = Tensor::from_fn(value.ty.shape.clone(), |i| (i as f32 * 0.618_034).sin());
        let task = Task { path: path.canonicalize()?, shape: x.shape().to_vec(), x: x.f32s()?.to_vec() };
        let inputs = BTreeMap::from([(value.name.clone(), x)]);
        let session = Session::new(graph, device.clone(), Options::default());
        let compiled = session.compile(&BTreeMap::new())?;
        Ok((Wgconv { device: device.name(), compiled, inputs }, task))
    }
}

impl Engine for Wgconv {
    fn label(&self) -> String {
        format!("wgconv {} on {}", wgconv_peers::version("wgconv"), self.device)
    }

    fn run(&mut self) -> Result<(Vec<f32>, Spent)> {
        timed(|| {
            let outputs = self.compiled.run(&self.inputs)?;
            Ok(outputs.values().next().ok_or("no output")?.f32s()?.to_vec())
        })
    }
}

#[cfg(feature = "tract")]
mod with_tract {
    use tract_onnx::prelude::*;

    use super::{Engine, Result, Spent, Task, timed};

    pub struct Tract {
        model: Arc<TypedRunnableModel>,
        x: Tensor,
    }

    impl Tract {
        pub fn load(task: &Task) -> Result<Tract> {
            let model = tract_onnx::onnx().model_for_path(&task.path)?.into_optimized()?.into_runnable()?;
            Ok(Tract { model, x: Tensor::from_shape(&task.shape, &task.x)? })
        }
    }

    impl Engine for Tract {
        fn label(&self) -> String {
            format!("tract {} on the CPU (1 thread)", wgconv_peers::version("tract-onnx"))
        }

        fn run(&mut self) -> Result<(Vec<f32>, Spent)> {
            timed(|| {
                let outputs = self.model.run(tvec!(self.x.clone().into()))?;
                Ok(outputs[0].to_plain_array_view::<f32>()?.iter().copied().collect())
            })
        }
    }
}

#[cfg(feature = "rten")]
mod with_rten {
    use rten::{Model, ValueOrView};
    use rten_tensor::NdTensor;
    use rten_tensor::prelude::*;

    use super::{Engine, Result, Spent, Task, timed};

    pub struct Rten {
        model: Model,
        x: NdTensor<f32, 4>,
    }

    impl Rten {
        pub fn load(task: &Task) -> Result<Rten> {
            let &[n, c, h, w] = &task.shape[..] else { return Err("takes pictures".into()) };
            Ok(Rten { model: Model::load_file(&task.path)?, x: NdTensor::from_data([n, c, h, w], task.x.clone()) })
        }
    }

    impl Engine for Rten {
        fn label(&self) -> String {
            format!("rten {} on the CPU (all threads)", wgconv_peers::version("rten"))
        }

        fn run(&mut self) -> Result<(Vec<f32>, Spent)> {
            timed(|| {
                let x: ValueOrView = self.x.view().into();
                let output = self.model.run_one(x, None)?;
                let output: rten_tensor::Tensor<f32> = output.try_into()?;
                Ok(output.to_vec())
            })
        }
    }
}

/// An engine in a Python process of its own.
struct InPython {
    label: String,
    python: Python,
}

impl InPython {
    fn load(task: &Task, arguments: &[&str]) -> Result<InPython> {
        let mut python = Python::start("inference.py", arguments)?;
        let label = python.answer()?["label"].as_str().ok_or("no label")?.to_string();
        python.ask(&json!({ "model": task.path, "x": task.x, "shape": task.shape }))?;
        Ok(InPython { label, python })
    }
}

impl Engine for InPython {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(&mut self) -> Result<(Vec<f32>, Spent)> {
        let answer = self.python.ask(&json!({ "output": true }))?;
        let values = answer["output"].as_array().ok_or("no output")?;
        Ok((values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN) as f32).collect(), spent(&answer)?))
    }

    fn time(&mut self) -> Result<Spent> {
        spent(&self.python.ask(&json!({ "output": false }))?)
    }
}

/// Every engine that loads a file, wgconv first.
pub fn engines(path: &Path, device: &Device) -> Result<Vec<Box<dyn Engine>>> {
    let (ours, task) = Wgconv::load(path, device)?;
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(ours)];
    let mut add = |name: &str, loaded: Result<Box<dyn Engine>>| match loaded {
        Ok(engine) => engines.push(engine),
        Err(why) => eprintln!("{}: without {name} ({why})", path.display()),
    };
    #[cfg(feature = "tract")]
    add("tract", with_tract::Tract::load(&task).map(|engine| Box::new(engine) as _));
    #[cfg(feature = "rten")]
    add("rten", with_rten::Rten::load(&task).map(|engine| Box::new(engine) as _));
    let threads = std::thread::available_parallelism()?.to_string();
    for arguments in [&["onnxruntime", &threads][..], &["ncnn"], &["wonnx"]] {
        add(arguments[0], InPython::load(&task, arguments).map(|engine| Box::new(engine) as _));
    }
    Ok(engines)
}
