//! Summaries say what Keras says, and what is probably not meant.

mod shared_data;

use wgconv::layers::*;
use wgconv::zoo;

fn notes(variant: &str) -> Vec<Note> {
    zoo::build(&format!("separable_question?variant={variant}")).unwrap().summary(1).unwrap().notes
}

#[test]
fn the_question_gets_its_answer() {
    let summary = zoo::build("separable_question").unwrap().summary(2).unwrap();
    let row = summary.rows.iter().find(|row| row.class == "SeparableConv2D").unwrap();
    assert_eq!(row.kernels, ["3x3 per channel x16", "16->1 pointwise"]);
    assert_eq!((row.params, row.macs), (161, 2 * (9 * 16 + 16)));
    assert_eq!((summary.params, summary.trainable_params), (467, 467));
    let note = &summary.notes[0];
    assert_eq!(note.layer, "separable_conv2d");
    assert!(note.what.contains("16 channels go in, 1 come out"), "{}", note.what);
    assert!(note.way_out.contains("depthwise_half()") && note.way_out.contains("DepthwiseConv2D"), "{}", note.way_out);
    let text = summary.text(false);
    for part in
        ["(None, 3, 3, 16)", "3x3 per channel x16", "16->1 pointwise", "Total params: 467 (1.82 KB)", "conv2d[0][0]"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn disguised_shared_kernels_are_named_and_the_plain_reshape_is_warned_of() {
    for variant in ["conv3d", "permute", "slices"] {
        let found = notes(variant);
        assert!(found.iter().any(|note| note.way_out.contains("SharedDepthwiseConv2D")), "{variant}: {found:?}");
        assert!(!found.iter().any(|note| note.what.contains("innermost")), "{variant}: {found:?}");
    }
    let plain = notes("plain_reshape");
    assert_eq!(plain.len(), 1, "{plain:?}");
    assert!(plain[0].what.contains("3 neighbouring channels of one column"), "{plain:?}");
    assert!(plain[0].way_out.contains("Permute((1, 3, 2))"), "{plain:?}");
    for variant in ["depthwise", "shared"] {
        assert_eq!(notes(variant), [], "{variant}");
    }
}

#[test]
fn halves_share_the_weights_of_the_whole() {
    let separable = SeparableConv2D::new(4, 3).activation(Activation::RELU).named("sep");
    let input = Input::new([6, 6, 3]);
    let whole = Model::new(&[input.clone()], &[separable.call(&input)]).unwrap();
    let (depthwise, pointwise) = (separable.depthwise_half().unwrap(), separable.pointwise_half().unwrap());
    let x = Input::new([6, 6, 3]);
    let halves = Model::new(&[x.clone()], &[pointwise.call(&depthwise.call(&x))]).unwrap();
    assert_eq!(halves.parameters(), whole.parameters());
    whole.initialize(3);
    let inputs = std::collections::BTreeMap::from([(
        "input_layer".to_string(),
        wgconv::tensor::Tensor::from_fn([1, 6, 6, 3], |i| (i as f32 * 0.3).cos()),
    )]);
    let run = |model: &Model| wgconv::cpu::run(&model.graph(1).unwrap(), &inputs).unwrap();
    // The whole is rounded once more between its halves' own results, as each op rounds its output.
    assert_eq!(run(&whole), run(&halves));
    let message = Conv2D::new(1, 1).named("c").depthwise_half().unwrap_err().to_string();
    assert!(message.contains("only separable"), "{message}");
}

#[test]
fn shared_layers_come_once_and_nested_models_expand() {
    let inner_input = Input::new([8, 8, 3]);
    let inner = Conv2D::new(4, 3).padding(Padding::Same).layer().call(&inner_input);
    let inner = Model::named("inner", &[inner_input], &[inner]).unwrap().named("inner");
    let (a, b) = (Input::new([8, 8, 3]), Input::new([8, 8, 3]));
    let sum = Merge::Add.layer().call_many(&[&inner.call(&a), &inner.call(&b)]);
    let model = Model::new(&[a, b, Input::new([2])], &[sum]).unwrap();
    let summary = model.summary(1).unwrap();
    let row = summary.rows.iter().find(|row| row.name == "inner").unwrap();
    assert_eq!((row.calls, row.params, row.connected_to.len()), (2, 3 * 3 * 3 * 4 + 4, 2));
    assert_eq!(summary.params, row.params);
    assert_eq!(row.nested.len(), 1);
    assert!(summary.text(true).contains("conv2d (Conv2D)") && !summary.text(false).contains("conv2d (Conv2D)"));
    assert!(summary.notes.iter().any(|note| note.what.contains("depends on this input")), "{:?}", summary.notes);
    assert!(summary.mermaid().starts_with("flowchart TD") && summary.mermaid().matches("-->").count() == 3);
    assert!(summary.dot().contains("->"));
}

#[test]
fn a_window_that_never_fits_is_refused_with_its_sizes() {
    let message = Sequential::new().add(Conv2D::new(2, 5)).build([3, 3, 1]).unwrap_err().to_string();
    let pool = Sequential::new().add(Pooling2D::max(4)).build([3, 3, 1]).unwrap_err().to_string();
    for part in ["max_pooling2d", "reaches over 4", "into 3", "`same` padding"] {
        assert!(pool.contains(part), "{part} is missing in: {pool}");
    }
    for part in ["conv2d", "reaches over 5", "into 3", "smaller kernel"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}

/// The seed models: name, configuration, and what Keras says of them.
fn seeds() -> Vec<(String, Model, serde_json::Value)> {
    let Some(folder) = shared_data::models("seed").map(|folder| folder.join("seed")) else { return Vec::new() };
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
    };
    let report = read("report.json");
    let names = report.as_object().unwrap().iter().filter(|(_, entry)| entry["params"].is_u64());
    let seeds: Vec<_> = names
        .map(|(name, entry)| (name.clone(), Model::from_config(&read(&format!("{name}.json"))).unwrap(), entry.clone()))
        .collect();
    assert!(seeds.len() >= 6, "only {} seed models in {}", seeds.len(), folder.display());
    seeds
}

#[test]
fn every_seed_model_has_the_layers_shapes_and_parameters_of_keras() {
    for (name, model, keras) in seeds() {
        let summary = model.summary(3).unwrap();
        let text = summary.text(false);
        assert_eq!(summary.params as u64, keras["params"].as_u64().unwrap(), "{name}");
        let rows: Vec<&Row> = summary.rows.iter().filter(|row| row.class != "InputLayer").collect();
        let layers = keras["layers"].as_array().unwrap();
        let layers: Vec<_> = layers.iter().filter(|layer| layer[1] != "InputLayer").collect();
        // Keras keeps operations such as slices out of `model.layers`, though not out of its table.
        let own = rows.iter().filter(|row| row.class != "GetItem").count();
        assert_eq!(own, layers.len(), "{name}");
        for layer in layers {
            let row = rows.iter().find(|row| row.name == layer[0].as_str().unwrap()).unwrap();
            let sizes = |shape: &serde_json::Value| -> u64 {
                shape.as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).product()
            };
            assert_eq!(row.class, layer[1].as_str().unwrap(), "{name}");
            assert_eq!(row.params as u64, layer[3].as_array().unwrap().iter().map(sizes).sum::<u64>(), "{name}");
            // What is printed is Keras's own spelling.
            let line = text.lines().find(|line| line.contains(&format!("│ {} (", row.name))).unwrap();
            assert!(line.contains(&format!("│ {} ", layer[2].as_str().unwrap())), "{name}: {line}");
        }
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["params"], keras["params"], "{name}");
        let total: u64 = json["rows"].as_array().unwrap().iter().map(|row| row["macs"].as_u64().unwrap()).sum();
        assert_eq!(json["macs"], total, "{name}");
    }
}

#[test]
fn every_seed_model_gets_its_note() {
    for (name, model, _) in seeds() {
        let notes = model.summary(1).unwrap().notes;
        let said = |part: &str| notes.iter().any(|note| format!("{} {}", note.what, note.way_out).contains(part));
        assert_eq!(said("depthwise_half()"), name == "v0_separable", "{name}: {notes:?}");
        assert_eq!(said("Permute((1, 3, 2))"), name == "v3_plain_reshape", "{name}: {notes:?}");
        let shared = ["v2_conv3d_shared", "v3_fixed_permute", "v4_functional_slices"].contains(&name.as_str());
        assert_eq!(said("this equals SharedDepthwiseConv2D(3)"), shared, "{name}: {notes:?}");
    }
}

fn tower(input: SymbolicTensor) -> Model {
    let x = Conv2D::new(4, 3).strides(2).padding(Padding::Same).named("a").call(&input);
    let x = Conv2D::new(5, 3).strides(2).padding(Padding::Same).named("b").call(&x);
    let x = Pooling2D::max(2).named("c").call(&x);
    Model::new(&[input], &[x]).unwrap()
}

#[test]
fn work_on_open_axes_shrinks_with_the_strides() {
    let open = tower(Input::open("x", vec![None, None, Some(3)])).summary(2).unwrap();
    let fixed = tower(Input::open("x", vec![Some(224), Some(224), Some(3)])).summary(2).unwrap();
    let work = |summary: &Summary| -> Vec<(u64, u64)> {
        summary.rows.iter().map(|row| (row.macs, row.activation_bytes)).collect()
    };
    assert_eq!(work(&open), work(&fixed));
    assert_eq!(open.rows[1].activation_bytes, 2 * 112 * 112 * 4 * 4);
    assert!(open.text(false).contains("(None, None, None, 5)"));
}

#[test]
fn a_nested_model_costs_what_its_layers_cost_in_every_call() {
    let inner = tower(Input::new([24, 15, 3]));
    let alone = inner.summary(1).unwrap();
    let inner = inner.named("inner");
    let (a, b) = (Input::new([24, 15, 3]), Input::new([24, 15, 3]));
    let model = Model::new(&[a.clone(), b.clone()], &[inner.call(&a), inner.call(&b)]).unwrap();
    let summary = model.summary(1).unwrap();
    assert_eq!(summary.macs, 2 * alone.macs);
    assert_eq!(summary.activation_bytes, 2 * alone.activation_bytes);
    let row = summary.rows.iter().find(|row| row.name == "inner").unwrap();
    assert_eq!(row.nested.iter().map(|row| row.macs).sum::<u64>(), row.macs);
}

fn notes_of(model: Model) -> Vec<(String, String)> {
    model.summary(1).unwrap().notes.into_iter().map(|note| (note.layer, note.what)).collect()
}

#[test]
fn activations_in_a_row_are_noted() {
    let relu = || ActivationLayer::new(Activation::RELU);
    let twice = Sequential::new().add(Conv2D::new(2, 1).activation(Activation::RELU).named("c")).add(relu().named("r"));
    let found = notes_of(twice.build([3, 3, 2]).unwrap());
    assert_eq!(found, [("r".to_string(), "it applies relu to the relu of `c`, which changes nothing".to_string())]);
    let mixed = Sequential::new().add(Dense::new(3).activation(Activation::SOFTMAX).named("d"));
    let mixed = mixed.add(Noise::dropout(0.5)).add(SoftmaxLayer::new(-1).named("s"));
    let found = notes_of(mixed.build([4]).unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0 == "s" && found[0].1.contains("softmax to the softmax of `d`"), "{found:?}");
    let fine = Sequential::new().add(Conv2D::new(2, 1)).add(relu()).add(Conv2D::new(2, 1)).add(relu());
    assert_eq!(notes_of(fine.build([3, 3, 2]).unwrap()), []);
}

#[test]
fn a_bias_is_superfluous_only_where_batch_normalisation_alone_reads_it() {
    let model = |bias: bool, other_reader: bool| {
        let input = Input::new([4, 4, 2]);
        let x = Conv2D::new(3, 1).use_bias(bias).named("c").call(&input);
        let y = BatchNormalization::new().named("bn").call(&x);
        let outputs = if other_reader { vec![y, x] } else { vec![y] };
        notes_of(Model::new(&[input], &outputs).unwrap())
    };
    let found = model(true, false);
    assert!(found.len() == 1 && found[0].0 == "c" && found[0].1.contains("`bn`"), "{found:?}");
    assert_eq!(model(false, false), []);
    assert_eq!(model(true, true), []);
}

#[test]
fn windows_that_are_mostly_padding_are_noted() {
    let layers = Sequential::new().add(Conv2D::new(2, 5).padding(Padding::Same).named("wide"));
    let found = notes_of(layers.add(Pooling2D::max(7).padding(Padding::Same).named("pool")).build([3, 3, 1]).unwrap());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].0 == "wide" && found[0].1.contains("reaches over 5 elements and the input has 3"), "{found:?}");
    assert!(found[1].0 == "pool" && found[1].1.contains("reaches over 7 elements and the input has 3"), "{found:?}");
}

#[test]
fn outputs_that_nothing_uses_are_noted() {
    let input = Input::new([4, 6]);
    let parts = Split::new(3).named("split").call_for(&[&input], 3);
    let sum = Merge::Add.layer().call_many(&[&parts[0], &parts[2]]);
    let found = notes_of(Model::new(&[input], &[sum]).unwrap());
    assert_eq!(found, [("split".to_string(), "nothing uses output 1 of its call 0".to_string())]);
}

#[test]
fn a_separable_layer_inside_a_nested_model_is_noted_under_its_own_class() {
    let input = Input::new([9, 4]);
    let inner =
        Model::new(std::slice::from_ref(&input), &[SeparableConv1D::new(2, 3).named("sep").call(&input)]).unwrap();
    let outer = Input::new([9, 4]);
    let model = Model::new(std::slice::from_ref(&outer), &[inner.named("inner").call(&outer)]).unwrap();
    let notes = model.summary(1).unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].layer == "inner/sep" && notes[0].what.contains("SeparableConv1D"), "{notes:?}");
    assert!(notes[0].way_out.contains("keep 4 channels take DepthwiseConv1D"), "{notes:?}");
}

#[test]
fn the_question_is_printed() {
    insta::assert_snapshot!(zoo::build("separable_question").unwrap().summary(1).unwrap().text(false));
}
