"""A fine-tuning in the worker: what is asked, what is heard while it runs, and the model that it leaves."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import Work

from SlicerSynthReg.request import Request, Result
from SynthContextLib.examplefolder import Examples
from SynthContextLib.settings import Tuning


@dataclass(frozen=True, eq=False)
class Tuned:
    """name: of the model, which is among the installed ones now."""

    name: str
    report: dict[str, Any]
    warnings: list[str]


@dataclass(eq=False)
class Course:
    """What a training said so far. losses: (step, loss); scores: (step, mean Dice of what was left out)."""

    losses: list[tuple[int, float]] = field(default_factory=list)
    scores: list[tuple[int, float]] = field(default_factory=list)
    steps: int = 0

    def hear(self, figures: Mapping[str, float]) -> bool:
        """Whether the figures of a word of progress told something of the course. A loss that is no number is none."""
        if "score" in figures:
            self.scores.append((figures["step"], figures["score"]))
        elif "of" in figures:
            self.losses.append((figures["step"], figures.get("loss", math.nan)))
            self.steps = figures["of"]
        return "step" in figures

    def told(self) -> str:
        """One line."""
        if not self.losses:
            return _("The first steps tell how many fit into the time.")
        step, loss = self.losses[-1]
        line = _("Step {step} of at most {steps}, loss {loss:.3f}").format(step=step, steps=self.steps, loss=loss)
        if self.scores:
            best = max(score for _step, score in self.scores)
            line += _("; Dice of what was left out: {last:.3f}, best {best:.3f}").format(
                last=self.scores[-1][1], best=best
            )
        return line


def tuning(examples: Examples, chosen: Tuning) -> Work:
    """Its value is a Tuned."""
    folder = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))

    def prepare() -> Generator[None, None, Request]:
        yield
        inputs = {"examples": str(examples.folder)}
        return Request("finetune", inputs, str(folder / "result"), chosen.parameters())

    def load(result: Result) -> Tuned:
        shutil.rmtree(folder, ignore_errors=True)
        return Tuned(result.report["model"], result.report, result.warnings)

    def place(tuned: Tuned) -> Generator[None, None, Tuned]:
        yield
        return tuned

    return Work(prepare, load, place, folder)


def told_of(tuned: Tuned) -> str:
    """How good it is, in a few lines."""
    report = tuned.report
    lines = [
        _("Model {name}: {steps} steps from {start}{early}, examples learned from: {count}.").format(
            name=tuned.name,
            steps=report["steps"],
            start=report["start"] if report["start"] != "none" else _("nothing"),
            early=_(", finished early") if report["finished_early"] else "",
            count=report["trained_on"],
        )
    ]
    judged = _("the examples left out") if report["left_out"] else _("the examples it learned from")
    lines.append(_("Dice on {judged}: {score:.3f}").format(judged=judged, score=report["scores"]["score"]))
    return "\n".join([*lines, *(_("Note: {text}").format(text=text) for text in tuned.warnings)])
