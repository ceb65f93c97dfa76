"""What the checks of exported models share: inputs and outputs in files, comparison, and the loop over a folder."""

import pathlib

import numpy as np

# Of the largest magnitude: single precision sums of some thousand terms, layer after layer.
TOLERANCE = 2e-5


def numbered(folder, name, kind):
    arrays = []
    while (path := folder / f"{name}.{kind}_{len(arrays)}.npy").exists():
        arrays.append(np.load(path))
    return arrays


def compare(found, expected):
    """The worst error in units of the largest magnitude; raises where it is too large."""
    if len(found) != len(expected):
        raise ValueError(f"{len(found)} outputs, {len(expected)} expected")
    error = 0.0
    for y, wanted in zip(found, expected):
        if y.shape != wanted.shape:
            raise ValueError(f"an output of shape {y.shape}, {wanted.shape} expected")
        largest = max(np.max(np.abs(wanted), initial=0.0), 1e-30)
        error = max(error, float(np.max(np.abs(y - wanted), initial=0.0) / largest))
    if not error <= TOLERANCE:
        raise ValueError(f"worst error {error:.1e} of the largest magnitude")
    return error


def check_folder(arguments, usage, pattern, check, versions):
    """Checks every file of a folder; the answer is the program's exit code, or how to use it."""
    if len(arguments) != 1:
        return usage
    paths = sorted(pathlib.Path(arguments[0]).glob(pattern))
    failures = 0
    for path in paths:
        try:
            print(f"ok    {path.name}: {check(path)}")
        except Exception as why:  # Whatever the other side raises is the finding.
            failures += 1
            print(f"FAIL  {path.name}: {type(why).__name__}: {str(why)[:1500]}")
    print(f"{len(paths) - failures} of {len(paths)} models, {versions}")
    return int(failures > 0 or not paths)
