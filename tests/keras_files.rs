//! Reads Keras files that the test writes itself: layouts, names and element types.

mod keras_support;

use hdf5_pure::{AttrValue, DatasetBuilder, FileBuilder};
use keras_support::{class_named, layer, model, saved};
use serde_json::json;
use tempfile::TempDir;
use wgconv::import::keras::archive::{self, Format};
use wgconv::import::keras::{assign, h5};

fn texts(values: &[&str]) -> AttrValue {
    AttrValue::VarLenStringArray(values.iter().map(|&v| v.to_owned()).collect())
}

fn flat(assigned: &assign::Assigned) -> Vec<(String, Vec<f32>)> {
    assigned
        .iter()
        .map(|(path, weights)| {
            let values = weights.iter().flat_map(|(_, a)| a.data.clone()).collect();
            (path.join("/"), values)
        })
        .collect()
}

#[test]
fn layers_are_matched_by_class_and_number() {
    let folder = TempDir::new().unwrap();
    let mut many = Vec::new();
    many.extend((0..12).map(|v| v as f32));
    let bytes = class_named(&[
        ("conv2d", &[1.0]),
        ("conv2d_1", &[2.0, 3.0]),
        ("conv2d_transpose", &[4.0]),
        ("dense", &many),
        ("flatten", &[]),
    ]);
    let file = archive::read(&saved(&folder, "m.weights.h5", &bytes)).unwrap();
    assert_eq!(file.format, Format::Weights);
    let named = file.layers.iter().find(|l| l.path == ["dense"]).unwrap();
    assert_eq!(named.layer_name.as_deref(), Some("my_dense"));
    let config = model(
        "Sequential",
        "outer",
        &[
            layer("InputLayer", "in"),
            layer("Conv2D", "first"),
            layer("Conv2DTranspose", "up"),
            layer("Conv2D", "second"),
            layer("Flatten", "flat"),
            layer("Dense", "head"),
        ],
    );
    let assigned = assign::match_layers(&config, &file).unwrap();
    assert_eq!(
        flat(&assigned),
        [
            ("first".to_owned(), vec![1.0]),
            ("flat".to_owned(), vec![]),
            ("head".to_owned(), many),
            ("in".to_owned(), vec![]),
            ("second".to_owned(), vec![2.0, 3.0]),
            ("up".to_owned(), vec![4.0]),
        ]
    );

    let smaller = model("Sequential", "outer", &[layer("Conv2D", "only")]);
    let message = assign::match_layers(&smaller, &file).unwrap_err().to_string();
    assert!(message.contains("'conv2d_transpose', 'dense'"), "{message}");
    let no_model = assign::match_layers(&json!({}), &file).unwrap_err();
    assert!(no_model.to_string().contains("no list of layers"));
}

#[test]
fn gaps_in_the_numbers_are_closed() {
    let folder = TempDir::new().unwrap();
    let bytes = class_named(&[("dense", &[1.0]), ("dense_2", &[2.0]), ("dense_4", &[3.0])]);
    let file = archive::read(&saved(&folder, "m.weights.h5", &bytes)).unwrap();
    let layers = ["a", "b", "c"].map(|name| layer("Dense", name));
    let assigned = assign::match_layers(&model("Sequential", "m", &layers), &file).unwrap();
    let values: Vec<f32> = flat(&assigned).into_iter().flat_map(|(_, v)| v).collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);
}

#[test]
fn nested_models_in_a_legacy_file_are_split_by_name() {
    let folder = TempDir::new().unwrap();
    let mut file = FileBuilder::new();
    file.set_attr("layer_names0", texts(&["in", "block"]));
    file.set_attr("layer_names1", texts(&["head"]));
    file.set_attr("keras_version", AttrValue::VarLenString("2.4.0".to_owned()));
    let mut group = file.create_group("in");
    group.set_attr("weight_names", AttrValue::F64Array(Vec::new()));
    file.add_group(group.finish());
    let mut group = file.create_group("block");
    let names = ["conv/kernel:0", "bn/gamma:0", "bn/moving_mean:0"];
    group.set_attr("weight_names", texts(&names));
    let mut conv = group.create_group("conv");
    conv.create_dataset("kernel:0").with_f32_data(&[1.0]);
    group.add_group(conv.finish());
    let mut bn = group.create_group("bn");
    bn.create_dataset("gamma:0").with_f32_data(&[2.0]);
    bn.create_dataset("moving_mean:0").with_f32_data(&[3.0]);
    group.add_group(bn.finish());
    file.add_group(group.finish());
    let mut group = file.create_group("head");
    group.set_attr("weight_names", AttrValue::AsciiStringArray(vec!["w".to_owned()]));
    group.create_dataset("w").with_f32_data(&[4.0]);
    file.add_group(group.finish());
    let path = saved(&folder, "legacy.h5", &file.finish().unwrap());
    let file = archive::read(&path).unwrap();
    assert_eq!(file.format, Format::LegacyWeights);
    assert_eq!(file.keras_version.as_deref(), Some("2.4.0"));

    let block = [layer("Conv2D", "conv"), layer("BatchNormalization", "bn")];
    let config = |head: &str| {
        let layers = [layer("InputLayer", "in"), model("Functional", "block", &block), layer("Dense", head)];
        model("Functional", "outer", &layers)
    };
    // The second time the file's names are not the config's, so the order decides.
    for head in ["head", "dense_7"] {
        let config = config(head);
        let assigned = assign::match_layers(&config, &file).unwrap();
        let find = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|&p| p.to_owned()).collect();
            let weights = &assigned[&path];
            weights.iter().map(|(_, a)| a.data[0]).collect::<Vec<_>>()
        };
        assert_eq!(find(&["block", "conv"]), [1.0]);
        assert_eq!(find(&["block", "bn"]), [2.0, 3.0]);
        assert_eq!(find(&[head]), [4.0]);
    }
    let renamed = [layer("Conv2D", "other")];
    let config = model("Functional", "m", &[model("Functional", "block", &renamed), layer("Dense", "head")]);
    let message = assign::match_layers(&config, &file).unwrap_err().to_string();
    assert!(message.contains("'conv/kernel:0' of the nested model 'block'"), "{message}");
}

fn one_dataset(fill: impl FnOnce(&mut DatasetBuilder)) -> Result<h5::Array, h5::H5Error> {
    let mut file = FileBuilder::new();
    fill(file.create_dataset("d"));
    h5::open(file.finish().unwrap())?.dataset("d")?.read()
}

#[test]
fn element_types_convert_exactly_or_fail() {
    let array = one_dataset(|d| {
        d.with_f64_data(&[0.1, -2.5, f64::INFINITY]).with_shape(&[3, 1]);
    })
    .unwrap();
    assert_eq!(array.shape, [3, 1]);
    assert_eq!(array.data, [0.1f32, -2.5, f32::INFINITY]);
    assert_eq!(array.dtype, "float64");
    let array = one_dataset(|d| {
        d.with_i32_data(&[-3, 1 << 24]);
    });
    assert_eq!(array.unwrap().data, [-3.0, 16_777_216.0]);
    let array = one_dataset(|d| {
        d.with_u64_data(&[1 << 63]);
    });
    assert_eq!(array.unwrap().data, [9_223_372_036_854_775_808.0]);

    let inexact = one_dataset(|d| {
        d.with_i64_data(&[(1 << 24) + 1]);
    });
    let message = inexact.unwrap_err().to_string();
    assert!(message.contains("'/d' of int64 holds 16777217"), "{message}");
    let overflow = one_dataset(|d| {
        d.with_f64_data(&[1e300]);
    });
    assert!(overflow.unwrap_err().to_string().contains("'/d' of float64"));
    let text = one_dataset(|d| {
        d.with_vlen_strings(&["a"]);
    });
    assert!(text.unwrap_err().to_string().contains("dataset '/d' holds text"));
    let chunked = one_dataset(|d| {
        d.with_f32_data(&[0.0; 5000]).with_shape(&[5000]).with_chunks(&[512]).with_deflate(9);
    });
    assert_eq!(chunked.unwrap().data, vec![0.0; 5000]);
}
