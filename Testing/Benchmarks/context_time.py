"""Seconds and memory of a 192 x 192 slice with 32 examples, and of a volume's worth of slices.

Both forms of the network: the paper's, whose examples pass through it anew for every slice, and the one-way form, whose
examples are encoded once. Weights do not change the time, so they are drawn at random.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import psutil
import torch

from SlicerSynthReg.methods.neuralizer.model import Neuralizer, NeuralizerConfig


def seconds(work: Callable[[], object], device: str, runs: int) -> float:
    """Median after one that is not counted."""
    found = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
    return median(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--examples", type=int, default=32)
    parser.add_argument("--slices", type=int, default=8, help="whose answers are timed; memory must not grow with them")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    x = torch.rand(1, 3, given.side, given.side, device=given.device)
    context = torch.rand(1, given.examples, 4, given.side, given.side, device=given.device)
    for width in given.width:
        paper = Neuralizer(NeuralizerConfig(width)).eval().to(given.device, memory_format=torch.channels_last)
        one_way = Neuralizer(NeuralizerConfig(width, one_way=True)).eval()
        one_way = one_way.to(given.device, memory_format=torch.channels_last)
        with torch.inference_mode():
            whole = seconds(lambda net=paper: net(x, context), given.device, given.runs)
            encoding = seconds(lambda net=one_way: net.encode(context, at_once=8), given.device, given.runs)
            encoded = one_way.encode(context, at_once=8)
            answering = seconds(lambda net=one_way, known=encoded: net.answer(x, known), given.device, given.runs)
            before = psutil.Process().memory_info().rss
            for _ in range(given.slices):
                one_way.answer(x, encoded)
            grown = (psutil.Process().memory_info().rss - before) / 1e6
        print(
            f"width {width}: paper's form {whole:.3f} s a slice; one-way {encoding:.3f} s to encode, then "
            f"{answering:.3f} s a slice; {given.slices} slices grew the process by {grown:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
