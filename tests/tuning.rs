//! Tuned plans: choices are right, files that lie are refused or harmless, and nothing changes what is computed beyond its class.

mod program;
mod shared_data;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use shared_data::gpu;
use wgconv::error::TuningError;
use wgconv::graph::Graph;
use wgconv::ops::{Conv, Epilogue, Unary, UnaryFn};
use wgconv::session::{CheckedAgainst, Compiled, Device, Options, Progress, Session, Tuning, TuningTable, tune};
use wgconv::tensor::{Padding, Tensor, TensorType, Window, compare};

/// A pointwise convolution from 8 to 12 channels, which several kernels take, twice, and a function, which one takes.
fn graph() -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 5, 7, 8]));
    let same = Window { padding: Padding::Same, ..Window::unit(2) };
    let conv = |groups| Conv { epilogue: Epilogue::default(), ..Conv::new(same.clone(), groups) };
    let weights = |seed: usize, shape: [usize; 4]| Tensor::from_fn(shape, |i| ((i * 37 + seed) as f32 * 0.7).sin());
    let w = graph.constant("w", weights(1, [1, 1, 8, 8]));
    let y = graph.node("first", conv(1), &[x, w]).unwrap();
    let w = graph.constant("v", weights(2, [1, 1, 8, 8]));
    let y = graph.node("second", conv(1), &[y, w]).unwrap();
    let y = graph.node("tanh", Unary { function: UnaryFn::Tanh }, &[y]).unwrap();
    graph.output("y", y);
    graph
}

fn input() -> BTreeMap<String, Tensor> {
    BTreeMap::from([("x".to_string(), Tensor::from_fn([1, 5, 7, 8], |i| (i as f32 * 0.3).cos()))])
}

fn session(tuning: Tuning, file: &Path) -> Session {
    let options = Options { tuning, tuning_file: Some(file.into()), optimize: false, ..Options::default() };
    Session::new(graph(), Device::from_gpu(gpu()), options)
}

fn kernels(session: &Session) -> Vec<&'static str> {
    let compiled = session.compile(&BTreeMap::new()).unwrap();
    compiled.plan().unwrap().steps.iter().map(|step| step.kernel).collect()
}

fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut table: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut table);
    std::fs::write(file, table.to_string()).unwrap();
}

/// The table of [`graph`] in a file of its own.
fn tuned(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("made/table.json");
    let device = gpu();
    let mut table = TuningTable::new(&device);
    // Both convolutions are one case, and a function has one kernel.
    assert_eq!(tune(&graph(), &device, &mut table, &Options::default()).unwrap(), 1);
    assert_eq!(tune(&graph(), &device, &mut table, &Options::default()).unwrap(), 0);
    assert!(table.quarantine().is_empty(), "{:?}", table.quarantine());
    table.write(&file).unwrap();
    assert_eq!(TuningTable::read(&file, &device).unwrap(), table);
    file
}

#[test]
fn tuned_and_untuned_agree_and_on_writes_what_cached_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.json");
    let plain = session(Tuning::Off, &file);
    let expected = plain.run(&input()).unwrap();
    assert!(!file.exists());
    let first = session(Tuning::On, &file);
    let compiled = first.compile(&BTreeMap::new()).unwrap();
    let table = TuningTable::read(&file, &gpu()).unwrap();
    let chosen = table.case(compiled.graph(), &compiled.graph().nodes()[0]).unwrap();
    assert!(chosen.milliseconds.len() >= 2 && chosen.milliseconds.values().all(|ms| *ms > 0.0), "{chosen:?}");
    assert_eq!(kernels(&first)[..2], [chosen.kernel.as_str(); 2]);
    let second = session(Tuning::Cached, &file);
    assert_eq!(kernels(&second), kernels(&first));
    let accuracy = compiled.plan().unwrap().steps[0].accuracy.and(compiled.plan().unwrap().steps[2].accuracy);
    for tuned in [first, second] {
        let comparison = compare(&tuned.run(&input()).unwrap()["y"], &expected["y"], accuracy, 3.0);
        assert!(comparison.pass, "{comparison}");
    }
}

#[test]
fn threads_run_while_another_one_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let (started, waits) = mpsc::channel();
    let (ran, hears) = mpsc::channel();
    let hears = Mutex::new(hears);
    let armed = Arc::new(AtomicBool::new(false));
    let arm = armed.clone();
    let progress = move |event| {
        let Progress::Tuning { .. } = event else { return };
        // The first shape is tuned alone, the second one while a run is waited for.
        if armed.swap(false, Ordering::Relaxed) && started.send(()).is_ok() {
            let heard = hears.lock().unwrap().recv_timeout(Duration::from_secs(60));
            assert!(heard.is_ok(), "no run came through while another shape was compiled");
        }
    };
    let file = Some(folder.path().join("table.json"));
    let progress: Option<Arc<dyn Fn(Progress) + Send + Sync>> = Some(Arc::new(progress));
    let options = Options { tuning: Tuning::On, tuning_file: file, progress, ..Options::default() };
    let session = Session::new(graph(), Device::from_gpu(gpu()), options);
    let expected = session.run(&input()).unwrap();
    arm.store(true, Ordering::Relaxed);
    let other = BTreeMap::from([("x".to_string(), TensorType::f32([2, 9, 11, 8]))]);
    std::thread::scope(|scope| {
        let compiling = scope.spawn(|| session.compile(&other).map(|_| ()));
        waits.recv().unwrap();
        assert_eq!(session.run(&input()).unwrap(), expected);
        ran.send(()).unwrap();
        compiling.join().unwrap().unwrap();
    });
}

#[test]
fn a_table_that_names_other_kernels_is_followed_where_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let file = tuned(folder.path());
    let expected = kernels(&session(Tuning::Off, &file));
    let write = |kernel: &str| {
        edit(&file, |table| {
            table["cases"].as_object_mut().unwrap().values_mut().for_each(|case| case["kernel"] = json!(kernel))
        });
    };
    // A candidate that is no favourite, but takes the case.
    write("conv_generic");
    let followed = session(Tuning::Cached, &file);
    assert_eq!(kernels(&followed)[..2], ["conv_generic"; 2]);
    let checked = followed.compile(&BTreeMap::new()).unwrap().check(&input(), 1.0, |_, _| {}).unwrap();
    assert_eq!(checked.first_failure, None);
    // A candidate that refuses it, a kernel of another op, and none at all.
    for kernel in ["depthwise_lane", "softmax", "", "../../etc/passwd"] {
        write(kernel);
        assert_eq!(kernels(&session(Tuning::Cached, &file)), expected, "`{kernel}`");
    }
}

#[test]
fn damaged_and_foreign_files_are_refused_with_a_reason_and_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let file = tuned(folder.path());
    let whole = std::fs::read(&file).unwrap();
    let expected = kernels(&session(Tuning::Off, &file));
    let refused = |what: &str| {
        let why = TuningTable::read(&file, &gpu()).unwrap_err();
        assert!(why.to_string().contains(what), "`{what}` is not in: {why}");
        assert_eq!(kernels(&session(Tuning::Cached, &file)), expected, "{why}");
        if !matches!(why, TuningError::Outdated { .. }) {
            // Tuning does not write over what it cannot read.
            let bytes = std::fs::read(&file).unwrap();
            kernels(&session(Tuning::On, &file));
            assert_eq!(std::fs::read(&file).unwrap(), bytes);
        }
        std::fs::write(&file, &whole).unwrap();
        why
    };
    for end in [0, 1, whole.len() / 3, whole.len() - 3] {
        std::fs::write(&file, &whole[..end]).unwrap();
        assert!(matches!(refused("no table of tuned kernels"), TuningError::Malformed { .. }));
    }
    std::fs::write(&file, [0xFF, 0xFE, 0, 7]).unwrap();
    refused("no table of tuned kernels");
    std::fs::write(&file, "[".repeat(100_000)).unwrap();
    refused("no table of tuned kernels");
    edit(&file, |table| table["surprise"] = json!(1));
    refused("surprise");
    edit(&file, |table| table["schema"] = json!(3));
    refused("another format");
    for field in ["adapter", "driver", "backend", "version", "shaders"] {
        edit(&file, |table| table["origin"][field] = json!("GeForce 256"));
        let why = refused("GeForce 256");
        let outdated = matches!(field, "version" | "shaders");
        assert!(matches!(why, TuningError::Outdated { .. }) == outdated && why.to_string().contains(field), "{why}");
        assert!(outdated || matches!(why, TuningError::Foreign { .. }), "{why}");
    }
    assert!(matches!(TuningTable::read(&folder.path().join("none.json"), &gpu()), Err(TuningError::File { .. })));
}

#[test]
fn quarantine_holds_and_cannot_leave_a_node_without_a_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let file = tuned(folder.path());
    let chosen = kernels(&session(Tuning::Cached, &file))[0];
    let put = |kernels: &[&str], keep_choice: bool| {
        edit(&file, |table| {
            let case = table["cases"].as_object().unwrap().keys().next().unwrap().clone();
            let entry = |kernel: &&str| json!({ "case": case, "kernel": kernel, "reason": "wrong numbers" });
            table["quarantine"] = kernels.iter().map(entry).collect();
            if !keep_choice {
                table["cases"] = json!({});
            }
        });
    };
    let whole = std::fs::read(&file).unwrap();
    // A table that chooses what it warns of contradicts itself.
    put(&[chosen], true);
    let why = TuningTable::read(&file, &gpu()).unwrap_err().to_string();
    assert!(why.contains("quarantine") && why.contains(chosen), "{why}");
    // Without the choice it is kept away from, and from being measured.
    std::fs::write(&file, &whole).unwrap();
    put(&[chosen], false);
    assert_ne!(kernels(&session(Tuning::Cached, &file))[0], chosen);
    assert_ne!(kernels(&session(Tuning::On, &file))[0], chosen);
    let table = TuningTable::read(&file, &gpu()).unwrap();
    assert!(!table.case(&graph(), &graph().nodes()[0]).unwrap().milliseconds.contains_key(chosen));
    // All of them: the plan is that of the fixed order.
    std::fs::write(&file, &whole).unwrap();
    let all: Vec<&str> = wgconv::kernels::candidates(&graph().nodes()[0].op).iter().map(|kernel| kernel.stem).collect();
    put(&all, false);
    assert_eq!(kernels(&session(Tuning::On, &file)), kernels(&session(Tuning::Off, &file)));
    // A quarantine that is none.
    std::fs::write(&file, &whole).unwrap();
    edit(&file, |table| table["quarantine"] = json!([{ "case": 7 }]));
    assert!(matches!(TuningTable::read(&file, &gpu()), Err(TuningError::Malformed { .. })));
}

/// A 3x3 convolution with filters that are known, scaled.
fn convolution(sides: [usize; 2], channels: usize, filter: impl Fn(usize) -> f32) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, sides[0], sides[1], channels]));
    let w = graph.constant("w", Tensor::from_fn([3, 3, channels, channels], filter));
    let y = graph.node("conv", Conv::new(Window::unit(2), 1), &[x, w]).unwrap();
    graph.output("y", y);
    graph
}

#[test]
fn convolutions_are_measured_in_both_forms_and_plans_follow_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.json");
    let graph = || convolution([15, 18], 16, |i| (i as f32 * 0.7).sin());
    let compile = |tuning: Tuning, winograd: bool| {
        let options = Options { tuning, winograd, tuning_file: Some(file.clone()), ..Options::default() };
        let session = Session::new(graph(), Device::from_gpu(gpu()), options);
        session.compile(&BTreeMap::new()).unwrap()
    };
    let kernel = |compiled: &Compiled| compiled.plan().unwrap().steps[0].kernel;
    // Without being asked for, the other form is neither measured nor taken.
    compile(Tuning::On, false);
    let form = |file: &Path| TuningTable::read(file, &gpu()).unwrap().form(&graph(), &graph().nodes()[0]).cloned();
    assert_eq!(form(&file), None);
    let kernels = TuningTable::read(&file, &gpu()).unwrap().case(&graph(), &graph().nodes()[0]).cloned().unwrap();
    let measured = compile(Tuning::On, true);
    let found = form(&file).unwrap();
    assert!(found.milliseconds > 0.0 && found.winograd_milliseconds > 0.0, "{found:?}");
    assert_eq!(found.winograd, found.winograd_milliseconds < 0.97 * found.milliseconds);
    assert_eq!((&found.kernel, found.checked_against), (&kernels.kernel, CheckedAgainst::Reference));
    assert_eq!(kernel(&measured).starts_with("conv_winograd"), found.winograd);
    // Nothing is measured twice.
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(kernel(&compile(Tuning::On, true)), kernel(&measured));
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    let verdict = |winograd: bool, [plain, other]: [f64; 2]| {
        edit(&file, |table| {
            let forms = table["forms"].as_object_mut().unwrap().values_mut();
            forms.for_each(|form| {
                form["winograd"] = json!(winograd);
                form["milliseconds"] = json!(plain);
                form["winograd_milliseconds"] = json!(other);
            });
        });
        compile(Tuning::Cached, true)
    };
    let plain = verdict(false, [2.0, 3.0]);
    assert_eq!(kernel(&plain), kernels.kernel);
    let refused = &plain.report().refused[0].what;
    assert!(refused.contains("50% slower (measured 3.000 ms"), "{refused}");
    let other = verdict(true, [3.0, 2.0]);
    assert!(kernel(&other).starts_with("conv_winograd"));
    let applied = &other.report().applied[0].what;
    assert!(applied.contains("50% faster (measured 2.000 ms"), "{applied}");
    let x = BTreeMap::from([("x".to_string(), Tensor::from_fn([1, 15, 18, 16], |i| (i as f32 * 0.3).cos()))]);
    let accuracy = other.plan().unwrap().steps[0].accuracy;
    let comparison = compare(&other.run(&x).unwrap()["y"], &plain.run(&x).unwrap()["y"], accuracy, 2.0);
    assert!(comparison.pass, "{comparison}");
    // The verdict is for those who ask: without either option plans are what they were.
    assert_eq!(kernel(&compile(Tuning::Cached, false)), kernels.kernel);
    assert_eq!(kernel(&compile(Tuning::Off, false)), kernels.default);
    assert_eq!(kernel(&compile(Tuning::Off, true)), kernels.default, "nothing that small should gain");
    // Tables from before there were forms are read; the verdict is that of the estimate.
    edit(&file, |table| {
        table["schema"] = json!(1);
        table.as_object_mut().unwrap().remove("forms");
    });
    assert_eq!(form(&file), None);
    assert_eq!(kernel(&compile(Tuning::Cached, true)), kernels.kernel);
    compile(Tuning::On, true);
    assert!(form(&file).is_some());
}

#[test]
fn only_filters_that_are_known_are_measured_transformed() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([1, 15, 18, 16]));
    let given = graph.input("w", TensorType::f32([3, 3, 16, 16]));
    let known = graph.constant("k", Tensor::from_fn([3, 3, 16, 16], |i| (i as f32 * 0.7).sin()));
    for (name, filters) in [("computed", given), ("known", known)] {
        let y = graph.node(name, Conv::new(Window::unit(2), 1), &[x, filters]).unwrap();
        graph.output(name, y);
    }
    let options = Options { winograd: true, ..Options::default() };
    let mut table = TuningTable::new(&gpu());
    // Both are one case.
    assert_eq!(tune(&graph, &gpu(), &mut table, &options).unwrap(), 1);
    assert_eq!(table.form(&graph, &graph.nodes()[0]).unwrap().node, "known");
    assert_eq!(tune(&graph, &gpu(), &mut table, &options).unwrap(), 0);
}

#[test]
fn transformed_filters_that_are_wrong_are_kept_away_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.json");
    // Nine of them, a quarter of whose sum no longer is a number.
    let graph = || convolution([3, 3], 1, |_| 1.6e38);
    let options = || Options { winograd: true, ..Options::default() };
    let mut table = TuningTable::new(&gpu());
    tune(&graph(), &gpu(), &mut table, &options()).unwrap();
    let [entry] = table.quarantine() else { panic!("{table:?}") };
    assert!(entry.kernel == "conv_winograd" && entry.reason.starts_with("wrong numbers: "), "{entry:?}");
    assert_eq!(table.form(&graph(), &graph().nodes()[0]), None);
    assert_eq!(tune(&graph(), &gpu(), &mut table, &options()).unwrap(), 0);
    table.write(&file).unwrap();
    let cached = Options { tuning: Tuning::Cached, tuning_file: Some(file.clone()), ..options() };
    let compiled = Session::new(graph(), Device::from_gpu(gpu()), cached).compile(&BTreeMap::new()).unwrap();
    let refused = &compiled.report().refused[0].what;
    assert!(refused.contains("in quarantine: wrong numbers"), "{refused}");
    // A table that has it both ways contradicts itself.
    edit(&file, |table| {
        let case = table["quarantine"][0]["case"].as_str().unwrap().to_string();
        let by = json!({ "node": "conv", "winograd": true, "kernel": "conv_generic", "milliseconds": 2.0,
            "winograd_milliseconds": 1.0, "checked_against": "reference" });
        table["forms"] = json!({ case: by });
    });
    let why = TuningTable::read(&file, &gpu()).unwrap_err().to_string();
    assert!(why.contains("quarantine") && why.contains("conv_winograd"), "{why}");
}

#[test]
fn the_command_writes_a_table_and_explain_shows_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let wgconv = |arguments: &[&str]| {
        let output = program::wgconv().args(arguments).env("WGCONV_CACHE", &cache).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).to_string())
    };
    let model = "zoo:separable_question?variant=shared";
    let (code, said) = wgconv(&["tune", model, "--device", "gpu"]);
    assert!(code == Some(0) && said.contains("cases measured") && said.contains("tuning"), "{said}");
    assert!(std::fs::read_dir(cache.join("tuning")).unwrap().count() == 1);
    let (code, said) = wgconv(&["explain", model, "--device", "gpu", "--tuning", "cached"]);
    assert!(code == Some(0) && said.contains("as tuned; the default is"), "{said}");
    let (_, said) = wgconv(&["explain", model, "--device", "gpu"]);
    assert!(!said.contains("as tuned"), "{said}");
    // The steps of a tuned plan are checked, and no others.
    let file = std::fs::read_dir(cache.join("tuning")).unwrap().next().unwrap().unwrap().path();
    edit(&file, |table| {
        let cases = table["cases"].as_object_mut().unwrap().values_mut();
        cases.for_each(|case| case["kernel"] = json!("conv_generic"));
    });
    let (code, said) = wgconv(&["check", model, "--device", "gpu", "--tuning", "cached"]);
    assert!(code == Some(0) && said.contains("within their accuracy classes"), "{said}");
    let severe = ["--device", "gpu", "--tuning", "cached", "--tolerance-scale", "1e-30"];
    let (code, said) = wgconv(&[&["check", model], &severe[..]].concat());
    assert!(code == Some(1) && said.contains("by conv_generic leaves"), "{said}");
    let residual = ["zoo:resnet18?size=32", "--device", "gpu", "--winograd"];
    let (code, said) = wgconv(&[&["tune"], &residual[..]].concat());
    assert!(code == Some(0) && said.contains("(transformed "), "{said}");
    let (code, said) = wgconv(&[&["explain"], &residual[..], &["--tuning", "cached"]].concat());
    assert!(
        code == Some(0) && (said.contains("% slower (measured ") || said.contains("% faster (measured ")),
        "{said}"
    );
    // A file that is somebody else's stays what it is.
    let other = folder.path().join("other.json");
    std::fs::write(&other, "{}").unwrap();
    let other = other.display().to_string();
    let (code, said) = wgconv(&["tune", model, "--device", "gpu", "--out", &other]);
    assert!(code == Some(1) && said.contains("no table of tuned kernels"), "{said}");
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "{}");
    let cached = ["--device", "gpu", "--runs", "1", "--tuning", "cached", "--tuning-file", &other];
    let (code, said) = wgconv(&[&["bench", model], &cached[..]].concat());
    assert!(code == Some(0) && said.contains("without tuned kernels"), "{said}");
    // A table of earlier kernels gives way, one of another device does not.
    std::fs::remove_file(&other).unwrap();
    for (field, code) in [("shaders", 0), ("adapter", 1)] {
        wgconv(&["tune", model, "--device", "gpu", "--out", &other]);
        edit(Path::new(&other), |table| table["origin"][field] = json!("none"));
        let (found, said) = wgconv(&["tune", model, "--device", "gpu", "--out", &other]);
        assert!(found == Some(code) && said.contains("tuned "), "{said}");
    }
    assert_eq!(wgconv(&["tune", model, "--device", "cpu"]).0, Some(1));
}
