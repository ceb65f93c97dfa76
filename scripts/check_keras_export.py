#!/usr/bin/env python3
"""Loads models that wgconv wrote into Keras, runs them, and compares with the outputs that wgconv gave.

Usage: check_keras_export.py FOLDER

For every NAME.keras in FOLDER there are NAME.input_0.npy, .. and NAME.output_0.npy, ..; where NAME.weights.h5 exists, it must
load into the model, too. Exit code 1 when a model does not load or gives other numbers. Needs Keras 3 with any backend.
"""

import json
import os
import pathlib
import re
import sys
import zipfile

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np

# Of the largest magnitude: single precision sums of some thousand terms, layer after layer.
TOLERANCE = 2e-5

# Keys that say nothing about the numbers, or that differ between versions of Keras.
METADATA = {"dtype", "build_config", "compile_config", "shared_object_id", "module", "training", "mask", "synchronized"}
METADATA |= {"renorm", "renorm_momentum", "renorm_clipping", "rms_scaling", "quantization_config", "seed"}


def plain(value):
    """A configuration without metadata and without keys that are null."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if v is not None and k not in METADATA}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return float(np.float32(value)) if isinstance(value, float) else value


def numbered(folder, name, kind):
    arrays = []
    while (path := folder / f"{name}.{kind}_{len(arrays)}.npy").exists():
        arrays.append(np.load(path))
    return arrays


def outputs(model, inputs):
    result = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    flat = result if isinstance(result, (list, tuple)) else [result]
    return [keras.ops.convert_to_numpy(y) for y in flat]


def worst(found, expected):
    if len(found) != len(expected):
        raise ValueError(f"{len(found)} outputs, {len(expected)} expected")
    error = 0.0
    for y, wanted in zip(found, expected):
        if y.shape != wanted.shape:
            raise ValueError(f"an output of shape {y.shape}, {wanted.shape} expected")
        error = max(error, float(np.max(np.abs(y - wanted), initial=0.0) / max(np.max(np.abs(wanted), initial=0.0), 1e-30)))
    return error


def contents(path):
    """Groups and arrays of an HDF5 file, less what holds no weight: random generators, layers that are an activation."""
    found = set()

    def visit(name, item):
        if not re.search(r"seed_generator|layers/[^/]+/activation(/|$)", name):
            found.add((name, item[()].tobytes() if isinstance(item, h5py.Dataset) else None))

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def check(path):
    folder, name = path.parent, path.name.removesuffix(".keras")
    model = keras.models.load_model(path)
    inputs, expected = numbered(folder, name, "input"), numbered(folder, name, "output")
    error = worst(outputs(model, inputs), expected)
    weights = folder / f"{name}.weights.h5"
    if weights.exists():
        before = [np.array(w) for w in model.get_weights()]
        model.set_weights([np.zeros_like(w) for w in before])
        model.load_weights(weights)
        if not all(np.array_equal(a, b) for a, b in zip(before, model.get_weights())):
            raise ValueError("the weights of .weights.h5 are not those of .keras")
        saved = folder / f"{name}.saved.weights.h5"
        model.save_weights(saved)
        if contents(saved) != contents(weights):
            raise ValueError(f"Keras lays its weights out otherwise: {contents(saved) ^ contents(weights)}")
    ours = json.loads(zipfile.ZipFile(path).read("config.json"))
    theirs = json.loads(model.to_json())
    same = plain(ours) == plain(theirs)
    if error > TOLERANCE:
        raise ValueError(f"worst error {error:.1e} of the largest magnitude")
    return f"error {error:.1e}, configuration {'as Keras writes it' if same else 'differs'}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    paths = sorted(pathlib.Path(sys.argv[1]).glob("*.keras"))
    failures = 0
    for path in paths:
        try:
            print(f"ok    {path.name}: {check(path)}")
        except Exception as why:  # Whatever Keras raises is the finding.
            failures += 1
            print(f"FAIL  {path.name}: {type(why).__name__}: {str(why)[:1500]}")
    print(f"{len(paths) - failures} of {len(paths)} models, Keras {keras.__version__} on {keras.backend.backend()}")
    sys.exit(failures > 0 or not paths)


if __name__ == "__main__":
    main()
