"""Makes the models of tests/tflite.rs and TFLite's own outputs for them: `python make.py` with TensorFlow."""

import numpy as np
import tensorflow as tf

draw = np.random.default_rng(11)


def weights(*shape):
    return tf.constant(draw.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32))


def save(name, function, shape, half=False, check=True):
    concrete = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32)]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    model = converter.convert()
    open(name + ".tflite", "wb").write(model)
    if not check:
        return
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_content=model, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    x = np.random.default_rng(2).normal(0, 1, interpreter.get_input_details()[0]["shape"]).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    np.save(name + ".input.npy", x)
    for number, output in enumerate(interpreter.get_output_details()):
        np.save(f"{name}.output_{number}.npy", interpreter.get_tensor(output["index"]))
    print(name, [o["op_name"] for o in interpreter._get_ops_details()], len(model))


stem, bias, deep, wide = weights(3, 3, 3, 8), weights(8), weights(3, 3, 8, 1), weights(1, 1, 8, 16)
down, up, narrow = weights(16, 4), weights(4, 16), weights(1, 1, 16, 8)
dilated, double, dense, last = weights(3, 3, 8, 8), weights(3, 3, 8, 2), weights(16, 5), weights(5)


def mobile(x):
    x = tf.nn.relu6(tf.nn.conv2d(x, stem, 2, "SAME") + bias)
    y = tf.nn.depthwise_conv2d(x, deep, [1, 1, 1, 1], "SAME")
    y = tf.nn.conv2d(y, wide, 1, "VALID")
    y = y * tf.nn.relu6(y + 3) / 6
    s = tf.nn.relu(tf.matmul(tf.reduce_mean(y, [1, 2]), down))
    s = tf.sigmoid(tf.matmul(s, up))
    y = y * tf.reshape(s, [-1, 1, 1, 16])
    x = x + tf.nn.conv2d(y, narrow, 1, "SAME")
    x = x + tf.nn.conv2d(x, dilated, 1, "SAME", dilations=[2, 1])
    x = tf.nn.leaky_relu(tf.nn.depthwise_conv2d(x, double, [1, 2, 2, 1], "VALID"), 0.1)
    x = tf.reduce_mean(x, [1, 2])
    return tf.nn.softmax(tf.matmul(x, dense) + last)


slope, grouped = weights(1, 1, 4), weights(3, 3, 2, 6)
resize = tf.raw_ops.ResizeBilinear
nearest = tf.raw_ops.ResizeNearestNeighbor


def shapes(x):
    a = resize(images=x, size=[14, 10], half_pixel_centers=True)
    b = nearest(images=x, size=[14, 10], half_pixel_centers=True)
    c = resize(images=x, size=[14, 10], align_corners=True)
    a = tf.concat([a, b, c], -1)
    a = tf.pad(a, [[0, 0], [1, 0], [0, 2], [0, 0]])
    a = tf.pad(a, [[0, 0], [0, 2], [1, 0], [0, 0]], "REFLECT")
    a = tf.pad(a, [[0, 0], [0, 0], [1, 1], [0, 0]], constant_values=0.5)
    a = resize(images=a, size=[11, 20])
    a = nearest(images=a, size=[8, 9], align_corners=True)
    p = tf.nn.avg_pool2d(a, 3, 2, "SAME") - tf.nn.max_pool2d(a, [2, 3], 2, "SAME")
    # Keras's PReLU, as the converter recognises it.
    q = tf.nn.relu(x) + (-slope) * tf.nn.relu(-x)
    q = tf.nn.relu(tf.nn.conv2d(q, grouped, 1, "SAME"))
    q = tf.tanh(tf.transpose(q, [0, 3, 2, 1]))
    q = tf.maximum(tf.squeeze(tf.reduce_max(q, 1, keepdims=True), [1]), 0.1)
    p = tf.nn.elu(tf.reshape(p, [-1, 4, 60]))
    return p, tf.math.log_softmax(q), tf.reduce_sum(x, [1, 3])


def unsupported(x):
    y = tf.math.cumsum(x, 1) + tf.sin(x)
    return tf.sin(y) * 2


save("mobile", mobile, [None, 12, 12, 3])
save("half", mobile, [None, 12, 12, 3], half=True)
save("shapes", shapes, [1, 7, 5, 4])
save("unsupported", unsupported, [1, 4, 5], check=False)
