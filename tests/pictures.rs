//! Pictures: preprocessing beside Pillow's and NumPy's numbers (`tests/data/pictures/make.py`), and pictures on the command line.

mod program;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use wgconv::import::{
    ChannelOrder, Interpolation, Layout, PictureInput, Preprocess, ResizeTo, picture_files, read_picture,
};
use wgconv::layers::{Activation, DataFormat, Dense, IntoLayer, Model, Reshaping, Sequential};
use wgconv::tensor::{Tensor, read_npy};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures").join(name)
}

fn file(name: &str) -> String {
    data(name).display().to_string()
}

/// An input that takes pictures of any size.
fn any(channels: usize, layout: Layout) -> PictureInput {
    PictureInput { rows: None, columns: None, channels, layout }
}

fn colour() -> PictureInput {
    any(3, Layout::Nhwc)
}

/// The largest and the mean difference.
fn difference(actual: &Tensor, expected: &Tensor) -> (f32, f32) {
    assert_eq!(actual.shape(), expected.shape());
    let each = actual.f32s().unwrap().iter().zip(expected.f32s().unwrap()).map(|(a, b)| (a - b).abs());
    let count = each.len() as f32;
    (each.clone().fold(0.0, f32::max), each.sum::<f32>() / count)
}

#[test]
fn resizing_is_that_of_pillow_to_one_level() {
    let resize = |rows, columns, interpolation| Preprocess {
        resize: Some(ResizeTo::Exact(rows, columns)),
        interpolation,
        ..Preprocess::default()
    };
    for (name, picture, settings, input) in [
        ("resized", "rgb.png", resize(10, 14, Interpolation::Bilinear), colour()),
        ("enlarged", "rgb.png", resize(37, 45, Interpolation::Bilinear), colour()),
        ("bicubic", "rgb.png", resize(10, 14, Interpolation::Bicubic), colour()),
        ("nearest", "rgb.png", resize(10, 14, Interpolation::Nearest), colour()),
        ("grey_resized", "grey.png", resize(10, 14, Interpolation::Bilinear), any(1, Layout::Nhwc)),
        ("grey_resized", "rgb.png", resize(10, 14, Interpolation::Bilinear), any(1, Layout::Nhwc)),
    ] {
        let actual = settings.open(&data(picture), input).unwrap();
        let (largest, mean) = difference(&actual.tensor, &read_npy(&data(&format!("{name}.npy"))).unwrap());
        // Pillow rounds to bytes between the two directions.
        let allowed = if settings.interpolation == Interpolation::Nearest { 0.0 } else { 1.0 };
        assert!(largest <= allowed && mean < 0.2, "{name}: {largest} at most, {mean} on average");
        assert_eq!(actual.notes, [""; 0], "what is asked for needs no note");
    }
}

#[test]
fn presets_are_those_of_their_authors() {
    let open = |settings: Preprocess, input| settings.open(&data("rgb.png"), input).unwrap().tensor;
    let near = |name: &str, actual: Tensor, allowed| {
        let (largest, _) = difference(&actual, &read_npy(&data(&format!("{name}.npy"))).unwrap());
        assert!(largest <= allowed, "{name}: {largest}");
    };
    near("caffe", open(Preprocess::preset("caffe").unwrap(), colour()), 0.0);
    near("tf", open(Preprocess::preset("tf").unwrap(), colour()), 2e-7);
    let torchvision = Preprocess {
        resize: Some(ResizeTo::Shortest { shortest: 12 }),
        crop: Some((9, 11)),
        ..Preprocess::preset("imagenet").unwrap()
    };
    near("imagenet_nchw", open(torchvision, any(3, Layout::Nchw)), 1.01 / 255.0 / 0.224);
    let bytes = open(Preprocess::preset("bytes").unwrap(), colour());
    let unit = open(Preprocess::preset("unit").unwrap(), colour());
    let scaled: Vec<f32> = bytes.f32s().unwrap().iter().map(|byte| byte * (1.0 / 255.0)).collect();
    assert_eq!(unit.f32s().unwrap(), scaled);
    assert!(Preprocess::PRESETS.iter().all(|name| Preprocess::preset(name).is_some()));
    assert!(Preprocess::preset("vgg").is_none());
}

#[test]
fn alpha_grey_and_orientation_are_handled() {
    let settings = Preprocess::default();
    let open = |name: &str, channels| settings.open(&data(name), any(channels, Layout::Nhwc)).unwrap();
    let (opaque, dropped) = (open("rgb.png", 3), open("rgba.png", 3));
    assert_eq!(opaque.tensor, dropped.tensor);
    assert!(opaque.notes.is_empty() && dropped.notes[0].contains("transparent"), "{:?}", dropped.notes);
    assert_eq!(open("rgba.png", 4).tensor.f32s().unwrap()[..3], open("rgb.png", 3).tensor.f32s().unwrap()[..3]);
    assert_eq!(open("rgb.png", 4).tensor.f32s().unwrap()[3], 255.0);
    assert_eq!(open("rgb.png", 1).tensor, open("grey.png", 1).tensor);
    let grey = open("grey.png", 3).tensor;
    assert!(grey.f32s().unwrap().chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    // Alpha stays where it is when blue comes first.
    let bgr = Preprocess { order: ChannelOrder::Bgr, ..Preprocess::default() };
    let (rgba, bgra) = (open("rgba.png", 4).tensor, bgr.open(&data("rgba.png"), any(4, Layout::Nhwc)).unwrap().tensor);
    let (a, b) = (&rgba.f32s().unwrap()[..4], &bgra.f32s().unwrap()[..4]);
    assert_eq!([b[2], b[1], b[0], b[3]], a);
    // Stored with 64 rows, and to be turned clockwise: its upper left corner comes to the upper right.
    let turned = read_picture(&data("turned.jpg")).unwrap();
    assert_eq!((turned.height(), turned.width()), (96, 64));
    let (corner, stored) = (turned.to_rgb8().get_pixel(60, 3).0, read_picture(&data("rgb.png")).unwrap().to_rgb8());
    let stored = stored.get_pixel(0, 0).0;
    assert!(corner.iter().zip(stored).all(|(a, b)| a.abs_diff(b) < 12), "{corner:?} {stored:?}");
}

#[test]
fn the_order_of_axes_follows_from_the_shape() {
    let of = |shape: [usize; 3], layout| PictureInput::of(&shape.map(Some), layout, Layout::Nhwc).unwrap();
    assert_eq!(
        of([3, 9, 11], None),
        PictureInput { rows: Some(9), columns: Some(11), channels: 3, layout: Layout::Nchw }
    );
    assert_eq!(
        of([9, 11, 1], None),
        PictureInput { rows: Some(9), columns: Some(11), channels: 1, layout: Layout::Nhwc }
    );
    // Either is possible here, and neither there.
    assert_eq!(of([3, 9, 3], None).layout, Layout::Nhwc);
    assert_eq!(of([3, 9, 3], Some(Layout::Nchw)).columns, Some(3));
    let open = PictureInput::of(&[None; 3], None, Layout::Nchw).unwrap();
    assert_eq!(open, any(3, Layout::Nchw));
    for shape in [&[Some(9), Some(9), Some(16)][..], &[Some(9), Some(9)], &[]] {
        let said = PictureInput::of(shape, None, Layout::Nhwc).unwrap_err().to_string();
        assert!(said.contains(".npy"), "{said}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_way_out() {
    let sized = PictureInput { rows: Some(9), columns: Some(11), ..colour() };
    let base = Preprocess::default;
    for (settings, input, part) in [
        (Preprocess { crop: Some((24, 10)), ..base() }, colour(), "too small for a crop of 24x10"),
        (Preprocess { crop: Some((9, 12)), ..base() }, sized, "the input takes 9x11"),
        (Preprocess { resize: Some(ResizeTo::Exact(9, 12)), ..base() }, sized, "is 9x12"),
        (Preprocess { mean: vec![1.0, 2.0], ..base() }, colour(), "mean has 2 numbers"),
        (Preprocess { std: vec![1.0; 4], ..base() }, colour(), "std has 4 numbers"),
        (Preprocess { std: vec![1.0, 0.0, 1.0], ..base() }, colour(), "must not be 0"),
        (Preprocess { scale: f32::NAN, ..base() }, colour(), "finite"),
        (Preprocess { crop: Some((0, 4)), ..base() }, colour(), "0x4"),
        (Preprocess { resize: Some(ResizeTo::Exact(1 << 20, 1 << 20)), ..base() }, colour(), "no size"),
        (Preprocess { resize: Some(ResizeTo::Shortest { shortest: usize::MAX }), ..base() }, colour(), "no size"),
    ] {
        let said = settings.open(&data("rgb.png"), input).unwrap_err().to_string();
        assert!(said.contains(part) && said.contains("rgb.png"), "{said}");
    }
    let shortest = Preprocess { resize: Some(ResizeTo::Shortest { shortest: 8 }), ..base() };
    for (rows, columns) in [(0, 5), (5, 0), (0, 0)] {
        let said = shortest.apply(&image::DynamicImage::new_rgb8(columns, rows), colour()).unwrap_err().to_string();
        assert!(said.contains(&format!("{rows}x{columns}")) && said.contains("no pixels"), "{said}");
    }
    let two = base().apply(&image::DynamicImage::new_rgb8(5, 5), any(2, Layout::Nhwc)).unwrap_err().to_string();
    assert!(two.contains("the input takes 2"), "{two}");
    let note = base().open(&data("rgb.png"), sized).unwrap();
    assert_eq!(note.tensor.shape().to_vec(), [1, 9, 11, 3]);
    assert_eq!(note.notes, ["23x31 resized to 9x11"]);
    let said = base().open(&data("make.py"), colour()).unwrap_err().to_string();
    assert!(said.contains("make.py: not a PNG or JPEG"), "{said}");
    let said = base().open_batch([data("rgb.png").as_path(), &data("turned.jpg")], colour()).unwrap_err().to_string();
    assert!(said.contains("turned.jpg") && said.contains("size"), "{said}");
}

#[test]
fn settings_survive_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = Preprocess::path_beside(&folder.path().join("model.v2.keras"));
    assert_eq!(path, folder.path().join("model.v2.preprocess.json"));
    let settings = Preprocess {
        resize: Some(ResizeTo::Shortest { shortest: 256 }),
        crop: Some((224, 192)),
        interpolation: Interpolation::Bicubic,
        order: ChannelOrder::Bgr,
        layout: Some(Layout::Nchw),
        ..Preprocess::preset("imagenet").unwrap()
    };
    settings.write(&path).unwrap();
    assert_eq!(Preprocess::read(&path).unwrap(), settings);
    std::fs::write(&path, r#"{ "resize": [8, 9], "scale": 0.5 }"#).unwrap();
    let read = Preprocess::read(&path).unwrap();
    assert_eq!(read, Preprocess { resize: Some(ResizeTo::Exact(8, 9)), scale: 0.5, ..Preprocess::default() });
    for (text, part) in [
        (r#"{ "sclae": 0.5 }"#, "sclae"),
        (r#"{ "std": [0.0] }"#, "must not be 0"),
        (r#"{ "interpolation": "area" }"#, "bilinear"),
        ("[]]", "line 1"),
    ] {
        std::fs::write(&path, text).unwrap();
        let said = Preprocess::read(&path).unwrap_err().to_string();
        assert!(said.contains(part) && said.contains("model.v2.preprocess.json"), "{said}");
    }
}

fn wgconv(arguments: &[&str]) -> Output {
    program::wgconv().args(arguments).output().unwrap()
}

/// Standard output and what was said beside it, of a run that ends with this code.
fn said(code: i32, arguments: &[&str]) -> (String, String) {
    let output = wgconv(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", said.0, said.1);
    said
}

/// Scores of four classes for pictures of 9x11; with softmax or as they are.
fn classifier(folder: &Path, name: &str, activation: Activation) -> (Model, String) {
    let model = Sequential::new()
        .add(Reshaping::Flatten(DataFormat::ChannelsLast))
        .add(Dense::new(4).activation(activation).named("class"))
        .build([9, 11, 3])
        .unwrap();
    model.initialize(3);
    let path = folder.join(name);
    model.save(&path).unwrap();
    (model, path.display().to_string())
}

#[test]
fn every_option_reaches_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().display().to_string();
    let model = file("negative.onnx");
    let run = |options: &str| {
        let mut arguments = vec!["run", &model, "--input"];
        let picture = file("rgb.png");
        arguments.extend([picture.as_str(), "--output", &output, "--device", "cpu"]);
        arguments.extend(options.split_whitespace());
        let (_, note) = said(0, &arguments);
        let y = read_npy(&folder.path().join("y.npy")).unwrap();
        (Tensor::from_fn(y.shape().clone(), |i| -y.f32s().unwrap()[i]), note)
    };
    let expected = read_npy(&data("imagenet_nchw.npy")).unwrap();
    let geometry = "--resize shortest=12 --crop 9,11";
    for numbers in [
        "--preprocess imagenet",
        "--scale 0.003921569 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
        "--preprocess caffe --rgb --layout nchw --scale 0.003921569 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
    ] {
        let (actual, note) = run(&format!("{geometry} {numbers}"));
        let (largest, _) = difference(&actual, &expected);
        assert!(largest < 1.01 / 255.0 / 0.224, "{numbers}: {largest}");
        assert_eq!(note, "");
    }
    // Without a word: the model's size and bytes, and both are said.
    let (bytes, note) = run("");
    assert!(note.contains("23x31 resized to 9x11") && note.contains("bytes from 0 to 255"), "{note}");
    let settings = Preprocess { resize: Some(ResizeTo::Exact(9, 11)), ..Preprocess::default() };
    assert_eq!(bytes, settings.open(&data("rgb.png"), any(3, Layout::Nchw)).unwrap().tensor);
    // Blue first, another filter, one negative number for all channels.
    let (actual, _) = run("--bgr --interpolation bicubic --mean -1 --resize 9,11");
    let settings =
        Preprocess { interpolation: Interpolation::Bicubic, mean: vec![-1.0], order: ChannelOrder::Bgr, ..settings };
    assert_eq!(actual, settings.open(&data("rgb.png"), any(3, Layout::Nchw)).unwrap().tensor);
    // A file of settings, and single ones of them changed.
    settings.write(&folder.path().join("settings.json")).unwrap();
    let (from_file, _) = run(&format!("--preprocess {}", folder.path().join("settings.json").display()));
    assert_eq!(from_file, actual);
    for (options, code, part) in [
        ("--crop 9,12 --resize 12,16", 1, "the input takes 9x11"),
        ("--layout nhwc", 1, "11"),
        ("--preprocess vgg", 1, "imagenet"),
        ("--resize 9", 2, "ROWS,COLUMNS"),
        ("--resize shortest=x", 2, "shortest=256"),
        ("--interpolation area", 2, "bilinear"),
        ("--layout hwc", 2, "nchw"),
        ("--rgb --bgr", 2, "--bgr"),
        ("--std 0", 1, "must not be 0"),
    ] {
        let picture = file("rgb.png");
        let mut arguments = vec!["run", model.as_str(), "--input", &picture];
        arguments.extend(options.split_whitespace());
        let (_, why) = said(code, &arguments);
        assert!(why.contains(part), "{options}: {why}");
    }
    // Options for pictures mean nothing for arrays.
    for options in [&["--crop", "3,3"][..], &["--scale", "0.5"], &["--bgr"]] {
        let array = file("imagenet_nchw.npy");
        let mut arguments = vec!["run", model.as_str(), "--input", &array];
        arguments.extend(options);
        let (_, why) = said(1, &arguments);
        assert!(why.contains("is for pictures"), "{why}");
    }
}

#[test]
fn classes_have_names_and_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let (model, scores) = classifier(folder.path(), "scores.keras", Activation::Linear);
    let (_, soft) = classifier(folder.path(), "soft.keras", Activation::SOFTMAX);
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "cat\ndog\r\nblue whale\nant\n\n").unwrap();
    let (labels, picture) = (labels.display().to_string(), file("rgb.png"));
    let run = |model: &str, further: &[&str]| -> Value {
        let mut arguments = vec!["run", model, "--input", &picture, "--preprocess", "unit", "--json"];
        arguments.extend(further);
        serde_json::from_str(&said(0, &arguments).0).unwrap()
    };
    let by_softmax = run(&soft, &["--labels", &labels, "--top", "4"])["outputs"][0].clone();
    assert_eq!(by_softmax["probabilities"], "of_the_model");
    let top = by_softmax["top"].as_array().unwrap();
    let sum: f64 = top.iter().map(|class| class["probability"].as_f64().unwrap()).sum();
    assert!(top.len() == 4 && (sum - 1.0).abs() < 1e-5, "{top:?}");
    let names = ["cat", "dog", "blue whale", "ant"];
    assert!(top.iter().all(|class| class["label"] == names[class["class"].as_u64().unwrap() as usize]));
    // The same weights without softmax: it is applied, and said so.
    let by_scores = run(&scores, &["--labels", &labels, "--top", "4"])["outputs"][0].clone();
    assert_eq!(by_scores["probabilities"], "softmax_applied");
    for (a, b) in top.iter().zip(by_scores["top"].as_array().unwrap()) {
        assert_eq!((&a["class"], &a["label"]), (&b["class"], &b["label"]));
        assert!((a["probability"].as_f64().unwrap() - b["probability"].as_f64().unwrap()).abs() < 1e-5);
    }
    let text = said(0, &["run", &scores, "--input", &picture, "--preprocess", "unit", "--top", "2"]).0;
    assert!(text.contains("softmax applied: the model gives scores"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("class ")).count(), 2, "{text}");
    // Scores that nobody called classes are left alone.
    assert_eq!(run(&scores, &[])["outputs"][0]["top"], Value::Null);
    assert_eq!(run(&soft, &[])["outputs"][0]["top"].as_array().unwrap().len(), 4);
    std::fs::write(folder.path().join("short.txt"), "cat\ndog\n").unwrap();
    std::fs::write(folder.path().join("empty.txt"), "\n").unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let negative = file("negative.onnx");
    for (model, option, value, part) in [
        (&soft, "--labels", path("short.txt"), "there are 2 labels, and no output has as many classes: `class`"),
        (&soft, "--labels", path("empty.txt"), "one a line"),
        (&soft, "--labels", path("none.txt"), "none.txt"),
        (&soft, "--top", "0".into(), "--top 0"),
        (&negative, "--top", "3".into(), "one number a class: `y`"),
    ] {
        let (_, why) = said(1, &["run", model, "--input", &picture, option, &value]);
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(model.outputs()[0].0, "class");
}

#[test]
fn settings_beside_a_model_are_found_and_training_leaves_them_there() {
    let folder = tempfile::tempdir().unwrap();
    let (_, model) = classifier(folder.path(), "soft.keras", Activation::SOFTMAX);
    let picture = file("rgb.png");
    let beside = Preprocess { order: ChannelOrder::Bgr, ..Preprocess::preset("tf").unwrap() };
    beside.write(&folder.path().join("soft.preprocess.json")).unwrap();
    let run = |further: &[&str]| -> Value {
        let mut arguments = vec!["run", &model, "--input", &picture, "--json"];
        arguments.extend(further);
        serde_json::from_str(&said(0, &arguments).0).unwrap()
    };
    let found = run(&[]);
    assert_eq!(found["preprocess"]["order"], "bgr");
    assert_eq!(found["outputs"], run(&["--preprocess", "tf", "--bgr"])["outputs"]);
    assert_ne!(found["outputs"], run(&["--preprocess", "tf"])["outputs"]);
    for class in ["a", "b"] {
        std::fs::create_dir_all(folder.path().join("classes").join(class)).unwrap();
        std::fs::copy(data("rgb.png"), folder.path().join("classes").join(class).join("1.png")).unwrap();
    }
    let (classes, saved) = (folder.path().join("classes"), folder.path().join("trained.keras"));
    let (classes, saved) = (classes.display().to_string(), saved.display().to_string());
    let loss = "sparse_categorical_crossentropy";
    said(0, &["train", &model, "--images", &classes, "--loss", loss, "--save", &saved, "--device", "cpu", "--rgb"]);
    let written = Preprocess::read(&folder.path().join("trained.preprocess.json")).unwrap();
    assert_eq!(written, Preprocess { order: ChannelOrder::Rgb, ..beside });
    let (_, why) = said(1, &["train", &model, "--images", &classes, "--loss", loss, "--mean", "1,2"]);
    assert!(why.contains("mean has 2 numbers"), "{why}");
}

#[test]
fn a_folder_runs_in_batches_with_the_bits_of_single_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (_, model) = classifier(folder.path(), "soft.keras", Activation::SOFTMAX);
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    for (number, name) in ["rgb.png", "rgba.png", "turned.jpg", "grey.png", "rgb.png"].iter().enumerate() {
        std::fs::copy(data(name), pictures.join(format!("{number}{}", &name[name.len() - 4..]))).unwrap();
    }
    std::fs::write(pictures.join("notes.txt"), "no picture").unwrap();
    let all = pictures.display().to_string();
    let lines = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    for device in ["gpu", "cpu"] {
        let (single, batched) = (path(&format!("single {device}")), path(&format!("batched {device}")));
        let fixed = ["--device", device, "--preprocess", "tf"];
        for picture in picture_files(&pictures).unwrap() {
            let output = format!("{single}/{}", picture.file_name().unwrap().display());
            let mut arguments = vec!["run", &model, "--input", picture.to_str().unwrap(), "--output", &output];
            arguments.extend(fixed);
            said(0, &arguments);
        }
        // Five pictures leave a last batch that is not full.
        let mut arguments = vec!["run", &model, "--input", &all, "--batch-size", "3", "--output", &batched];
        arguments.extend(fixed);
        let found = lines(&said(0, &arguments).0);
        let files: Vec<String> =
            picture_files(&pictures).unwrap().iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found.iter().map(|line| line["file"].as_str().unwrap()).collect::<Vec<_>>(), files);
        for line in &found {
            let name = Path::new(line["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap();
            let one = read_npy(&Path::new(&single).join(name).join("class.npy")).unwrap();
            let other = read_npy(Path::new(line["outputs"][0]["file"].as_str().unwrap())).unwrap();
            assert_eq!(other.shape().to_vec(), [4]);
            assert_eq!(one.f32s().unwrap(), other.f32s().unwrap(), "{device}: {name}");
            assert_eq!(line["outputs"][0]["top"].as_array().unwrap().len(), 4);
        }
        assert_eq!(found[0]["outputs"][0]["top"], found[4]["outputs"][0]["top"]);
    }
    // The same through predict.
    let predicted = path("p.npy");
    said(0, &["predict", &model, "--images", &all, "--preprocess", "tf", "--save", &predicted, "--device", "cpu"]);
    let predicted = read_npy(Path::new(&predicted)).unwrap();
    let first = read_npy(&Path::new(&path("single cpu")).join("0.png/class.npy")).unwrap();
    assert_eq!(predicted.shape().to_vec(), [5, 4]);
    assert_eq!(predicted.f32s().unwrap()[..4], *first.f32s().unwrap());
    // Numbers that are no classes stand in the lines themselves; an open batch of an ONNX model is filled.
    let (text, _) = said(0, &["run", &file("negative.onnx"), "--input", &format!("x={all}"), "--preprocess", "unit"]);
    let values = lines(&text)[0]["outputs"][0]["values"].as_array().unwrap().clone();
    assert_eq!(values.len(), 3 * 9 * 11);
    assert!(values.iter().all(|value| (-1.0..=0.0).contains(&value.as_f64().unwrap())));
}

#[test]
fn pictures_that_cannot_be_read_are_skipped_and_count() {
    let folder = tempfile::tempdir().unwrap();
    let (_, model) = classifier(folder.path(), "soft.keras", Activation::SOFTMAX);
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    let all = pictures.display().to_string();
    let (_, why) = said(1, &["run", &model, "--input", &all]);
    assert!(why.contains("no PNG or JPEG pictures"), "{why}");
    for name in ["a.png", "c.png"] {
        std::fs::copy(data("rgb.png"), pictures.join(name)).unwrap();
    }
    std::fs::write(pictures.join("b.png"), &std::fs::read(data("rgb.png")).unwrap()[..500]).unwrap();
    let fixed = ["run", &model, "--input", &all, "--preprocess", "unit", "--device", "cpu"];
    let (text, why) = said(1, &fixed);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1]["error"].as_str().unwrap().contains("b.png"), "{text}");
    assert_eq!(lines[0]["outputs"], lines[2]["outputs"]);
    assert!(why.contains("b.png") && why.contains("1 of 3 pictures could not be read"), "{why}");
    let mut strict = fixed.to_vec();
    strict.push("--strict");
    let (text, why) = said(1, &strict);
    assert!(!text.contains("c.png") && why.contains("b.png"), "{text}{why}");
    let (_, why) = said(1, &["run", &model, "--input", &file("rgb.png"), "--strict"]);
    assert!(why.contains("for a folder of pictures"), "{why}");
    let (_, why) = said(1, &["run", &model, "--input", &all, "--batch-size", "0"]);
    assert!(why.contains("a batch of 0"), "{why}");
}
