//! Zoo architectures are those of keras.applications, layer by layer.

mod shared_data;

use std::collections::BTreeMap;

use serde_json::Value;
use wgconv::layers::Model;
use wgconv::session::{Options, Session};
use wgconv::tensor::Tensor;
use wgconv::zoo;

/// Total parameters as Keras's documentation and torchvision's checkpoints count them.
#[test]
fn parameter_counts_are_the_published_ones() {
    for (name, parameters) in [
        ("mobilenet_v1", 4_253_864),
        ("mobilenet_v2", 3_538_984),
        ("mobilenet_v3_small", 2_554_968),
        ("mobilenet_v3_large", 5_507_432),
        // Keras counts the 7 numbers of its Normalization layer as weights: 5,330,571.
        ("efficientnet_b0", 5_330_571 - 7),
        ("xception", 22_910_480),
        // 11,689,512 in torchvision, which does not count the 9,600 moving statistics.
        ("resnet18", 11_689_512 + 9_600),
    ] {
        assert_eq!(zoo::build(name).unwrap().parameters(), parameters, "{name}");
    }
}

#[test]
fn layers_are_those_of_keras() {
    let Some(folder) = shared_data::models("arch").map(|folder| folder.join("arch")) else { return };
    for (name, home) in [
        ("mobilenet_v1?alpha=0.25&size=96&classes=10", "mobilenet_v1_025_96"),
        ("mobilenet_v1", "mobilenet_v1_100_224"),
        ("mobilenet_v2?alpha=0.35&size=96&classes=10", "mobilenet_v2_035_96"),
        ("mobilenet_v3_small?size=96&classes=10&minimalistic=true", "mobilenet_v3_small_min_96"),
    ] {
        let text = std::fs::read_to_string(folder.join(home).join("config.json")).unwrap();
        let keras = Model::from_config(&serde_json::from_str::<Value>(&text).unwrap()).unwrap();
        let ours = zoo::build(name).unwrap();
        let weights = |model: &Model| -> Vec<(String, Vec<usize>)> {
            model.weights().iter().map(|w| (w.name().to_string(), w.spec().shape.to_vec())).collect()
        };
        assert_eq!(weights(&ours), weights(&keras), "{name}");
        let shapes = |model: &Model| model.calls().iter().map(|call| call.outputs.clone()).collect::<Vec<_>>();
        assert_eq!(shapes(&ours), shapes(&keras), "{name}");
    }
}

#[test]
fn every_architecture_has_a_graph_and_its_variants_run() {
    for entry in zoo::ENTRIES {
        let graph = zoo::build(entry.name).unwrap().graph(2).unwrap();
        assert_eq!(graph.outputs().len(), 1, "{}", entry.name);
    }
    let variants = ["separable", "depthwise", "pointwise", "shared", "conv3d", "permute", "plain_reshape", "slices"];
    let input = Tensor::from_fn([3, 12, 12, 1], |i| (i as f32 * 0.37).sin());
    let inputs = BTreeMap::from([("input_layer".to_string(), input)]);
    let mut shared = Vec::new();
    for variant in variants {
        let model = zoo::build(&format!("separable_question?variant={variant}&seed=5")).unwrap();
        // The same filter in every disguise.
        for weight in model.weights() {
            let mut state = weight.spec().shape.elements() as f32;
            let shape = weight.spec().shape.clone();
            weight
                .set(Tensor::from_fn(shape, |i| {
                    state += 1.0;
                    (state * 0.7 + i as f32).sin()
                }))
                .unwrap();
        }
        let session = Session::new(model.graph(3).unwrap(), shared_data::device(), Options::default());
        let output = session.run(&inputs).unwrap().remove("dense").unwrap();
        assert!(output.f32s().unwrap().iter().all(|x| x.is_finite()), "{variant}");
        if ["shared", "conv3d", "permute", "slices"].contains(&variant) {
            let plan = session.compile(&BTreeMap::new()).unwrap();
            let kernels: Vec<&str> = plan.plan().unwrap().steps.iter().map(|step| step.kernel).collect();
            shared.push((output, kernels));
        }
    }
    for other in &shared[1..] {
        assert_eq!(*other, shared[0], "the disguises of one shared kernel differ");
    }
    assert!(shared[0].1.iter().any(|kernel| kernel.starts_with("shared_depthwise")), "{:?}", shared[0].1);
}

#[test]
fn wrong_names_and_options_say_what_exists() {
    let message = |name: &str| zoo::build(name).unwrap_err().to_string();
    assert!(message("mobilnet").contains("mobilenet_v1"));
    assert!(message("mobilenet_v1?beta=3").contains("no option `beta`"));
    assert!(message("mobilenet_v1?alpha=x").contains("not a number"));
    assert!(message("mobilenet_v1?size=1").contains("not between"));
    assert!(message("separable_question?variant=x").contains("plain_reshape"));
}
