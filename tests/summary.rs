//! Summaries say what Keras says, and what is probably not meant.

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
    assert!(summary.notes.iter().any(|note| note.what.contains("nothing reads this input")), "{:?}", summary.notes);
    assert!(summary.mermaid().starts_with("flowchart TD") && summary.mermaid().matches("-->").count() == 3);
    assert!(summary.dot().contains("->"));
}

#[test]
fn a_window_that_never_fits_is_refused_with_its_sizes() {
    let message = Sequential::new().add(Conv2D::new(2, 5)).build([3, 3, 1]).unwrap_err().to_string();
    for part in ["conv2d", "reaches over 5", "into 3", "smaller kernel"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
}
