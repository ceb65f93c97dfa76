//! What the command line refuses: at once, with the reason and the way out, rather than to swallow it.

mod program;

use std::path::Path;

use wgconv::layers::{Input, IntoLayer, Merge, Model};
use wgconv::tensor::{Tensor, write_npy};

/// What is said of arguments that are refused with this exit code, before anything is printed.
fn refused(code: i32, arguments: &[&str]) -> String {
    let output = program::wgconv().args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty() && !said.contains("panicked"), "{arguments:?}: {said}");
    said
}

#[test]
fn inputs_are_given_once_and_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let x = Tensor::full([1, 4, 4, 2], 0.5);
    write_npy(Path::new(&path("x.npy")), &x).unwrap();
    // The same model in layers and in ops.
    let [left, right] = ["left", "right"].map(|name| Input::open(name, vec![Some(4), Some(4), Some(2)]));
    let sum = Merge::Add.named("sum").call_many(&[&left, &right]);
    let model = Model::new(&[left, right], &[sum]).unwrap();
    for name in ["two.keras", "two.onnx"] {
        model.save(path(name)).unwrap();
        let (model, left, right) = (path(name), format!("left={}", path("x.npy")), format!("right={}", path("x.npy")));
        let said = refused(1, &["run", &model, "--input", &left]);
        assert!(said.contains("inputs are missing: `right` f32[1, 4, 4, 2]"), "{said}");
        let said = refused(1, &["check", &model, "--input", &left, "--input", &right, "--input", &left]);
        assert!(said.contains("input `left` is given twice"), "{said}");
        let said = refused(1, &["run", &model, "--input", &path("x.npy")]);
        assert!(said.contains("`left`, `right`"), "{said}");
    }
    let twice = ["--input-shape", "left=1,4,4,2", "--input-shape", "left=2,4,4,2"];
    let said = refused(1, &[&["summary", &path("two.onnx")], &twice[..]].concat());
    assert!(said.contains("`left` is given twice"), "{said}");
}

#[test]
fn options_that_nothing_would_come_of_are_named() {
    let pictures = tempfile::tempdir().unwrap();
    std::fs::copy("examples/data/seven.png", pictures.path().join("seven.png")).unwrap();
    let pictures = pictures.path().display().to_string();
    let run = ["run", "examples/data/digits.keras", "--input", &pictures];
    for (arguments, code, part) in [
        (&[&run[..], &["--batch", "2"]].concat()[..], 1, "--batch-size"),
        (&[&run[..], &["--profile"]].concat(), 1, "give one of them"),
        (&["bench", "--suite", "kernels", "--tuning", "cached"], 1, "--tuning"),
        (&["bench", "--suite", "cold", "--defaults"], 1, "--defaults"),
        (&["bench", "--suite", "models", "--batch", "3"], 1, "--batch"),
        (&["bench", "--suite", "models", "--runs", "3"], 2, "--runs"),
        (&["bench", "zoo:separable_question", "--filter", "L01"], 2, "--filter"),
        (&["bench", "--suite", "models", "--noise", "3"], 2, "--compare"),
        (&["check", "zoo:separable_question", "--tolerance-scale", "NaN"], 2, "above 0"),
        (&["tune", "zoo:separable_question", "--device", "cpu"], 1, "CPU reference"),
        (&["explain", "zoo:separable_question", "--tuning-file", "none.json"], 2, "--tuning"),
        (&["bench", "--suite", "cold", "--tuning", "cached", "--tuning-file", "none.json"], 1, "none.json"),
    ] {
        let said = refused(code, arguments);
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}

#[test]
fn numbers_and_files_that_cannot_be_meant_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (x, y, home) = (path("x.npy"), path("y.npy"), folder.path().display().to_string());
    write_npy(Path::new(&x), &Tensor::full([2, 12, 12, 1], 0.5)).unwrap();
    write_npy(Path::new(&y), &Tensor::full([2, 2], 0.5)).unwrap();
    let onnx = "examples/data/separable.onnx";
    let train = ["train", "zoo:separable_question", "--x", &x, "--y", &y, "--loss", "mse", "--device", "cpu"];
    let predict = ["predict", "zoo:separable_question", "--x", &x, "--save"];
    for (arguments, code, part) in [
        (&["summary", "zoo:separable_question", "--batch", "100000000000000000"][..], 1, "which no memory holds"),
        (&["explain", "zoo:separable_question", "--batch", "100000000"], 1, "use a smaller batch"),
        (&["check", "zoo:separable_question", "--batch", "4000000000"], 1, "no memory for input `input_layer`"),
        (&["tune", "zoo:separable_question", "--batch", "100000000", "--out", &path("t.json")], 1, "a smaller batch"),
        (&["summary", "zoo:mobilenet_v1?alpha=wide"], 1, "options are alpha, size, classes, seed"),
        (&["summary", &x], 1, ".keras, .h5, .onnx and .tflite files"),
        (&["run", onnx, "--input", &x, "--batch", "5"], 1, "has a batch of 2 where 5 is asked for"),
        (&["run", onnx, "--input", &x, "--input-shape", "input=1,12,12,1"], 1, "--input-shape says [1, 12, 12, 1]"),
        (&["run", onnx], 1, "--input input=FILE of [?, 12, 12, 1]"),
        (&[&train[..], &["--ema", "2"]].concat(), 1, "from 0 to 1"),
        (&[&train[..], &["--clipnorm", "0"]].concat(), 1, "above 0"),
        (&[&train[..], &["--batch-size", "0"]].concat(), 2, "at least 1"),
        (&[&train[..], &["--save", &home]].concat(), 1, ".keras"),
        (&[&train[..], &["--history", &home]].concat(), 1, "this is a folder"),
        (&[&predict[..], &[&path("p.txt")]].concat(), 1, ".npy files"),
        (&["bench", "zoo:separable_question", "--runs", "0"], 2, "at least 1"),
        (&["bench", "--suite", "cold", "--starts", "0"], 2, "at least 1"),
        (&["bench", "zoo:separable_question", "--json", &home], 1, "this is a folder"),
    ] {
        let said = refused(code, arguments);
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    // Nothing was written on the way.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_is_asked_for_is_done_or_missed_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let done = |arguments: &[&str]| {
        let output = program::wgconv().args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).to_string();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    let one = path("one.npy");
    write_npy(Path::new(&one), &Tensor::full([1, 12, 12, 1], f32::NAN)).unwrap();
    // One sample is repeated for a batch.
    let onnx = "examples/data/separable.onnx";
    let said = done(&["run", onnx, "--input", &one, "--batch", "3"]);
    assert!(said.contains("input  `input` [3, 12, 12, 1]"), "{said}");
    // What is no number on both sides takes nothing of a tolerance.
    let said = done(&["check", onnx, "--input", &one]);
    assert!(said.contains("steps within") && !said.contains("NaN %"), "{said}");
    let cached = ["--tuning", "cached", "--tuning-file", &path("none.json")];
    let said = done(&[&["explain", onnx], &cached[..]].concat());
    assert!(said.contains("without tuned kernels") && said.contains("none.json"), "{said}");
}

#[test]
fn what_cannot_be_is_said_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // Neither file is there: the ending says enough.
    for (model, out, part) in [
        ("nothing.onnx", "m.keras", "ops, not layers"),
        ("nothing.onnx", "m.weights.h5", "ops, not layers"),
        ("nothing.tflite", "m.onnx", "has no layers"),
    ] {
        let said = refused(1, &["convert", model, &path(out)]);
        assert!(said.contains(part), "{said}");
    }
    let said = refused(1, &["train", "nothing.onnx", "--x", "x.npy", "--y", "y.npy", "--loss", "mse"]);
    assert!(said.contains("has no layers") && said.contains("`convert` makes"), "{said}");
    std::fs::write(path("file"), "").unwrap();
    let x = path("x.npy");
    write_npy(Path::new(&x), &Tensor::full([3, 12, 12, 1], 0.5)).unwrap();
    let under_a_file = path("file/y.npy");
    let said = refused(1, &["predict", "zoo:separable_question", "--x", &x, "--save", &under_a_file]);
    assert!(said.contains("file"), "{said}");
    let said = refused(1, &["tune", "zoo:separable_question"]);
    assert!(said.contains("WGCONV_CACHE") && said.contains("--out"), "{said}");
}

/// A field of a protobuf message that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// A field of a protobuf message that holds a small number.
fn number(number: u8, value: u8) -> Vec<u8> {
    if number < 16 { vec![number << 3, value] } else { vec![number << 3 | 0x80, number >> 4, value] }
}

/// An ONNX file whose output is one number for all pictures.
fn total() -> Vec<u8> {
    let sizes = [field(2, b"n"), number(1, 3), number(1, 4), number(1, 4)];
    let sizes = sizes.map(|size| field(1, &size)).concat();
    let shape = |sizes: &[u8]| field(2, &field(1, &[number(1, 1), field(2, sizes)].concat()));
    let keepdims = [field(1, b"keepdims"), number(3, 0), number(20, 2)].concat();
    let node = [field(1, b"x"), field(2, b"y"), field(4, b"ReduceSum"), field(5, &keepdims)].concat();
    let input = [field(1, b"x"), shape(&sizes)].concat();
    let output = [field(1, b"y"), shape(&[])].concat();
    let graph = [field(1, &node), field(2, b"g"), field(11, &input), field(12, &output)].concat();
    [number(1, 8), field(7, &graph), field(8, &number(2, 13))].concat()
}

#[test]
fn an_output_without_a_batch_comes_with_batches_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, model) = (folder.path().join("pictures"), folder.path().join("total.onnx"));
    std::fs::create_dir(&pictures).unwrap();
    for name in ["a.png", "b.png"] {
        std::fs::copy("examples/data/seven.png", pictures.join(name)).unwrap();
    }
    std::fs::write(&model, total()).unwrap();
    let run = ["run", model.to_str().unwrap(), "--input", pictures.to_str().unwrap(), "--preprocess", "unit"];
    let said = refused(1, &run);
    assert!(said.contains("no batch axis of 2; use --batch-size 1"), "{said}");
    let output = program::wgconv().args(run).args(["--batch-size", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in lines {
        let output = &line["outputs"][0];
        assert!(output["shape"] == serde_json::json!([]) && output["values"][0].as_f64() > Some(0.0), "{text}");
    }
}
