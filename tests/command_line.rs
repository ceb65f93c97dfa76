//! The command line: its verbs, its files, its exit codes.

mod program;

use std::path::Path;
use std::process::Output;

use wgconv::tensor::{Tensor, read_npy, write_npy};

/// Runs the program without the user's cache.
fn wgconv(arguments: &[&str]) -> Output {
    program::wgconv().args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(arguments: &[&str]) -> serde_json::Value {
    let output = wgconv(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&stdout(&output)).unwrap_or_else(|e| panic!("{e}: {}", stdout(&output)))
}

#[test]
fn what_drivers_make_of_shaders_is_kept_where_the_user_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let runs = |variable: &str, value: &Path| {
        let output = program::wgconv()
            .args(["bench", "zoo:separable_question", "--runs", "1", "--device", "gpu"])
            .env_remove("WGCONV_CACHE")
            .env("XDG_CACHE_HOME", folder.path().join("unused"))
            .env(variable, value)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let files = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
    runs("WGCONV_CACHE", Path::new("off"));
    // Mesa's own cache lies beside ours.
    assert_eq!(files(&folder.path().join("unused/wgconv")), 0);
    let keeps = stdout(&wgconv(&["info"])).contains("PIPELINE_CACHE yes");
    for (variable, value, kept) in [("WGCONV_CACHE", "here", "here"), ("XDG_CACHE_HOME", "home", "home/wgconv")] {
        runs(variable, &folder.path().join(value));
        assert_eq!(files(&folder.path().join(kept)), usize::from(keeps), "{variable}");
    }
}

#[test]
fn run_writes_the_same_output_on_the_gpu_and_on_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    write_npy(Path::new(&path("x.npy")), &Tensor::from_fn([2, 12, 12, 1], |i| (i as f32 * 0.1).sin())).unwrap();
    let mut outputs = Vec::new();
    for device in ["gpu", "cpu"] {
        let (input, output) = (path("x.npy"), path(device));
        let report = json(&[
            "run",
            "zoo:separable_question?variant=shared",
            "--input",
            &input,
            "--output",
            &output,
            "--device",
            device,
            "--json",
        ]);
        assert_eq!(report["outputs"][0]["shape"], serde_json::json!([2, 2]));
        outputs.push(read_npy(&Path::new(&output).join("dense.npy")).unwrap());
    }
    let comparison =
        wgconv::tensor::compare(&outputs[0], &outputs[1], wgconv::tensor::Accuracy::Reduction { length: 16 }, 4.0);
    assert!(comparison.pass, "{comparison}");
}

#[test]
fn every_verb_also_speaks_json() {
    let model = "zoo:separable_question";
    assert!(!json(&["info", "--json"]).as_array().unwrap().is_empty());
    assert_eq!(json(&["summary", model, "--json"])["params"], 467);
    assert_eq!(json(&["check", model, "--json"])["first_failure"], serde_json::Value::Null);
    assert!(json(&["explain", model, "--json"])["plan"]["steps"].as_array().unwrap().len() >= 4);
    let bench = json(&["bench", model, "--runs", "2", "--json"]);
    assert!(bench["run_ms"]["median"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_suite_validates_and_times_every_kernel_of_a_layer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made/kernels.json").display().to_string();
    let suite = ["bench", "--device", "gpu", "--suite", "kernels", "--filter", "L06", "--seconds", "0"];
    let table = folder.path().join("table.md").display().to_string();
    assert!(wgconv(&[&suite[..], &["--defaults", "--report", &table]].concat()).status.success());
    let table = std::fs::read_to_string(&table).unwrap();
    assert!(table.lines().count() == 3 && table.starts_with("| work | by |") && table.contains("% copy"), "{table}");
    let output = wgconv(&[&suite[..], &["--json", &file]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = stdout(&output);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["failures"], serde_json::json!([]));
    assert!(report["peak"]["gflops"].as_f64().unwrap() > 0.01, "{}", report["peak"]);
    let rows = report["rows"].as_array().unwrap();
    assert!(rows.len() >= 2 && rows[0]["default"] == true, "{report}");
    for row in rows {
        let used = row["tolerance_used"].as_f64().unwrap();
        assert!(
            row["name"] == "L06_dw3x3s2_256_28" && used <= 1.0 && row["wall_ms"]["runs"].as_u64() >= Some(5),
            "{row}"
        );
        assert!(text.contains(row["variant"].as_str().unwrap()), "{text}");
    }
}

#[test]
fn networks_are_timed_warm_and_cold_and_compared_with_an_earlier_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (json_file, page) = (path("models.json"), path("made/models.html"));
    let suite = |more: &[&str]| wgconv(&[&["bench", "--device", "gpu", "--filter", "train", "--suite"], more].concat());
    let output = suite(&["models", "--seconds", "0", "--json", &json_file, "--report", &page]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(&json_file).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        report["rows"][0]["name"] == "train" && report["rows"][0]["wall_ms"]["median"].as_f64() > Some(0.0),
        "{report}"
    );
    assert!(std::fs::read_to_string(&page).unwrap().contains("<td>train</td>"));
    // A hundred times slower is no noise, and a hundred times faster no regression.
    for (factor, code) in [(0.01, 1), (100.0, 0)] {
        let mut earlier = report.clone();
        for times in ["wall_ms", "cpu_ms"] {
            let median = report["rows"][0][times]["median"].as_f64().unwrap();
            earlier["rows"][0][times]["median"] = (factor * median).into();
            earlier["rows"][0][times]["notch"] = 0.0.into();
        }
        std::fs::write(&json_file, earlier.to_string()).unwrap();
        let output = suite(&["models", "--seconds", "0.5", "--compare", &json_file]);
        let said = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains("compared with the earlier report"), "{said}");
    }
    let wrong = suite(&["kernels", "--compare", &json_file]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("report of the suite `models`"));
    let cold: serde_json::Value = serde_json::from_slice(&suite(&["cold", "--starts", "1", "--json"]).stdout).unwrap();
    let variants: Vec<_> = cold["rows"].as_array().unwrap().iter().map(|row| row["variant"].clone()).collect();
    assert_eq!(variants, ["empty caches", "warm caches"], "{cold}");
    assert!(cold["rows"][0]["wall_ms"]["median"].as_f64() > Some(1.0) && cold["failures"] == serde_json::json!([]));
}

#[test]
fn profile_times_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.npy").display().to_string();
    write_npy(Path::new(&file), &Tensor::full([1, 12, 12, 1], 1.0)).unwrap();
    let report = json(&["run", "zoo:separable_question", "--input", &file, "--device", "gpu", "--profile", "--json"]);
    assert!(report["profile"].as_array().unwrap().len() >= 4);
}

#[test]
fn convert_writes_what_the_ending_asks_for_and_reads_weights_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let shared = "zoo:separable_question?variant=shared";
    let report = json(&["convert", &format!("{shared}&seed=3"), &path("m.keras"), "--json"]);
    assert_eq!((&report["format"], &report["parameters"]), (&"keras".into(), &436.into()), "{report}");
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("SharedDepthwiseConv2D") && note.contains("Conv3D"), "{note}");
    let text = stdout(&wgconv(&["convert", &format!("{shared}&seed=3"), &path("w.safetensors")]));
    assert!(text.contains("weights only"), "{text}");
    // Another seed with the weights loaded is the same model.
    let weights = path("w.safetensors");
    json(&["convert", &format!("{shared}&seed=4"), &path("n.keras"), "--weights", &weights, "--json"]);
    assert_eq!(std::fs::read(path("m.keras")).unwrap(), std::fs::read(path("n.keras")).unwrap());
    // And what was written is a model like any other.
    assert_eq!(json(&["summary", &path("m.keras"), "--json"])["params"], 436);
    json(&["convert", &path("m.keras"), &path("w.weights.h5"), "--json"]);
    assert!(std::fs::read(path("w.weights.h5")).unwrap().starts_with(b"\x89HDF"));
    // ONNX goes out, and comes in again as ONNX or as weights, but not as layers.
    let onnx = path("m.onnx");
    assert_eq!(json(&["convert", &format!("{shared}&seed=3"), &onnx, "--json"])["format"], "onnx");
    json(&["convert", &onnx, &path("fixed.onnx"), "--batch", "3", "--external-data", "--json"]);
    assert!(wgconv(&["check", &path("fixed.onnx")]).status.success());
    assert_eq!(json(&["convert", &onnx, &path("o.safetensors"), "--json"])["format"], "safetensors");
    json(&["convert", &format!("{shared}&seed=5"), &path("n.keras"), "--weights", &onnx, "--json"]);
    assert_eq!(std::fs::read(path("m.keras")).unwrap(), std::fs::read(path("n.keras")).unwrap());
    for (arguments, part) in [
        (vec!["convert", &onnx, &path("p.keras")], "ops, not layers"),
        (vec!["convert", &onnx, &path("p.onnx"), "--weights", &weights], "models of layers"),
        (vec!["convert", shared, &path("p.keras"), "--batch", "2"], "--batch"),
        (vec!["convert", shared, &path("p.keras"), "--weights", "examples/data/separable.onnx"], "wgconv wrote"),
    ] {
        let output = wgconv(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).to_string();
        assert!(output.status.code() == Some(1) && said.contains(part), "{arguments:?}: {said}");
    }
    let wrong = wgconv(&["convert", "zoo:separable_question", &path("x.keras"), "--weights", &weights]);
    let said = String::from_utf8_lossy(&wrong.stderr).to_string();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said.contains("`separable_conv2d/depthwise_kernel` of the model is not in the file"), "{said}");
    assert!(!folder.path().join("x.keras").exists());
}

#[test]
fn failures_exit_1_and_wrong_usage_2() {
    for (arguments, code, part) in [
        (&["run", "missing.keras", "--input", "x.npy"][..], 1, "missing.keras"),
        (&["run", "zoo:separable_question"], 1, "needs inputs"),
        (&["run", "zoo:separable_question", "--input", "nothing.npy"], 1, "nothing.npy"),
        (&["run", "zoo:separable_question", "--input", "other=x.npy"], 1, "`input_layer`"),
        (&["summary", "model.onnx"], 1, "model.onnx"),
        (&["bench", "zoo:nothing"], 1, "mobilenet_v1"),
        (&["bench"], 2, "MODEL"),
        (&["bench", "--suite", "kernels", "--filter", "L99"], 1, "L01_conv3x3s2_3-32_224"),
        (&["bench", "--suite", "kernels", "--device", "cpu"], 1, "GPU"),
        (&["bench", "--suite", "kernels", "--seconds", "many"], 2, "3600"),
        (&["check", "zoo:separable_question", "--device", "no such adapter"], 1, "no adapter matches"),
        (&["check", "zoo:separable_question", "--device", "cpu"], 1, "GPU"),
        (&["convert", "zoo:separable_question", "m.pth"], 1, ".safetensors"),
        (&["convert", "missing.keras", "m.keras"], 1, "missing.keras"),
        (&["convert", "zoo:separable_question", "Cargo.toml/m.keras"], 1, "Cargo.toml"),
        (&["convert", "zoo:separable_question"], 2, "OUT"),
        (&["frobnicate"], 2, "frobnicate"),
        (&["summary"], 2, "MODEL"),
    ] {
        let output = wgconv(arguments);
        let said = String::from_utf8_lossy(&output.stderr).to_string();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn summary_has_four_formats() {
    for (format, start) in [("text", "Model:"), ("json", "{"), ("mermaid", "flowchart"), ("dot", "digraph")] {
        let output = wgconv(&["summary", "zoo:separable_question", "--format", format]);
        assert!(stdout(&output).starts_with(start), "{format}: {}", stdout(&output));
    }
}

#[test]
fn without_an_adapter_models_run_on_the_reference_and_say_so() {
    let output = program::wgconv()
        .args(["bench", "zoo:separable_question", "--runs", "1"])
        .env("WGPU_BACKEND", "vulkan")
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout(&output).contains("CPU reference"), "{}", stdout(&output));
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(said.contains("mesa-vulkan-drivers"), "{said}");
}

#[test]
fn training_gives_the_same_bytes_in_two_processes_and_across_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (x, y) = (path("x.npy"), path("y.npy"));
    write_npy(Path::new(&x), &Tensor::from_fn([20, 12, 12, 1], |i| (i as f32 * 0.13).sin())).unwrap();
    write_npy(Path::new(&y), &Tensor::from_fn([20, 2], |i| (i as f32 * 0.7).cos())).unwrap();
    let model = "zoo:separable_question?variant=shared";
    let train = |further: &[&str]| {
        let mut arguments =
            vec!["train", model, "--x", &x, "--y", &y, "--loss", "mse", "--optimizer", "adam", "--json"];
        arguments.extend(["--epochs", "3", "--batch-size", "8", "--validation-split", "0.2", "--metric", "mae"]);
        arguments.extend(further);
        json(&arguments)
    };
    let (one, two, three) = (path("one.safetensors"), path("two.safetensors"), path("three.safetensors"));
    let (plot, history, csv) = (path("plot.svg"), path("history.json"), path("history.csv"));
    let report = train(&["--save", &one, "--plot", &plot, "--history", &history, "--csv", &csv]);
    assert_eq!(report["ended"], "epochs");
    assert_eq!(report["epochs"].as_array().unwrap().len(), 3);
    assert!(report["epochs"][2]["val_loss"].as_f64().unwrap() > 0.0);
    assert!(report["peak_bytes"].as_u64().unwrap() > 0);
    let text = |path: &str| std::fs::read_to_string(path).unwrap();
    assert_eq!(text(&history).lines().count(), 3);
    assert!(
        text(&csv).starts_with("epoch,loss,val_loss,mean_absolute_error,val_mean_absolute_error,learning_rate\n1,")
    );
    assert!(text(&plot).contains("<svg") && text(&plot).contains("val_loss"));
    train(&["--save", &two]);
    let state = path("state.safetensors");
    assert_eq!(train(&["--steps", "3", "--checkpoint", &state])["ended"], "steps");
    train(&["--resume", &state, "--save", &three]);
    let bytes = |path: &str| std::fs::read(path).unwrap();
    assert_eq!(bytes(&one), bytes(&two));
    assert_eq!(bytes(&one), bytes(&three));
    let keras = path("trained.keras");
    train(&["--save", &keras]);
    let evaluated = json(&["evaluate", &keras, "--x", &x, "--y", &y, "--loss", "mse", "--json"]);
    assert!(evaluated["loss"].as_f64().unwrap() > 0.0);
    let predicted = path("p.npy");
    json(&["predict", &keras, "--x", &x, "--save", &predicted, "--batch-size", "7", "--json"]);
    let outputs = path("outputs");
    json(&["run", &keras, "--input", &x, "--output", &outputs, "--json"]);
    let single = read_npy(&Path::new(&outputs).join("dense.npy")).unwrap();
    let batched = read_npy(Path::new(&predicted)).unwrap();
    let comparison =
        wgconv::tensor::compare(&batched, &single, wgconv::tensor::Accuracy::Reduction { length: 16 }, 4.0);
    assert!(comparison.pass, "{comparison}");
}

#[test]
fn training_says_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (x, y) = (path("x.npy"), path("y.npy"));
    write_npy(Path::new(&x), &Tensor::full([4, 12, 12, 1], 0.5)).unwrap();
    write_npy(Path::new(&y), &Tensor::full([5, 2], 0.5)).unwrap();
    let fails = |further: &[&str], expected: &str| {
        let mut arguments = vec!["train", "zoo:separable_question", "--x", &x, "--y", &y, "--device", "cpu"];
        arguments.extend(further);
        let output = wgconv(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(expected), "{text}");
    };
    fails(&["--loss", "mse"], "first input has 4 samples");
    fails(&["--loss", "square"], "there is no loss `square`");
    fails(&["--loss", "mse", "--optimizer", "adan"], "`adamw`");
    fails(&["--loss", "mse", "--momentum", "0.9"], "momentum is a setting of sgd");
    fails(&["--loss", "mse", "--save", "model.txt"], ".safetensors");
    fails(&["--loss", "mse", "--freeze", "dance"], "no layer `dance`");
    let nowhere = wgconv(&["train", "zoo:separable_question", "--loss", "mse"]);
    assert_eq!(nowhere.status.code(), Some(2));
}

#[test]
fn onnx_files_run_check_and_say_what_they_take() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().display().to_string();
    let (model, x) = ("examples/data/separable.onnx", "examples/data/patches.npy");
    let expected = read_npy(Path::new("examples/data/separable.output.npy")).unwrap();
    for device in ["gpu", "cpu"] {
        json(&["run", model, "--input", x, "--output", &output, "--device", device, "--json"]);
        let files: Vec<_> = std::fs::read_dir(&output).unwrap().map(|entry| entry.unwrap().path()).collect();
        let actual = read_npy(&files[0]).unwrap();
        let comparison =
            wgconv::tensor::compare(&actual, &expected, wgconv::tensor::Accuracy::Reduction { length: 16 }, 4.0);
        assert!(comparison.pass, "{comparison}");
    }
    assert!(wgconv(&["check", model]).status.success());
    assert!(wgconv(&["explain", model, "--plan-for", "discrete"]).status.success());
    let fails = |arguments: &[&str], expected: &str| {
        let output = wgconv(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains(expected), "{text}");
    };
    fails(&["run", model], "--input");
    fails(&["check", model, "--input-shape", "nothing=1,2"], "an input of the model");
    let summary = json(&["summary", model, "--batch", "3", "--json"]);
    assert_eq!(summary["rows"][0]["output_shape"], serde_json::json!([3, 12, 12, 1]));
    assert!(summary["macs"].as_u64().unwrap() > 0 && summary["params"].as_u64().unwrap() > 0);
    write_npy(&folder.path().join("wrong.npy"), &Tensor::full([1, 12, 11, 1], 0.5)).unwrap();
    let wrong = folder.path().join("wrong.npy").display().to_string();
    fails(&["run", model, "--input", &wrong], "`input`");
    fails(&["train", model, "--x", x, "--y", x, "--loss", "mse"], "has no layers");
}
