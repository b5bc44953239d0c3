"""Registration benchmark: our method and its peers on the same pairs, in the same run.

Every registration is a process of its own, from the raw headers to the moved labels, so wall time
includes start-up and reading and peak memory is that of the whole process. Methods take turns at
going first. Results of peers are kept in the JSON file and not measured again; ours is.

Example
-------
``python Testing/Benchmarks/registration.py --peer-python PEERS/bin/python --json results.json``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from pairs import KINDS, Pair, benchmark_pairs
from report import print_tables
from results import add_save_option, save_rich_tables
from rich.console import Console

OURS = "synthreg"
PEERS = {
    "greedy": "greedy_ncc.py",
    "ants": "ants_syn.py",
    "elastix": "elastix_bspline.py",
    "convexadam": "convexadam_mind.py",
    "ants-features": "ants_features.py",
}
USUAL = ("greedy", "ants", "elastix", "convexadam")
"""Widely used methods; ants-features is ANTs on the features of our network."""
MIN_STRUCTURE_VOXELS = 60


@dataclass(frozen=True)
class Result:
    """One registration as measured. Dice is the mean over structures, `dice_by_structure` the rest."""

    method: str
    pair: str
    kind: str
    dice: float
    dice_by_structure: dict[str, float]
    seconds: float
    cpu_seconds: float
    peak_mb: float
    threads: int
    load_before: float


class PeerFailed(RuntimeError):
    """A registration process ended with an error or without its labels."""


def dice_by_structure(moved: Path, fixed: Path, moving: Path) -> dict[str, float]:
    """Dice of every structure with at least 60 voxels in `fixed` that `moving` has too.

    `moved` and `fixed` are label maps on one grid; `moving` are the labels before registration, so a
    structure that a registration moved out of the image scores 0 and is not left out.

    Raises
    ------
    ValueError
        When the moved labels are not on the grid of the fixed labels.
    """
    images = nib.Nifti1Image.from_filename(moved), nib.Nifti1Image.from_filename(fixed)
    if images[0].shape != images[1].shape or not np.allclose(images[0].affine, images[1].affine, atol=1e-2):
        raise ValueError(
            f"Found moved labels of shape {images[0].shape}, affine {images[0].affine.tolist()}; expected the grid "
            f"of the fixed labels, shape {images[1].shape}, affine {images[1].affine.tolist()}. The method must "
            "write its labels on the fixed grid."
        )
    a, b = (np.rint(np.asarray(image.dataobj)).astype(np.int64) for image in images)
    known = np.unique(np.asarray(nib.Nifti1Image.from_filename(moving).dataobj))
    size = int(max(a.max(), b.max())) + 1
    count_a, count_b, common = (np.bincount(x.ravel(), minlength=size) for x in (a, b, a[a == b]))
    return {
        str(label): float(2 * common[label] / (count_a[label] + count_b[label]))
        for label in np.flatnonzero(count_b >= MIN_STRUCTURE_VOXELS)
        if label != 0 and label in known
    }


def peer_options(method: str, ours: str) -> list[str]:
    """Return the options of a single peer."""
    return ["--synthreg", ours] if method == "ants-features" else []


def command(method: str, pair: Pair, given: argparse.Namespace, folder: Path) -> tuple[list[str], Path]:
    """Command line of `method` for `pair`, and the label file it is to write in `folder`."""
    images = ["--fixed", str(pair.fixed), "--moving", str(pair.moving)]
    moved = folder / "moved_labels.nii.gz"
    if method.startswith(OURS):
        ours = [given.ours, "register", str(pair.fixed), str(pair.moving), "--moving-labels", str(pair.moving_labels)]
        return [*ours, "--out", str(folder), *given.options], moved
    script = Path(__file__).parent / "peers" / PEERS[method]
    labels = ["--labels", str(pair.moving_labels), "--out", str(moved)]
    return [given.peer_python, str(script), *images, *labels, *peer_options(method, given.ours)], moved


@dataclass(frozen=True)
class ProcessResult:
    """Exit code, wall and processor seconds, and peak resident MB of a process."""

    code: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def run_measured(arguments: Sequence[str], threads: int, log: Path) -> ProcessResult:
    """Run a process to its end with at most `threads` threads, its output in `log`.

    The peak is the kernel's for the child alone; it cannot read lower than this process, whose pages
    the child holds for a moment at birth, which is why nothing heavy is imported here.
    """
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    environment = {**os.environ, **dict.fromkeys(limits, str(threads))}
    with log.open("wb") as output:
        begin = time.perf_counter()
        child = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
        seconds = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return ProcessResult(
        code=child.returncode,
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss * bytes_per_unit / 1e6,
    )


def measure(method: str, pair: Pair, given: argparse.Namespace) -> Result:
    """Register `pair` by `method` in a process of its own and score the labels it writes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        arguments, moved = command(method, pair, given, folder)
        log = folder / "log.txt"
        load_before = os.getloadavg()[0]
        ended = run_measured(arguments, given.threads, log)
        if ended.code != 0 or not moved.exists():
            tail = log.read_text(errors="replace")[-1500:]
            raise PeerFailed(f"{method} on {pair.name}: exit code {ended.code}, labels {moved.exists()}.\n{tail}")
        dice = dice_by_structure(moved, pair.fixed_labels, pair.moving_labels)
    return Result(
        method=method,
        pair=pair.name,
        kind=pair.kind,
        dice=float(np.mean(list(dice.values()))),
        dice_by_structure=dice,
        seconds=ended.seconds,
        cpu_seconds=ended.cpu_seconds,
        peak_mb=ended.peak_mb,
        threads=given.threads,
        load_before=load_before,
    )


def read_results(path: Path) -> list[Result]:
    """Results kept in `path`; none when the file does not exist."""
    return [Result(**row) for row in json.loads(path.read_text())] if path.exists() else []


def write_results(results: Sequence[Result], path: Path) -> None:
    """Write all results, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps([asdict(result) for result in results], indent=1))
    os.replace(partial, path)


def chosen_pairs(kinds: Sequence[str], per_kind: int, derived: Path) -> list[Pair]:
    """The first `per_kind` pairs of each kind."""
    everything = benchmark_pairs(derived)
    return [pair for kind in kinds for pair in [p for p in everything if p.kind == kind][:per_kind]]


def parsed_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=[OURS, *USUAL], help=f"{OURS}, {OURS}-NAME, {', '.join(PEERS)}")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--pairs", type=int, default=100, help="at most this many pairs of each kind")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--ours", default=str(Path(sys.executable).with_name("synthreg")), help="our command")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("registration-benchmark.json"), help="results, kept")
    parser.add_argument("--fresh", action="store_true", help="measure kept peers again")
    add_save_option(parser)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of our command, last")
    return parser.parse_args()


def main() -> None:
    """Run what is missing, then print the table of the chosen methods and pairs."""
    given, console = parsed_arguments(), Console()
    pairs = chosen_pairs(given.kinds, given.pairs, given.json.resolve().parent / "benchmark-derived")
    results = {(r.method, r.pair): r for r in read_results(given.json)}
    kept = set() if given.fresh else {key for key in results if not key[0].startswith(OURS)}
    for turn, pair in enumerate(pairs):
        first = turn % len(given.methods)
        for method in [*given.methods[first:], *given.methods[:first]]:
            if (method, pair.name) in kept and results[method, pair.name].threads == given.threads:
                continue
            try:
                result = measure(method, pair, given)
            except (PeerFailed, OSError, ValueError) as error:
                results.pop((method, pair.name), None)
                console.print(f"failed: {error}", style="red", markup=False)
                continue
            results[method, pair.name] = result
            write_results(list(results.values()), given.json)
            finished = f"Dice {result.dice:.3f}, {result.seconds:.1f} s, load {result.load_before:.1f}"
            console.print(f"{pair.name} {method}: {finished}", markup=False)
    names = {pair.name for pair in pairs}
    chosen = [r for r in results.values() if r.pair in names and r.method in given.methods]
    tables = print_tables(console, chosen, given.kinds, OURS)
    save_rich_tables(given, "Registration of brain MR between people", tables)


if __name__ == "__main__":
    main()
