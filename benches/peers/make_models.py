"""Writes the layers L01 to L13 and three networks as ONNX files with made-up weights: `python make_models.py FOLDER`."""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    """A graph that grows by appending to its last value; channels first, batch 1."""

    def __init__(self, name, side, channels):
        self.name, self.side, self.channels = name, side, channels
        self.random = np.random.default_rng(1)
        self.nodes, self.weights, self.last = [], [], "x"
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, side, side])

    def add(self, op, inputs, **attributes):
        self.last = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [self.last], name=self.last, **attributes))
        return self

    def weight(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def conv(self, size, stride, filters, groups=1, bias=False):
        # Results of the order of the inputs, as trained layers have them.
        shape = (filters, self.channels // groups, size, size)
        scale = 1.7 / np.sqrt(np.prod(shape[1:]))
        inputs = [self.last, self.weight(self.random.uniform(-scale, scale, shape))]
        if bias:
            inputs.append(self.weight(self.random.uniform(-0.1, 0.1, filters)))
        # `same` as TensorFlow has it: what is left over goes behind.
        out = -(-self.side // stride)
        pad = max((out - 1) * stride + size - self.side, 0)
        before, after = pad // 2, pad - pad // 2
        self.add("Conv", inputs, kernel_shape=[size] * 2, strides=[stride] * 2, group=groups, pads=[before] * 2 + [after] * 2)
        self.side, self.channels = out, filters
        return self

    def depthwise(self, size, stride, bias=False):
        return self.conv(size, stride, self.channels, self.channels, bias)

    def relu6(self):
        return self.add("Clip", [self.last, self.weight(0.0), self.weight(6.0)])

    def relu(self):
        return self.add("Relu", [self.last])

    def sum_with(self, other):
        return self.add("Add", [self.last, other])

    def head(self, classes):
        self.add("GlobalAveragePool", [self.last]).add("Flatten", [self.last])
        matrix = self.random.uniform(-0.05, 0.05, (self.channels, classes))
        self.add("Gemm", [self.last, self.weight(matrix), self.weight(np.zeros(classes))])
        return self.add("Softmax", [self.last], axis=1)

    def save(self, folder):
        output = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, self.name, [self.input], [output], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{self.name}.onnx")


def layers():
    yield Net("L01_conv3x3s2_3-32_224", 224, 3).conv(3, 2, 32)
    yield Net("L02_dw3x3_32_112", 112, 32).depthwise(3, 1)
    yield Net("L03_pw_32-64_112", 112, 32).conv(1, 1, 64)
    yield Net("L04_dw3x3_128_56", 56, 128).depthwise(3, 1)
    yield Net("L05_pw_128-128_56", 56, 128).conv(1, 1, 128)
    yield Net("L06_dw3x3s2_256_28", 28, 256).depthwise(3, 2)
    yield Net("L07_pw_256-512_14", 14, 256).conv(1, 1, 512)
    yield Net("L08_pw_512-512_14", 14, 512).conv(1, 1, 512)
    yield Net("L09_dw3x3_512_14", 14, 512).depthwise(3, 1)
    yield Net("L10_dw5x5_240_14", 14, 240).depthwise(5, 1)
    yield Net("L11_conv3x3_64-64_56", 56, 64).conv(3, 1, 64)
    yield Net("L12_pw_1024-1024_7", 7, 1024).conv(1, 1, 1024)
    yield Net("L13_sep3x3_128-128_56_relu6", 56, 128).depthwise(3, 1).relu6().conv(1, 1, 128).relu6()


def mobilenet_v1():
    net = Net("mobilenet_v1", 224, 3).conv(3, 2, 32, bias=True).relu6()
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    for filters, stride in blocks:
        net.depthwise(3, stride, bias=True).relu6().conv(1, 1, filters, bias=True).relu6()
    return net.head(1000)


def mobilenet_v2():
    net = Net("mobilenet_v2", 224, 3).conv(3, 2, 32, bias=True).relu6()
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, filters, repeats, first in stages:
        for repeat in range(repeats):
            start, channels, stride = net.last, net.channels, first if repeat == 0 else 1
            if expansion > 1:
                net.conv(1, 1, expansion * channels, bias=True).relu6()
            net.depthwise(3, stride, bias=True).relu6().conv(1, 1, filters, bias=True)
            if stride == 1 and filters == channels:
                net.sum_with(start)
    return net.conv(1, 1, 1280, bias=True).relu6().head(1000)


def resnet18():
    net = Net("resnet18", 224, 3).conv(7, 2, 64, bias=True).relu()
    net.add("MaxPool", [net.last], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    net.side = 56
    for stage, filters in enumerate([64, 128, 256, 512]):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            start, side, channels = net.last, net.side, net.channels
            net.conv(3, stride, filters, bias=True).relu().conv(3, 1, filters, bias=True)
            if stride == 2:
                long = net.last
                net.last, net.side, net.channels = start, side, channels
                net.conv(1, 2, filters, bias=True)
                start, net.last = net.last, long
            net.sum_with(start).relu()
    return net.head(1000)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for net in [*layers(), mobilenet_v1(), mobilenet_v2(), resnet18()]:
        net.save(folder)


main()
