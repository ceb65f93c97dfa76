"""The step by PyTorch on the CPU: the task as a line of JSON on stdin, then a line for each step; answers on stdout."""

import json
import sys
import time

import torch
from torch import nn


def main():
    task = json.loads(sys.stdin.readline())
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding="same"),
        nn.Conv2d(16, 16, 3, padding="same", groups=16),
        nn.Conv2d(16, 32, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    with torch.no_grad():
        for parameter, (shape, values) in zip(net.parameters(), task["weights"], strict=True):
            value = torch.tensor(values, dtype=torch.float32).reshape(shape)
            # Dense kernels come as [in, out].
            parameter.copy_(value.T if len(shape) == 2 else value)
    x = torch.tensor(task["x"], dtype=torch.float32).reshape(task["batch"], 1, 28, 28)
    y = torch.tensor(task["y"], dtype=torch.int64)
    optimizer = torch.optim.SGD(net.parameters(), lr=task["learning_rate"])
    criterion = nn.CrossEntropyLoss()

    def answer(**values):
        print(json.dumps(values), flush=True)

    answer(label=f"PyTorch {torch.__version__} on the CPU ({torch.get_num_threads()} threads)")
    for _ in sys.stdin:
        start, cpu_start = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
        value = loss.item()
        answer(loss=value, seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - cpu_start)


main()
