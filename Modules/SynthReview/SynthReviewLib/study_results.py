"""End of a study: open the key, which is logged, and show the statistics."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import qt
from slicer.i18n import tr as _
from SynthRegLib.background_task import Background

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.study import read_study
from SlicerSynthReg.reader_study.unblinding import unblind, unfinished_readers, verified_logs

PAGE = "statistics.html"


class Outcome(NamedTuple):
    """html: of the page in `file`; "" with the reason in `fault`."""

    html: str = ""
    file: str = ""
    fault: str = ""


class StudyResults:
    """ui: has resultsText, resultsButton, readingNote and unblindButton."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._work: Background | None = None
        self._file = ""
        ui.resultsButton.connect("clicked(bool)", self._on_open)
        self.forget()

    def show(self, path: Path, by: str, reason: str) -> None:
        """by: who opens the key. reason: required if readers are unfinished."""
        self.forget()
        self._ui.unblindButton.enabled = False
        self._ui.readingNote.text = _("Reading the answers ...")
        self._work = Background(lambda: _outcome(path, by, reason), _placed, self._on_done, self._on_failed)

    def forget(self) -> None:
        if self._work is not None:
            self._work.abandon()
            self._work = None
        self._ui.resultsText.hide()
        self._ui.resultsButton.hide()

    def _on_done(self, outcome: Outcome) -> None:
        self._work = None
        self._file = outcome.file
        self._ui.unblindButton.enabled = True
        self._ui.readingNote.text = outcome.fault
        self._ui.resultsText.setHtml(re.sub(r"<img[^>]*>", "", outcome.html))
        self._ui.resultsText.setVisible(bool(outcome.html))
        self._ui.resultsButton.setVisible(bool(outcome.file))

    def _on_failed(self, message: str) -> None:
        self._on_done(Outcome(fault=message))

    def _on_open(self, checked: bool = False) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._file))


def _outcome(path: Path, by: str, reason: str) -> Outcome:
    """Compute the outcome, off the GUI thread."""
    try:
        from SlicerSynthReg.reader_study.page import study_page
        from SlicerSynthReg.reader_study.statistics import study_statistics
        from SlicerSynthReg.report.html import write_page
    except ImportError as error:
        return Outcome(
            fault=_("Found no {name} in this Python, expected it. Press Apply in SynthRegister once.").format(
                name=error.name
            )
        )
    try:
        study = read_study(path)
        key = unblind(study, by, reason)
        logs = verified_logs(study)
        html = study_page(study_statistics(study, key, logs, unfinished_readers(study, logs)))
        write_page(html, study.folder / PAGE)
    except (StudyError, OSError) as error:
        return Outcome(fault=str(error))
    return Outcome(html, str(study.folder / PAGE))


def _placed(outcome: Outcome) -> Generator[None, None, Outcome]:
    yield
    return outcome
