"""Segmentation of real scans from 1, 3, 5, 10 examples: in context, fine-tuned, and from nothing at equal minutes.

Any folder of pairs (images/ and labels/) or table. Its last pairs are targets and are never examples; the first ones
are the examples. The JSON file keeps every result with its Dice by target: run the command again to go on.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

from results import add_save_option, save_table

from SlicerSynthReg.io.example_pairs import ExamplePaths, find_examples
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.training import finetuning, loop

METHODS = {"in-context": "auto", "network": "network", "patches": "patches", "finetune": "", "scratch": ""}
"""The parameter `predictor` of the in-context methods."""


def linked(pairs: list[ExamplePaths], folder: Path) -> Path:
    """images/ and labels/ of these pairs alone."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for pair in pairs:
        suffix = pair.output.name[pair.output.name.index(".") :]
        os.symlink(pair.inputs[0].absolute(), folder / "images" / f"{pair.name}{suffix}")
        os.symlink(pair.output.absolute(), folder / "labels" / f"{pair.name}{suffix}")
    return folder


def dice_of(report: dict) -> float:
    """Mean over the labels that the truth has."""
    return mean(value for value in report["accuracy"]["dice"].values() if value is not None and math.isfinite(value))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=Path, required=True, help="folder of pairs, or table")
    parser.add_argument("--targets", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 3, 5, 10])
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training")
    parser.add_argument("--processor", action="store_true", help="minutes of the processor: fair on a busy machine")
    parser.add_argument("--methods", nargs="+", default=["in-context", "finetune", "scratch"], choices=METHODS)
    parser.add_argument("--labels", default="", help="label values, with commas between them")
    parser.add_argument("--alignment", default="affine")
    parser.add_argument("--spacing-mm", type=float, default=None, help="voxels that all methods work at")
    parser.add_argument("--crop", type=int, default=64, help="voxels along an edge of what trainings see")
    parser.add_argument("--start", default="synthmorph-brains", help="features that fine-tuning starts from")
    parser.add_argument("--model", default=None, help="model for in-context prediction")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, required=True)
    add_save_option(parser)
    given = parser.parse_args()
    if given.processor:
        for trainer in (finetuning, loop):
            trainer.time = SimpleNamespace(monotonic=lambda: time.process_time() / given.threads)  # type: ignore
    pairs = find_examples(given.examples)
    known, targets = pairs[: -given.targets], pairs[-given.targets :]
    kept: dict[str, dict] = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else {}
    for method in given.methods:
        for size in given.sizes:
            name = f"{method} {min(size, len(known))}"
            if name not in kept:
                started = time.monotonic()
                with tempfile.TemporaryDirectory() as place:
                    each = scored(method, known[:size], targets, Path(place), given)
                each_second = round((time.monotonic() - started) / len(targets), 1)
                kept[name] = {"dice": round(mean(each.values()), 4), "seconds a target": each_second, "each": each}
                given.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            print(name, kept[name], flush=True)
    rows = [[name, one["dice"], one["seconds a target"]] for name, one in kept.items()]
    save_table(
        given,
        "Segmentation of real scans from examples",
        ["method and examples", "mean Dice", "seconds per target"],
        rows,
    )


def scored(
    method: str, known: list[ExamplePaths], targets: list[ExamplePaths], place: Path, given: argparse.Namespace
) -> dict[str, float]:
    """Mean Dice of each target."""
    folder = linked(known, place / "examples")
    threads = {"threads": given.threads, "device": "cpu"}
    trained = method in ("finetune", "scratch")
    if trained:
        os.environ["SYNTHREG_WEIGHTS"] = str(place / "models")
        start = given.start if method == "finetune" else "none"
        left_out = 1 if len(known) > 2 else 0
        how = {
            "model_name": "made",
            "pretrained_model": start,
            "minutes": given.minutes,
            "validation_cases": left_out,
            "patience": 0,
        }
        how |= {"labels": given.labels, "spacing_mm": given.spacing_mm, "crop_size": given.crop}
        run(Request("finetune", {"examples": str(folder)}, str(place / "trained"), {**how, **threads}))
    found = {}
    for target in targets:
        inputs = {"truth": str(target.output)}
        if trained:
            inputs |= {"image": str(target.inputs[0])}
            result = run(Request("segment", inputs, str(place / "result"), {"model": "made", **threads}))
        else:
            inputs |= {"examples": str(folder), "target": str(target.inputs[0])}
            how = {"model": given.model, "labels": given.labels, "alignment": given.alignment, "check_examples": False}
            how |= {"spacing_mm": given.spacing_mm, "predictor": METHODS[method]}
            result = run(Request("in-context", inputs, str(place / "result"), {**how, **threads}))
        found[target.name] = round(dice_of(result.report), 4)
        shutil.rmtree(place / "result")
    return found


if __name__ == "__main__":
    main()
