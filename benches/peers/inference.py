"""ONNX files by an engine that Python has: a line of JSON on stdin for each file or run, an answer for each on stdout.

`python inference.py onnxruntime THREADS`; `python inference.py ncnn` for ncnn on its first Vulkan device, for which pnnx converts the
files; `python inference.py wonnx`, which takes `x` for the name of the input.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np


class OnnxRuntime:
    def __init__(self, threads):
        import onnxruntime

        self.module, self.options = onnxruntime, onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = int(threads)
        self.label = f"ONNX Runtime {onnxruntime.__version__} on the CPU ({threads} threads)"

    def load(self, path, x):
        self.session = self.module.InferenceSession(path, self.options, providers=["CPUExecutionProvider"])
        self.feed = {self.session.get_inputs()[0].name: x}

    def run(self):
        return self.session.run(None, self.feed)[0]


class Ncnn:
    def __init__(self):
        import ncnn

        ncnn.create_gpu_instance()
        if ncnn.get_gpu_count() == 0:
            raise SystemExit("ncnn finds no Vulkan device")
        self.module = ncnn
        self.label = f"ncnn {ncnn.__version__} on {ncnn.get_gpu_info(0).device_name()} (Vulkan)"

    def load(self, path, x):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "model.onnx")
            os.symlink(path, source)
            shape = "inputshape=[" + ",".join(str(size) for size in x.shape) + "]f32"
            pnnx = pathlib.Path(sys.executable).with_name("pnnx")
            subprocess.run([pnnx, source, shape, "fp16=0"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.net = self.module.Net()
            self.net.opt.use_vulkan_compute = True
            for narrow in ("packed", "storage", "arithmetic"):
                setattr(self.net.opt, f"use_fp16_{narrow}", False)
            self.net.load_param(str(pathlib.Path(folder, "model.ncnn.param")))
            self.net.load_model(str(pathlib.Path(folder, "model.ncnn.bin")))
        # A matrix of its own: those over arrays do not keep them alive.
        self.x = self.module.Mat(np.ascontiguousarray(x[0])).clone()

    def run(self):
        extractor = self.net.create_extractor()
        extractor.input("in0", self.x)
        return np.array(extractor.extract("out0")[1])


class Wonnx:
    def __init__(self):
        import importlib.metadata

        import wonnx

        self.module = wonnx
        self.label = f"wonnx {importlib.metadata.version('wonnx')} on the first adapter (wgpu)"

    def load(self, path, x):
        self.session = self.module.Session.from_path(path)
        self.feed = {"x": x.ravel().tolist()}

    def run(self):
        return np.asarray(next(iter(self.session.run(self.feed).values())))


def main():
    def answer(**values):
        print(json.dumps(values), flush=True)

    engine = {"onnxruntime": OnnxRuntime, "ncnn": Ncnn, "wonnx": Wonnx}[sys.argv[1]](*sys.argv[2:])
    answer(label=engine.label)
    for line in sys.stdin:
        task = json.loads(line)
        if "model" in task:
            engine.load(task["model"], np.asarray(task["x"], np.float32).reshape(task["shape"]))
            answer(ready=True)
            continue
        start, cpu_start = time.perf_counter(), time.process_time()
        output = engine.run()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        answer(seconds=seconds, cpu_seconds=cpu_seconds, **({"output": output.ravel().tolist()} if task["output"] else {}))


main()
