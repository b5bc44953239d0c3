"""The upper part of the panel: the table of examples, how rows come into it, and sets on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import qt
from slicer.i18n import tr as _
from SynthRegLib.background import Background

from SlicerSynthReg.request import RequestError
from SynthContextLib.contextset import found_in, placed
from SynthContextLib.faults import guessed
from SynthContextLib.pairtable import PairTable
from SynthContextLib.rows import Row, Rows
from SynthContextLib.settings import Kind


class ExamplesPart:
    """say: shows a line of status. save: starts writing the set to a folder. selected: called with the image of the
    row that the user looks at. parameters: gives the parameter node, or None."""

    def __init__(
        self,
        ui: Any,
        parameters: Callable[[], Any],
        say: Callable[[str], None],
        save: Callable[[Path], None],
        selected: Callable[[Any], None],
    ) -> None:
        self._ui = ui
        self._parameters = parameters
        self._say = say
        self._save = save
        self._loading: Background | None = None
        headings = (_("Image"), _("It shows"), _("Note"))
        self.table = PairTable(ui.exampleTable, headings, selected, self.load)
        ui.addExampleButton.connect("clicked(bool)", self._on_add)
        ui.removeExampleButton.connect("clicked(bool)", lambda checked=False: self.table.remove_selected())
        ui.loadSetButton.connect("clicked(bool)", self._on_load)
        ui.saveSetButton.connect("clicked(bool)", self._on_save)

    @property
    def loading(self) -> bool:
        return self._loading is not None

    def stop(self) -> None:
        self.abandon()
        self.table.stop()

    def abandon(self) -> None:
        """Loading stops without a word."""
        if self._loading is not None:
            self._loading.abandon()
            self._loading = None

    def bind(self, parameters: Any) -> None:
        self.table.bind(Rows(parameters.parameterNode, "example") if parameters is not None else None)

    def rows(self) -> list[Row]:
        """Those of the table, and the pair that is chosen below it and complete."""
        rows = self.table.rows()
        parameters = self._parameters()
        if parameters is None or parameters.image is None or parameters.answer is None:
            return rows
        if any(row.image is parameters.image and row.answer is parameters.answer for row in rows):
            return rows
        return [*rows, Row(parameters.image, parameters.answer)]

    def take_chosen(self) -> None:
        """The pair that is chosen below the table becomes a row."""
        rows = self.rows()
        if len(rows) > len(self.table.rows()):
            self.table.append(rows[-1:])
            self._forget_chosen()

    def update(self, running: bool, notes: Mapping[str, str]) -> None:
        """notes: ID of an image -> what the table says of its example."""
        self.table.show(notes)
        self._enable()

    def _enable(self) -> None:
        parameters = self._parameters()
        chosen = parameters.image is not None or parameters.answer is not None
        self._ui.addExampleButton.enabled = chosen
        self._ui.loadSetButton.enabled = not self.loading
        rows = self.rows()
        self._ui.saveSetButton.enabled = bool(rows)
        kind = guessed(rows)
        self._ui.kindLabel.text = {
            Kind.GUESS: "",
            Kind.LABELS: _("These show structures: the answer is a segmentation."),
            Kind.IMAGE: _("These show images: the answer is an image."),
        }[kind if parameters.kind is Kind.GUESS else Kind.GUESS]

    def load(self, source: Path) -> None:
        """A folder of pairs, or a table, into the scene and the table of examples."""
        if self.loading:
            return
        try:
            pairs, legend = found_in(source)
        except RequestError as error:
            self._say(str(error))
            return
        self._say(_("Loading {count} examples ...").format(count=len(pairs)))
        self._loading = Background(lambda: (pairs, legend), lambda found: placed(*found), self._loaded, self._failed)
        self._enable()

    def _loaded(self, rows: list[Row]) -> None:
        self._loading = None
        if self._parameters() is not None:
            self.table.append(rows)
            self._say(_("{count} examples loaded.").format(count=len(rows)))
            self._enable()

    def _failed(self, message: str) -> None:
        self._loading = None
        self._say(message.partition("RequestError: ")[2] or message)
        if self._parameters() is not None:
            self._enable()

    def _on_add(self, checked: bool = False) -> None:
        parameters = self._parameters()
        if parameters.image is not None and parameters.answer is not None:
            self.take_chosen()
        else:
            one, other = ([node] if node is not None else [] for node in (parameters.image, parameters.answer))
            self.table.add(one, other)
        self._forget_chosen()

    def _forget_chosen(self) -> None:
        self._parameters().image = None
        self._parameters().answer = None

    def _on_load(self, checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("A folder of examples"))
        if folder:
            self.load(Path(folder))

    def _on_save(self, checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("A folder for the set of examples"))
        if folder:
            self._save(Path(folder))
