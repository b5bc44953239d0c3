"""Fine-tune a model in the worker: request, progress, result."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import JobSteps

from SlicerSynthReg.parameters.examples import FineTuneParameters
from SlicerSynthReg.request import Request, Result
from SynthContextLib.example_folder import Examples


@dataclass(frozen=True, eq=False)
class FineTunedModel:
    """name: of the installed model."""

    name: str
    report: dict[str, Any]
    warnings: list[str]


@dataclass(eq=False)
class TrainingProgress:
    """losses: (step, loss); scores: (step, mean validation Dice)."""

    losses: list[tuple[int, float]] = field(default_factory=list)
    scores: list[tuple[int, float]] = field(default_factory=list)
    steps: int = 0

    def hear(self, figures: Mapping[str, float]) -> bool:
        """Add the values of a progress message; return whether they belong to the training."""
        if "score" in figures:
            self.scores.append((figures["step"], figures["score"]))
        elif "of" in figures:
            self.losses.append((figures["step"], figures.get("loss", math.nan)))
            self.steps = figures["of"]
        return "step" in figures

    def summary_text(self) -> str:
        """Return one line."""
        if not self.losses:
            return _("Estimating the number of steps ...")
        step, loss = self.losses[-1]
        line = _("Step {step} of at most {steps}, loss {loss:.3f}").format(step=step, steps=self.steps, loss=loss)
        if self.scores:
            best = max(score for _step, score in self.scores)
            line += _("; validation Dice {last:.3f}, best {best:.3f}").format(last=self.scores[-1][1], best=best)
        return line


def finetuning_job(examples: Examples, parameters: FineTuneParameters) -> JobSteps:
    """Return the steps of a fine-tuning; its value is FineTunedModel."""
    folder = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))

    def prepare() -> Generator[None, None, Request]:
        yield
        inputs = {"examples": str(examples.folder)}
        return Request("finetune", inputs, str(folder / "result"), asdict(parameters))

    def load(result: Result) -> FineTunedModel:
        shutil.rmtree(folder, ignore_errors=True)
        return FineTunedModel(result.report["model"], result.report, result.warnings)

    def place(tuned: FineTunedModel) -> Generator[None, None, FineTunedModel]:
        yield
        return tuned

    return JobSteps(prepare, load, place, folder)


def finetuning_text(tuned: FineTunedModel) -> str:
    """Return the measures in a few lines."""
    report = tuned.report
    lines = [
        _("Model {name}: {steps} steps, pretrained: {start}{early}, training cases: {count}.").format(
            name=tuned.name,
            steps=report["steps"],
            start=report["pretrained_model"] if report["pretrained_model"] != "none" else _("none"),
            early=_(", finished early") if report["finished_early"] else "",
            count=report["training_cases"],
        )
    ]
    judged = _("validation cases") if report["validation_cases"] else _("training cases")
    lines.append(_("Dice of {judged}: {score:.3f}").format(judged=judged, score=report["scores"]["score"]))
    return "\n".join([*lines, *(_("Note: {text}").format(text=text) for text in tuned.warnings)])
