"""Four segmenters' doubt on small annotated volumes with simulated annotators (thesis paper 4's figures).

Correlation of entropy with error; generalized energy distance for 1 to 16 samples; calibration; and whether picking the
cases to annotate by total entropy, its epistemic part or the samples' diversity beats picking them at random. Prints
two tables and draws the curves. The JSON file keeps what is measured: run the command again to go on.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from matplotlib.figure import Figure

from SlicerSynthReg.evaluate import uncertainty as measure
from SlicerSynthReg.methods.uncertainty.models import KINDS, Segmenter, UncertainConfig, build_segmenter
from SlicerSynthReg.methods.uncertainty.ranking import FINDING, RULES, CaseDoubt, ranked
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.synth.annotators import AnnotatorConfig, annotate, draw_annotations
from SlicerSynthReg.tasks.context_inputs import read_pairs
from SlicerSynthReg.tasks.context_pairs import find_pairs
from SlicerSynthReg.volume.intensity import unit_intensities

SIDE = 32
SAMPLES = 16


@dataclass(frozen=True, eq=False)
class Case:
    """image (1, 1, I, J, K), annotations (1, A, I, J, K) of whatever is labelled, truth (I, J, K)."""

    image: torch.Tensor
    annotations: torch.Tensor
    truth: torch.Tensor


def read_cases(folder: Path, annotators: int, most: int) -> list[Case]:
    """The middle SIDE^3 voxels about the labels of each pair, drawn by simulated annotators."""
    cases = []
    for n, pair in enumerate(read_pairs(find_pairs(folder)[:most], "labels")):
        mask = pair.output.data[0] != 0
        centre = mask.nonzero().float().mean(0).round().int().tolist()
        image = unit_intensities(pair.inputs[0].data[0])
        image, mask = (about(values, centre) for values in (image, mask.float()))
        truth = mask > 0.5
        drawn = annotate(truth, draw_annotations(AnnotatorConfig(), 1, n, annotators))
        cases.append(Case(image[None, None], drawn.long()[None], truth.long()))
    return cases


def about(values: torch.Tensor, centre: list[int]) -> torch.Tensor:
    """(SIDE, SIDE, SIDE) about a voxel, zero beyond the volume."""
    half = SIDE // 2
    padded = torch.nn.functional.pad(values[None], (half,) * 6)[0]
    i, j, k = centre
    return padded[i : i + SIDE, j : j + SIDE, k : k + SIDE]


def for_seconds(kind: str, seconds: float) -> Callable[[int], bool]:
    """Whether a training ends: after so long by the processor's own clock for each of its networks, the members of an
    ensemble; the U-Net, the prior and the posterior of the probabilistic one."""
    networks = {"ensemble": UncertainConfig().members, "probabilistic": 3}.get(kind, 1)
    until = time.process_time() + torch.get_num_threads() * networks * seconds
    return lambda step: time.process_time() >= until


def taught(kind: str, cases: list[Case], ended: Callable[[int], bool], seed: int) -> Segmenter:
    """Trained on mirrored cases, two at a time, until `ended` says so of the number of steps."""
    torch.manual_seed(seed)
    model = build_segmenter(UncertainConfig(kind, UNetConfig(1, 2, (12, 24, 48))))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    step = 0
    while not ended(step):
        generator = torch.Generator().manual_seed(step)
        picked = [cases[int(n)] for n in torch.randint(len(cases), (2,), generator=generator)]
        axes = [2 + a for a in range(3) if bool(torch.rand((), generator=generator) < 0.5)]
        image = torch.cat([case.image for case in picked]).flip(axes)
        annotations = torch.cat([case.annotations for case in picked]).flip(axes)
        loss = model.loss(image, annotations, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
    return model.eval()


def asked(model: Segmenter, case: Case) -> torch.Tensor:
    """(S, 2, I, J, K)."""
    with torch.inference_mode():
        return model.samples(case.image, SAMPLES, torch.Generator().manual_seed(0))[:, 0]


def figures(model: Segmenter, cases: list[Case]) -> dict[str, Any]:
    """Means over cases."""
    correlation, distances, errors, dices, spread = [], [], [], [], []
    for case in cases:
        samples = asked(model, case)
        found = samples.mean(0).argmax(0)
        correlation.append(measure.error_correlation(measure.doubt(samples).total, found, case.truth))
        masks = measure.masks_of(samples)
        distances.append(measure.energy_curve(case.annotations[0], masks))
        errors.append(measure.calibration(samples.mean(0), case.truth).error)
        spread.append(measure.diversity(masks))
        dices.append(2 * int((found & case.truth).sum()) / max(1, int(found.sum() + case.truth.sum())))
    known = [value for value in correlation if math.isfinite(value)]
    return {
        "Dice": round(mean(dices), 4),
        "correlation of entropy and error": round(mean(known), 4) if known else None,
        "energy distance by samples": {
            str(count): round(mean(values), 4) for count, values in zip(measure.ENERGY_COUNTS, zip(*distances))
        },
        "calibration error": round(mean(errors), 4),
        "diversity": round(mean(spread), 4),
    }


def picking(
    cases: list[Case],
    learned: Callable[[tuple[int, ...], int], tuple[Segmenter, float]],
    rule: str,
    given: argparse.Namespace,
    seed: int,
) -> list[float]:
    """Dice after each round in which `given.add` cases are added by `rule`, the first `given.first` being random.

    learned: the places of cases and a seed -> what was taught by them, and its Dice."""
    order = torch.randperm(len(cases), generator=torch.Generator().manual_seed(seed)).tolist()
    known, waiting = order[: given.first], order[given.first :]
    scores: list[float] = []
    while True:
        model, dice = learned(tuple(known), seed)
        scores.append(dice)
        if len(scores) == given.rounds:
            return scores
        doubts = {}
        for n in waiting:
            samples = asked(model, cases[n])
            doubt = measure.doubt(samples)
            apart = measure.diversity(measure.masks_of(samples))
            doubts[f"{n:04d}"] = CaseDoubt(float(doubt.total.sum()), float(doubt.epistemic.sum()), apart)
        picked = [int(name) for name in ranked(doubts, rule, seed)[: given.add]]
        known, waiting = known + picked, [n for n in waiting if n not in picked]


def tables(rows: dict[str, Any], rules: dict[str, list[float]]) -> str:
    """Markdown: a line a segmenter, and a line a rule."""
    counts = [str(count) for count in measure.ENERGY_COUNTS]
    columns = ["Dice", "correlation of entropy and error", "calibration error", "diversity"]
    lines = ["| segmenter | " + " | ".join([*columns, *(f"D2, {count} samples" for count in counts)]) + " |"]
    lines.append("|---" * (1 + len(columns) + len(counts)) + "|")
    for kind in [kind for kind in KINDS if kind in rows]:
        values = [rows[kind][column] for column in columns] + [
            rows[kind]["energy distance by samples"][count] for count in counts
        ]
        lines.append(f"| {kind} | " + " | ".join("-" if value is None else f"{value:.3f}" for value in values) + " |")
    if rules:
        rounds = len(next(iter(rules.values())))
        lines += ["", "| picked by | " + " | ".join(f"Dice, round {n + 1}" for n in range(rounds)) + " |"]
        lines.append("|---" * (1 + rounds) + "|")
        lines += [
            f"| {rule} | " + " | ".join(f"{value:.3f}" for value in values) + " |" for rule, values in rules.items()
        ]
    return "\n".join(lines)


def curves(rows: dict[str, Any], rules: dict[str, list[float]], given: argparse.Namespace) -> Figure:
    """Energy distance by samples, how far entropy tells errors, and Dice by the number of cases annotated."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    energy, telling, picked = figure.subplots(1, 3)
    kinds = [kind for kind in KINDS if kind in rows]
    for kind in kinds:
        values = list(rows[kind]["energy distance by samples"].values())
        energy.plot(measure.ENERGY_COUNTS, values, marker="o", label=kind)
    energy.set(title="Generalized energy distance", xlabel="samples", xscale="log", ylim=(0, None))
    energy.set_xticks(measure.ENERGY_COUNTS, [str(count) for count in measure.ENERGY_COUNTS])
    energy.minorticks_off()
    energy.legend()
    telling.bar(kinds, [rows[kind]["correlation of entropy and error"] or 0 for kind in kinds])
    telling.set(title="Correlation of entropy and error", ylim=(0, 1))
    for rule, values in rules.items():
        picked.plot([given.first + n * given.add for n in range(len(values))], values, marker="o", label=rule)
    picked.set(title="Dice, cases picked by", xlabel="annotated cases")
    picked.set_visible(bool(rules))
    if rules:
        picked.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=Path, required=True, help="folder of pairs of small volumes")
    parser.add_argument("--most", type=int, default=40)
    parser.add_argument("--test", type=int, default=10, help="so many, the last, are not trained on")
    parser.add_argument("--annotators", type=int, default=4)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seconds", type=float, default=60.0, help="of training, each network")
    parser.add_argument("--steps-picking", type=int, default=600, help="of each training between two picks")
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=RULES)
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--add", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--picture", type=Path, default=None, help="PNG of the curves")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cases = read_cases(given.examples, given.annotators, given.most)
    known, test = cases[: -given.test], cases[-given.test :]
    rows: dict[str, Any] = {"finding of the paper": FINDING}
    if given.json.exists():
        rows = json.loads(given.json.read_text(encoding="utf-8"))

    def kept(name: str, measured: Callable[[], object]) -> None:
        if name not in rows:
            rows[name] = measured()
            given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(name, rows[name], flush=True)

    for kind in given.kinds:
        kept(kind, lambda kind=kind: figures(taught(kind, known, for_seconds(kind, given.seconds), 0), test))

    @cache
    def learned(places: tuple[int, ...], seed: int) -> tuple[Segmenter, float]:
        model = taught("dropout", [known[n] for n in places], lambda step: step == given.steps_picking, seed)
        return model, float(figures(model, test)["Dice"])

    for seed in range(given.repeats):
        for rule in given.rules:
            name = f"Dice by round, picked by {rule}, start {seed}"
            kept(name, lambda rule=rule, seed=seed: picking(known, learned, rule, given, seed))
    rules = {rule: [values for name, values in rows.items() if f" picked by {rule}," in name] for rule in RULES}
    means = {rule: [mean(each) for each in zip(*found)] for rule, found in rules.items() if found}
    print(tables(rows, means))
    if given.picture:
        curves(rows, means, given).savefig(given.picture, dpi=110)


if __name__ == "__main__":
    main()
