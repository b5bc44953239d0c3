"""The tables of Medical Flow Matching at our scale: networks, methods, solvers and throughput, as Markdown.

    python Testing/Benchmarks/contrast.py networks --runs RUNS          # tables 1 to 4
    python Testing/Benchmarks/contrast.py solvers --run RUNS/flow-timeresnet   # table 5
    python Testing/Benchmarks/contrast.py axial --run RUN --plain RUN_2D       # with and without neighbouring slices
    python Testing/Benchmarks/contrast.py throughput --side 512 --slices 4
    python Testing/Benchmarks/contrast.py whole --shape 512 512 200

RUNS holds the folders of `synthreg train contrast`, each named METHOD-NETWORK, such as ddpm-timeresnet. Patients are
phantoms that no training draws and, with --native and --labels, the pseudo-contrast of a real native CT.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from SlicerSynthReg.contrast.config import SolverConfig
from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.contrast.pipeline import ConversionConfig, convert
from SlicerSynthReg.contrast.slice_network import SliceNetwork
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.metrics.ct_translation import SliceScores, slice_scores
from SlicerSynthReg.networks.slice_networks import SLICE_NETWORKS
from SlicerSynthReg.runtime import peak_memory_mb
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.synthesis.ct.phantom import PhantomConfig
from SlicerSynthReg.synthesis.ct.pseudo_contrast import PseudoContrastConfig, add_pseudo_contrast, draw_pseudo_contrast
from SlicerSynthReg.training.contrast import convert_pair
from SlicerSynthReg.training.contrast_command import load_best_contrast
from SlicerSynthReg.training.ct_pairs import PhantomSlices, SlicePair, axial_slice_pair

TEST_SEED = 2_000_000
"""Phantoms from this number on: neither trained on nor validated on."""
SOLVERS = (
    ("euler", 1), ("euler", 2), ("euler", 3), ("euler", 5), ("heun", 1), ("heun", 3), ("rk3", 1), ("rk4", 1),
    ("midpoint", 1), ("midpoint", 3), ("adams", 5), ("adams", 10), ("adaptive", 1),
)  # fmt: skip
NAMES = {"heun": "RK2", "rk3": "RK3", "rk4": "RK4", "midpoint": "Mid Point"}
"""As the paper has them, where they differ."""


@dataclass(frozen=True)
class Row:
    """Means over patients of one split. seconds: of a slice. nfe: network evaluations per slice."""

    scores: SliceScores
    seconds: float
    nfe: int


def measured(model: ContrastModel, patients: Sequence[SlicePair], target_phase: str, solver: SolverConfig) -> Row:
    found, seconds, slices, evaluations = [], 0.0, 0, 0
    for pair in patients:
        begun = time.perf_counter()
        image, evaluations = convert_pair(model, pair, target_phase, solver)
        seconds += time.perf_counter() - begun
        slices += len(image)
        found.append(slice_scores((pair.native if target_phase == "native" else pair.contrast).float(), image))
    return Row(mean_scores(found), seconds / slices, evaluations)


def mean_scores(found: Iterable[SliceScores]) -> SliceScores:
    rows = [dataclasses.astuple(one) for one in found]
    return SliceScores(*(sum(column) / len(rows) for column in zip(*rows)))


def untouched(patients: Sequence[SlicePair]) -> SliceScores:
    """Return the scores of the unconverted scan."""
    return mean_scores(slice_scores(pair.native.float(), pair.contrast.float()) for pair in patients)


def splits(given: argparse.Namespace) -> dict[str, list[SlicePair]]:
    phantoms = PhantomSlices(
        count=given.slices, phantom=PhantomConfig(zoom=(1.0, 1.0), shared_noise=given.shared_noise)
    )
    found = {"phantoms": [phantoms.make(TEST_SEED + n) for n in range(given.phantoms)]}
    if given.native:
        volume, labels = read_image(given.native), read_image(given.labels, "labels")
        record = draw_pseudo_contrast(PseudoContrastConfig(), torch.Generator().manual_seed(TEST_SEED))
        pair = axial_slice_pair(add_pseudo_contrast(volume.data[0], labels.data[0], volume.grid, record))
        middle = len(pair.native) // 2
        part = slice(max(0, middle - given.slices), middle + given.slices)
        found["pseudo-contrast"] = [SlicePair(pair.native[part], pair.contrast[part])]
    return found


def cells(scores: SliceScores) -> list[str]:
    return [f"{scores.mae_hu:.3f}", f"{scores.ssim:.4f}", f"{scores.psnr_db:.3f}"]


def all_cells(rows: Iterable[SliceScores]) -> list[str]:
    return [cell for scores in rows for cell in cells(scores)]


def line(*values: object) -> None:
    print("| " + " | ".join(map(str, values)) + " |", flush=True)


def head(*names: str) -> None:
    line(*names)
    line(*["---"] * len(names))


def measures(splits: Iterable[str]) -> list[str]:
    return [f"{measure} ({split})" for split in splits for measure in ("MAE", "SSIM", "PSNR")]


def networks(given: argparse.Namespace) -> None:
    patients = splits(given)
    runs = sorted(path for path in given.runs.iterdir() if (path / "best.pt").exists())
    for target_phase in ("native", "arterial"):
        print(f"\n### To {target_phase}, one Euler step ({given.ddpm_steps} steps of DDPM)\n")
        head("method-network", *measures(patients), "s a slice", "M parameters", "steps trained")
        line("input unchanged", *all_cells(untouched(one) for one in patients.values()), 0, 0, 0)
        for run in runs:
            method, _, network = run.name.partition("-")
            if network not in SLICE_NETWORKS or (method != "flow" and target_phase != "native"):
                continue
            model = load_best_contrast(run, ContrastConfig(method, SLICE_NETWORKS[network], given.neighbours))
            solver = SolverConfig("euler", given.ddpm_steps if method == "ddpm" else 1)
            rows = [measured(model, one, target_phase, solver) for one in patients.values()]
            size = sum(p.numel() for p in model.parameters()) / 1e6
            steps = torch.load(run / "best.pt", weights_only=True)["step"]
            scores = all_cells(row.scores for row in rows)
            line(run.name, *scores, f"{rows[0].seconds:.3f}", f"{size:.1f}", steps)


def solvers(given: argparse.Namespace) -> None:
    patients = splits(given)
    model = load_best_contrast(given.run, ContrastConfig("flow", SLICE_NETWORKS[given.network], given.neighbours))
    for target_phase in ("native", "arterial"):
        print(f"\n### Solvers, to {target_phase}\n")
        head("solver (steps)", *measures(patients), "s a slice", "NFE")
        for solver, steps in SOLVERS:
            rows = [measured(model, one, target_phase, SolverConfig(solver, steps)) for one in patients.values()]
            name = f"{NAMES.get(solver, solver.capitalize())} ({steps})"
            line(name, *all_cells(row.scores for row in rows), f"{rows[0].seconds:.3f}", rows[0].nfe)


def axial(given: argparse.Namespace) -> None:
    """Stripes in sagittal and coronal views: the error of the difference between neighbouring slices."""
    patients = splits(given)
    head("model", "target phase", "patients", "MAE", "slice-to-slice error, HU")
    for name, run, neighbours in (("2.5-D", given.run, given.neighbours), ("plain 2-D", given.plain, 0)):
        model = load_best_contrast(run, ContrastConfig("flow", SLICE_NETWORKS[given.network], neighbours))
        for target_phase in ("native", "arterial"):
            for split, one in patients.items():
                row = measured(model, one, target_phase, SolverConfig()).scores
                line(name, target_phase, split, f"{row.mae_hu:.3f}", f"{row.through_plane_hu:.3f}")


def throughput(given: argparse.Namespace) -> None:
    """Milliseconds a slice and evaluation, and on a graphics card what bfloat16 changes in HU."""
    device = torch.device(given.device)
    head("network", "side", "neighbours", "ms a slice and evaluation", "peak MB", "bf16 error, HU: mean", "largest")
    for name in given.networks:
        torch.manual_seed(0)
        model = ContrastModel(ContrastConfig("flow", SLICE_NETWORKS[name], given.neighbours)).eval()
        model.to(device, memory_format=torch.channels_last)
        x = torch.rand(given.slices, given.side, given.side, device=device) - 0.5
        whole, half = (SliceNetwork(model.net, given.neighbours, given.batch, half=one) for one in (False, True))
        quick = half if device.type == "cuda" else whole
        seconds = timed(partial(quick, x, 0.5), device)
        peak = torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else float("nan")
        error = 1000 * (half(x, 0.5) - whole(x, 0.5)).abs()
        each = f"{1000 * seconds / given.slices:.1f}"
        line(name, given.side, given.neighbours, each, f"{peak:.0f}", f"{error.mean():.3f}", f"{error.max():.3f}")


def whole(given: argparse.Namespace) -> None:
    """Seconds and memory of a whole volume, as `synthreg contrast` makes it (without reading, writing and pictures)."""
    hu = torch.full(given.shape, -1000.0)
    i, j, _ = given.shape
    hu[i // 12 : -i // 12, j // 6 : -j // 6] = 50.0
    grid = Grid(given.shape, np.diag([*given.spacing_mm, 1.0]))
    model = ContrastModel(ContrastConfig("flow", SLICE_NETWORKS[given.network], given.neighbours)).eval()
    model.to(given.device, memory_format=torch.channels_last)
    head("volume", "network", "pixels it sees", "solver", "cycle map", "seconds", "processor seconds", "peak MB")
    for solver, cycle in (("euler", False), ("heun", False), ("heun", True)):
        config = ConversionConfig("native", SolverConfig(solver), given.pixel_mm, cycle, half=given.device == "cuda")
        begun, cpu = time.perf_counter(), time.process_time()
        found = convert(model, Image(hu[None], grid), config)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        shape, pixels = (" x ".join(map(str, one)) for one in (given.shape, found.pixels))
        line(shape, given.network, pixels, solver, cycle, f"{seconds:.1f}", f"{cpu:.1f}", f"{peak_memory_mb():.0f}")


def timed(work: Callable[[], object], device: torch.device, repeats: int = 3) -> float:
    """Least of a few runs, after one that is not counted."""
    found = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begun)
    return min(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = parser.add_subparsers(required=True)
    for table in (networks, solvers, axial, throughput, whole):
        one = tables.add_parser(table.__name__)
        one.set_defaults(table=table)
        one.add_argument("--neighbours", type=int, default=0 if table is networks else 1)
        one.add_argument("--slices", type=int, default=8, help="of each patient")
        if table is whole:
            one.add_argument("--network", default="timeresnet", choices=list(SLICE_NETWORKS))
            one.add_argument("--shape", type=int, nargs=3, default=(512, 512, 200))
            one.add_argument("--spacing-mm", type=float, nargs=3, default=(0.75, 0.75, 2.0))
            one.add_argument("--pixel-mm", type=float, default=1.5, help="of the model")
            one.add_argument("--device", default="cpu")
            continue
        if table is throughput:
            one.add_argument("--networks", nargs="+", default=["timeresnet"], choices=list(SLICE_NETWORKS))
            one.add_argument("--side", type=int, default=512)
            one.add_argument("--batch", type=int, default=4)
            one.add_argument("--device", default="cpu")
            continue
        one.add_argument("--phantoms", type=int, default=6)
        one.add_argument("--shared-noise", type=float, default=0.0)
        one.add_argument("--native", type=Path, help="a real native CT")
        one.add_argument("--labels", type=Path, help="its organs, numbered as TotalSegmentator does")
        if table is networks:
            one.add_argument("--runs", type=Path, required=True)
            one.add_argument("--ddpm-steps", type=int, default=1000)
        else:
            one.add_argument("--run", type=Path, required=True)
            one.add_argument("--network", default="timeresnet", choices=list(SLICE_NETWORKS))
        if table is axial:
            one.add_argument("--plain", type=Path, required=True, help="training with --neighbours 0")
    given = parser.parse_args()
    given.table(given)


if __name__ == "__main__":
    main()
