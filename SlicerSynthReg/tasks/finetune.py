"""The finetune task: a few annotated volumes in, a segmentation model of the user's own out.

Checkpoints lie beside the user's models until the training is whole, so that one that was stopped goes on. Every step
and every check of the volumes left out is told as progress with its figures: step, of and loss, or step and score. Who
answers it with FinishNow gets the best state so far.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from SlicerSynthReg.methods.finetune.augment import AugmentConfig
from SlicerSynthReg.methods.finetune.model import METHOD, FineTuned, FineTunedConfig
from SlicerSynthReg.report.curves import plot_training
from SlicerSynthReg.request import (
    Figured,
    FinishNow,
    Progress,
    Request,
    RequestError,
    TaskOutcome,
    figures_of,
    fingerprint,
)
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.voting import resample_labels
from SlicerSynthReg.tasks.context_inputs import Pair, not_drawn, read_pairs, wanted_labels
from SlicerSynthReg.tasks.context_pairs import LabelName, PairPaths, find_pairs, read_legend
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.finetune_parameters import FineTuneParameters
from SlicerSynthReg.tasks.finetune_plan import minutes_spent, plan_training
from SlicerSynthReg.train.finetune import Annotated, FineTuneConfig, FineTuneTask
from SlicerSynthReg.train.loop import LoopConfig, train
from SlicerSynthReg.volume.brightness import Brightness, brightness_of, raw
from SlicerSynthReg.weights.registry import FOLDER, Card, WeightsError, available, own_folder, read_card, save_model

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_SAME_TRAINING = ("device", "threads", "patience", "model_name")
"""Parameters that may change without a stopped training beginning anew."""
NOTHING = "none"
_FASTER = (("classes.", 5.0), ("net.head.", 5.0))
"""The last layers, beside features: these are to change little, and what is made of them much."""


def finetune_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Train, save the model where the user keeps models, and tell how well it does."""
    parameters = FineTuneParameters(**request.parameters)
    device = set_up(parameters).type
    models = _models_folder(parameters.model_name)
    told = _Told(progress)
    told.say("reading the examples")
    paths = find_pairs(Path(request.inputs["examples"]))
    pairs = read_pairs(paths, "labels")
    if any(len(pair.inputs) > 1 for pair in pairs):
        raise RequestError("Found examples with several images, expected one image each. Leave input2 and input3 out.")
    labels = wanted_labels(pairs, parameters.labels)
    spacing = parameters.spacing_mm or usual_spacing(pairs[0].inputs[0].grid.spacing)
    grids = [pair.inputs[0].grid.aligned_to_ras(spacing) for pair in pairs]
    seen = [raw(pair.inputs[0], grid)[0] for pair, grid in zip(pairs, grids)]
    brightness = brightness_of(seen)
    volumes = [
        annotated(brightness.of(image), grid, pair, labels, parameters.absent)
        for image, grid, pair in zip(seen, grids, pairs)
    ]
    known, left_out, warnings = _split(volumes, parameters.left_out)
    torch.manual_seed(0)
    model = start_model(parameters.start, labels, brightness)
    config = FineTuneConfig(AugmentConfig(side=crop_side(parameters.crop, volumes)), parameters.crops)
    folder = models / f"{parameters.model_name}.training"
    task = FineTuneTask(model, known, left_out, config, device, told.step)
    plan = plan_training(folder, _key(request, parameters, paths), task, parameters.minutes)
    told.steps, task.half = plan.steps, plan.half
    loop = LoopConfig(
        str(folder),
        plan.steps,
        max(0.02, parameters.minutes - minutes_spent(folder)),
        parameters.learning_rate,
        ema=0.98,  # trainings are short: a longer memory would still hold the first steps at their end
        validate_every=max(1, plan.steps // plan.checks),
        warmup=min(20, max(1, plan.steps // 10)),
        patience=parameters.patience,
        faster=() if parameters.start == NOTHING else _FASTER,
        whole_minutes=parameters.minutes,
    )
    best = train(task, loop, told.check, lambda: told.finish)
    state = torch.load(best, weights_only=True, map_location="cpu")
    legend = read_legend(Path(request.inputs["examples"]))
    card = _card(parameters, model.config, spacing, len(known), state["scores"], known is not left_out, legend)
    save_model(card, state["model"], models)
    outputs = {"card": f"{card.name}.json", "curve": "training.png", "log": "training.csv", "checks": "validation.csv"}
    shutil.copy(models / outputs["card"], workspace / outputs["card"])
    shutil.copy(plot_training(folder), workspace / outputs["curve"])
    for name in ("log", "checks"):
        shutil.copy(folder / outputs[name], workspace / outputs[name])
    report = {
        "model": card.name,
        "labels": list(labels),
        "spacing_mm": spacing,
        "trained_on": len(known),
        "left_out": len(left_out) if known is not left_out else 0,
        "steps": state["step"],
        "scores": state["scores"],
        "start": parameters.start,
        "finished_early": told.finish,
    }
    shutil.rmtree(folder)
    return TaskOutcome(outputs, report, warnings)


def annotated(image: torch.Tensor, grid: Grid, pair: Pair, labels: tuple[int, ...], absent: bool) -> Annotated:
    """An example's image, already on the grid, with its labels as class indices. absent: what it lacks is not there."""
    seen = resample_labels(pair.output.data[0], pair.output.grid, grid)
    classes = torch.zeros_like(seen, dtype=torch.uint8)
    for place, value in enumerate(labels, start=1):
        classes[seen == value] = place
    untold = frozenset(1 + labels.index(value) for value in not_drawn(pair, labels, absent))
    return Annotated(image, classes, untold)


def usual_spacing(voxel_mm: np.ndarray) -> float:
    """An edge, 1 to 4 mm, of cubes that show what these voxels do: as many of them, but thick slices' planes whole."""
    return float(np.clip(min(np.median(voxel_mm), np.prod(voxel_mm) ** (1 / 3)), 1.0, 4.0))


def crop_side(most: int, volumes: Sequence[Annotated]) -> int:
    """Voxels along an edge of the crops: `most`, or the multiple of 16 that covers the volumes along two of their axes;
    larger crops would hold much that lies beyond."""
    return min(most, 16 * math.ceil(max(sorted(one.image.shape)[1] for one in volumes) / 16))


def start_model(start: str, labels: tuple[int, ...], brightness: Brightness) -> FineTuned:
    """The network before its first step; start: a model with features, or "none". Raises RequestError."""
    if start == NOTHING:
        return FineTuned(FineTunedConfig(labels=labels, knots=brightness.knots))
    try:
        return FineTuned.from_features(read_card(start), labels, brightness.knots)
    except WeightsError as error:
        raise RequestError(f"{error} Or pass start none, to begin from nothing.") from error


def _split(volumes: list[Annotated], left_out: int) -> tuple[list[Annotated], list[Annotated], list[str]]:
    """(to learn from, to choose by, warnings)."""
    if left_out and len(volumes) > left_out:
        return volumes[:-left_out], volumes[-left_out:], []
    wish = f", too few to leave {left_out} out" if left_out else ", none left out"
    told = f"Found {len(volumes)} example{'s' * (len(volumes) != 1)}{wish}: the scores are of what was learned from."
    return volumes, volumes, [told]


def _models_folder(name: str) -> Path:
    folder = own_folder()
    if folder is None:
        raise RequestError(
            "Found no folder for models of your own, expected one in the environment variable SYNTHREG_WEIGHTS. Set it "
            "to a folder that you may write to, and start again."
        )
    if not _NAME.fullmatch(name):
        raise RequestError(f"Found the name {name!r}, expected letters, digits and . _ - only. Choose another.")
    if name in available(FOLDER):
        raise RequestError(f"Found that {name} is a model that ships with SynthReg, expected a new name.")
    return folder


def _key(request: Request, parameters: FineTuneParameters, paths: Sequence[PairPaths]) -> str:
    """Changes with whatever makes old checkpoints useless; a copy of the examples does not."""
    whole = replace(request, inputs={}, parameters=asdict(parameters))
    return fingerprint(whole, _SAME_TRAINING, files=[file for one in paths for file in (*one.inputs, one.output)])


class _Told:
    """Turns steps and checks into progress. steps: of the whole training, 0 while it is being planned. finish: whether
    the listener wants it to end with what it has."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.steps, self.share, self.finish = progress, 0, 0.0, False
        self.step: Callable[[int, float], None] = self._step

    def _step(self, step: int, loss: float) -> None:
        if self.steps:
            self.share = 0.02 + 0.95 * (step + 1) / self.steps
            words = f"step {step + 1} of {self.steps}, loss {loss:.3f}"
            self.say(Figured(words, {"step": step + 1, "of": self.steps, "loss": loss}))

    def check(self, text: str) -> None:
        """A word of the training loop."""
        found = figures_of(text)
        if "score" in found:
            words = f"step {found['step']} checked, score {found['score']:.3f}"
            self.say(Figured(words, {"step": found["step"], "score": found["score"]}))

    def say(self, what: str) -> None:
        try:
            self.progress(self.share, what)
        except FinishNow:
            self.finish = True


def _card(
    parameters: FineTuneParameters,
    config: FineTunedConfig,
    spacing: float,
    trained_on: int,
    scores: dict[str, float],
    apart: bool,
    legend: dict[int, LabelName],
) -> Card:
    judged = "volumes left out of training" if apart else "volumes that it was trained on"
    return Card(
        name=parameters.model_name,
        method=METHOD,
        architecture=config.to_card(),
        sha256="",
        licence="the user's own",
        training_data=f"{trained_on} annotated volumes of the user's own",
        intended_use="Segmentation of scans of the same kind, for research; not for diagnosis.",
        limits="Trained on few volumes: scans of another kind, or other anatomy, give results without warning.",
        spacing_mm=spacing,
        modalities="as the volumes it was trained on",
        trained_with=f"synthreg finetune, {parameters.minutes:g} minutes from {parameters.start}",
        scores={f"dice, {judged}": scores},
        measured_with="synthreg finetune",
        synthetic_training_only=False,
        legend={str(value): asdict(legend[value]) for value in config.labels if value in legend},
    )
