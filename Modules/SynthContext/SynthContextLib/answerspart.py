"""The lower part of the panel: the answer that is shown, its correction, and its way into the examples."""

from __future__ import annotations

from typing import Any, Callable

import slicer
from slicer.i18n import tr as _
from SynthRegLib import display
from SynthRegLib.resultview import ResultView, Shown

from SynthContextLib.answers import Answer
from SynthContextLib.doubt import colour_bar, words
from SynthContextLib.examplefolder import names_of
from SynthContextLib.rows import Row, complete
from SynthContextLib.summary import in_short, ranking, summary
from SynthContextLib.views import only, open_editor


class AnswersPart:
    """view: the panel's result part. corrected: called with the row that a corrected answer makes."""

    def __init__(self, ui: Any, view: ResultView, corrected: Callable[[Row], None]) -> None:
        self._ui = ui
        self._view = view
        self._corrected = corrected
        self._answers: dict[str, Answer] = {}
        self._shown: Answer | None = None
        ui.editButton.connect("clicked(bool)", self._on_edit)
        ui.correctedButton.connect("clicked(bool)", self._on_corrected)

    def states(self) -> dict[str, str]:
        """ID of a target -> its answer in short."""
        return {target: in_short(answer) for target, answer in self._answers.items()}

    def notes(self, examples: list[Row]) -> dict[str, str]:
        """ID of an example's image -> how well it agreed with the others when they were asked last."""
        agreed = self._shown.report.get("agreement") if self._shown is not None else None
        pairs = complete(examples)
        told = zip(names_of(pairs), pairs) if agreed else ()
        return {
            row.image.GetID(): _("with the others: Dice {dice:.2f}").format(dice=agreed[name])
            for name, row in told
            if name in agreed
        }

    def take(self, answer: Answer) -> None:
        """An answer that has just come: it takes the place of the target's last one, which stays in the scene."""
        self._answers[answer.target.GetID()] = answer

    def ranking(self) -> str:
        """Which target to annotate next, where several were asked for their doubt."""
        return ranking(list(self._answers.values()))

    def of(self, target: Any) -> Answer | None:
        return self._answers.get(target.GetID()) if target is not None else None

    def segmentations(self) -> list[Any]:
        return [answer.labels for answer in self._answers.values() if answer.labels is not None]

    def show(self, answer: Answer, others: list[Any]) -> None:
        """Its figures, and its images in the views. others: nodes that may lie in the way."""
        self._shown = answer
        if answer.doubt is not None:
            self._ui.doubtBar.setPixmap(colour_bar())
        only(answer.labels, [*others, *self.segmentations()])
        front = answer.doubt if answer.doubt is not None else answer.image
        self._view.show(Shown(answer.target, front, summary(answer), answer.page, labels=answer.labels))
        self.update()

    def update(self) -> None:
        there = self._shown is not None and self._view.shown is not None
        labels = there and self._shown.labels is not None
        self._ui.editButton.enabled = labels
        doubted = there and self._shown.doubt is not None
        self._ui.doubtLabel.text = words() if doubted else ""
        for widget in (self._ui.doubtBar, self._ui.doubtLabel):
            widget.setVisible(doubted)
        self._ui.correctedButton.enabled = labels

    def forget(self) -> None:
        self._answers.clear()
        self._shown = None
        self._view.forget()
        self.update()

    def forget_if_of(self, node: slicer.vtkMRMLNode) -> None:
        """Answers of which a node is about to leave the scene."""
        for target, answer in list(self._answers.items()):
            if any(node is one for one in (answer.target, answer.labels, answer.image, answer.doubt)):
                del self._answers[target]
                if answer is self._shown:
                    self._shown = None
                    self._view.forget()
        self.update()

    def fade(self) -> None:
        display.fade(self._ui.fadeSlider.value)

    def _on_edit(self, checked: bool = False) -> None:
        open_editor(self._shown)

    def _on_corrected(self, checked: bool = False) -> None:
        answer = self._shown
        answer.labels.SetAttribute("SynthReg.Corrected", "taken as example as it was when it was added, edits included")
        self._corrected(Row(answer.target, answer.labels))
