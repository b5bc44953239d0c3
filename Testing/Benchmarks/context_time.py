"""Seconds and memory of in-context prediction: a 192 x 192 slice with 32 examples, and whole volumes.

Both forms of the network: the paper's, whose support set passes through it for every slice, and the one-way form, whose
support set is encoded once. Weights do not change the time and are random. Volumes are predicted as by
`synthreg in-context` at 1 mm (every other example slice is encoded), each size in its own process, whose memory beyond
inputs and output is printed. Processor seconds beside wall seconds remain comparable on a busy machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from statistics import median

import psutil
import torch

from SlicerSynthReg.in_context.inference import predict_volume
from SlicerSynthReg.in_context.neuralizer import Neuralizer, NeuralizerConfig
from SlicerSynthReg.in_context.ridge_head import RidgeHeadConfig
from SlicerSynthReg.in_context.slices import Example, InferenceConfig

Seconds = tuple[float, float]
"""Wall seconds, and processor seconds over all threads."""


def seconds(work: Callable[[], object], device: str, runs: int) -> Seconds:
    """Return medians after a warm-up run; those of the warm-up if `runs` is 0."""
    wall, cpu = [], []
    for _ in range(runs + 1):
        started, used = time.perf_counter(), time.process_time()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return median(wall[1:] or wall), median(cpu[1:] or cpu)


def format_seconds(found: Seconds) -> str:
    return f"{found[0]:.3f} s (processor {found[1]:.3f})"


def a_slice(given: argparse.Namespace, width: int) -> str:
    x = torch.rand(1, 3, given.side, given.side, device=given.device)
    support = torch.rand(1, given.examples, 4, given.side, given.side, device=given.device)
    paper, one_way = (network(width, form, given.device) for form in (False, True))
    with torch.inference_mode():
        whole = seconds(lambda: paper(x, support), given.device, given.runs)
        encoding = seconds(lambda: one_way.encode(support, chunk_size=4), given.device, given.runs)
        encoding_result = one_way.encode(support, chunk_size=4)
        predicting = seconds(lambda: one_way.predict(x, encoding_result), given.device, given.runs)
    return (
        f"width {width}, {given.side} x {given.side}, {given.examples} examples: the paper's form "
        f"{format_seconds(whole)} per slice; one-way {format_seconds(encoding)} to encode, then "
        f"{format_seconds(predicting)} per slice"
    )


def a_volume(given: argparse.Namespace, width: int, slices: int, sending: object) -> None:
    """In a process of its own: sends what it found."""
    torch.set_num_threads(given.threads)
    model = network(width, True, given.device)
    shape = (1, given.side, given.side, slices)
    examples = [Example(torch.rand(shape), torch.ones(shape)) for _ in range(given.volume_examples)]
    x = torch.rand(shape)
    config = InferenceConfig(support_slices=1, slice_step=2, ridge_head=RidgeHeadConfig())
    process = psutil.Process()
    with torch.inference_mode():
        before = process.memory_info().rss
        found = seconds(lambda: predict_volume(model, x, examples, config), given.device, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sending.send((found, (peak - before - 4 * x.numel()) / 1e6))  # type: ignore[attr-defined]


def network(width: int, one_way: bool, device: str) -> Neuralizer:
    torch.manual_seed(0)
    model = Neuralizer(NeuralizerConfig(width, one_way=one_way)).eval()
    return model.to(device, memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--side", type=int, default=192)
    parser.add_argument("--examples", type=int, default=32)
    parser.add_argument("--volumes", type=int, nargs="*", default=[24, 96, 192], help="slices of whole volumes")
    parser.add_argument("--volume-examples", type=int, default=8, help="example volumes of a whole volume")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for width in given.width:
        print(a_slice(given, width), flush=True)
    spawn = multiprocessing.get_context("spawn")
    for slices in given.volumes:
        width = given.width[0]
        receiving, sending = spawn.Pipe(duplex=False)
        child = spawn.Process(target=a_volume, args=(given, width, slices, sending))
        child.start()
        found, beyond = receiving.recv()
        child.join()
        print(
            f"width {width}, one-way: a volume of {slices} slices with {given.volume_examples} example volumes "
            f"{format_seconds(found)}, {beyond:.0f} MB beyond inputs and output",
            flush=True,
        )


if __name__ == "__main__":
    main()
