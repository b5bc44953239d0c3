"""Registration beyond the brain: our method and its peers on the same pairs, in the same run.

As in `registration.py` every registration is a process of its own, from the raw headers to the last file, and peers'
results are kept. The transform itself is scored: peers warp images of the moving world's coordinates, ours is read from
its file by ITK; both map the given points of the fixed image.

Example
-------
``python Testing/Benchmarks/any_anatomy.py --peer-python PEERS/bin/python --json any.json``
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from any_pairs import KINDS, LPS_TO_RAS, Case, any_cases, read_points, write_once
from registration import OURS, PEERS, USUAL, PeerFailed, ProcessResult, dice_by_structure, peer_options, run_measured
from results import add_save_option, save_rich_tables
from rich.console import Console
from rich.table import Table
from scipy.ndimage import map_coordinates

HEADERS = "headers only"
"""The row of a table without registration."""


@dataclass(frozen=True)
class Score:
    """One registration as measured; None where its case has no reference. tre_90: 90th percentile."""

    method: str
    case: str
    kind: str
    dice: float | None
    tre_mean: float | None
    tre_90: float | None
    seconds: float
    cpu_seconds: float
    peak_mb: float


def coordinate_images(moving: Path, folder: Path) -> list[Path]:
    """Write x, y, z (RAS mm) of the moving world as images that extend 150 mm beyond `moving`; linear interpolation of
    them is exact at any spacing."""
    image = nib.Nifti1Image.from_filename(moving)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.shape[:3]])).reshape(3, 8).T
    world = corners @ image.affine[:3, :3].T + image.affine[:3, 3]
    low, high = world.min(0) - 150, world.max(0) + 150
    shape = np.ceil((high - low) / 10).astype(int) + 1
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = low
    axes = np.indices(shape).astype(np.float32) * 10 + low[:, None, None, None].astype(np.float32)
    files = [folder / f"{name}.nii.gz" for name in "xyz"]
    for file, values in zip(files, axes):
        write_once(file, lambda path, values=values: nib.save(nib.Nifti1Image(values, affine), path))
    return files


def map_by_images(points: np.ndarray, moved: list[Path]) -> np.ndarray:
    """Map fixed points (N, 3) by the moved coordinate images."""
    image = nib.Nifti1Image.from_filename(moved[0])
    index = np.linalg.solve(image.affine[:3, :3], (points - image.affine[:3, 3]).T)
    values = (np.asarray(nib.Nifti1Image.from_filename(one).dataobj, dtype=np.float32) for one in moved)
    return np.stack([map_coordinates(one, index, order=1, mode="nearest") for one in values], 1)


def map_by_file(points: np.ndarray, transform: Path) -> np.ndarray:
    """Map fixed points (N, 3) by ITK."""
    found = sitk.ReadTransform(str(transform))
    return np.array([found.TransformPoint((point * LPS_TO_RAS).tolist()) for point in points]) * LPS_TO_RAS


def measure(method: str, case: Case, given: argparse.Namespace) -> Score:
    """Register `case` by `method` in a process of its own and score its transform and labels."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        labels = folder / "moved_labels.nii.gz"
        moved = [folder / f"moved_{name}.nii.gz" for name in "xyz"]
        if method.startswith(OURS):
            arguments = [given.ours, "register", str(case.fixed), str(case.moving), "--out", str(folder / "out")]
            arguments += ["--anatomy", case.preset, *given.options]
            arguments += ["--moving-labels", str(case.moving_labels)] if case.moving_labels else []
            labels = folder / "out" / labels.name
        else:
            script = Path(__file__).parent / "peers" / PEERS[method]
            arguments = [given.peer_python, str(script), "--fixed", str(case.fixed), "--moving", str(case.moving)]
            arguments += peer_options(method, given.ours)
            if case.points:
                values = coordinate_images(case.moving, folder)
                arguments += ["--values", *map(str, values), "--values-out", *map(str, moved)]
            arguments += ["--labels", str(case.moving_labels), "--out", str(labels)] if case.moving_labels else []
        ended = run_measured(arguments, given.threads, folder / "log.txt")
        if ended.code != 0:
            raise PeerFailed(f"{method} on {case.name}: {(folder / 'log.txt').read_text(errors='replace')[-1500:]}")
        errors = None
        if case.points:
            fixed, truth = read_points(case.points)
            ours = method.startswith(OURS)
            there = map_by_file(fixed, folder / "out" / "forward.h5") if ours else map_by_images(fixed, moved)
            errors = np.linalg.norm(there - truth, axis=1)
        return make_score(method, case, labels, errors, ended)


def make_score(method: str, case: Case, labels: Path, errors: np.ndarray | None, ended: ProcessResult) -> Score:
    """Return the score of a case. labels: moved labels, if the case has any. errors: (N,) mm at its points."""
    dice = None
    if case.fixed_labels and case.moving_labels:
        dice = mean(dice_by_structure(labels, case.fixed_labels, case.moving_labels).values())
    tre = (None, None) if errors is None else (float(errors.mean()), float(np.percentile(errors, 90)))
    return Score(method, case.name, case.kind, dice, *tre, ended.seconds, ended.cpu_seconds, ended.peak_mb)


def score_headers(case: Case) -> Score:
    """Return the score before registration."""
    dice = tre = tre_90 = None
    if case.fixed_labels and case.moving_labels:
        images = sitk.ReadImage(str(case.moving_labels)), sitk.ReadImage(str(case.fixed_labels))
        with tempfile.TemporaryDirectory() as scratch:
            there = Path(scratch) / "labels.nii.gz"
            sitk.WriteImage(sitk.Resample(*images, sitk.Transform(), sitk.sitkNearestNeighbor), str(there))
            dice = mean(dice_by_structure(there, case.fixed_labels, case.moving_labels).values())
    if case.points:
        fixed, truth = read_points(case.points)
        errors = np.linalg.norm(fixed - truth, axis=1)
        tre, tre_90 = float(errors.mean()), float(np.percentile(errors, 90))
    return Score(HEADERS, case.name, case.kind, dice, tre, tre_90, 0.0, 0.0, 0.0)


def print_tables(console: Console, scores: list[Score], each: bool) -> list[Table]:
    """Print and return one table per kind; with `each`, one line per case as well."""
    tables = []
    for kind in KINDS:
        rows = [score for score in scores if score.kind == kind]
        if not rows:
            continue
        table = Table(
            "method", "cases", "Dice", "worst", "TRE mm", "90 % mm", "worst", "s", "CPU s", "peak MB", title=kind
        )
        for method in dict.fromkeys(score.method for score in rows):
            of_method = [score for score in rows if score.method == method]
            table.add_row(method, str(len(of_method)), *summary(of_method))
            if each:
                for score in of_method:
                    table.add_row(f"  {score.case}", "", *summary([score]))
        console.print(table)
        tables.append(table)
    return tables


def summary(scores: list[Score]) -> list[str]:
    dice = [score.dice for score in scores if score.dice is not None]
    tre = [score.tre_mean for score in scores if score.tre_mean is not None]
    nine = [score.tre_90 for score in scores if score.tre_90 is not None]
    return [
        *((f"{mean(dice):.3f}", f"{min(dice):.3f}") if dice else ("", "")),
        *((f"{mean(tre):.2f}", f"{mean(nine):.2f}", f"{max(tre):.2f}") if tre else ("", "", "")),
        *(f"{median(getattr(score, name) for score in scores):.0f}" for name in ("seconds", "cpu_seconds")),
        f"{max(score.peak_mb for score in scores):.0f}",
    ]


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=[OURS, *USUAL], help=f"{OURS}, {OURS}-NAME, {', '.join(PEERS)}")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--cases", nargs="+", help="only these")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--ours", default=str(Path(sys.executable).with_name("synthreg")), help="our command")
    add_save_option(parser)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of our command, last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=Path("any-anatomy.json"), help="results, kept")
    parser.add_argument("--fresh", action="store_true", help="measure kept results again")
    parser.add_argument("--each", action="store_true", help="show every case")
    return parser.parse_args()


def main() -> None:
    """Run what is missing (ours always), then print the tables."""
    given, console = parsed_arguments(), Console()
    cases = [case for case in any_cases(given.json.resolve().parent / "any-derived") if case.kind in given.kinds]
    cases = [case for case in cases if not given.cases or case.name in given.cases]
    kept = [Score(**row) for row in json.loads(given.json.read_text())] if given.json.exists() else []
    scores = {(score.method, score.case): score for score in kept}
    for case in cases:
        scores[HEADERS, case.name] = score_headers(case)
        for method in given.methods:
            if (method, case.name) in scores and not method.startswith(OURS) and not given.fresh:
                continue
            try:
                scores[method, case.name] = measure(method, case, given)
            except (PeerFailed, OSError, ValueError) as error:
                scores.pop((method, case.name), None)
                console.print(f"failed: {error}", style="red", markup=False)
                continue
            given.json.with_name(f"{given.json.name}.partial").write_text(
                json.dumps([asdict(score) for score in scores.values()], indent=1)
            )
            os.replace(given.json.with_name(f"{given.json.name}.partial"), given.json)
            console.print(f"{case.name} {method}: {' '.join(summary([scores[method, case.name]]))}", markup=False)
    names = {case.name for case in cases}
    wanted = {HEADERS, *given.methods}
    shown = [score for score in scores.values() if score.case in names and score.method in wanted]
    save_rich_tables(given, "Registration beyond the brain", print_tables(console, shown, given.each))


if __name__ == "__main__":
    main()
