"""Seconds and memory of a 192 x 192 slice with 32 examples, and of whole volumes.

Both forms of the network: the paper's, whose examples pass through it anew for every slice, and the one-way form, whose
examples are encoded once. Weights do not change the time, so they are drawn at random. Volumes are answered as
`synthreg context` does at 1 mm (every other slice of an example is encoded), each size in a process of its own, of
which the memory beyond its inputs and its answer is told.
Processor seconds stand beside wall seconds: they remain comparable when the machine was busy.
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

from SlicerSynthReg.methods.neuralizer.examples import answer_volume
from SlicerSynthReg.methods.neuralizer.model import Neuralizer, NeuralizerConfig
from SlicerSynthReg.methods.neuralizer.readout import ReadoutConfig
from SlicerSynthReg.methods.neuralizer.slices import AskConfig, Example

Seconds = tuple[float, float]
"""Wall, and of the processor over all threads."""


def seconds(work: Callable[[], object], device: str, runs: int) -> Seconds:
    """Medians after one that is not counted; of that one, where there are no further `runs`."""
    wall, cpu = [], []
    for _ in range(runs + 1):
        started, used = time.perf_counter(), time.process_time()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    return median(wall[1:] or wall), median(cpu[1:] or cpu)


def told(found: Seconds) -> str:
    return f"{found[0]:.3f} s (processor {found[1]:.3f})"


def a_slice(given: argparse.Namespace, width: int) -> str:
    x = torch.rand(1, 3, given.side, given.side, device=given.device)
    context = torch.rand(1, given.examples, 4, given.side, given.side, device=given.device)
    paper, one_way = (network(width, form, given.device) for form in (False, True))
    with torch.inference_mode():
        whole = seconds(lambda: paper(x, context), given.device, given.runs)
        encoding = seconds(lambda: one_way.encode(context, at_once=4), given.device, given.runs)
        encoded = one_way.encode(context, at_once=4)
        answering = seconds(lambda: one_way.answer(x, encoded), given.device, given.runs)
    return (
        f"width {width}, {given.side} x {given.side}, {given.examples} examples: the paper's form {told(whole)} a "
        f"slice; one-way {told(encoding)} to encode, then {told(answering)} a slice"
    )


def a_volume(given: argparse.Namespace, width: int, slices: int, sending: object) -> None:
    """In a process of its own: sends what it found."""
    torch.set_num_threads(given.threads)
    model = network(width, True, given.device)
    shape = (1, given.side, given.side, slices)
    examples = [Example(torch.rand(shape), torch.ones(shape)) for _ in range(given.volume_examples)]
    x = torch.rand(shape)
    config = AskConfig(spread=1, apart=2, readout=ReadoutConfig())
    process = psutil.Process()
    with torch.inference_mode():
        before = process.memory_info().rss
        found = seconds(lambda: answer_volume(model, x, examples, config), given.device, 0)
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
            f"{told(found)}, {beyond:.0f} MB beyond its inputs and its answer",
            flush=True,
        )


if __name__ == "__main__":
    main()
