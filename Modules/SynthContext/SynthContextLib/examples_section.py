"""Panel section: the table of examples, sets on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import qt
from slicer.i18n import tr as _
from SynthRegLib.background_task import Background

from SlicerSynthReg.errors import RequestError
from SynthContextLib.example_set import find_pairs, load_pairs
from SynthContextLib.input_checks import guessed_output_kind
from SynthContextLib.models import AUTO, IMAGE, LABELS
from SynthContextLib.pair_rows import Row, Rows
from SynthContextLib.pair_table import PairTable


class ExamplesSection:
    """say: shows a status text. save: starts writing the set to a folder. selected: called with the image of the
    selected row. parameters: returns the parameter node, or None."""

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
        headings = (_("Image"), _("Label map or paired image"), _("Note"))
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
        """Stop loading without a message."""
        if self._loading is not None:
            self._loading.abandon()
            self._loading = None

    def bind(self, parameters: Any) -> None:
        self.table.bind(Rows(parameters.parameterNode, "example") if parameters is not None else None)

    def rows(self) -> list[Row]:
        """Return the rows of the table, and the complete pair below it."""
        rows = self.table.rows()
        parameters = self._parameters()
        if parameters is None or parameters.image is None or parameters.answer is None:
            return rows
        if any(row.image is parameters.image and row.answer is parameters.answer for row in rows):
            return rows
        return [*rows, Row(parameters.image, parameters.answer)]

    def take_chosen(self) -> None:
        """Add the pair below the table as a row."""
        rows = self.rows()
        if len(rows) > len(self.table.rows()):
            self.table.append(rows[-1:])
            self._forget_chosen()

    def update(self, running: bool, notes: Mapping[str, str]) -> None:
        """notes: ID of an image -> note of its example."""
        self.table.show(notes)
        self._enable()

    def _enable(self) -> None:
        parameters = self._parameters()
        chosen = parameters.image is not None or parameters.answer is not None
        self._ui.addExampleButton.enabled = chosen
        self._ui.loadSetButton.enabled = not self.loading
        rows = self.rows()
        self._ui.saveSetButton.enabled = bool(rows)
        kind = guessed_output_kind(rows)
        self._ui.kindLabel.text = {
            AUTO: "",
            LABELS: _("Task: segmentation."),
            IMAGE: _("Task: image conversion."),
        }[kind if parameters.output_kind.value == AUTO else AUTO]

    def load(self, source: Path) -> None:
        """Load a folder of pairs or a table into the scene and the table of examples."""
        if self.loading:
            return
        try:
            pairs, legend = find_pairs(source)
        except RequestError as error:
            self._say(str(error))
            return
        self._say(_("Loading {count} examples ...").format(count=len(pairs)))
        self._loading = Background(
            lambda: (pairs, legend), lambda found: load_pairs(*found), self._loaded, self._failed
        )
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
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder of examples"))
        if folder:
            self.load(Path(folder))

    def _on_save(self, checked: bool = False) -> None:
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder for the examples"))
        if folder:
            self._save(Path(folder))
