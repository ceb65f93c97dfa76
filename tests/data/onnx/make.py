"""Makes the folders beside it: small networks as PyTorch writes them, in the form of ONNX's backend tests.

pip install onnx onnxruntime numpy; python tests/data/onnx/make.py
The outputs are ONNX Runtime's.
"""

import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))


class Net:
    """A graph in the making, with names and weights as they come."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.initializers, self.shapes = [], [], {}

    def weight(self, *shape, scale=None, offset=0.0):
        scale = scale or 1.0 / np.sqrt(max(1, np.prod(shape[1:])))
        return self.constant((self.random.standard_normal(shape) * scale + offset).astype(np.float32))

    def constant(self, value, dtype=np.float32):
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=f"/{op}_{len(self.nodes)}", **attributes))
        return name

    def conv(self, x, c, d, k, stride=1, group=1, bias=True):
        inputs = [x, self.weight(d, c // group, k, k)] + ([self.weight(d, scale=0.1)] if bias else [])
        pad = k // 2
        return self.node("Conv", *inputs, kernel_shape=[k, k], strides=[stride] * 2, pads=[pad] * 4, group=group)

    def norm(self, x, c):
        gamma, beta, mean = self.weight(c, scale=0.2, offset=1.0), self.weight(c, scale=0.2), self.weight(c, scale=0.2)
        variance = self.constant(self.random.uniform(0.5, 2.0, c))
        return self.node("BatchNormalization", x, gamma, beta, mean, variance, epsilon=1e-5)

    def silu(self, x):
        return self.node("Mul", x, self.node("Sigmoid", x))

    def clip6(self, x):
        return self.node("Clip", self.node("Add", x, self.constant(3.0)), self.constant(0.0), self.constant(6.0))

    def hard_sigmoid(self, x):
        return self.node("Div", self.clip6(x), self.constant(6.0))

    def hard_swish(self, x):
        return self.node("Div", self.node("Mul", x, self.clip6(x)), self.constant(6.0))

    def head(self, pooled, c):
        flat = self.node("Flatten", pooled, axis=1)
        return self.node("Gemm", flat, self.weight(5, c), self.weight(5), transB=1)

    def save(self, name, shape, output, opset=17, functions=()):
        folder = os.path.join(HERE, name, "test_data_set_0")
        os.makedirs(folder, exist_ok=True)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, name, [x], [y], self.initializers)
        imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid("custom", 1)] if functions else [])
        model = helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=8)
        value = self.random.standard_normal(shape).astype(np.float32)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"x": value})
        onnx.save(model, os.path.join(HERE, name, "model.onnx"))
        for file, tensor, tag in (("input_0.pb", value, "x"), ("output_0.pb", found, output)):
            with open(os.path.join(folder, file), "wb") as out:
                out.write(numpy_helper.from_array(tensor, tag).SerializeToString())


def efficientnet():
    net = Net(1)

    def excite(x, c, small):
        s = net.node("GlobalAveragePool", x)
        s = net.conv(net.silu(net.conv(s, c, small, 1)), small, c, 1)
        return net.node("Mul", net.node("Sigmoid", s), x)

    def block(x, c, d, k, stride):
        wide = 4 * c
        y = net.silu(net.norm(net.conv(x, c, wide, 1, bias=False), wide))
        y = net.silu(net.norm(net.conv(y, wide, wide, k, stride, group=wide, bias=False), wide))
        y = net.norm(net.conv(excite(y, wide, c // 2), wide, d, 1, bias=False), d)
        return net.node("Add", y, x) if stride == 1 and c == d else y

    x = net.silu(net.conv("x", 3, 8, 3, 2))
    for c, d, k, stride in [(8, 8, 3, 1), (8, 12, 5, 2), (12, 12, 5, 1)]:
        x = block(x, c, d, k, stride)
    x = net.silu(net.conv(x, 12, 20, 1))
    net.save("efficientnet", [1, 3, 33, 33], net.head(net.node("GlobalAveragePool", x), 20))


def resnet():
    net = Net(2)

    def spelled_norm(x, c):
        """A batch normalisation that a tool took apart: centred, scaled, scaled again, shifted."""
        each = [net.weight(c, 1, 1, scale=0.2, offset=offset) for offset in (0.0, 1.5, 1.0, 0.0)]
        x = net.node("Div", net.node("Sub", x, each[0]), each[1])
        return net.node("Add", net.node("Mul", x, each[2]), each[3])

    def block(x, c, d, stride, norm):
        y = net.node("Relu", norm(net.conv(x, c, d // 2, 1, bias=False), d // 2))
        y = net.node("Relu", norm(net.conv(y, d // 2, d // 2, 3, stride, bias=False), d // 2))
        y = norm(net.conv(y, d // 2, d, 1, bias=False), d)
        if stride != 1 or c != d:
            x = norm(net.conv(x, c, d, 1, stride, bias=False), d)
        return net.node("Relu", net.node("Add", y, x))

    x = net.node("Relu", net.norm(net.conv("x", 3, 8, 7, 2, bias=False), 8))
    x = net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = block(x, 8, 16, 1, net.norm)
    x = block(x, 16, 16, 1, net.norm)
    x = block(x, 16, 24, 2, spelled_norm)
    pooled = net.node("ReduceMean", x, axes=[2, 3], keepdims=1)
    net.save("resnet", [2, 3, 41, 37], net.head(pooled, 24))


def mobilenet_v3():
    net = Net(3)

    def excite(x, c, small):
        s = net.node("ReduceMean", x, axes=[-1, -2], keepdims=1)
        s = net.conv(net.node("Relu", net.conv(s, c, small, 1)), small, c, 1)
        return net.node("Mul", x, net.hard_sigmoid(s))

    x = net.hard_swish(net.conv("x", 3, 8, 3, 2))
    y = net.hard_swish(net.conv(x, 8, 32, 1))
    y = net.hard_swish(net.conv(y, 32, 32, 5, group=32))
    y = net.conv(excite(y, 32, 8), 32, 8, 1)
    x = net.hard_swish(net.conv(net.node("Add", x, y), 8, 20, 1))
    net.save("mobilenet_v3", [1, 3, 30, 26], net.head(net.node("GlobalAveragePool", x), 20))


def convnext():
    net = Net(4)
    c = 12

    def gelu(x):
        e = net.node("Erf", net.node("Div", x, net.constant(np.sqrt(2.0))))
        return net.node("Mul", net.node("Mul", x, net.node("Add", e, net.constant(1.0))), net.constant(0.5))

    x = net.conv("x", 3, c, 3, 2)
    for _ in range(2):
        y = net.conv(x, c, c, 7, group=c)
        y = net.node("Transpose", y, perm=[0, 2, 3, 1])
        y = net.node("LayerNormalization", y, net.weight(c, scale=0.2, offset=1.0), net.weight(c, scale=0.2), axis=-1)
        y = net.node("Add", net.node("MatMul", y, net.weight(c, 4 * c)), net.weight(4 * c, scale=0.1))
        y = net.node("Add", net.node("MatMul", gelu(y), net.weight(4 * c, c)), net.weight(c, scale=0.1))
        y = net.node("Mul", net.weight(c, scale=0.2, offset=0.5), y)
        x = net.node("Add", net.node("Transpose", y, perm=[0, 3, 1, 2]), x)
    net.save("convnext", [1, 3, 21, 27], net.head(net.node("GlobalAveragePool", x), c))


def functions_and_branches():
    """A function with an attribute of its caller's, called by another one, and branches on known conditions."""
    net = Net(5)
    scaled = helper.make_function(
        "custom", "Scaled", ["a", "factor"], ["b"],
        [
            helper.make_node("Mul", ["a", "factor"], ["t"]),
            helper.make_node("LeakyRelu", ["t"], ["b"]),
        ],
        [helper.make_opsetid("", 17)], ["alpha"],
    )
    reference = onnx.AttributeProto(name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT)
    scaled.node[1].attribute.append(reference)
    twice = helper.make_function(
        "custom", "Twice", ["a", "factor"], ["c"],
        [
            helper.make_node("Scaled", ["a", "factor"], ["t"], domain="custom", alpha=0.25),
            helper.make_node("Scaled", ["t", "factor"], ["c"], domain="custom", alpha=0.5),
        ],
        [helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)],
    )

    def branch(name, op, constant):
        nodes = [helper.make_node(op, ["taken_from", f"{name}_w"], [f"{name}_y"])]
        weights = [numpy_helper.from_array(np.asarray(constant, np.float32), f"{name}_w")]
        output = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
        return helper.make_graph(nodes, name, [], [output], weights)

    factor, yes = net.weight(4, scale=1.0), net.constant(True, np.bool_)
    net.nodes.append(helper.make_node("Twice", ["x", factor], ["once"], domain="custom"))
    net.nodes.append(helper.make_node("Twice", ["once", factor], ["taken_from"], domain="custom"))
    y = net.node("If", yes, then_branch=branch("then", "Add", [1.0, 2.0, 3.0, 4.0]), else_branch=branch("else", "Mul", 7.0))
    net.save("functions_and_branches", [3, 4], y, functions=[scaled, twice])


def shufflenet():
    net = Net(7)
    x = net.conv("x", 3, 12, 3, 2)
    for _ in range(2):
        y = net.node("Relu", net.norm(net.conv(x, 12, 12, 1, group=3, bias=False), 12))
        y = net.node("Reshape", y, net.constant([1, 3, 4, 12, 10], np.int64))
        y = net.node("Transpose", y, perm=[0, 2, 1, 3, 4])
        y = net.node("Reshape", y, net.constant([1, 12, 12, 10], np.int64))
        y = net.norm(net.conv(y, 12, 12, 3, group=12, bias=False), 12)
        x = net.node("Relu", net.node("Add", x, net.norm(net.conv(y, 12, 12, 1, group=3, bias=False), 12)))
    net.save("shufflenet", [1, 3, 23, 19], net.head(net.node("GlobalAveragePool", x), 12))


def positions():
    """Positions that are computed at run time, and ops that read and write by them; all results in one row."""
    net = Net(8)
    ints = lambda *values: net.constant(values, np.int64)

    def two(op, *inputs, **attributes):
        names = [f"v{len(net.nodes)}", f"v{len(net.nodes)}_at"]
        net.nodes.append(helper.make_node(op, list(inputs), names, name=f"/{op}_{len(net.nodes)}", **attributes))
        return names

    largest, at = two("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    results = [net.node("MaxUnpool", largest, at, kernel_shape=[2, 2], strides=[2, 2])]
    best = net.node("ArgMax", "x", axis=1, keepdims=0)
    results.append(net.node("OneHot", best, ints(3), net.constant([0.25, 2.0]), axis=1))
    values, at = two("TopK", "x", ints(3), axis=3)
    results += [values, net.node("GatherElements", "x", at, axis=3)]
    results.append(net.node("Cast", at, to=TensorProto.FLOAT))
    last = net.node("ArgMin", "x", axis=3, keepdims=1)
    results += [net.node("Gather", net.weight(8, 5, scale=1.0), last), net.node("GatherND", "x", last, batch_dims=3)]
    positive = net.node("Greater", "x", net.constant(0.0))
    results.append(net.node("Where", positive, net.node("Log", net.node("Abs", "x")), "x"))
    results.append(net.node("Cast", net.node("Cast", net.node("Mul", "x", net.constant(5.0)), to=6), to=1))
    part = net.node("Slice", "x", ints(0), ints(2), ints(2))
    results.append(net.node("ScatterElements", "x", net.constant(np.arange(96).reshape(2, 3, 2, 8) % 8, np.int64), part, axis=2, reduction="add"))
    results.append(net.node("ScatterND", "x", net.constant([[1], [0]], np.int64), net.node("Gather", "x", ints(0, 1))))
    results.append(net.node("CumSum", "x", ints(3), reverse=1))
    results.append(net.node("Einsum", "x", net.weight(5, 3), equation="bchw,dc->bhwd"))
    rows = [net.node("Flatten", result, axis=0) for result in results]
    net.save("positions", [2, 3, 8, 8], net.node("Concat", *rows, axis=1), opset=18)


def sampling():
    """Pixels between pixels, in every mode and with every kind of surroundings."""
    net = Net(9)
    grid = net.constant(net.random.uniform(-1.4, 1.4, (2, 5, 4, 2)))
    rows = []
    for mode in ("nearest", "bilinear", "bicubic"):
        for padding in ("zeros", "border", "reflection"):
            for corners in (0, 1):
                y = net.node("GridSample", "x", grid, mode=mode, padding_mode=padding, align_corners=corners)
                rows.append(net.node("Flatten", y, axis=0))
    net.save("sampling", [2, 3, 6, 7], net.node("Concat", *rows, axis=1))


def unsupported():
    """What is not there: an op twice, one of another domain, a mode, and three types. Only the model is written."""
    net = Net(6)
    odd = helper.make_tensor("odd", TensorProto.STRING, [1], [b"text"])
    net.initializers.append(odd)
    for name in ("first", "second"):
        net.nodes.append(helper.make_node("Det", ["x"], [name], name=name))
    net.nodes.append(helper.make_node("Fancy", ["x"], ["third"], name="third", domain="elsewhere"))
    net.nodes.append(helper.make_node("Pad", ["x", net.constant([1, 1, 1, 1], np.int64)], ["fourth"], name="fourth", mode="swirl"))
    net.nodes.append(helper.make_node("Cast", ["x"], ["fifth"], name="fifth", to=TensorProto.FLOAT8E4M3FN))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])
    words = helper.make_tensor_value_info("words", TensorProto.STRING, [3])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("first", "fifth")]
    graph = helper.make_graph(net.nodes, "unsupported", [x, words], outputs, net.initializers)
    imports = [helper.make_opsetid("", 19), helper.make_opsetid("elsewhere", 1)]
    os.makedirs(os.path.join(HERE, "unsupported"), exist_ok=True)
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    onnx.save(model, os.path.join(HERE, "unsupported", "model.onnx"))


if __name__ == "__main__":
    efficientnet()
    resnet()
    mobilenet_v3()
    convnext()
    functions_and_branches()
    shufflenet()
    positions()
    sampling()
    unsupported()
