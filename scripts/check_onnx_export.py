#!/usr/bin/env python3
"""Checks models that wgconv wrote as ONNX, runs them in ONNX Runtime, and compares with the outputs that wgconv gave.

Usage: check_onnx_export.py FOLDER

For every NAME.onnx in FOLDER there are NAME.input_0.npy, .. and NAME.output_0.npy, ... Exit code 1 when ONNX's checker or its shape
inference refuses a model, ONNX Runtime does not load it, or gives other numbers. Needs onnx, onnxruntime and numpy.
"""

import collections
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

# Of the largest magnitude: single precision sums of some thousand terms, layer after layer.
TOLERANCE = 2e-5


def numbered(folder, name, kind):
    arrays = []
    while (path := folder / f"{name}.{kind}_{len(arrays)}.npy").exists():
        arrays.append(np.load(path))
    return arrays


def worst(found, expected):
    if len(found) != len(expected):
        raise ValueError(f"{len(found)} outputs, {len(expected)} expected")
    error = 0.0
    for y, wanted in zip(found, expected):
        if y.shape != wanted.shape:
            raise ValueError(f"an output of shape {y.shape}, {wanted.shape} expected")
        largest = max(np.max(np.abs(wanted), initial=0.0), 1e-30)
        error = max(error, float(np.max(np.abs(y - wanted), initial=0.0) / largest))
    return error


def check(path):
    folder, name = path.parent, path.name.removesuffix(".onnx")
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs, expected = numbered(folder, name, "input"), numbered(folder, name, "output")
    feeds = {slot.name: array for slot, array in zip(session.get_inputs(), inputs, strict=True)}
    error = worst(session.run(None, feeds), expected)
    if not error <= TOLERANCE:
        raise ValueError(f"worst error {error:.1e} of the largest magnitude")
    ops = collections.Counter(node.op_type for node in model.graph.node)
    return f"error {error:.1e}, {sum(ops.values())} nodes, {ops['Transpose']} of them transposes"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    paths = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    failures = 0
    for path in paths:
        try:
            print(f"ok    {path.name}: {check(path)}")
        except Exception as why:  # Whatever ONNX or its runtime raises is the finding.
            failures += 1
            print(f"FAIL  {path.name}: {type(why).__name__}: {str(why)[:1500]}")
    print(f"{len(paths) - failures} of {len(paths)} models, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    sys.exit(failures > 0 or not paths)


if __name__ == "__main__":
    main()
