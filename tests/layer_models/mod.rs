//! Small models: at least one for every layer class, and the ways in which layers can be put together.

use wgconv::error::LayerError;
use wgconv::layers::*;
use wgconv::ops::{ResizeMode, SliceAxis, UnaryFn};

type Built = Result<Model, LayerError>;

/// Layers in a row on an input of this shape.
fn row(shape: &[usize], layers: Vec<LayerRef>) -> Built {
    let input = Input::open("", shape.iter().map(|&size| Some(size)).collect());
    layers.into_iter().fold(Sequential::new(), Sequential::add).build_named("row", input)
}

/// One layer on its own.
fn one(shape: &[usize], layer: impl IntoLayer) -> Built {
    row(shape, vec![layer.layer()])
}

/// Two inputs of these shapes into one layer.
fn two(shapes: [&[usize]; 2], layer: impl IntoLayer) -> Built {
    let inputs = shapes.map(|shape| Input::open("", shape.iter().map(|&size| Some(size)).collect()));
    Model::new(&inputs, &[layer.layer().call_many(&[&inputs[0], &inputs[1]])])
}

fn class(name: &str) -> LayerRef {
    PassThrough::of_class(name).unwrap().layer()
}

fn frozen(layer: impl IntoLayer) -> LayerRef {
    let layer = layer.layer();
    layer.set_trainable(false);
    layer
}

fn slice(axis: usize, start: i64, end: Option<i64>, step: i64) -> SliceAxis {
    SliceAxis { axis, start, end, step }
}

/// Models of classes and settings that Keras has.
pub fn of_keras() -> Vec<(&'static str, Built)> {
    let silu = Activation::SILU;
    let normal = Initializer::TruncatedNormal { mean: 0.5, stddev: 0.25 };
    let scaled = Initializer::VarianceScaling { scale: 0.3, fan: Fan::Out, uniform: true };
    let first = DataFormat::ChannelsFirst;
    vec![
        ("conv1d", one(&[13, 3], Conv1D::new(4, 3).padding(Padding::Causal).dilation_rate(2).activation(silu))),
        ("conv2d", one(&[13, 7, 4], Conv2D::new(6, [3, 2]).strides([2, 1]).padding(Padding::Same).groups(2))),
        ("conv2d_first", one(&[3, 9, 8], Conv2D::new(5, 3).data_format(first).use_bias(false))),
        ("conv2d_started", one(&[9, 8, 3], Conv2D::new(5, 3).kernel_initializer(normal).bias_initializer(scaled))),
        (
            "conv2d_leaky",
            one(&[5, 5, 2], Conv2D::new(3, 1).activation(UnaryFn::LeakyRelu { negative_slope: 0.1 }.into())),
        ),
        ("conv3d", one(&[5, 6, 7, 2], Conv3D::new(3, [1, 3, 2]).activation(Activation::SOFTMAX))),
        ("conv1d_transpose", one(&[7, 3], Conv1DTranspose::new(4, 3).strides(2).padding(Padding::Same))),
        ("conv2d_transpose", one(&[6, 5, 3], Conv2DTranspose::new(4, 3).strides([2, 3]).output_padding(Some([1, 2])))),
        ("conv3d_transpose", one(&[3, 4, 5, 2], Conv3DTranspose::new(3, 2).strides(2))),
        ("depthwise1d", one(&[13, 3], DepthwiseConv1D::new(3).depth_multiplier(2).padding(Padding::Same))),
        ("depthwise2d", one(&[9, 8, 5], DepthwiseConv2D::new(3).strides(2).activation(Activation::RELU6))),
        ("separable1d", one(&[13, 3], SeparableConv1D::new(4, 3).padding(Padding::Same))),
        ("separable2d", one(&[9, 8, 5], SeparableConv2D::new(4, 3).depth_multiplier(2).activation(Activation::TANH))),
        (
            "dense",
            row(&[7], vec![Dense::new(5).activation(Activation::RELU).layer(), Dense::new(3).use_bias(false).layer()]),
        ),
        ("dense_glu", one(&[3, 7], Dense::new(6).activation(Activation::Glu))),
        ("max1d", one(&[13, 3], Pooling1D::max(2))),
        ("max2d", one(&[9, 8, 5], Pooling2D::max(3).strides(2).padding(Padding::Same))),
        ("max3d", one(&[5, 6, 7, 2], Pooling3D::max([1, 2, 3]))),
        ("average1d", one(&[13, 3], Pooling1D::average(3).strides(1).padding(Padding::Same))),
        ("average2d", one(&[5, 9, 8], Pooling2D::average(2).data_format(first))),
        ("average3d", one(&[5, 6, 7, 2], Pooling3D::average(2))),
        ("global_max", one(&[9, 8, 5], GlobalPooling2D::max().keepdims(true))),
        ("global_max1d", one(&[9, 5], GlobalPooling1D::max())),
        ("global_max3d", one(&[3, 4, 5, 2], GlobalPooling3D::max())),
        ("global_average1d", one(&[9, 5], GlobalPooling1D::average())),
        ("global_average", one(&[9, 8, 5], GlobalPooling2D::average())),
        ("global_average3d", one(&[3, 4, 5, 2], GlobalPooling3D::average())),
        ("flatten", one(&[3, 5, 4], Reshaping::Flatten(first))),
        ("reshape", one(&[6, 4], Reshaping::Reshape(vec![Some(3), None, Some(2)]))),
        ("permute", one(&[3, 5, 4], Reshaping::Permute(vec![3, 1, 2]))),
        ("repeat_vector", one(&[5], Reshaping::RepeatVector(3))),
        ("padding1d", one(&[7, 3], Reshaping::ZeroPadding(vec![(2, 1)], DataFormat::ChannelsLast))),
        ("padding2d", one(&[3, 5, 4], Reshaping::ZeroPadding(vec![(1, 2), (0, 3)], first))),
        (
            "padding3d",
            one(&[3, 4, 5, 2], Reshaping::ZeroPadding(vec![(1, 1), (0, 2), (1, 0)], DataFormat::ChannelsLast)),
        ),
        ("cropping1d", one(&[7, 3], Reshaping::Cropping(vec![(2, 1)], DataFormat::ChannelsLast))),
        ("cropping2d", one(&[7, 6, 3], Reshaping::Cropping(vec![(2, 0), (0, 1)], DataFormat::ChannelsLast))),
        ("cropping3d", one(&[4, 5, 6, 2], Reshaping::Cropping(vec![(1, 0), (0, 1), (2, 2)], DataFormat::ChannelsLast))),
        ("upsampling1d", one(&[7, 3], Reshaping::UpSampling(vec![3], ResizeMode::Nearest, DataFormat::ChannelsLast))),
        (
            "upsampling2d",
            one(&[5, 4, 3], Reshaping::UpSampling(vec![2, 3], ResizeMode::Linear, DataFormat::ChannelsLast)),
        ),
        (
            "upsampling3d",
            one(&[2, 3, 4, 2], Reshaping::UpSampling(vec![1, 2, 3], ResizeMode::Nearest, DataFormat::ChannelsLast)),
        ),
        (
            "slice",
            one(
                &[7, 6, 5],
                Reshaping::Slice(
                    vec![slice(1, 5, None, -2), slice(2, -3, Some(-1), 1), slice(3, 2, Some(3), 1)],
                    vec![3],
                ),
            ),
        ),
        ("split", split()),
        ("add", two([&[5, 4], &[5, 4]], Merge::Add)),
        ("subtract", two([&[5, 4], &[1, 4]], Merge::Subtract)),
        ("multiply", two([&[5, 4], &[4]], Merge::Multiply)),
        ("average", two([&[5, 4], &[5, 4]], Merge::Average)),
        ("maximum", two([&[5, 4], &[5, 4]], Merge::Maximum)),
        ("minimum", two([&[5, 4], &[5, 4]], Merge::Minimum)),
        ("concatenate", two([&[5, 4], &[3, 4]], Concatenate::new(1))),
        ("dot", two([&[5, 4], &[6, 4]], Dot::new((2, 2)))),
        (
            "batch_normalization",
            one(&[5, 4], BatchNormalization::new().axis(1).epsilon(1e-5).momentum(0.9).scale(false)),
        ),
        ("layer_normalization", one(&[5, 4], LayerNormalization::new().axis(vec![1, 2]).center(false))),
        ("group_normalization", one(&[5, 4, 6], GroupNormalization::new(3).epsilon(1e-4))),
        ("normalization", one(&[5, 2], Normalization::new(vec![0.1, -3.0], vec![2.0, 0.7]))),
        ("normalization_of_all", one(&[5, 2], Normalization::new(vec![0.1], vec![2.0]).axis(None).invert(true))),
        (
            "rescaling",
            row(
                &[5, 2],
                vec![
                    Rescaling::new(vec![0.1], vec![-1.0]).layer(),
                    Rescaling::new(vec![2.0, 3.0], vec![0.5, 0.1]).layer(),
                ],
            ),
        ),
        ("activation", one(&[5, 4], ActivationLayer::new(Activation::from_name("hard_silu").unwrap()))),
        ("softmax", one(&[5, 4], SoftmaxLayer::new(1))),
        ("prelu", one(&[5, 3, 4], PReLU::new(vec![1, 2]).alpha_initializer(Initializer::Constant(0.3)))),
        ("dropout", one(&[5, 4], Noise::dropout(0.3).noise_shape(vec![None, Some(1), Some(4)]))),
        (
            "spatial_dropout",
            row(
                &[5, 5, 4],
                vec![Noise::spatial_dropout(2, 0.3).layer(), Noise::spatial_dropout(2, 0.2).channels_first().layer()],
            ),
        ),
        (
            "noise",
            row(
                &[5, 4],
                vec![
                    Noise::spatial_dropout(1, 0.3).layer(),
                    Noise::gaussian_dropout(0.1).layer(),
                    Noise::gaussian(0.2).layer(),
                    Noise::alpha_dropout(0.4).layer(),
                    class("ActivityRegularization"),
                    class("Identity"),
                ],
            ),
        ),
        (
            "regularized",
            row(
                &[9, 8, 3],
                vec![
                    Conv2D::new(2, 3)
                        .layer()
                        .regularized("kernel", Regularizer::l1(0.1))
                        .regularized("bias", Regularizer::l2(0.2)),
                    DepthwiseConv2D::new(3).layer().regularized("kernel", Regularizer { l1: 0.3, l2: 0.4 }),
                    SeparableConv2D::new(2, 2).layer().regularized("pointwise_kernel", Regularizer::l2(0.5)),
                    BatchNormalization::new().layer().regularized("gamma", Regularizer::l2(0.6)),
                ],
            ),
        ),
        ("frozen", row(&[5], vec![Dense::new(4).layer(), frozen(Dense::new(3))])),
        ("shared", shared_layers()),
        ("branches", branches()),
        ("nested", nested()),
    ]
}

/// Models of classes and settings that Keras lacks.
pub fn own() -> Vec<(&'static str, Built)> {
    let first = DataFormat::ChannelsFirst;
    vec![
        (
            "pointwise_regularized",
            row(
                &[9, 8, 3],
                vec![
                    Conv2D::pointwise(4).layer().regularized("kernel", Regularizer::l1(0.1)),
                    SharedDepthwiseConv2D::new(3)
                        .layer()
                        .regularized("kernel", Regularizer::l2(0.1))
                        .constrained("kernel", Constraint::NonNegative),
                ],
            ),
        ),
        ("pointwise1d", one(&[13, 3], Conv1D::pointwise(4).activation(Activation::RELU))),
        ("pointwise2d", one(&[3, 9, 8], Conv2D::pointwise(4).data_format(first))),
        ("pointwise3d", one(&[3, 4, 5, 2], Conv3D::pointwise(3))),
        (
            "depthwise3d",
            one(&[5, 6, 7, 2], DepthwiseConv3D::new([1, 3, 2]).depth_multiplier(2).activation(Activation::SOFTMAX)),
        ),
        ("separable3d", one(&[5, 6, 7, 2], SeparableConv3D::new(3, 2).strides(2).padding(Padding::Same))),
        ("shared1d", one(&[13, 3], SharedDepthwiseConv1D::new(3).strides(2).activation(Activation::RELU))),
        ("shared1d_causal", one(&[13, 3], SharedDepthwiseConv1D::new(3).padding(Padding::Causal).dilation_rate(2))),
        (
            "shared2d",
            one(&[9, 8, 5], SharedDepthwiseConv2D::new([3, 2]).strides(2).padding(Padding::Same).use_bias(false)),
        ),
        (
            "shared2d_first",
            one(&[5, 9, 8], SharedDepthwiseConv2D::new(3).data_format(first).activation(Activation::SOFTMAX)),
        ),
        ("shared2d_open", {
            let x = Input::open("x", vec![None, None, Some(3)]);
            let shared = SharedDepthwiseConv2D::new(3).dilation_rate(2).layer();
            Model::new(std::slice::from_ref(&x), &[shared.call(&x)])
        }),
        ("shared3d", one(&[5, 6, 7, 3], SharedDepthwiseConv3D::new(2).padding(Padding::Same))),
        ("shared_twice", {
            let (x, y) = (Input::new([9, 8, 3]), Input::new([7, 8, 3]));
            let shared = SharedDepthwiseConv2D::new(3).named("one_filter");
            Model::new(&[x.clone(), y.clone()], &[shared.call(&x), shared.call(&y)])
        }),
        ("causal_depthwise", one(&[13, 3], DepthwiseConv1D::new(3).padding(Padding::Causal).dilation_rate(2))),
        ("causal_separable", one(&[3, 13], SeparableConv1D::new(2, 3).padding(Padding::Causal).data_format(first))),
        ("causal_conv2d", one(&[9, 8, 3], Conv2D::new(2, [3, 2]).padding(Padding::Causal))),
        ("affine", one(&[5, 4], ActivationLayer::new(UnaryFn::Affine { scale: 0.5, offset: -2.0 }.into()))),
        ("steep", one(&[5, 4], ActivationLayer::new(UnaryFn::LeakyRelu { negative_slope: 0.05 }.into()))),
        ("sliced_row", row(&[5, 4], vec![Reshaping::channels(3, 1, 3).layer(), Dense::new(3).layer()])),
    ]
}

/// Models that no Keras layers compute.
pub fn without_keras() -> Vec<(&'static str, Built)> {
    vec![
        ("strided_and_dilated", one(&[13, 7, 3], Conv2D::new(2, 3).strides(2).dilation_rate(2))),
        ("more_batch", one(&[3, 7, 8, 2], Conv2D::new(2, 3))),
        ("clip", one(&[5, 4], Dense::new(3).activation(UnaryFn::Clip { low: -1.0, high: 2.0 }.into()))),
        ("cropping_first", one(&[3, 7], Reshaping::Cropping(vec![(2, 1)], DataFormat::ChannelsFirst))),
        ("linear1d", one(&[7, 3], Reshaping::UpSampling(vec![3], ResizeMode::Linear, DataFormat::ChannelsLast))),
        ("named", row(&[5], vec![Dense::new(3).named("a/b")])),
    ]
}

fn split() -> Built {
    let x = Input::new([5, 6]);
    let parts = Split::new(3).named("split").call_for(&[&x], 3);
    let sum = Merge::Add.named("sum").call_many(&[&parts[2], &parts[0]]);
    Model::new(&[x], &[sum, parts[1].clone()])
}

/// One layer on two inputs and on its own output, which is the second output.
fn shared_layers() -> Built {
    let (x, y) = (Input::open("x", vec![Some(4)]), Input::open("y", vec![Some(4)]));
    let dense = Dense::new(4).activation(Activation::TANH).named("dense");
    let (a, b) = (dense.call(&x), dense.call(&y));
    let c = dense.call(&b);
    Model::named("shared", &[x, y], &[Merge::Subtract.named("difference").call_many(&[&a, &b]), c])
}

/// Layers of one class on branches of different lengths, met in another order than that of their depths.
fn branches() -> Built {
    let (x, unused) = (Input::open("x", vec![Some(5)]), Input::open("unused", vec![Some(3)]));
    let dense = |units: usize, name: &str| Dense::new(units).named(name);
    let short = dense(4, "short").call(&x);
    let long = dense(4, "long_2").call(&dense(5, "long_1").call(&dense(5, "long_0").call(&x)));
    let side = dense(4, "side").call(&dense(5, "side_0").call(&x));
    let sum = Merge::Add.named("sum").call_many(&[&short, &long, &side]);
    Model::named("branches", &[unused, x], &[dense(2, "head").call(&sum), side])
}

/// A functional model of two outputs and a sequential one, each called twice, in a third.
fn nested() -> Built {
    let inner = {
        let x = Input::new([4]);
        let a = Dense::new(3).named("first").call(&x);
        let b = Dense::new(3).named("second").call(&x);
        Model::named("inner", &[x], &[a, b])?.named("pair")
    };
    let stack = Sequential::new().add(Dense::new(4).named("first")).add(BatchNormalization::new().named("norm"));
    let stack = stack.build_named("stack", Input::new([4]))?.named("stack");
    let x = Input::new([4]);
    let once = stack.call(&x);
    let twice = stack.call(&once);
    let (p, q) = (inner.call_for(&[&once], 2), inner.call_for(&[&twice], 2));
    let sum = Merge::Add.named("sum").call_many(&[&p[0], &p[1], &q[1]]);
    Model::named("outer", &[x], &[sum, twice, q[0].clone()])
}

/// Layers that share their weights with another layer.
#[allow(dead_code)]
pub fn halves() -> Built {
    let x = Input::new([5, 6, 4]);
    let separable = SeparableConv2D::new(3, 3).padding(Padding::Same).named("separable");
    Model::new(std::slice::from_ref(&x), &[separable.call(&x)])?;
    let half = separable.depthwise_half()?.call(&x);
    Model::named("halves", std::slice::from_ref(&x), &[separable.call(&x), half])
}
