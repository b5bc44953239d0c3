"""Panel section: the displayed prediction, its correction, adding it to the examples."""

from __future__ import annotations

from typing import Any, Callable

import slicer
from slicer.i18n import tr as _
from SynthRegLib import display
from SynthRegLib.result_view import DisplayedResult, ResultView

from SynthContextLib.example_folder import names_of
from SynthContextLib.pair_rows import Row, complete
from SynthContextLib.prediction import Prediction
from SynthContextLib.report_text import ranking, short_text, summary
from SynthContextLib.slice_display import only, open_editor
from SynthContextLib.uncertainty_view import colour_bar, words


class PredictionSection:
    """view: the result view. corrected: called with the row of a corrected prediction."""

    def __init__(self, ui: Any, view: ResultView, corrected: Callable[[Row], None]) -> None:
        self._ui = ui
        self._view = view
        self._corrected = corrected
        self._answers: dict[str, Prediction] = {}
        self._shown: Prediction | None = None
        ui.editButton.connect("clicked(bool)", self._on_edit)
        ui.correctedButton.connect("clicked(bool)", self._on_corrected)

    def states(self) -> dict[str, str]:
        """Return target ID -> short text."""
        return {target: short_text(answer) for target, answer in self._answers.items()}

    def notes(self, examples: list[Row]) -> dict[str, str]:
        """Return example image ID -> leave-one-out agreement."""
        agreed = (self._shown.report.get("similarity") or {}).get("agreement") if self._shown is not None else None
        pairs = complete(examples)
        named_rows = zip(names_of(pairs), pairs) if agreed else ()
        return {
            row.image.GetID(): _("leave-one-out Dice {dice:.2f}").format(dice=agreed[name])
            for name, row in named_rows
            if name in agreed
        }

    def take(self, answer: Prediction) -> None:
        """Store a new prediction; an earlier one of the target stays in the scene."""
        self._answers[answer.target.GetID()] = answer

    def ranking(self) -> str:
        """Return the order in which targets should be annotated, by their uncertainty."""
        return ranking(list(self._answers.values()))

    def of(self, target: Any) -> Prediction | None:
        return self._answers.get(target.GetID()) if target is not None else None

    def segmentations(self) -> list[Any]:
        return [answer.labels for answer in self._answers.values() if answer.labels is not None]

    def show(self, answer: Prediction, others: list[Any]) -> None:
        """Show the prediction and its measures. others: nodes that may cover it."""
        self._shown = answer
        if answer.uncertainty is not None:
            self._ui.uncertaintyBar.setPixmap(colour_bar())
        only(answer.labels, [*others, *self.segmentations()])
        front = answer.uncertainty if answer.uncertainty is not None else answer.image
        self._view.show(DisplayedResult(answer.target, front, summary(answer), answer.page, labels=answer.labels))
        self.update()

    def update(self) -> None:
        there = self._shown is not None and self._view.shown is not None
        labels = there and self._shown.labels is not None
        self._ui.editButton.enabled = labels
        has_uncertainty = there and self._shown.uncertainty is not None
        self._ui.uncertaintyLabel.text = words() if has_uncertainty else ""
        for widget in (self._ui.uncertaintyBar, self._ui.uncertaintyLabel):
            widget.setVisible(has_uncertainty)
        self._ui.correctedButton.enabled = labels

    def forget(self) -> None:
        self._answers.clear()
        self._shown = None
        self._view.forget()
        self.update()

    def forget_node(self, node: slicer.vtkMRMLNode) -> None:
        """Forget predictions whose node is being removed."""
        for target, answer in list(self._answers.items()):
            if any(node is one for one in (answer.target, answer.labels, answer.image, answer.uncertainty)):
                del self._answers[target]
                if answer is self._shown:
                    self._shown = None
                    self._view.forget()
        self.update()

    def fade(self) -> None:
        display.set_foreground_opacity(self._ui.opacitySlider.value)

    def _on_edit(self, checked: bool = False) -> None:
        open_editor(self._shown)

    def _on_corrected(self, checked: bool = False) -> None:
        answer = self._shown
        answer.labels.SetAttribute("SynthReg.Corrected", "taken as example as it was when it was added, edits included")
        self._corrected(Row(answer.target, answer.labels))
