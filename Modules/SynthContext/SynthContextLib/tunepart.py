"""The fine-tuning part of the panel: its buttons, the line that tells the course, and the curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _

from SynthContextLib.curve import curve
from SynthContextLib.tuning import Course

_HEIGHT = 150
_EVERY = 5
"""Words of progress between two pictures of the curve, once there are many."""


class TunePart:
    """ui: curveLabel, courseLabel, tuneButton and finishButton are filled and named here."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._course: Course | None = None
        self._finishing = False
        ui.curveLabel.hide()

    def begin(self) -> None:
        self._course, self._finishing = Course(), False
        self._ui.curveLabel.hide()
        self._ui.courseLabel.text = ""

    def hear(self, figures: Mapping[str, float]) -> bool:
        """Whether the figures of a word of progress told of the course; the curve follows it."""
        if self._course is None or not self._course.hear(figures):
            return False
        self._ui.courseLabel.text = self._course.told()
        count = len(self._course.losses)
        if count > 1 and (count < 100 or count % _EVERY == 0):
            self._draw()
        return True

    def finishing(self) -> None:
        """The training was asked to end."""
        self._finishing = True
        self._ui.courseLabel.text = _("Finishing: the last step is checked, and the best state kept ...")

    def end(self) -> None:
        """The training is over; its curve stays."""
        if self._course is not None and len(self._course.losses) > 1:
            self._draw()
        self._finishing = False

    def update(self, tuning: bool, running: bool, wrong: str) -> None:
        """tuning: whether a training runs; running: whether anything does."""
        self._ui.tuneButton.text = _("Cancel") if tuning else _("Start fine-tuning")
        self._ui.tuneButton.enabled = tuning or not (running or wrong)
        self._ui.tuneButton.toolTip = (
            _("Stop. Started again with the same examples, it goes on from its last check")
            if tuning
            else wrong or _("Train on the checked examples")
        )
        started = self._course is not None and bool(self._course.losses)
        self._ui.finishButton.enabled = tuning and started and not self._finishing

    def _draw(self) -> None:
        width = max(260, self._ui.courseLabel.width)
        self._ui.curveLabel.setPixmap(curve(self._course, width, _HEIGHT))
        self._ui.curveLabel.show()
