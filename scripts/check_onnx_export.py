#!/usr/bin/env python3
"""Checks models that wgconv wrote as ONNX, runs them in ONNX Runtime, and compares with the outputs that wgconv gave.

Usage: check_onnx_export.py FOLDER

For every NAME.onnx in FOLDER there are NAME.input_0.npy, .. and NAME.output_0.npy, ... Exit code 1 when ONNX's checker or its shape
inference refuses a model, ONNX Runtime does not load it, or gives other numbers. Needs onnx, onnxruntime and numpy.
"""

import collections
import sys

import onnx
import onnxruntime

from exported import check_folder, compare, numbered


def check(path):
    folder, name = path.parent, path.name.removesuffix(".onnx")
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs, expected = numbered(folder, name, "input"), numbered(folder, name, "output")
    feeds = {slot.name: array for slot, array in zip(session.get_inputs(), inputs, strict=True)}
    error = compare(session.run(None, feeds), expected)
    ops = collections.Counter(node.op_type for node in model.graph.node)
    return f"error {error:.1e}, {sum(ops.values())} nodes, {ops['Transpose']} of them transposes"


if __name__ == "__main__":
    versions = f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}"
    sys.exit(check_folder(sys.argv[1:], __doc__, "*.onnx", check, versions))
