"""Makes the pictures and arrays that tests/pictures.rs compares with: `python make.py` with NumPy, Pillow and onnx."""

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

rows, columns = 23, 31
y, x = np.mgrid[0:rows, 0:columns]
noise = np.random.default_rng(5).integers(0, 60, (rows, columns, 4))
waves = np.stack([np.sin(x / 3), np.cos(y / 4), np.sin((x + y) / 5), np.cos((x - y) / 3)], -1)
pixels = (97 + 97 * waves + noise).clip(0, 255).astype(np.uint8)

rgb = Image.fromarray(pixels[..., :3].copy())
rgb.save("rgb.png", optimize=True)
Image.fromarray(pixels).save("rgba.png", optimize=True)
rgb.convert("L").save("grey.png", optimize=True)
# Orientation 6: to be turned clockwise by a quarter.
exif = Image.Exif()
exif[0x0112] = 6
Image.fromarray(np.repeat(np.repeat(pixels[::6, ::6, :3], 16, 0), 16, 1)).save("turned.jpg", exif=exif, quality=95)


def array(image):
    values = np.asarray(image, np.float32)
    return values[None, ..., None] if values.ndim == 2 else values[None]


def save(name, values):
    np.save(name + ".npy", np.ascontiguousarray(values, np.float32))


save("resized", array(rgb.resize((14, 10), Image.BILINEAR)))
save("enlarged", array(rgb.resize((45, 37), Image.BILINEAR)))
save("bicubic", array(rgb.resize((14, 10), Image.BICUBIC)))
save("nearest", array(rgb.resize((14, 10), Image.NEAREST)))
save("grey_resized", array(rgb.convert("L").resize((14, 10), Image.BILINEAR)))

# torchvision: Resize(12), CenterCrop((9, 11)), ToTensor, Normalize.
shortest = rgb.resize((int(12 * columns / rows), 12), Image.BILINEAR)
left, top = round((shortest.width - 11) / 2), round((shortest.height - 9) / 2)
cropped = array(shortest.crop((left, top, left + 11, top + 9))) / 255
mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
save("imagenet_nchw", ((cropped - mean) / std).transpose(0, 3, 1, 2))
# keras.applications.imagenet_utils.preprocess_input
save("caffe", array(rgb)[..., ::-1] - np.float32([103.939, 116.779, 123.68]))
save("tf", array(rgb) / np.float32(127.5) - 1)

# A model that takes the channels first and gives every number's negative.
numbers = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 9, 11])
negative = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 9, 11])
graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "negative", [numbers], [negative])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "negative.onnx")
