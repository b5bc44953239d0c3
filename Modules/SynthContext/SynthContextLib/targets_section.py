"""Panel section: the table of targets, and the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

import slicer
from slicer.i18n import tr as _
from SynthRegLib.texts import network_note

from SynthContextLib.models import FINE_TUNED, NO_MODEL, delete_model, is_own, models, starts
from SynthContextLib.pair_rows import Row, Rows
from SynthContextLib.pair_table import PairTable


class TargetsSection:
    """selected: called with the selected target. say: shows a status text."""

    def __init__(
        self, ui: Any, parameters: Callable[[], Any], say: Callable[[str], None], selected: Callable[[Any], None]
    ) -> None:
        self._ui = ui
        self._parameters = parameters
        self._say = say
        self.table = PairTable(ui.targetTable, (_("Target"), _("Reference"), _("Prediction")), selected)
        ui.addTargetButton.connect("clicked(bool)", self._on_add)
        ui.removeTargetButton.connect("clicked(bool)", lambda checked=False: self.table.remove_selected())

    def bind(self, parameters: Any) -> None:
        self.table.bind(Rows(parameters.parameterNode, "target") if parameters is not None else None)

    def rows(self) -> list[Row]:
        """Return the rows of the table, and the target below it."""
        rows = self.table.rows()
        parameters = self._parameters()
        if parameters is None or parameters.target is None:
            return rows
        if any(row.image is parameters.target for row in rows):
            return rows
        return [*rows, Row(parameters.target, parameters.truth)]

    def take_chosen(self) -> None:
        """Add the target below the table as a row."""
        rows = self.rows()
        if len(rows) > len(self.table.rows()):
            self.table.append(rows[-1:])
        self._forget_chosen()

    def update(self, running: bool, states: Mapping[str, str]) -> None:
        parameters = self._parameters()
        self._ui.addTargetButton.enabled = parameters.target is not None or parameters.truth is not None
        self.table.show(states)

    def _on_add(self, checked: bool = False) -> None:
        parameters = self._parameters()
        if parameters.target is None:
            self.table.add([], [parameters.truth])
            self._forget_chosen()
        else:
            self.take_chosen()

    def _forget_chosen(self) -> None:
        self._parameters().target = None
        self._parameters().truth = None


_OF_EXAMPLES = (
    "predictorWidget",
    "planeWidget",
    "supportSlicesWidget",
    "supportSizeWidget",
    "alignmentWidget",
    "checkExamplesWidget",
    "bootstrapWidget",
)
"""Parameters that a fine-tuned model does not have."""


class ModelsSection:
    """The list of models, and the list of pretrained models; both depend on what is installed."""

    def __init__(self, ui: Any, parameters: Callable[[], Any], say: Callable[[str], None]) -> None:
        self._ui = ui
        self._parameters = parameters
        self._say = say
        self._filling = False
        ui.modelBox.connect("currentIndexChanged(int)", self._on_model)
        ui.startBox.connect("currentIndexChanged(int)", self._on_start)
        ui.removeModelButton.connect("clicked(bool)", self._on_remove)
        self._names: list[str] = []
        self._starts: list[str] = []

    def update(self) -> None:
        """Update both lists, their selection, and the note on the model."""
        cards = models()
        own = [card.method == FINE_TUNED for card in cards]
        texts = [f"{card.name} ({_('fine-tuned') if mine else _('in-context')})" for card, mine in zip(cards, own)]
        self._names = [card.name for card in cards]
        self._fill(self._ui.modelBox, texts, self._place(self._names, self._parameters().model))
        self._starts = starts()
        shown = [name if name != NO_MODEL else _("none (random weights)") for name in self._starts]
        self._fill(self._ui.startBox, shown, self._place(self._starts, self._parameters().pretrained_model))
        card = cards[self._ui.modelBox.currentIndex] if cards else None
        self._ui.modelLabel.text = network_note(card) if card is not None else _("No model is installed.")
        self._ui.removeModelButton.enabled = card is not None and is_own(card.name)
        for name in _OF_EXAMPLES:
            getattr(self._ui, name).enabled = card is None or card.method != FINE_TUNED

    def start(self) -> str:
        """Return the selected pretrained model."""
        starts_now = starts()
        return starts_now[self._place(starts_now, self._parameters().pretrained_model)]

    def _fill(self, box: Any, texts: list[str], current: int) -> None:
        self._filling = True
        if [box.itemText(n) for n in range(box.count)] != texts:
            box.clear()
            box.addItems(texts)
        box.currentIndex = current
        self._filling = False

    @staticmethod
    def _place(names: list[str], name: str) -> int:
        return names.index(name) if name in names else 0

    def _on_model(self, index: int) -> None:
        if not self._filling and 0 <= index < len(self._names):
            self._parameters().model = self._names[index]

    def _on_start(self, index: int) -> None:
        if not self._filling and 0 <= index < len(self._starts):
            self._parameters().pretrained_model = self._starts[index]

    def _on_remove(self, checked: bool = False) -> None:
        name = self._names[self._ui.modelBox.currentIndex]
        asked = _("Delete the model {name} from the disk? This cannot be undone.").format(name=name)
        if not slicer.util.confirmOkCancelDisplay(asked, windowTitle=_("Delete a model")):
            return
        try:
            delete_model(name)
        except OSError as error:
            self._say(_("Found that {name} cannot be deleted ({why}).").format(name=name, why=error.strerror))
            return
        self._parameters().model = ""
        self._say(_("The model {name} is deleted.").format(name=name))
        self.update()
