"""Makes the folders `quantised_*` beside it: one small network in the forms that ONNX Runtime's tools quantise to.

pip install onnx onnxruntime numpy; python tests/data/onnx/quantise.py
The outputs are ONNX Runtime's, whose own optimisations are switched off.
"""

import os
import shutil
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from make import HERE, Net

SHAPE = [2, 3, 18, 15]


def network(path):
    """Convolutions, a depthwise one, activations, a gate, a concatenation, pools and a classifier."""
    net = Net(10)
    stem = net.node("LeakyRelu", net.conv("x", 3, 8, 3, stride=2), alpha=0.1)
    depthwise = net.node("Relu", net.conv(stem, 8, 8, 3, group=8))
    gate = net.node("Sigmoid", net.conv(net.node("GlobalAveragePool", depthwise), 8, 8, 1))
    block = net.node("Add", net.conv(net.node("Mul", depthwise, gate), 8, 8, 1), stem)
    both = net.node("Concat", block, net.conv(stem, 8, 4, 1), axis=1)
    # Means of nine integers never lie between two, where the last bit would decide.
    pooled = net.node("AveragePool", both, kernel_shape=[3, 3], strides=[2, 2])
    wide = net.node("MaxPool", net.conv(pooled, 12, 24, 3), kernel_shape=[2, 2], strides=[1, 1])
    row = net.node("Flatten", net.node("GlobalAveragePool", wide))
    logits = net.node("Gemm", row, net.weight(10, 24, scale=0.6), net.weight(10, scale=0.1), transB=1)
    y = net.node("Softmax", logits, axis=1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (y, wide)]
    graph = helper.make_graph(net.nodes, "quantised", [x], results, net.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)


class Pictures(CalibrationDataReader):
    def __init__(self):
        random = np.random.default_rng(11)
        self.left = [{"x": random.standard_normal(SHAPE).astype(np.float32)} for _ in range(4)]

    def get_next(self):
        return self.left.pop() if self.left else None


def save(name, path):
    folder = os.path.join(HERE, f"quantised_{name}")
    os.makedirs(os.path.join(folder, "test_data_set_0"), exist_ok=True)
    shutil.copy(path, os.path.join(folder, "model.onnx"))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(12).standard_normal(SHAPE).astype(np.float32)
    arrays = {"input_0": x} | {f"output_{i}": y for i, y in enumerate(session.run(None, {"x": x}))}
    for file, array in arrays.items():
        with open(os.path.join(folder, "test_data_set_0", f"{file}.pb"), "wb") as stream:
            stream.write(numpy_helper.from_array(array).SerializeToString())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        real, quantised = os.path.join(home, "real.onnx"), os.path.join(home, "quantised.onnx")
        network(real)
        common = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
        quantize_static(real, quantised, Pictures(), quant_format=QuantFormat.QDQ, **common)
        save("qdq", quantised)
        quantize_static(real, quantised, Pictures(), quant_format=QuantFormat.QOperator, **common)
        save("qlinear", quantised)
        # Signed weights may overflow in ONNX Runtime's own kernels on processors without VNNI.
        quantize_dynamic(real, quantised, weight_type=QuantType.QUInt8)
        save("dynamic", quantised)
