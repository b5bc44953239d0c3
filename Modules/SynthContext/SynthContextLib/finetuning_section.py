"""Panel section: fine-tuning and its curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _

from SynthContextLib.finetuning_job import TrainingProgress
from SynthContextLib.training_curve import curve

_HEIGHT = 150
_EVERY = 5
"""Words of progress between two pictures of the curve, once there are many."""


class FineTuningSection:
    """ui: has curveLabel, courseLabel, fineTuneButton and finishButton."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._course: TrainingProgress | None = None
        self._finishing = False
        ui.curveLabel.hide()

    def begin(self) -> None:
        self._course, self._finishing = TrainingProgress(), False
        self._ui.curveLabel.hide()
        self._ui.courseLabel.text = ""

    def hear(self, figures: Mapping[str, float]) -> bool:
        """Add a progress message to the curve; return whether it belongs to the training."""
        if self._course is None or not self._course.hear(figures):
            return False
        if not self._finishing:
            self._ui.courseLabel.text = self._course.summary_text()
        count = len(self._course.losses)
        if count > 1 and (count < 100 or count % _EVERY == 0):
            self._draw()
        return True

    def finishing(self) -> None:
        """Called when the training was asked to finish."""
        self._finishing = True
        self._ui.courseLabel.text = _("Finishing: validating the last step ...")

    def end(self) -> None:
        """Called when the training has ended; its curve stays."""
        if self._course is not None and len(self._course.losses) > 1:
            self._draw()
        self._finishing = False

    def update(self, tuning: bool, running: bool, wrong: str) -> None:
        """tuning: whether a training runs. running: whether any job runs."""
        self._ui.fineTuneButton.text = _("Cancel") if tuning else _("Start fine-tuning")
        self._ui.fineTuneButton.enabled = tuning or not (running or wrong)
        self._ui.fineTuneButton.toolTip = (
            _("Stop the training; it can be continued with the same examples")
            if tuning
            else wrong or _("Train on the checked examples")
        )
        started = self._course is not None and bool(self._course.losses)
        self._ui.finishButton.enabled = tuning and started and not self._finishing

    def _draw(self) -> None:
        width = max(260, self._ui.courseLabel.width)
        self._ui.curveLabel.setPixmap(curve(self._course, width, _HEIGHT))
        self._ui.curveLabel.show()
