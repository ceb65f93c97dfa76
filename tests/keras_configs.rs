//! Configurations are taken as Keras means them, or refused with the layer's name; nothing is skipped silently.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wgconv::cpu;
use wgconv::layers::{Input, IntoLayer, Merge, Model};
use wgconv::tensor::Tensor;

fn tensor(name: &str, call: usize, shape: Value) -> Value {
    json!({"class_name": "__keras_tensor__", "config": {"shape": shape, "dtype": "float32", "keras_history": [name, call, 0]}})
}

fn input(dtype: &str) -> Value {
    json!({"class_name": "InputLayer", "name": "x", "inbound_nodes": [],
           "config": {"name": "x", "batch_shape": [null, 4], "dtype": dtype}})
}

fn layer(class: &str, registered: Value, config: Value, kwargs: Value) -> Value {
    json!({"class_name": class, "registered_name": registered, "name": "layer", "config": config,
           "inbound_nodes": [{"args": [tensor("x", 0, json!([null, 4]))], "kwargs": kwargs}]})
}

fn functional(layers: &[Value], output: Value) -> Value {
    json!({"class_name": "Functional", "config": {"name": "m", "layers": layers,
           "input_layers": [["x", 0, 0]], "output_layers": [output]}})
}

fn refusal(layers: &[Value]) -> String {
    Model::from_config(&functional(layers, json!(["layer", 0, 0]))).unwrap_err().to_string()
}

#[test]
fn what_would_change_the_numbers_is_refused() {
    let dense = |more: Value| {
        let mut config = json!({"name": "layer", "units": 2});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let plain = |config: Value| layer("Dense", Value::Null, config, json!({}));
    let ok = Model::from_config(&functional(&[input("float32"), plain(dense(json!({})))], json!(["layer", 0, 0])));
    assert_eq!(ok.unwrap().parameters(), 10);
    for (layers, parts) in [
        (vec![input("uint8"), plain(dense(json!({})))], ["`x`", "uint8"]),
        (vec![input("float32"), plain(dense(json!({"frobnicate": 3})))], ["`layer`", "frobnicate"]),
        (vec![input("float32"), plain(dense(json!({"dtype": "float16"})))], ["`layer`", "float16"]),
        (vec![input("float32"), plain(dense(json!({"activation": "my_own"})))], ["`layer`", "my_own"]),
        (vec![input("float32"), plain(json!({"name": "layer"}))], ["`layer`", "`units` is missing"]),
        (
            vec![input("float32"), layer("Dense", json!("Custom>Dense"), dense(json!({})), json!({}))],
            ["`layer`", "Custom>Dense"],
        ),
        (
            vec![input("float32"), layer("Lambda", Value::Null, json!({"name": "layer"}), json!({}))],
            ["`layer`", "Lambda is not supported"],
        ),
        (
            vec![
                input("float32"),
                layer("BatchNormalization", Value::Null, json!({"name": "layer"}), json!({"training": true})),
            ],
            ["`layer`", "training=True"],
        ),
    ] {
        let message = refusal(&layers);
        for part in parts {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }
}

#[test]
fn a_model_inside_may_be_the_output() {
    let layers = json!([
        {"class_name": "InputLayer", "name": "i", "inbound_nodes": [],
         "config": {"name": "i", "batch_shape": [null, 4], "dtype": "float32"}},
        {"class_name": "Dense", "name": "d", "config": {"name": "d", "units": 3},
         "inbound_nodes": [{"args": [tensor("i", 0, json!([null, 4]))], "kwargs": {}}]}]);
    let newer = json!([{"args": [tensor("x", 0, json!([null, 4]))], "kwargs": {}}]);
    let older = json!([[["x", 0, 0, {}]]]);
    // Functional models count their own making as a call; in Keras 2 sequential ones do, too.
    for (class, nodes, call) in
        [("Functional", &newer, 1), ("Functional", &older, 1), ("Sequential", &newer, 0), ("Sequential", &older, 1)]
    {
        let config =
            json!({"name": "layer", "layers": layers, "input_layers": ["i", 0, 0], "output_layers": ["d", 0, 0]});
        let inner = json!({"class_name": class, "name": "layer", "config": config, "inbound_nodes": nodes});
        let model = Model::from_config(&functional(&[input("float32"), inner], json!(["layer", call, 0]))).unwrap();
        let graph = model.graph(2).unwrap();
        assert_eq!(graph.ty(graph.outputs()[0].1).shape.to_vec(), [2, 3], "{class}");
        assert_eq!(model.get_layer("layer/d").unwrap().parameters(), 15, "{class}");
    }
}

#[test]
fn merging_unequal_ranks_keeps_the_batch_apart() {
    let (a, b) = (Input::open("a", vec![Some(1), Some(4)]), Input::open("b", vec![Some(4)]));
    let sum = Merge::Add.named("sum").call_many(&[&a, &b]);
    let model = Model::new(&[a, b], &[sum]).unwrap();
    let wave = |shape: &[usize]| Tensor::from_fn(shape.to_vec(), |i| i as f32);
    let inputs = BTreeMap::from([("a".to_string(), wave(&[2, 1, 4])), ("b".to_string(), wave(&[2, 4]))]);
    let output = &cpu::run(&model.graph(2).unwrap(), &inputs).unwrap()[0];
    assert_eq!(output.shape().to_vec(), [2, 1, 4]);
    assert_eq!(output.f32s().unwrap(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]);
}
