//! Graphs, buffers and devices at the borders of what a session takes.

mod shared_data;

use std::collections::BTreeMap;

use shared_data::{device, gpu};
use wgconv::error::{GpuError, GraphError, PlanError, SessionError};
use wgconv::gpu::wgpu::{Buffer, BufferDescriptor, BufferUsages};
use wgconv::gpu::{Bound, Executable};
use wgconv::graph::Graph;
use wgconv::layers::{Dense, Input, IntoLayer, Model};
use wgconv::ops::{Concat, Conv, Dim, Filters, Op, Pad, PadMode, Reshape, Unary, UnaryFn};
use wgconv::session::{Device, Options, Session};
use wgconv::tensor::{Accuracy, Precision, Tensor, TensorType, Window, compare};

fn unary(function: UnaryFn) -> Op {
    Unary { function }.into()
}

/// A graph from `x` of this shape to `y`, its hyperbolic tangent.
fn tanh(shape: &[usize]) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32(shape.to_vec()));
    let y = graph.node("tanh", unary(UnaryFn::Tanh), &[x]).unwrap();
    graph.output("y", y);
    graph
}

fn x(tensor: Tensor) -> BTreeMap<String, Tensor> {
    BTreeMap::from([("x".to_string(), tensor)])
}

/// Sessions of a graph on the reference and on the device, optimized and not, stored either way.
fn sessions(graph: &Graph) -> Vec<Session> {
    let mut sessions = Vec::new();
    let device = device();
    let half = matches!(&device, Device::Gpu(gpu) if gpu.traits().half);
    for optimize in [true, false] {
        let options = Options { optimize, ..Options::default() };
        sessions.push(Session::new(graph.clone(), Device::Cpu, options.clone()));
        sessions.push(Session::new(graph.clone(), device.clone(), options.clone()));
        if half {
            let options = Options { precision: Precision::F16, ..options };
            sessions.push(Session::new(graph.clone(), device.clone(), options));
        }
    }
    sessions
}

#[test]
fn outputs_may_be_inputs_constants_and_each_other() {
    let mut graph = Graph::new();
    let x = graph.input("x", TensorType::f32([3, 5]));
    graph.input("unused", TensorType::f32([7]));
    let c = graph.constant("c", Tensor::from_fn([5, 3], |i| i as f32));
    let mut flat = |name: &str, id| {
        let id = graph.node(name, Reshape { dims: vec![Dim::Size(15)] }, &[id]).unwrap();
        graph.output(name, id);
        id
    };
    flat("flat x", x);
    flat("flat c", c);
    let y = graph.node("y", unary(UnaryFn::Relu), &[x]).unwrap();
    let flat_y = graph.node("flat y", Reshape { dims: vec![Dim::Size(15)] }, &[y]).unwrap();
    // An output that a later node reads.
    let z = graph.node("z", unary(UnaryFn::Square), &[flat_y]).unwrap();
    for (name, id) in [("x", x), ("x again", x), ("c", c), ("c again", c), ("y", y), ("y again", y), ("z", z)] {
        graph.output(name, id);
    }
    graph.output("flat y", flat_y);
    let inputs = BTreeMap::from([
        ("x".to_string(), Tensor::from_fn([3, 5], |i| i as f32 - 7.0)),
        ("unused".to_string(), Tensor::full([7], f32::NAN)),
    ]);
    let relu = |i: usize| (i as f32 - 7.0).max(0.0);
    for session in sessions(&graph) {
        let compiled = session.compile(&BTreeMap::new()).unwrap();
        if let Ok(executable) = compiled.executable()
            && gpu().can_profile()
        {
            // Steps that only copy have no pass to be timed.
            assert_eq!(executable.profile().unwrap().len(), compiled.plan().unwrap().steps.len());
        }
        for _ in 0..2 {
            let found = session.run(&inputs).unwrap();
            assert_eq!(found.len(), 10);
            let is = |name: &str, shape: &[usize], element: &dyn Fn(usize) -> f32| {
                assert_eq!(found[name], Tensor::from_fn(shape.to_vec(), element), "{name} on {:?}", session.options());
            };
            for name in ["x", "x again"] {
                is(name, &[3, 5], &|i| i as f32 - 7.0);
            }
            for name in ["c", "c again"] {
                is(name, &[5, 3], &|i| i as f32);
            }
            for name in ["y", "y again"] {
                is(name, &[3, 5], &relu);
            }
            is("flat x", &[15], &|i| i as f32 - 7.0);
            is("flat c", &[15], &|i| i as f32);
            is("flat y", &[15], &relu);
            is("z", &[15], &|i| relu(i) * relu(i));
        }
    }
}

#[test]
fn what_a_name_or_value_does_not_tell_apart_is_refused() {
    let mut outputs = tanh(&[3]);
    outputs.output("y", outputs.inputs()[0]);
    let mut inputs = tanh(&[3]);
    inputs.input("x", TensorType::f32([4]));
    let mut none = tanh(&[3]);
    none.take_outputs();
    let mut foreign = tanh(&[3]);
    foreign.output("z", {
        let mut other = tanh(&[3]);
        other.input("far", TensorType::f32([3]))
    });
    let why = |session: &Session| match session.run(&x(Tensor::full([3], 1.0))).unwrap_err() {
        SessionError::Graph(why) => why,
        other => panic!("{other}"),
    };
    for session in sessions(&outputs) {
        assert_eq!(why(&session), GraphError::SameName { kind: "output", name: "y".into() });
    }
    for session in sessions(&inputs) {
        assert_eq!(why(&session), GraphError::SameName { kind: "input", name: "x".into() });
    }
    for session in sessions(&none) {
        assert_eq!(why(&session), GraphError::NoOutputs);
    }
    for session in sessions(&foreign) {
        assert_eq!(why(&session), GraphError::UnknownValue { node: "z".into() });
    }
    assert!(wgconv::cpu::run(&foreign, &x(Tensor::full([3], 1.0))).is_err());
}

#[test]
fn outputs_of_a_model_have_names_of_their_own() {
    let x = Input::new([4]);
    let first = Dense::new(2).named("head").call(&x);
    let second = Dense::new(3).named("head_1").call(&x);
    let model = Model::new(&[x], &[second.clone(), first.clone(), second, first]).unwrap();
    let names: Vec<&str> = model.outputs().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["head_1", "head", "head_1_1", "head_2"]);
    let input = BTreeMap::from([(model.inputs()[0].name.clone(), Tensor::full([1, 4], 1.0))]);
    let found = Session::new(model.graph(1).unwrap(), Device::Cpu, Options::default()).run(&input).unwrap();
    assert_eq!(found["head"].shape().to_vec(), [1, 2]);
    assert_eq!(found["head_1"], found["head_1_1"]);
}

#[test]
fn tensors_may_be_empty_or_scalar() {
    let mut graph = Graph::new();
    let input = graph.input("x", TensorType::f32([2, 4, 4, 8]));
    let w = graph.constant("w", Tensor::full([1, 1, 8, 8], 0.5));
    let conv = graph.node("conv", Conv::new(Window::unit(2), 1), &[input, w]).unwrap();
    let pads = vec![(0, 0), (1, 1), (0, 0), (0, 0)];
    let pad = graph.node("pad", Pad { pads, mode: PadMode::Constant(0.0) }, &[conv]).unwrap();
    let joined = graph.node("concat", Concat { axis: 1 }, &[pad, input]).unwrap();
    graph.output("conv", conv);
    graph.output("joined", joined);
    graph.output("x", input);
    for session in sessions(&graph) {
        for batch in [0, 2, 0] {
            let found = session.run(&x(Tensor::full([batch, 4, 4, 8], 1.0))).unwrap();
            assert_eq!(found["conv"], Tensor::full([batch, 4, 4, 8], 4.0));
            assert_eq!(found["joined"].shape().to_vec(), [batch, 10, 4, 8]);
            assert_eq!(found["x"], Tensor::full([batch, 4, 4, 8], 1.0));
        }
        assert!(session.run(&x(Tensor::full([2, 0, 4, 8], 1.0))).unwrap_err().to_string().contains("at least 1"));
    }
    for session in sessions(&tanh(&[])) {
        let found = session.run(&x(Tensor::full([], 1.0))).unwrap();
        assert!((found["y"].f32s().unwrap()[0] - 0.761_594).abs() < 1e-5);
    }
}

#[test]
fn tensors_beyond_any_memory_are_too_large_and_not_small() {
    for shape in [vec![1usize << 40, 1 << 40], vec![usize::MAX], vec![1 << 62], vec![1 << 33]] {
        let why = Session::new(tanh(&shape), device(), Options::default()).compile(&BTreeMap::new()).unwrap_err();
        assert!(matches!(why, SessionError::Plan(PlanError::TooLarge { .. })), "{shape:?}: {why}");
    }
    assert_eq!(TensorType::f32([1 << 40, 1 << 40, 0]).bytes(), 0);
}

#[test]
fn a_tolerance_that_is_no_number_lets_nothing_pass() {
    let (zeros, ones) = (Tensor::full([3], 0.0), Tensor::full([3], 1.0));
    assert!(!compare(&zeros, &ones, Accuracy::Elementwise, f64::NAN).pass);
    let same = compare(&Tensor::full([3], f32::NAN), &Tensor::full([3], f32::NAN), Accuracy::Elementwise, 1.0);
    assert!(same.pass && same.used() == 0.0, "{same}");
    let not = compare(&Tensor::full([3], f32::NAN), &ones, Accuracy::Elementwise, 1.0);
    assert!(!not.pass && not.used() == f64::INFINITY, "{not}");
}

fn gpu_error(why: SessionError) -> GpuError {
    match why {
        SessionError::Gpu(why) => why,
        other => panic!("{other}"),
    }
}

#[test]
fn a_lost_device_says_so_and_never_hangs() {
    let gpu = gpu();
    let session = Session::new(tanh(&[3, 5]), Device::Gpu(gpu.clone()), Options::default());
    let inputs = x(Tensor::full([3, 5], 1.0));
    session.run(&inputs).unwrap();
    let compiled = session.compile(&BTreeMap::new()).unwrap();
    let executable = compiled.executable().unwrap();
    let buffer = |name: &str| gpu.tensor_buffer(name, &TensorType::f32([3, 5])).unwrap();
    let bound = executable.bind(vec![buffer("x")], vec![buffer("y")]).unwrap();
    let reading = executable.start(&bound, &[0]).unwrap();
    gpu.wgpu_device().destroy();
    let other = Session::new(tanh(&[4]), Device::Gpu(gpu.clone()), Options::default());
    let errors = [
        reading.wait().unwrap_err(),
        executable.run_bound(&bound).unwrap_err(),
        executable.start(&bound, &[0]).unwrap_err(),
        gpu.wait().unwrap_err(),
        gpu_error(session.run(&inputs).unwrap_err()),
        gpu_error(pollster::block_on(session.run_async(&inputs)).unwrap_err()),
        gpu_error(compiled.check(&inputs, 1.0, |_, _| {}).unwrap_err()),
        gpu_error(other.compile(&BTreeMap::new()).unwrap_err()),
    ];
    for why in errors {
        assert!(matches!(why, GpuError::Lost { .. }), "{why}");
        assert!(why.to_string().contains("open a new device"), "{why}");
    }
}

#[test]
fn whatever_comes_first_after_a_loss_says_so() {
    type First = fn(&Session, &Executable, &Bound) -> Result<(), GpuError>;
    fn ones() -> BTreeMap<String, Tensor> {
        x(Tensor::full([3, 5], 1.0))
    }
    let firsts: [(&str, First); 9] = [
        ("run", |session, _, _| session.run(&ones()).map(drop).map_err(gpu_error)),
        ("run_async", |session, _, _| pollster::block_on(session.run_async(&ones())).map(drop).map_err(gpu_error)),
        ("compile", |session, _, _| {
            let other = BTreeMap::from([("x".to_string(), TensorType::f32([4, 5]))]);
            session.compile(&other).map(drop).map_err(gpu_error)
        }),
        ("run_bound", |_, executable, bound| executable.run_bound(bound)),
        ("start", |_, executable, bound| executable.start(bound, &[0])?.wait().map(drop)),
        ("execute", |_, executable, _| executable.execute()),
        ("upload", |_, executable, _| executable.upload(&[Tensor::full([3, 5], 1.0)])),
        ("download", |_, executable, _| executable.download().map(drop)),
        ("run_steps", |_, executable, _| executable.run_steps(|_, _, _| true)),
    ];
    for (name, first) in firsts {
        let gpu = gpu();
        let session = Session::new(tanh(&[3, 5]), Device::Gpu(gpu.clone()), Options::default());
        session.run(&ones()).unwrap();
        let compiled = session.compile(&BTreeMap::new()).unwrap();
        let executable = compiled.executable().unwrap();
        let buffer = |name: &str| gpu.tensor_buffer(name, &TensorType::f32([3, 5])).unwrap();
        let bound = executable.bind(vec![buffer("x")], vec![buffer("y")]).unwrap();
        gpu.wgpu_device().destroy();
        let said = first(&session, executable, &bound);
        assert!(matches!(said, Err(GpuError::Lost { .. })), "{name}: {said:?}");
    }
}

#[test]
fn buffers_of_the_caller_are_refused_by_name_before_they_give_wrong_numbers() {
    let gpu = gpu();
    let mut graph = Graph::new();
    let input = graph.input("x", TensorType::f32([1, 9, 9, 8]));
    let w = graph.input("w", TensorType::f32([3, 3, 1, 1]));
    let conv = Conv { filters: Filters::Shared, ..Conv::new(Window::unit(2), 1) };
    let y = graph.node("y", conv, &[input, w]).unwrap();
    graph.output("y", y);
    graph.output("twice", y);
    let session = Session::new(graph, Device::Gpu(gpu.clone()), Options::default());
    let compiled = session.compile(&BTreeMap::new()).unwrap();
    let executable = compiled.executable().unwrap();
    let buffer = |usage| {
        let usage = BufferUsages::STORAGE | usage;
        gpu.wgpu_device().create_buffer(&BufferDescriptor { label: None, size: 4096, usage, mapped_at_creation: false })
    };
    let all = || buffer(BufferUsages::COPY_SRC | BufferUsages::COPY_DST | BufferUsages::UNIFORM);
    let refused = |inputs: [Buffer; 2], outputs: [Buffer; 2]| {
        executable.bind(inputs.to_vec(), outputs.to_vec()).err().map(|why| why.to_string()).unwrap_or_default()
    };
    let uniform = compiled.plan().unwrap().to_string().contains("shared_depthwise");
    let why = refused([all(), buffer(BufferUsages::COPY_SRC)], [all(), all()]);
    assert!(!uniform || (why.contains("`w`") && why.contains("UNIFORM")), "{why}");
    let one = all();
    let why = refused([one.clone(), all()], [one.clone(), all()]);
    assert!(why.contains("`y`") && why.contains("of an input"), "{why}");
    let why = refused([all(), all()], [one.clone(), one.clone()]);
    assert!(why.contains("`twice`") && why.contains("another output"), "{why}");
    // Two inputs may be one buffer: both are only read.
    assert_eq!(refused([one.clone(), one], [all(), all()]), "");
    // The second output is a copy of the first.
    let why = refused([all(), all()], [buffer(BufferUsages::COPY_DST), all()]);
    assert!(why.contains("`y`") && why.contains("COPY_SRC"), "{why}");
    let bound = executable.bind(vec![all(), all()], vec![all(), buffer(BufferUsages::COPY_DST)]).unwrap();
    executable.run_bound(&bound).unwrap();
    executable.start(&bound, &[0]).unwrap().wait().unwrap();
    let why = executable.start(&bound, &[1]).unwrap_err().to_string();
    assert!(why.contains("`twice`") && why.contains("COPY_SRC"), "{why}");
}
