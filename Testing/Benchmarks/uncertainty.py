"""Uncertainty of four segmentation models on small volumes with simulated annotators (figures of thesis paper 4).

Correlation of entropy with error; generalised energy distance for 1 to 16 samples; calibration; and whether selecting
the cases to annotate by total entropy, epistemic entropy or sample diversity beats random selection. Prints two tables
and draws the curves. The JSON file keeps the measurements: an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from matplotlib.figure import Figure

from SlicerSynthReg.io.example_images import read_examples
from SlicerSynthReg.io.example_pairs import find_examples
from SlicerSynthReg.metrics import uncertainty as measure
from SlicerSynthReg.metrics.case_ranking import FINDING, RULES, CaseUncertainty, rank_cases
from SlicerSynthReg.metrics.overlap import dice
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.spatial.intensity import rescale_intensity
from SlicerSynthReg.synthesis.annotators import AnnotatorConfig, annotate, draw_annotations
from SlicerSynthReg.uncertainty.segmenters import KINDS, ProbabilisticConfig, ProbabilisticSegmenter, build_segmenter

SIDE = 32
SAMPLES = 16


@dataclass(frozen=True, eq=False)
class Case:
    """image (1, 1, I, J, K), annotations (1, A, I, J, K) of whatever is labelled, truth (I, J, K)."""

    image: torch.Tensor
    annotations: torch.Tensor
    truth: torch.Tensor


def read_cases(folder: Path, annotators: int, most: int) -> list[Case]:
    """Return the central SIDE^3 voxels about the labels of each example, with simulated annotations."""
    cases = []
    for n, pair in enumerate(read_examples(find_examples(folder)[:most], "labels")):
        mask = pair.output.data[0] != 0
        centre = mask.nonzero().float().mean(0).round().int().tolist()
        image = rescale_intensity(pair.inputs[0].data[0])
        image, mask = (crop_about(values, centre) for values in (image, mask.float()))
        truth = mask > 0.5
        annotations = annotate(truth, draw_annotations(AnnotatorConfig(), 1, n, annotators))
        cases.append(Case(image[None, None], annotations.long()[None], truth.long()))
    return cases


def crop_about(values: torch.Tensor, centre: list[int]) -> torch.Tensor:
    """(SIDE, SIDE, SIDE) about a voxel, zero beyond the volume."""
    half = SIDE // 2
    padded = torch.nn.functional.pad(values[None], (half,) * 6)[0]
    i, j, k = centre
    return padded[i : i + SIDE, j : j + SIDE, k : k + SIDE]


def time_limit(kind: str, seconds: float) -> Callable[[int], bool]:
    """Whether a training ends: after so long by the processor's own clock for each of its networks, the members of an
    ensemble; the U-Net, the prior and the posterior of the probabilistic one."""
    networks = {"ensemble": ProbabilisticConfig().members, "probabilistic": 3}.get(kind, 1)
    until = time.process_time() + torch.get_num_threads() * networks * seconds
    return lambda step: time.process_time() >= until


def train_model(kind: str, cases: list[Case], ended: Callable[[int], bool], seed: int) -> ProbabilisticSegmenter:
    """Trained on mirrored cases, two at a time, until `ended` says so of the number of steps."""
    torch.manual_seed(seed)
    model = build_segmenter(ProbabilisticConfig(kind, UNetConfig(1, 2, (12, 24, 48))))
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


def draw_samples(model: ProbabilisticSegmenter, case: Case) -> torch.Tensor:
    """(S, 2, I, J, K)."""
    with torch.inference_mode():
        return model.samples(case.image, SAMPLES, torch.Generator().manual_seed(0))[:, 0]


def figures(model: ProbabilisticSegmenter, cases: list[Case]) -> dict[str, Any]:
    """Means over cases."""
    correlation, distances, errors, dices, spread = [], [], [], [], []
    for case in cases:
        samples = draw_samples(model, case)
        found = samples.mean(0).argmax(0)
        correlation.append(measure.error_correlation(measure.decompose_entropy(samples).total, found, case.truth))
        masks = measure.argmax_masks(samples)
        distances.append(measure.energy_distance_curve(case.annotations[0], masks))
        errors.append(measure.calibration(samples.mean(0), case.truth).error)
        spread.append(measure.sample_diversity(masks))
        dices.append(dice(found, case.truth, empty=0.0))
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


def active_learning(
    cases: list[Case],
    learned: Callable[[tuple[int, ...], int], tuple[ProbabilisticSegmenter, float]],
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
        uncertainties = {}
        for n in waiting:
            samples = draw_samples(model, cases[n])
            entropies = measure.decompose_entropy(samples)
            apart = measure.sample_diversity(measure.argmax_masks(samples))
            uncertainties[f"{n:04d}"] = CaseUncertainty(
                float(entropies.total.sum()), float(entropies.epistemic.sum()), apart
            )
        selected = [int(name) for name in rank_cases(uncertainties, rule, seed)[: given.add]]
        known, waiting = known + selected, [n for n in waiting if n not in selected]


def tables(rows: dict[str, Any], rules: dict[str, list[float]]) -> str:
    """Return Markdown tables: a row per model, and a row per rule."""
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
        lines += ["", "| selected by | " + " | ".join(f"Dice, round {n + 1}" for n in range(rounds)) + " |"]
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
    picked.set(title="Dice, cases selected by", xlabel="annotated cases")
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
    parser.add_argument("--steps-selection", type=int, default=600, help="of each training between two selections")
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

    def store(name: str, measured: Callable[[], object]) -> None:
        if name not in rows:
            rows[name] = measured()
            given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(name, rows[name], flush=True)

    def measure_kind(kind: str) -> dict[str, Any]:
        return figures(train_model(kind, known, time_limit(kind, given.seconds), 0), test)

    for kind in given.kinds:
        store(kind, partial(measure_kind, kind))

    @cache
    def learned(places: tuple[int, ...], seed: int) -> tuple[ProbabilisticSegmenter, float]:
        model = train_model("dropout", [known[n] for n in places], lambda step: step == given.steps_selection, seed)
        return model, float(figures(model, test)["Dice"])

    for seed in range(given.repeats):
        for rule in given.rules:
            name = f"Dice by round, selected by {rule}, start {seed}"
            store(name, partial(active_learning, known, learned, rule, given, seed))
    rules = {rule: [values for name, values in rows.items() if f" selected by {rule}," in name] for rule in RULES}
    means = {rule: [mean(each) for each in zip(*found)] for rule, found in rules.items() if found}
    print(tables(rows, means))
    if given.picture:
        curves(rows, means, given).savefig(given.picture, dpi=110)


if __name__ == "__main__":
    main()
