//! How exact Winograd's F(2x2, 3x3) is beside plain sums of products, on the GPU and against the convolution in `f64`.

use std::sync::Arc;

use wgconv::gpu::{Device, Executable, ShaderChecks, SharedWeights};
use wgconv::graph::Graph;
use wgconv::kernels::{DeviceClass, DeviceTraits};
use wgconv::ops::{Conv, Op, OpSpec, Winograd};
use wgconv::plan::plan;
use wgconv::tensor::{Padding, Tensor, Window, compare};

/// The outputs of an op on the GPU, by the kernel that a card prefers.
fn run(device: &Device, op: impl Into<Op>, stem: &str, operands: &[&Tensor]) -> Tensor {
    let traits = DeviceTraits { class: DeviceClass::Discrete, ..device.traits().clone() };
    let mut graph = Graph::new();
    let ids: Vec<_> = operands.iter().map(|x| graph.input(format!("x{}", x.data_id()), x.tensor_type())).collect();
    let y = graph.node("y", op, &ids).unwrap();
    graph.output("y", y);
    let planned = plan(&graph, &traits, |_, all| all.iter().filter(|kernel| kernel.stem == stem).collect()).unwrap();
    let executable = Executable::compile(device, Arc::new(planned), &SharedWeights::default(), &|_, _| {}).unwrap();
    executable.poison().unwrap();
    let operands: Vec<Tensor> = operands.iter().map(|&x| x.clone()).collect();
    executable.run(&operands).unwrap().remove(0)
}

/// Values that look random: `centre` give or take `spread`, and where `relu` says so, none below zero.
fn noise(shape: [usize; 4], seed: u32, centre: f32, spread: f32, relu: bool) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    Tensor::from_fn(shape, |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = centre + spread * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0);
        if relu { value.max(0.0) } else { value }
    })
}

#[test]
fn errors_stay_within_the_class_of_the_convolution_that_is_meant() {
    let device =
        pollster::block_on(Device::request(&std::env::var("WGCONV_DEVICE").unwrap_or_default(), ShaderChecks::Off))
            .expect("the tests need a Vulkan driver");
    let conv = Conv::new(Window { padding: Padding::Same, ..Window::unit(2) }, 1);
    println!("| input | channels | direct | Winograd |\n|---|---|---|---|");
    for (input, centre, spread, relu) in
        [("-1 to 1", 0.0, 1.0, false), ("0 to 1, half zeros", 0.0, 1.0, true), ("99 to 101", 100.0, 1.0, false)]
    {
        for channels in [16, 64, 128, 256, 512] {
            let x = noise([1, 9, 11, channels], 1, centre, spread, relu);
            let w = noise([3, 3, channels, 24], 2, 0.0, 1.0, false);
            let types = [x.tensor_type(), w.tensor_type()];
            let expected = conv.reference(&[&x, &w]).unwrap().remove(0);
            let direct = run(&device, conv.clone(), "conv_gemm", &[&x, &w]);
            let op = Winograd::of(&conv, &types).unwrap();
            let fewer = run(&device, op, "conv_winograd", &[&x, &Winograd::filters(&w).unwrap()]);
            // The part of what the class of the plain convolution allows.
            let [direct, fewer] = [direct, fewer].map(|found| {
                let found = compare(&found, &expected, conv.accuracy(&types), 1.0);
                (found.actual - found.expected).abs() / found.allowed
            });
            println!("| {input} | {channels} | {:.1}% | {:.1}% |", direct * 100.0, fewer * 100.0);
            assert!(fewer < 1.0, "{input}, {channels} channels: {fewer}");
        }
    }
}
