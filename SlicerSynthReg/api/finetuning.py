"""Fine-tuning of a segmentation model in memory: `fine_tune`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from SlicerSynthReg.api.examples import ExampleSet, ExamplesLike, as_examples
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.errors import FinishNow, RequestError
from SlicerSynthReg.finetuning.augmentation import AugmentationConfig
from SlicerSynthReg.finetuning.preparation import (
    NO_PRETRAINED_MODEL,
    AnnotatedVolume,
    PreparedExamples,
    fit_crop_size,
    initial_segmenter,
    prepare_examples,
)
from SlicerSynthReg.finetuning.segmenter import METHOD, SegmenterConfig
from SlicerSynthReg.io.example_images import ExamplePair
from SlicerSynthReg.parameters.examples import FineTuneParameters
from SlicerSynthReg.progress import Progress, ProgressMessage, message_values, no_progress
from SlicerSynthReg.report.curves import plot_training
from SlicerSynthReg.runtime import select_device
from SlicerSynthReg.training.finetuning import FineTuneConfig, FineTuneTask, minutes_spent, plan_training
from SlicerSynthReg.training.loop import LoopConfig, train
from SlicerSynthReg.weights.registry import FOLDER, Card, available, read_card, save_model, user_folder

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
RESUMABLE = ("device", "threads", "patience", "model_name")
"""Parameters that may change when an interrupted training resumes."""
LAST_LAYER_RATES = (("classes.", 5.0), ("net.head.", 5.0))
"""Factors on the learning rate of the last layers of a pretrained network."""


@dataclass(frozen=True)
class FineTuneReport:
    """One fine-tuning. scores: Dice of each label ("label_5") on the validation cases, "score" their mean; on the
    training cases if validation_cases is 0. finished_early: at the user's request."""

    model: str
    labels: tuple[int, ...]
    spacing_mm: float
    training_cases: int
    validation_cases: int
    steps: int
    scores: dict[str, float]
    pretrained_model: str
    finished_early: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FineTunedModel:
    """Result of `fine_tune`; the model itself is installed among the user's models. curve: PNG of loss and scores over
    steps. training_log, validation_log: CSV."""

    card: Card
    report: FineTuneReport
    curve: bytes
    training_log: bytes
    validation_log: bytes

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.report.warnings

    def save(self, folder: str | os.PathLike[str]) -> dict[str, str]:
        """Write card, curve and logs into `folder`; return output name -> file name. Raises OSError."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            "card": f"{self.card.name}.json",
            "curve": "training.png",
            "training_log": "training.csv",
            "validation_log": "validation.csv",
        }
        (folder / files["card"]).write_text(json.dumps(asdict(self.card), indent=2) + "\n", encoding="utf-8")
        for name in ("curve", "training_log", "validation_log"):
            (folder / files[name]).write_bytes(getattr(self, name))
        return files


def fine_tune(
    examples: ExamplesLike,
    *,
    parameters: FineTuneParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> FineTunedModel:
    """Fine-tune a segmentation model on a few annotated images and install it in the folder SYNTHREG_WEIGHTS.

    examples: folder, CSV table, or sequence of (image, label map). options: fields of FineTuneParameters. An
    interrupted training resumes from its checkpoints beside the user's models, if examples and parameters are the same.
    progress: receives a ProgressMessage after each step (step, of, loss) and validation (step, score); FinishNow ends
    the training with its best state. Raises RequestError, ImageError, WeightsError.
    """
    parameters = resolve_parameters(FineTuneParameters, parameters, options)
    device = select_device(parameters.device, parameters.threads).type
    models = _check_model_name(parameters.model_name)
    reporter = _Reporter(progress)
    reporter.report("reading the examples")
    source = as_examples(examples)
    pairs = source.read("labels")
    prepared = prepare_examples(pairs, parameters.labels, parameters.spacing_mm, parameters.missing_is_background)
    training, validation, warnings = _split(prepared.volumes, parameters.validation_cases)
    torch.manual_seed(0)
    model = initial_segmenter(parameters.pretrained_model, prepared.labels, prepared.mapping)
    augmentation = AugmentationConfig(crop_size=fit_crop_size(parameters.crop_size, prepared.volumes))
    config = FineTuneConfig(augmentation, parameters.batch_size)
    task = FineTuneTask(model, training, validation or training, config, device, reporter.step)
    folder = models / f"{parameters.model_name}.training"
    state = _train(task, folder, _training_key(parameters, pairs), parameters, reporter)
    card = _card(parameters, model.config, prepared, state["scores"], (len(training), len(validation)), source)
    save_model(card, state["model"], models)
    report = FineTuneReport(
        card.name,
        prepared.labels,
        prepared.spacing_mm,
        len(training),
        len(validation),
        state["step"],
        state["scores"],
        parameters.pretrained_model,
        reporter.finish,
        warnings,
    )
    curve = plot_training(folder).read_bytes()
    logs = [(folder / name).read_bytes() for name in ("training.csv", "validation.csv")]
    shutil.rmtree(folder)
    return FineTunedModel(read_card(card.name, models), report, curve, *logs)


def _train(
    task: FineTuneTask, folder: Path, key: str, parameters: FineTuneParameters, reporter: _Reporter
) -> dict[str, Any]:
    """Train within the time budget; return the best checkpoint (model, step, scores)."""
    plan = plan_training(folder, key, task, parameters.minutes)
    reporter.steps, task.bfloat16 = plan.steps, plan.bfloat16
    pretrained = parameters.pretrained_model != NO_PRETRAINED_MODEL
    loop = LoopConfig(
        str(folder),
        plan.steps,
        max(0.02, parameters.minutes - minutes_spent(folder)),
        parameters.learning_rate,
        ema_decay=0.98,  # short trainings: a longer average would still hold the first steps at the end
        validate_every=max(1, plan.steps // plan.validations),
        warmup_steps=min(20, max(1, plan.steps // 10)),
        patience=parameters.patience,
        rate_factors=LAST_LAYER_RATES if pretrained else (),
        schedule_minutes=parameters.minutes,
    )
    best = train(task, loop, reporter.validation, lambda: reporter.finish)
    return torch.load(best, weights_only=True, map_location="cpu")


def _split(
    volumes: Sequence[AnnotatedVolume], validation_cases: int
) -> tuple[Sequence[AnnotatedVolume], Sequence[AnnotatedVolume], tuple[str, ...]]:
    """Return training cases, validation cases (the last ones; none if there are too few), and warnings."""
    if validation_cases and len(volumes) > validation_cases:
        return volumes[:-validation_cases], volumes[-validation_cases:], ()
    reason = f", too few for {validation_cases} validation cases" if validation_cases else ", no validation cases"
    found = f"Found {len(volumes)} example{'s' * (len(volumes) != 1)}{reason}: the scores are of the training cases."
    return volumes, (), (found,)


def _check_model_name(name: str) -> Path:
    """Return the folder of the user's models. Raises RequestError (codes "no-model-folder", "model-name")."""
    folder = user_folder()
    if folder is None:
        raise RequestError(
            "Found no folder for models of your own, expected one in the environment variable SYNTHREG_WEIGHTS. Set it "
            "to a folder that you may write to, and start again.",
            code="no-model-folder",
        )
    if not NAME.fullmatch(name):
        raise RequestError(
            f"Found the name {name!r}, expected letters, digits and . _ - only. Choose another name.",
            code="model-name",
        )
    if name in available(FOLDER):
        raise RequestError(
            f"Found that {name} is a model that ships with SynthReg, expected a new name. Choose another name.",
            code="model-name",
        )
    return folder


def _training_key(parameters: FineTuneParameters, pairs: Sequence[ExamplePair]) -> str:
    """Return a hash of the images and of the parameters that make old checkpoints useless; file names do not count."""
    digest = hashlib.blake2b(digest_size=16)
    values = {name: value for name, value in asdict(parameters).items() if name not in RESUMABLE}
    digest.update(json.dumps(values, sort_keys=True).encode())
    for pair in pairs:
        for image in (*pair.inputs, pair.output):
            digest.update(str((image.data.dtype, tuple(image.data.shape))).encode())
            digest.update(image.data.cpu().numpy().tobytes())
            digest.update(image.grid.affine.tobytes())
    return digest.hexdigest()


class _Reporter:
    """Reports steps and validations as progress. steps: of the whole training, 0 while it is being planned. finish:
    whether the user wants the training to end."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.steps, self.fraction, self.finish = progress, 0, 0.0, False
        self.step: Callable[[int, float], None] = self._step

    def _step(self, step: int, loss: float) -> None:
        if self.steps:
            self.fraction = 0.02 + 0.95 * (step + 1) / self.steps
            text = f"step {step + 1} of {self.steps}, loss {loss:.3f}"
            self.report(ProgressMessage(text, {"step": step + 1, "of": self.steps, "loss": loss}))

    def validation(self, message: str) -> None:
        """Report a message of the training loop that carries a score."""
        values = message_values(message)
        if "score" in values:
            text = f"validation at step {values['step']}, score {values['score']:.3f}"
            self.report(ProgressMessage(text, {"step": values["step"], "score": values["score"]}))

    def report(self, text: str) -> None:
        try:
            self.progress(self.fraction, text)
        except FinishNow:
            self.finish = True


def _card(
    parameters: FineTuneParameters,
    config: SegmenterConfig,
    prepared: PreparedExamples,
    scores: dict[str, float],
    cases: tuple[int, int],
    source: ExampleSet,
) -> Card:
    """Return the card of the new model. cases: number of training and validation cases."""
    training, validation = cases
    names = source.label_names
    return Card(
        name=parameters.model_name,
        method=METHOD,
        architecture=config.to_card(),
        sha256="",
        licence="the user's own",
        training_data=f"{training} annotated volumes of the user's own",
        intended_use="Segmentation of scans of the same kind, for research; not for diagnosis.",
        limits="Trained on few volumes: scans of another kind or anatomy give wrong results without warning.",
        spacing_mm=prepared.spacing_mm,
        modalities="as the training volumes",
        trained_with=f"synthreg finetune, {parameters.minutes:g} minutes from {parameters.pretrained_model}",
        scores={f"Dice, {'validation cases' if validation else 'training cases'}": scores},
        measured_with="synthreg finetune",
        synthetic_training_only=False,
        legend={str(value): asdict(names[value]) for value in config.labels if value in names},
    )
