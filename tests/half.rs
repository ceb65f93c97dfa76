//! Graphs stored as `f16`: half the memory, numbers within the class of their roundings, and refusals that say why.

mod program;
mod shared_data;

use std::collections::{BTreeMap, BTreeSet};

use wgconv::graph::Graph;
use wgconv::kernels::{DeviceClass, DeviceTraits, Operand, preferred};
use wgconv::ops::{Binary, BinaryFn, Unary, UnaryFn};
use wgconv::passes::{FoldCache, optimize};
use wgconv::plan::{Action, BufferRef, Image, Plan, Resource, padded, plan_stored};
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::{Accuracy, Precision, Tensor, TensorType, compare};
use wgconv::zoo;

/// The device, if it has `f16`.
fn device() -> Option<Device> {
    let device = shared_data::device();
    let half = matches!(&device, Device::Gpu(gpu) if gpu.traits().half);
    if !half {
        println!("skipped: {} has no f16", device.name());
    }
    half.then_some(device)
}

fn session(graph: &Graph, device: &Device, precision: Precision) -> Session {
    Session::new(graph.clone(), device.clone(), Options { precision, ..Options::default() })
}

fn planned(graph: &Graph, traits: &DeviceTraits, precision: Precision) -> Plan {
    let (graph, _) = optimize(graph.clone(), &FoldCache::default()).unwrap();
    plan_stored(&graph, traits, precision, |node, _| preferred(&node.op, traits)).unwrap()
}

fn affine(scale: f32) -> Unary {
    Unary { function: UnaryFn::Affine { scale, offset: 0.0 } }
}

/// Uniform between -1 and 1, by position.
fn noise(position: u32) -> f32 {
    // The last steps of MurmurHash3: weights in any regular order would cancel out.
    let hash = position.wrapping_mul(0x9e37_79b9);
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    (hash ^ (hash >> 16)) as f32 / 2f32.powi(31) - 1.0
}

#[test]
fn networks_stay_within_the_class_of_what_they_store() {
    let Some(device) = device() else { return };
    for name in ["mobilenet_v1?alpha=0.25&size=96&classes=10", "mobilenet_v3_small?size=64", "resnet18?size=64"] {
        let model = zoo::build(name).unwrap();
        // He's scale keeps activations near 1 through any depth; as they are seeded, some networks come down to 1e-12.
        for weight in model.weights().iter().filter(|weight| weight.spec().shape.rank() > 1) {
            let shape = weight.spec().shape.clone();
            // A depthwise filter sees one channel.
            let last = shape[shape.rank() - 1];
            let terms = shape.elements() / if last == 1 { shape[shape.rank() - 2] } else { last };
            let scale = (6.0 / terms as f32).sqrt();
            weight.set(Tensor::from_fn(shape, |i| scale * noise(i as u32))).unwrap();
        }
        let mut graph = model.graph(2).unwrap();
        // Chances hide what happens to the scores behind them.
        let last = graph.nodes().last().unwrap();
        assert_eq!(last.op.spec().name(), "Softmax", "{name}");
        graph.output("scores", last.inputs[0]);
        let input = graph.value(graph.inputs()[0]);
        let picture = Tensor::from_fn(input.ty.shape.clone(), |i| (i as f32 * 0.618_034).sin());
        let inputs = BTreeMap::from([(input.name.clone(), picture)]);
        let run = |precision| session(&graph, &device, precision).run(&inputs).unwrap().remove("scores").unwrap();
        let (narrow, full) = (run(Precision::F16), run(Precision::F32));
        let largest = full.f32s().unwrap().iter().fold(0f32, |largest, v| largest.max(v.abs()));
        assert!((1e-3..1e4).contains(&largest), "{name}: scores up to {largest} show little");
        assert_ne!(narrow, full, "{name}: nothing was rounded");
        let compiled = session(&graph, &device, Precision::F16).compile(&BTreeMap::new()).unwrap();
        let stores = compiled.plan().unwrap().steps.len();
        let comparison = compare(&narrow, &full, Accuracy::HalfChain { stores }, 1.0);
        println!("{name}: {stores} steps, difference {:.2e} of {largest:.2e}", comparison.max_difference);
        assert!(comparison.pass, "{name}: {comparison}");
        let checked = compiled.check(&inputs, 1.0, |_, _| {}).unwrap();
        assert_eq!((checked.steps, checked.first_failure), (stores, None), "{name}");
    }
}

/// Bytes of the scratch memory of the step that has most.
fn largest_scratch(plan: &Plan) -> u64 {
    let of_step = |actions: &[Action]| {
        let dispatches = actions.iter().filter_map(|action| match action {
            Action::Dispatch { dispatch, resources } => Some(dispatch.bindings.iter().zip(resources)),
            _ => None,
        });
        let slots = dispatches.flatten().filter_map(|(binding, resource)| match (binding.operand, resource) {
            (Operand::Scratch(_), Resource::Buffer(BufferRef::Slot(slot))) => Some(*slot),
            _ => None,
        });
        slots.collect::<BTreeSet<_>>().into_iter().map(|slot| plan.slots[slot].bytes).sum()
    };
    plan.steps.iter().map(|step| of_step(&step.actions)).max().unwrap_or(0)
}

#[test]
fn memory_is_halved_and_every_binding_takes_what_its_buffer_stores() {
    for entry in zoo::ENTRIES {
        let graph = zoo::build(entry.name).unwrap().graph(1).unwrap();
        for traits in [DeviceTraits::portable(DeviceClass::Discrete), DeviceTraits::lavapipe()] {
            let traits = DeviceTraits { half: true, ..traits };
            let [full, half] = [Precision::F32, Precision::F16].map(|precision| planned(&graph, &traits, precision));
            // The question's shared filter is bound as uniform, and its network is a handful of small buffers.
            if entry.name != "separable_question" {
                assert!(half.constant_bytes() as f64 <= 0.501 * full.constant_bytes() as f64, "{}", entry.name);
                // Partial sums stay f32, and so do a few values that must be exact.
                let most = full.buffer_bytes() * 11 / 20 + largest_scratch(&half) / 2;
                assert!(half.buffer_bytes() <= most, "{}: {} of {most}", entry.name, half.buffer_bytes());
                // The input is read as an image of its own, in the f32 that it is given in.
                let own: u64 = half.images.iter().filter(|i| i.precision == Precision::F32).map(Image::bytes).sum();
                assert!(half.image_bytes() - own <= full.image_bytes() / 2, "{}", entry.name);
                assert!(own <= half.inputs.iter().map(|port| padded(&port.ty) + 65_536).sum(), "{}", entry.name);
            }
            for step in &half.steps {
                for action in &step.actions {
                    let Action::Dispatch { dispatch, resources } = action else { continue };
                    for (binding, resource) in dispatch.bindings.iter().zip(resources) {
                        assert!(binding.form.takes(binding.precision), "{}: {binding:?}", entry.name);
                        let stored = match resource {
                            Resource::Buffer(BufferRef::Input(_) | BufferRef::Output(_)) => Precision::F32,
                            Resource::Buffer(BufferRef::Constant(i)) => half.constants[*i].precision,
                            Resource::Image(i) => half.images[*i].precision,
                            Resource::Buffer(BufferRef::Slot(_)) => binding.precision,
                        };
                        assert_eq!(binding.precision, stored, "{}: {} of `{}`", entry.name, binding.name, step.name);
                    }
                }
            }
        }
    }
}

#[test]
fn what_f16_cannot_hold_is_found_or_stays_f32() {
    let Some(device) = device() else { return };
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([5]));
    let large = graph.constant("large", Tensor::from_f32([5], vec![1.0, 65_504.0, 70_000.5, 1.0, 1.0]).unwrap());
    let index = graph.constant("index", Tensor::from_f32([5], vec![0.0, 2047.0, 2048.0, 2049.0, 0.5]).unwrap());
    let weight = graph.constant("weight", Tensor::full([5], 0.1));
    let mut y = x;
    for (name, constant) in [("a", large), ("b", index), ("c", weight)] {
        y = graph.node(name, Binary { function: BinaryFn::Mul }, &[y, constant]).unwrap();
    }
    let y = graph.node("last", affine(1.0), &[y]).unwrap();
    graph.output("y", y);
    let options = Options { optimize: false, precision: Precision::F16, ..Options::default() };
    let session = Session::new(graph, device, options);
    let compiled = session.compile(&BTreeMap::new()).unwrap();
    let stored: Vec<Precision> = compiled.plan().unwrap().constants.iter().map(|constant| constant.precision).collect();
    assert_eq!(stored, [Precision::F32, Precision::F32, Precision::F16]);
    let of = |value: f32| BTreeMap::from([("x".to_string(), Tensor::full([5], value))]);
    assert_eq!(compiled.check(&of(1e-5), 1.0, |_, _| {}).unwrap().first_failure, None);
    let failure = compiled.check(&of(1.0), 1.0, |_, _| {}).unwrap().first_failure.unwrap();
    assert_eq!((failure.name.as_str(), failure.comparison.actual), ("a", f64::INFINITY));
}

#[test]
fn where_f16_is_not_to_be_had_it_is_refused_with_the_reason() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([5]));
    let y = graph.node("y", affine(2.0), &[x]).unwrap();
    graph.output("y", y);
    let on_the_cpu = session(&graph, &Device::Cpu, Precision::F16).compile(&BTreeMap::new()).unwrap_err().to_string();
    assert!(on_the_cpu.contains("storing as f16") && on_the_cpu.contains("CPU reference"), "{on_the_cpu}");
    let traits = DeviceTraits::portable(DeviceClass::Discrete);
    let without = plan_stored(&graph, &traits, Precision::F16, |node, _| preferred(&node.op, &traits));
    assert!(without.unwrap_err().to_string().contains("SHADER_F16"));
    if device().is_none() {
        return;
    }
    let data = |file: &str| format!("{}/examples/data/{file}", env!("CARGO_MANIFEST_DIR"));
    let trained = program::wgconv()
        .args(["train", &data("digits.keras"), "--device", "gpu", "--dtype", "f16", "--epochs", "1"])
        .args(["--x", &data("digits.images.npy"), "--y", &data("digits.labels.npy")])
        .args(["--loss", "sparse_categorical_crossentropy"])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&trained.stderr);
    assert!(!trained.status.success() && complaint.contains("training keeps f32"), "{complaint}");
}
