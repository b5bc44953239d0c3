"""Segmentation of real scans from 1, 3, 5, 10 examples: in context, fine-tuned, and from nothing at equal minutes.

Any folder of pairs (images/ and labels/). The last pairs by name are targets and are never examples.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path
from statistics import mean

from SlicerSynthReg.request import Request
from SlicerSynthReg.run import run
from SlicerSynthReg.tasks.context_pairs import PairPaths, find_pairs


def linked(pairs: list[PairPaths], folder: Path) -> Path:
    """images/ and labels/ of these pairs alone."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for pair in pairs:
        suffix = pair.output.name[pair.output.name.index(".") :]
        os.symlink(pair.inputs[0].absolute(), folder / "images" / f"{pair.name}{suffix}")
        os.symlink(pair.output.absolute(), folder / "labels" / f"{pair.name}{suffix}")
    return folder


def dice_of(report: dict) -> float:
    return mean(report["dice"].values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=Path, required=True, help="folder of pairs, or table")
    parser.add_argument("--targets", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 3, 5, 10])
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training")
    parser.add_argument("--methods", nargs="+", default=["context", "finetune", "scratch"])
    parser.add_argument("--labels", default="", help="label values, with commas between them")
    parser.add_argument("--alignment", default="affine", choices=("affine", "header", "centre"))
    parser.add_argument("--start", default="synthmorph-brains", help="features that fine-tuning starts from")
    parser.add_argument("--model", default=None, help="of the tasks given by examples")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    pairs = find_pairs(given.examples)
    known, targets = pairs[: -given.targets], pairs[-given.targets :]
    rows = []
    for size in given.sizes:
        row: dict = {"examples": size}
        for method in given.methods:
            with tempfile.TemporaryDirectory() as place:
                scores = scored(method, known[:size], targets, Path(place), given)
            row[method] = round(mean(scores), 4)
        rows.append(row)
        print(row, flush=True)
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def scored(
    method: str, known: list[PairPaths], targets: list[PairPaths], place: Path, given: argparse.Namespace
) -> list[float]:
    """Mean Dice of each target."""
    folder = linked(known, place / "examples")
    threads = {"threads": given.threads, "device": "cpu"}
    if method != "context":
        os.environ["SYNTHREG_WEIGHTS"] = str(place / "models")
        start = given.start if method == "finetune" else "none"
        left_out = 1 if len(known) > 2 else 0
        how = {"name": "made", "start": start, "minutes": given.minutes, "left_out": left_out, "labels": given.labels}
        run(Request("finetune", {"examples": str(folder)}, str(place / "trained"), {**how, **threads}))
    found = []
    for target in targets:
        inputs = {"truth": str(target.output)}
        if method == "context":
            inputs |= {"examples": str(folder), "target": str(target.inputs[0])}
            how = {"model": given.model, "labels": given.labels, "alignment": given.alignment, "check_examples": False}
            result = run(Request("context", inputs, str(place / "answer"), {**how, **threads}))
        else:
            inputs |= {"image": str(target.inputs[0])}
            result = run(Request("segment", inputs, str(place / "answer"), {"model": "made", **threads}))
        found.append(dice_of(result.report))
        shutil.rmtree(place / "answer")
    return found


if __name__ == "__main__":
    main()
