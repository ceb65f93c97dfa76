#!/usr/bin/env python3
"""Loads models that wgconv wrote into Keras, runs them, and compares with the outputs that wgconv gave.

Usage: check_keras_export.py FOLDER

For every NAME.keras in FOLDER there are NAME.input_0.npy, .. and NAME.output_0.npy, ..; where NAME.weights.h5 exists, it must
load into the model, too. Exit code 1 when a model does not load or gives other numbers. Needs Keras 3 with any backend.
"""

import json
import os
import re
import sys
import zipfile

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np

from exported import check_folder, compare, numbered

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


def outputs(model, inputs):
    result = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    flat = result if isinstance(result, (list, tuple)) else [result]
    return [keras.ops.convert_to_numpy(y) for y in flat]


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
    error = compare(outputs(model, inputs), expected)
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
    return f"error {error:.1e}, configuration {'as Keras writes it' if same else 'differs'}"


if __name__ == "__main__":
    versions = f"Keras {keras.__version__} on {keras.backend.backend()}"
    sys.exit(check_folder(sys.argv[1:], __doc__, "*.keras", check, versions))
