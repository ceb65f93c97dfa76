"""Makes training.json: short trainings by Keras with every loss, optimizer and option. Run with any Keras 3 backend:

    KERAS_BACKEND=jax python tests/data/make_training.py
"""

import json
import pathlib

import keras
import numpy as np
from keras import constraints, layers, losses, optimizers, regularizers

STEPS = 6
rng = np.random.default_rng(7)


def numbers(array):
    return {"shape": list(np.shape(array)), "values": [float(str(v)) for v in np.asarray(array, np.float32).ravel()]}


def dense(last="softmax", **options):
    return keras.Sequential(
        [layers.Input([5]), layers.Dense(4, activation="tanh", **options), layers.Dense(3, activation=last)]
    )


def normalized():
    return keras.Sequential(
        [
            layers.Input([6, 5, 3]),
            # A bias in front of a normalisation has no gradient but rounding errors, which Adam would blow up.
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.MaxPooling2D(2),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.LayerNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def constrained():
    norms = dict(depthwise_constraint=constraints.MinMaxNorm(0.7, 1.2, 0.6, axis=[0, 1]))
    return keras.Sequential(
        [
            layers.Input([6, 5, 3]),
            layers.Conv2D(4, 3, activation="relu", kernel_constraint=constraints.UnitNorm(axis=[0, 1, 2])),
            layers.DepthwiseConv2D(2, bias_constraint=constraints.NonNeg(), **norms),
            layers.SeparableConv2D(4, 2, pointwise_constraint=constraints.MaxNorm(0.9, axis=-2)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", kernel_constraint=constraints.MaxNorm(0.8)),
        ]
    )


def one_hot(n):
    return np.eye(3)[rng.integers(0, 3, n)]


def frozen():
    model = normalized()
    model.layers[1].trainable = False
    return model


CASES = []


def case(name, model, loss, optimizer, y=None, weights=None):
    CASES.append((name, model, loss, optimizer, y, weights))


SGD = lambda: optimizers.SGD(0.1)
for name, loss, last, y in [
    ("mse", losses.MeanSquaredError(), None, None),
    ("mae", losses.MeanAbsoluteError(), None, None),
    ("huber", losses.Huber(0.5), None, None),
    ("log_cosh", losses.LogCosh(), None, None),
    ("binary_crossentropy", losses.BinaryCrossentropy(), "sigmoid", "binary"),
    ("binary_crossentropy smoothed logits", losses.BinaryCrossentropy(True, 0.1), None, "binary"),
    ("categorical_crossentropy", losses.CategoricalCrossentropy(), "softmax", "one_hot"),
    ("categorical_crossentropy smoothed logits", losses.CategoricalCrossentropy(True, 0.2), None, "one_hot"),
    ("sparse_categorical_crossentropy", losses.SparseCategoricalCrossentropy(), "softmax", "sparse"),
    ("sparse_categorical_crossentropy logits", losses.SparseCategoricalCrossentropy(True), None, "sparse"),
    ("kl_divergence", losses.KLDivergence(), "softmax", "shares"),
    ("hinge", losses.Hinge(), "tanh", "binary"),
    ("squared_hinge", losses.SquaredHinge(), "tanh", "signs"),
]:
    case(f"loss {name}", dense(last), loss, SGD(), y)
for name, optimizer in [
    ("sgd", optimizers.SGD(0.1)),
    ("sgd momentum", optimizers.SGD(0.1, 0.8)),
    ("sgd nesterov", optimizers.SGD(0.1, 0.8, True)),
    ("sgd decay", optimizers.SGD(0.1, weight_decay=0.02)),
    ("adam", optimizers.Adam(0.01)),
    ("adam amsgrad", optimizers.Adam(0.01, amsgrad=True)),
    ("adamw", optimizers.AdamW(0.01)),
    ("adamax", optimizers.Adamax(0.01)),
    ("nadam", optimizers.Nadam(0.01)),
    ("rmsprop", optimizers.RMSprop(0.01)),
    ("rmsprop centered momentum", optimizers.RMSprop(0.01, momentum=0.7, centered=True)),
    ("adagrad", optimizers.Adagrad(0.05)),
    ("lion", optimizers.Lion(0.002)),
    ("clipvalue", optimizers.SGD(0.5, clipvalue=0.01)),
    ("clipnorm", optimizers.SGD(0.5, clipnorm=0.02)),
    ("global_clipnorm", optimizers.SGD(0.5, global_clipnorm=0.03)),
    ("ema", optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9)),
    ("accumulation", optimizers.SGD(0.1, 0.8, gradient_accumulation_steps=3)),
]:
    case(f"optimizer {name}", dense("softmax"), losses.CategoricalCrossentropy(), optimizer, "one_hot")
case("sample weights", dense("softmax"), losses.CategoricalCrossentropy(), SGD(), "one_hot", rng.uniform(0, 2, 8))
penalty = dict(kernel_regularizer=regularizers.L1L2(0.01, 0.02), bias_regularizer=regularizers.L2(0.1))
case("regularizers", dense("softmax", **penalty), losses.CategoricalCrossentropy(), SGD(), "one_hot")
case("batch normalization", normalized(), losses.CategoricalCrossentropy(), optimizers.Adam(0.01), "one_hot")
case("frozen batch normalization", frozen(), losses.CategoricalCrossentropy(), optimizers.Adam(0.01), "one_hot")
case("constraints", constrained(), losses.CategoricalCrossentropy(), optimizers.SGD(0.3), "one_hot")
average = optimizers.SGD(0.3, use_ema=True, ema_momentum=0.8)
case("constraints and ema", constrained(), losses.CategoricalCrossentropy(), average, "one_hot")

found = []
for name, model, loss, optimizer, y, weights in CASES:
    n = 8
    for weight in model.weights:
        value = rng.normal(0, 0.6, weight.shape)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.path or "gamma" in weight.path else value)
    x = rng.normal(0, 1, [n] + list(model.input_shape[1:])).astype("float32")
    y = {
        None: lambda: rng.normal(0, 1, [n, 3]),
        "binary": lambda: rng.integers(0, 2, [n, 3]),
        "signs": lambda: rng.integers(0, 2, [n, 3]) * 2 - 1,
        "one_hot": lambda: one_hot(n),
        "sparse": lambda: rng.integers(0, 3, [n]),
        "shares": lambda: rng.dirichlet([1, 2, 3], n),
    }[y]().astype("float32")
    first = [numbers(weight) for weight in model.weights]
    model.compile(loss=loss, optimizer=optimizer)
    values = []
    for _ in range(STEPS):
        model.reset_metrics()
        values.append(float(model.train_on_batch(x, y, sample_weight=weights)))
    if optimizer.use_ema:
        optimizer.finalize_variable_values(model.trainable_variables)
    found.append(
        {
            "name": name,
            "config": json.loads(model.to_json()),
            "loss": keras.saving.serialize_keras_object(loss)["config"] | {"class": type(loss).__name__}
            | ({"delta": 0.5} if isinstance(loss, losses.Huber) else {}),
            "optimizer": keras.saving.serialize_keras_object(optimizer)["config"] | {"class": type(optimizer).__name__},
            "x": numbers(x),
            "y": numbers(y),
            "sample_weights": None if weights is None else numbers(weights),
            "first": first,
            "losses": values,
            "last": [numbers(weight) for weight in model.weights],
        }
    )
path = pathlib.Path(__file__).with_name("training.json")
path.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in found) + "\n]\n")
print(len(found), "trainings by Keras", keras.__version__, keras.backend.backend(), path.stat().st_size, "bytes")
